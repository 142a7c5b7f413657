"""What is trained together: model, losses and combiner on one device.

Legend: B batch, F feature dimension, M losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dmlbench.combiners.base import Combiner
from dmlbench.training.model import EmbeddingModel


@dataclass
class TrainingModules:
    """What is trained together, on one device.

    losses: M modules, (input (B, ·), labels (B,)) -> scalar; `takes` says which input.
    train_transform: (uint8 images (B, C, H, W), generator, what the images cover of it: (B, 2) or
        None) -> network input (B, 3, S, S); test_transform the same without a generator; of a
        frozen backbone, whose features are the input, both transforms leave them as they are.
    """

    model: EmbeddingModel
    losses: nn.ModuleList
    loss_names: Sequence[str]
    combiner: Combiner
    train_transform: Callable[[Tensor, torch.Generator, Tensor | None], Tensor]
    test_transform: Callable[[Tensor, Tensor | None], Tensor]
    device: torch.device

    def modules(self) -> dict[str, nn.Module]:
        """The modules that have state, by the name they have in a checkpoint."""
        return {"model": self.model, "losses": self.losses, "combiner": self.combiner}

    def head_parameters(self) -> int:
        """Trainable parameters behind the backbone: of the heads and of the combiner.

        Those of losses (proxies) do not count, for no evaluated embedding passes through them.
        """
        modules = (self.model.heads, self.combiner)
        # A parameter of two modules counts once.
        found = {id(p): p.numel() for m in modules for p in m.parameters() if p.requires_grad}
        return sum(found.values())
