"""What a combiner is: M losses on a shared backbone become one objective and one embedding.

Legend: B batch, D embedding dimension, F feature dimension, M losses, R dimension of the
representation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def split_dimension(embedding_dim: int, num_heads: int) -> list[int]:
    """Divide a dimension among heads as evenly as possible: ``(64, 3) -> [22, 21, 21]``."""
    if num_heads > embedding_dim:
        raise ValueError(
            f"an embedding of {embedding_dim} dimensions cannot be split among {num_heads} heads; "
            f"raise recipe.embedding_dim"
        )
    share, rest = divmod(embedding_dim, num_heads)
    return [share + (head < rest) for head in range(num_heads)]


class Combiner(nn.Module):
    """Joins M losses into one objective and says which embedding is evaluated.

    A subclass overrides `forward`, and whatever else it does differently. The training loop calls,
    for every batch, `see_gradients` (if it asks), `forward`, then a backward pass, then
    `auxiliary_loss` (if it has modules of its own), and `end_epoch` after every epoch. Parameters
    of the combiner itself are trained at the recipe's `combiner_lr`, those under `auxiliary` by an
    optimiser of their own.

    num_losses: M.
    """

    #: "shared": one embedding for all losses. "per-loss": loss j sees the embedding of head j only.
    heads = "shared"
    #: True where `see_gradients` is to be called before `forward`.
    sees_gradients = False
    #: True where what the losses share follows `combine_gradients`, not the objective.
    combines_gradients = False
    #: Where gradients are combined: "parameters" that are shared, or the shared "representation".
    at = "representation"
    #: Extra modules with an optimiser of their own, or None.
    auxiliary: nn.Module | None

    def __init__(self, num_losses: int) -> None:
        super().__init__()
        self.num_losses = num_losses
        self.auxiliary = None

    @classmethod
    def head_dims(cls, embedding_dim: int, num_losses: int, dim_budget: str) -> list[int]:
        """Dimensions of the heads under `Protocol.dim_budget`, "total" or "per-loss"."""
        if cls.heads == "shared":
            return [embedding_dim]
        if dim_budget == "per-loss":
            return [embedding_dim] * num_losses
        return split_dimension(embedding_dim, num_losses)

    def forward(self, losses: Tensor, heads: Sequence[Tensor]) -> Tensor:
        """The objective, a scalar, from loss values (M,) and L2-normalised heads, (B, D_j) each."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it combines losses")

    def embed(self, heads: Sequence[Tensor]) -> Tensor:
        """The evaluated embedding (B, D) from the L2-normalised heads, (B, D_j) each."""
        return heads[0] if len(heads) == 1 else torch.cat(list(heads), dim=1)

    def weights(self) -> Tensor | None:
        """The current weights of the losses (M,), detached; None where there are none."""
        return None

    def see_gradients(self, gradients: Tensor, losses: Tensor) -> None:
        """Look at the losses' gradients at the shared representation, (M, B, R), and values (M,).

        The representation is the output of the one head before normalisation (R = D); with a head
        per loss, or a loss that looks at the features, it is the features (R = F).
        """

    def combine_gradients(self, gradients: Tensor, losses: Tensor) -> Tensor:
        """One gradient from those of the losses: (M, ...) -> (...).

        At the parameters they are (M, P), P numbers in those of backbone and head; at the
        representation (M, B, R). Parameters of a loss, such as proxies, follow the objective.
        """
        raise NotImplementedError(f"{type(self).__name__} does not combine gradients")

    def auxiliary_loss(self, heads: Sequence[Tensor]) -> Tensor | None:
        """A scalar that trains `auxiliary` from detached heads, or None."""
        return None

    def end_epoch(self) -> None:
        """Called after every epoch."""
