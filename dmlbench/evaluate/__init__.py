"""Embeddings in, metrics out.

Importing this imports neither torch nor faiss. The functions have the names of their modules, so
they are bound here at once: a later import of the module alone would hide a lazy one.
"""

from dmlbench.evaluate.clustering import ClusteringResult, FaissMissing, clustering
from dmlbench.evaluate.metrics import PerQuery, RetrievalResult
from dmlbench.evaluate.retrieval import retrieval

__all__ = [
    "ClusteringResult",
    "FaissMissing",
    "PerQuery",
    "RetrievalResult",
    "clustering",
    "retrieval",
]
