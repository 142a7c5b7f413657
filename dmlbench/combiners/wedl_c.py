"""The compressed ensemble: a small network maps the diverse ensemble to the dimension of one loss.

Zabihzadeh, Alitbi, Mousavirad, Ensemble of Loss Functions to Improve Generalizability of Deep
Metric Learning methods, 2021 (arXiv 2107.01130).
Legend: B batch, D dimension of the compressed embedding, M losses.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from dmlbench.combiners.wedl import DiverseEnsemble


class CompressedEnsemble(DiverseEnsemble):
    """The diverse ensemble, evaluated through Linear, tanh, Linear, with the dimension of one loss.

    The network learns beside the ensemble, on detached embeddings, to keep the squared-distance
    matrix of the batch: ‖D₁/ΣD₁ − D₂/ΣD₂‖_F · B². What is evaluated has dimension D, so every
    head may have the full dimension under ``--dim-budget total`` too.

    The authors' compressor is an option: its hidden layer and its output have dimension 2D whatever
    M is, and nothing is normalised. They compare by Euclidean distance, which `protocol.similarity`
    selects. Its rows have a larger dimension than a single loss's, and are ranked separately.

    Authors' code: equal, output, value and gradients, with compressor = "authors" on the same
    embeddings. Deviation: theirs takes its step on embeddings computed again after the ensemble's
    step, ours on those that the losses saw.

    num_losses: M.
    embedding_dim: D.
    head_dims: dimensions of the heads, D_j.
    prior, penalty, diversity, rescale: as for `DiverseEnsemble`.
    compressor: "narrow" as above, or "authors" for theirs, which needs ``--dim-budget per-loss``.
    hidden_dim: dimension of the hidden layer; None for that of the concatenated heads, or 2D.
    """

    def __init__(
        self,
        num_losses: int,
        embedding_dim: int,
        head_dims: Sequence[int],
        prior: Sequence[float] | None = None,
        penalty: float = 1e4,
        diversity: float = 0.05,
        hidden_dim: int | None = None,
        rescale: str = "mean",
        compressor: str = "narrow",
    ) -> None:
        super().__init__(num_losses, prior, penalty, diversity, rescale)
        if compressor not in ("narrow", "authors"):
            raise ValueError(f"compressor must be 'narrow' or 'authors', not {compressor!r}")
        self.normalised = compressor == "narrow"
        wide = sum(head_dims)
        width = embedding_dim if self.normalised else 2 * embedding_dim
        usual = wide if self.normalised else 2 * embedding_dim
        hidden = usual if hidden_dim is None else hidden_dim
        if hidden < 1:
            raise ValueError(f"hidden_dim must be at least 1, not {hidden_dim}")
        self.auxiliary = nn.Sequential(nn.Linear(wide, hidden), nn.Tanh(), nn.Linear(hidden, width))

    @classmethod
    def head_dims(cls, embedding_dim: int, num_losses: int, dim_budget: str) -> list[int]:
        return [embedding_dim] * num_losses

    def embed(self, heads: Sequence[Tensor]) -> Tensor:
        return self._compressed(super().embed(heads))

    def auxiliary_loss(self, heads: Sequence[Tensor]) -> Tensor:
        with torch.no_grad():
            wide = super().embed(heads)  # (B, ΣD_j)
        return distance_mismatch(wide, self._compressed(wide))

    def _compressed(self, wide: Tensor) -> Tensor:
        """The evaluated embedding (B, D), or (B, 2D), of the concatenated heads."""
        compressed = self.auxiliary(wide)
        return functional.normalize(compressed, dim=1) if self.normalised else compressed


def distance_mismatch(first: Tensor, second: Tensor) -> Tensor:
    """‖D₁/ΣD₁ − D₂/ΣD₂‖_F · B² of two embeddings (B, ·) of one batch, a scalar."""
    one, other = _shares(first), _shares(second)  # (B, B) each
    return torch.linalg.norm(one - other) * len(first) ** 2


def _shares(embeddings: Tensor) -> Tensor:
    """Squared distances (B, B) divided by their sum; zeros where all embeddings are equal."""
    lengths = embeddings.square().sum(dim=1)
    squared = lengths[:, None] + lengths[None, :] - 2 * embeddings @ embeddings.T
    squared = squared.clamp(min=0)
    return squared / squared.sum().clamp(min=1e-12)
