"""Embeddings in, metrics out.

Importing this imports neither torch nor faiss. The functions have the names of their modules, so
they are bound here at once: a later import of the module alone would hide a lazy one.
"""

from dmlbench.evaluate.clustering import ClusteringResult, FaissMissing, clustering
from dmlbench.evaluate.embedding_file import LabelledEmbeddings
from dmlbench.evaluate.labelled import read_labelled
from dmlbench.evaluate.metrics import PerQuery, RetrievalResult
from dmlbench.evaluate.retrieval import retrieval
from dmlbench.evaluate.scored import Scored, score_labelled

__all__ = [
    "ClusteringResult",
    "FaissMissing",
    "LabelledEmbeddings",
    "PerQuery",
    "RetrievalResult",
    "Scored",
    "clustering",
    "read_labelled",
    "retrieval",
    "score_labelled",
]
