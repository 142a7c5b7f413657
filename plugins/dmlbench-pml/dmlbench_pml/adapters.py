"""An adapter class for each loss of pytorch-metric-learning, made when it is asked for.

    from dmlbench_pml.adapters import TripletMarginLoss
    TripletMarginLoss(num_classes=100, embedding_dim=64, miner="triplet-margin(margin=0.1)")

Legend: B batch, D embedding dimension.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dmlbench.plan.expressions import parse_call
from dmlbench_pml.catalogue import KINDS, PACKAGE, Part, catalogue, kind_of
from dmlbench_pml.known_failures import KNOWN_FAILURES


class PmlLoss(nn.Module):
    """A loss of pytorch-metric-learning, perhaps behind a miner, as dmlbench calls losses.

    num_classes, embedding_dim: handed on where the loss or a part of it needs them.
    params: the loss's own parameters, and ``pml_version``, the version of pytorch-metric-learning
        that is asked for, None for any. A miner, distance, reducer, regulariser or wrapped loss is
        a name, perhaps with parameters, as on the command line: ``"triplet-margin(margin=0.1)"``.
        None leaves it to the loss; no miner then.

    Raises `ValueError` where pytorch-metric-learning refuses a parameter or has another version.
    """

    part: ClassVar[Part]
    expected_failures: ClassVar[Mapping[str, str]] = {}

    def __init__(self, num_classes: int, embedding_dim: int, **params: Any) -> None:
        super().__init__()
        installed, pml_version = catalogue().version, params.pop("pml_version", None)
        if pml_version not in (None, installed):
            raise ValueError(
                f"pml_version={pml_version!r}, but pytorch-metric-learning {installed} is "
                f"installed: pip install pytorch-metric-learning=={pml_version}"
            )
        sizes = {"num_classes": num_classes, "embedding_dim": embedding_dim}
        miner = None if "miner" in self.part.defaults else params.pop("miner", None)
        self.miner = None if miner is None else _named("miner", miner, sizes)
        self.loss = _build(self.part, params, sizes)
        self._loose = _loose_values(self)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar, of embeddings (B, D) with labels (B,)."""
        for owner, name in self._loose:
            value = vars(owner)[name]
            if isinstance(value, Tensor) and value.requires_grad:
                # The graph of the batch before is gone after its backward pass.
                setattr(owner, name, value.detach())
        if self.miner is None:
            return self.loss(embeddings, labels)
        return self.loss(embeddings, labels, self.miner(embeddings, labels))

    def get_extra_state(self) -> Tensor:
        """What pytorch-metric-learning keeps outside of parameters and buffers, as one vector."""
        values = [torch.as_tensor(vars(owner)[name]) for owner, name in self._loose]
        flat = [value.detach().double().cpu().flatten() for value in values]
        return torch.cat([torch.zeros(0, dtype=torch.float64), *flat])

    def set_extra_state(self, state: Tensor) -> None:
        """Take over what `get_extra_state` gave, so a resumed trial continues with it."""
        for owner, name in self._loose:
            value = vars(owner)[name]
            count = torch.as_tensor(value).numel()
            taken, state = state[:count], state[count:]
            if isinstance(value, Tensor):
                setattr(owner, name, taken.reshape(value.shape).to(value))
            else:
                setattr(owner, name, type(value)(taken.item()))


@cache
def adapter(class_name: str) -> type[PmlLoss]:
    """The adapter of one loss, always the same class."""
    attributes = {
        "__module__": __name__,
        "__doc__": f"{class_name} of pytorch-metric-learning; see `PmlLoss`.",
        "part": catalogue().losses[class_name],
        "expected_failures": KNOWN_FAILURES.get(class_name, {}),
    }
    return type(class_name, (PmlLoss,), attributes)


def __getattr__(name: str) -> Any:
    found = catalogue()
    if name in found.losses:
        return adapter(name)
    reason = found.left_out("loss").get(name, "is unknown")
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}, which in pytorch-metric-learning "
        f"{found.version} {reason}"
    )


def _named(kind: str, text: Any, sizes: Mapping[str, int]) -> nn.Module:
    """The part that ``"name(key=value, ...)"`` means."""
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no {kind}; give a name, such as 'name(key=value)'")
    name, params = parse_call(text)
    return _build(catalogue().find(kind, name), params, sizes)


def _build(part: Part, params: Mapping[str, Any], sizes: Mapping[str, int]) -> nn.Module:
    arguments = {theirs: sizes[ours] for ours, theirs in part.sizes.items()}
    for name, value in {**part.defaults, **params}.items():
        kind = kind_of(name)
        if kind is None:
            # None stands for "not given" where there is no other default.
            if value is not None or part.defaults.get(name) is not None:
                arguments[name] = value
        elif value is not None:
            arguments[name] = _named(kind, value, sizes)
    module = importlib.import_module(f"{PACKAGE}.{KINDS[part.kind]}")
    try:
        return getattr(module, part.class_name)(**arguments)
    # Its own checks raise any of these, some of them plain `Exception`.
    except Exception as error:
        raise ValueError(f"{part.class_name}: {error or type(error).__name__}") from error


def _loose_values(module: nn.Module) -> list[tuple[nn.Module, str]]:
    """Where a module keeps numbers and tensors that are neither parameters nor buffers."""
    return [
        (owner, name)
        for owner in module.modules()
        for name, value in vars(owner).items()
        if isinstance(value, bool | int | float | Tensor) and name not in vars(nn.Module())
    ]
