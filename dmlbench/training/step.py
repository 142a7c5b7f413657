"""One batch's gradients: of the objective, or of what a combiner makes of the losses' gradients.

Which way a combiner needs is chosen once per trial. The features are a leaf in all of them: the
backbone's share of a gradient is taken by `BackbonePass`, which alone knows of micro-batches.
Legend: B batch, F feature dimension, M losses, P shared parameters, R dimension of the
representation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dmlbench.training.backbone_pass import BackbonePass
from dmlbench.training.parts import TrainingModules


@dataclass(frozen=True)
class LossPass:
    """Losses of one batch, with the graph from the features to them.

    features: (B, F), a leaf. heads: L2-normalised, (B, D_j) each. losses: (M,).
    representation: what all losses share, (B, R): the one head's output before normalisation, or
        the features where there is a head per loss, or where a loss looks at them.
    """

    features: Tensor
    heads: list[Tensor]
    losses: Tensor
    representation: Tensor


LOSS_INPUTS = ("embeddings", "unnormalised", "features")

Backward = Callable[[TrainingModules, BackbonePass, LossPass, Tensor], None]


def forward(
    parts: TrainingModules,
    features: Tensor,
    labels: Tensor,
    before_loss: Callable[[int], None] = lambda index: None,
) -> LossPass:
    """The losses of features (B, F), each on the input that its attribute `takes` names.

    before_loss: called with the index of each loss before it is computed.
    """
    features = features.detach().requires_grad_()
    outputs = parts.model.outputs(features)  # (B, D_j) each
    heads = parts.model.normalise(outputs)
    takes = [loss_input(loss) for loss in parts.losses]
    losses = []
    for index, (loss, taken) in enumerate(zip(parts.losses, takes, strict=True)):
        head = index if len(heads) > 1 else 0
        seen = {"embeddings": heads[head], "unnormalised": outputs[head], "features": features}
        before_loss(index)
        losses.append(loss(seen[taken], labels).float())
    one_head = len(heads) == 1 and "features" not in takes
    return LossPass(features, heads, torch.stack(losses), outputs[0] if one_head else features)


def loss_input(loss: torch.nn.Module) -> str:
    """What a loss looks at, one of `LOSS_INPUTS`."""
    return getattr(loss, "takes", "embeddings")


def choose_backward(parts: TrainingModules) -> Backward:
    """The way to the gradients that the combiner needs."""
    combiner = parts.combiner
    if not combiner.combines_gradients:
        return follow_objective
    return combine_at_parameters if combiner.at == "parameters" else combine_at_representation


def objective_of(parts: TrainingModules, passed: LossPass) -> Tensor:
    """The combiner's objective, a scalar, once it has seen the gradients that it asks for."""
    if parts.combiner.sees_gradients:
        gradients = _at(passed.losses, passed.representation)
        parts.combiner.see_gradients(gradients, passed.losses.detach())
    return parts.combiner(passed.losses, passed.heads)


def follow_objective(
    parts: TrainingModules, through: BackbonePass, passed: LossPass, objective: Tensor
) -> None:
    """Everything follows the objective."""
    objective.backward()
    through.backward(passed.features.grad)


def combine_at_representation(
    parts: TrainingModules, through: BackbonePass, passed: LossPass, objective: Tensor
) -> None:
    """What comes before the shared representation follows the combined gradient there."""
    gradients = _at(passed.losses, passed.representation)  # (M, B, R)
    combined = parts.combiner.combine_gradients(gradients, passed.losses.detach())
    _own_parameters_follow(objective, parts)
    if passed.representation is passed.features:
        heads = [p for p in parts.model.heads.parameters() if p.requires_grad]
        objective.backward(inputs=heads)
        through.backward(combined)
    else:
        passed.representation.backward(combined)
        through.backward(passed.features.grad)


def combine_at_parameters(
    parts: TrainingModules, through: BackbonePass, passed: LossPass, objective: Tensor
) -> None:
    """The shared parameters, backbone and one head, follow the combined gradient."""
    one_head = len(passed.heads) == 1
    heads = [p for p in parts.model.heads.parameters() if p.requires_grad] if one_head else []
    backbone = [p for p in parts.model.backbone.parameters() if p.requires_grad]
    at_heads, at_features = [], []
    for loss in passed.losses:
        *own, there = torch.autograd.grad(
            loss, [*heads, passed.features], retain_graph=True, allow_unused=True
        )
        at_heads.append(_flat(own, heads, there))
        at_features.append(there)
    gradients = torch.cat(
        [torch.stack(at_heads), through.pull_back(torch.stack(at_features), backbone)], dim=1
    )  # (M, P)
    combined = parts.combiner.combine_gradients(gradients, passed.losses.detach())  # (P,)
    _own_parameters_follow(objective, parts)
    if not one_head:
        objective.backward(inputs=list(parts.model.heads.parameters()))
    shared = [*heads, *backbone]
    sizes = [parameter.numel() for parameter in shared]
    for parameter, part in zip(shared, combined.split(sizes), strict=True):
        parameter.grad = part.view_as(parameter).clone()


def _own_parameters_follow(objective: Tensor, parts: TrainingModules) -> None:
    """Proxies and the combiner's parameters follow the objective, whatever the rest follows."""
    modules = (parts.losses, parts.combiner)
    own = [p for module in modules for p in module.parameters() if p.requires_grad]
    if own:
        objective.backward(inputs=own, retain_graph=True)


def _at(losses: Tensor, where: Tensor) -> Tensor:
    """Each loss's gradient at `where` (B, R), (M, B, R)."""
    return torch.stack([torch.autograd.grad(loss, where, retain_graph=True)[0] for loss in losses])


def _flat(gradients: list[Tensor | None], parameters: list[Tensor], like: Tensor) -> Tensor:
    """Gradients one after the other, (P,); zeros where a loss does not reach a parameter."""
    whole = [
        torch.zeros_like(parameter) if gradient is None else gradient
        for gradient, parameter in zip(gradients, parameters, strict=True)
    ]
    return torch.cat([like.new_zeros(0), *(gradient.flatten() for gradient in whole)])
