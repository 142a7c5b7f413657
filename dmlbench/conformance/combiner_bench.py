"""A combiner at its place in training, made small, for the conformance kit.

B batch, C classes, F feature dimension, D_j dimension of head j, M losses.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmlbench.conformance.kit import Broken, check_finite, check_scalar

CLASSES, PER_CLASS, FEATURES = 6, 4, 12


class Bench(nn.Module):
    """A combiner at its place in training: features, heads, losses with proxies, and itself."""

    def __init__(self, combiner: nn.Module, head_dims: Sequence[int], num_losses: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)

        def normal(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=generator))

        self.combiner = combiner
        self.features = normal(CLASSES * PER_CLASS, FEATURES)  # (B, F)
        self.heads = nn.ParameterList(normal(FEATURES, dim) for dim in head_dims)
        dims = list(head_dims) * num_losses if len(head_dims) == 1 else head_dims
        self.proxies = nn.ParameterList(normal(CLASSES, dim) for dim in dims)
        self.register_buffer("labels", torch.arange(CLASSES).repeat(PER_CLASS))
        # Losses are of different sizes, and pull the features in different directions.
        self.register_buffer("scales", 10.0 ** (torch.arange(num_losses) % 3 - 1))

    def embeddings(self, features: Tensor) -> list[Tensor]:
        """L2-normalised heads, (B, D_j) each, of features (B, F)."""
        return [nn.functional.normalize(features @ head, dim=1) for head in self.heads]

    def losses(self, heads: Sequence[Tensor]) -> Tensor:
        """The losses (M,): mean squared distance to the proxy of the own class, scaled."""
        seen = list(heads) * len(self.proxies) if len(heads) == 1 else heads
        distances = [
            (head - nn.functional.normalize(proxies[self.labels])).square().sum(1).mean()
            for head, proxies in zip(seen, self.proxies, strict=True)
        ]
        return torch.stack(distances) * self.scales

    def step(self) -> Tensor:
        """One forward and backward pass as the training loop makes it; the objective, detached."""
        self.zero_grad()
        combiner = self.combiner
        shared = self.features.detach().requires_grad_()
        heads = self.embeddings(shared)
        losses = self.losses(heads)
        gradients = None
        if combiner.sees_gradients or combiner.combines_gradients:
            gradients = torch.stack(
                [torch.autograd.grad(loss, shared, retain_graph=True)[0] for loss in losses]
            )  # (M, B, F)
        if combiner.sees_gradients:
            combiner.see_gradients(gradients, losses.detach())
        objective = combiner(losses, heads)
        check_scalar(objective, "the objective")
        objective.backward()
        self.features.grad = shared.grad
        if combiner.combines_gradients:
            # Of M flat gradients too: where the parameters are what is shared.
            flat = gradients.flatten(1) if combiner.at == "parameters" else gradients
            combined = combiner.combine_gradients(flat, losses.detach())
            if combined.shape != flat.shape[1:]:
                raise Broken(
                    f"combine_gradients gave the shape {tuple(combined.shape)} from "
                    f"{tuple(flat.shape)}, not {tuple(flat.shape[1:])}"
                )
            self.features.grad = combined.view_as(self.features)
        for name, value in self.named_parameters():
            if value.grad is not None:
                check_finite(f"the gradient on {name}", value.grad)
        return objective.detach()

    def train_steps(self, count: int, learning_rate: float = 0.02) -> list[Tensor]:
        """The losses (M,) at each of `count` steps of Adam."""
        apart = "combiner.auxiliary."
        own = [p for name, p in self.named_parameters() if not name.startswith(apart)]
        optimizer = torch.optim.Adam(own, lr=learning_rate)
        values = []
        for _ in range(count):
            self.step()
            values.append(self.current_losses())
            optimizer.step()
        return values

    @torch.no_grad()
    def current_losses(self) -> Tensor:
        return self.losses(self.embeddings(self.features))

    @torch.no_grad()
    def evaluated(self, rows: slice = slice(None)) -> Tensor:
        """The evaluated embedding (B, D), in evaluation mode."""
        self.eval()
        embedding = self.combiner.embed(self.embeddings(self.features[rows]))
        self.train()
        return embedding
