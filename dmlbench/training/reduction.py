"""Embeddings reduced by PCA before they are evaluated, to compare rows at one dimension.

Legend: B batch, N training images, W dimension of the combiner's embedding, D of what is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmlbench.combiners.base import Combiner
from dmlbench.data.images import ImageSet
from dmlbench.errors import UsageError
from dmlbench.plan.recipe import Recipe
from dmlbench.training.embed import embed_images
from dmlbench.training.parts import TrainingModules
from dmlbench.training.random_states import generator_for


class ReducedByPca(Combiner):
    """Another combiner, whose embedding is reduced once training has ended.

    The embedding less its mean over the training images, on the D axes along which these vary most.
    Until `fit` it is not reduced, so the checkpoint is selected by the whole embedding.

    combiner: trains as it does by itself.
    dim: D, below the dimension of the combiner's embedding.
    head_dims: dimensions of the heads that it embeds.
    Raises `UsageError` for a dimension that is not a reduction.
    """

    def __init__(self, combiner: Combiner, dim: int, head_dims: Sequence[int]) -> None:
        nn.Module.__init__(self)
        self.combiner = combiner
        self.num_losses = combiner.num_losses
        self.sees_gradients = combiner.sees_gradients
        self.combines_gradients = combiner.combines_gradients
        self.at = combiner.at
        with torch.no_grad():
            whole = combiner.embed([torch.zeros(1, size) for size in head_dims]).shape[1]
        if not 0 < dim < whole:
            raise UsageError(
                f"recipe.pca_dim must be below the dimension of the embedding, {whole}, not {dim}."
            )
        self.register_buffer("mean", torch.zeros(whole))
        self.register_buffer("axes", torch.zeros(whole, dim))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    @property
    def auxiliary(self) -> nn.Module | None:  # type: ignore[override]
        return self.combiner.auxiliary

    @torch.no_grad()
    def fit(self, embeddings: Tensor) -> None:
        """Take mean and axes from the embeddings (N, W) of the training images."""
        rows = embeddings.double()
        mean = rows.mean(dim=0)
        _, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean))  # ascending
        axes = vectors.flip(1)[:, : self.axes.shape[1]]  # (W, D)
        # An axis has no direction of its own; with one, embeddings come out equal each time.
        largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
        self.mean.copy_(mean)
        self.axes.copy_(axes * largest.sign())
        self.fitted.fill_(True)

    def embed(self, heads: Sequence[Tensor]) -> Tensor:
        embedding = self.combiner.embed(heads)
        return (embedding - self.mean) @ self.axes if self.fitted else embedding

    def forward(self, losses: Tensor, heads: Sequence[Tensor]) -> Tensor:
        return self.combiner(losses, heads)

    def weights(self) -> Tensor | None:
        return self.combiner.weights()

    def see_gradients(self, gradients: Tensor, losses: Tensor) -> None:
        self.combiner.see_gradients(gradients, losses)

    def combine_gradients(self, gradients: Tensor, losses: Tensor) -> Tensor:
        return self.combiner.combine_gradients(gradients, losses)

    def auxiliary_loss(self, heads: Sequence[Tensor]) -> Tensor | None:
        return self.combiner.auxiliary_loss(heads)

    def end_epoch(self) -> None:
        self.combiner.end_epoch()


def evaluated_dim(combiner: Combiner, heads: Sequence[Tensor]) -> int:
    """The dimension of the embedding that is tested, given heads (B, D_j) of any images."""
    if isinstance(combiner, ReducedByPca):
        return combiner.axes.shape[1]
    return combiner.embed(heads).shape[1]


def fit_reduction(
    parts: TrainingModules,
    recipe: Recipe,
    train: ImageSet,
    selected: dict[str, dict[str, Tensor]],
) -> None:
    """Fit a reduction by PCA, where there is one, to the training images; else do nothing.

    selected: the state of the selected epoch by module, which embeds them and gets mean and axes.
    """
    combiner = parts.combiner
    if not isinstance(combiner, ReducedByPca):
        return
    for name, module in parts.modules().items():
        module.load_state_dict(selected[name])
    embedded = embed_images(parts, recipe, train, generator_for(0, "reduction"))
    combiner.fit(embedded.embeddings.to(parts.device))
    selected["combiner"] = {k: v.detach().clone() for k, v in combiner.state_dict().items()}
