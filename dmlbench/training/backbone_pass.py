"""A batch through the backbone and back: whole, or in micro-batches at the same gradient.

Pair losses look at all images of a batch at once, so the gradients of parts of it do not add
up to that of the whole. In micro-batches the backbone therefore runs twice: first without a graph,
for the features of the whole batch; then, once the losses have given the gradient at these
features, part by part with a graph that takes its share of it. Memory is that of one part.

Gao, Zhang, Han, Callan, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup,
RepL4NLP 2021 (arXiv 2101.06983).
Legend: B batch, F feature dimension, M losses, P numbers in the parameters, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from dmlbench.plan.recipe import Recipe


class BackbonePass:
    """One batch's forward and backward through `backbone`, for one training step.

    What the backbone draws (dropout) and keeps (running statistics) is the same in both runs over
    the parts, and is kept once. Batch normalisation in training mode sees the parts, not the batch.

    recipe: its precision, and the most images at once, `batch.micro`.
    """

    def __init__(self, backbone: nn.Module, recipe: Recipe, device: torch.device) -> None:
        self.backbone, self.device = backbone, device
        self.reduced = recipe.precision == "bfloat16"
        self.micro = recipe.batch.micro

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, F) float32 of images (B, 3, S, S); without a graph if in micro-batches."""
        self.parts = (images,)
        if not 0 < self.micro < len(images):
            self.features = self._features(images)
            return self.features
        # Parts of nearly one size: batch normalisation cannot do with a single image left over.
        self.parts = images.tensor_split(-(-len(images) // self.micro))
        self._drawn = _random_state(self.device)
        self._kept = [buffer.clone() for buffer in self.backbone.buffers()]
        with torch.no_grad():
            return torch.cat([self._features(part) for part in self.parts])

    def backward(self, gradient: Tensor) -> None:
        """Add the gradient of the backbone's parameters, given that at the features (B, F)."""
        if len(self.parts) == 1:
            # Those of a frozen backbone need none.
            if self.features.requires_grad:
                self.features.backward(gradient)
            return
        if not any(parameter.requires_grad for parameter in self.backbone.parameters()):
            return
        for features, share in zip(
            self._again(), gradient.tensor_split(len(self.parts)), strict=True
        ):
            features.backward(share)

    def pull_back(self, gradients: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """Gradients of `parameters`, (M, P), given M gradients at the features (M, B, F)."""
        sizes = sum(parameter.numel() for parameter in parameters)
        total = gradients.new_zeros(len(gradients), sizes)
        if not parameters:
            return total
        runs = [self.features] if len(self.parts) == 1 else self._again()
        shares = gradients.tensor_split(len(self.parts), dim=1)
        for features, share in zip(runs, shares, strict=True):
            for index, gradient in enumerate(share):
                found = torch.autograd.grad(
                    features, parameters, gradient, retain_graph=True, materialize_grads=True
                )
                total[index] += torch.cat([one.flatten() for one in found])
        return total

    def _again(self) -> Iterator[Tensor]:
        """Each part's features once more, with a graph, drawing what was drawn before."""
        drawn = _random_state(self.device)
        _set_random_state(self._drawn, self.device)
        with torch.no_grad():
            for buffer, kept in zip(self.backbone.buffers(), self._kept, strict=True):
                buffer.copy_(kept)
        for part in self.parts:
            yield self._features(part)
        _set_random_state(drawn, self.device)

    def _features(self, images: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.reduced):
            features = self.backbone(images)
        return features.float()


def _random_state(device: torch.device) -> tuple[Tensor, ...]:
    """The global random states that a module on `device` can draw from."""
    on_device = (torch.cuda.get_rng_state(device),) if device.type == "cuda" else ()
    return (torch.get_rng_state(), *on_device)


def _set_random_state(states: tuple[Tensor, ...], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
