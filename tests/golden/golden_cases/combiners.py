"""Every built-in combiner: objectives, gradients and weights, and three steps of training."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

from torch.nn import functional

from dmlbench.combiners import COMBINERS
from dmlbench.hookspecs import CombinerSpec
from golden_cases.case import FLOAT32, Case
from golden_cases.inputs import summary, tensor, whole
from golden_cases.losses import build_loss, named
from golden_cases.training import build_combiner, train

BATCH, WIDTH, NUM_LOSSES, ROUNDS = 6, 9, 3, 3
JOINED = ("triplet", "multi-similarity", "proxy-nca")
#: Options that are a method of their own. What has no default is given here.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "fixed": [{"weights": [0.5, 1.0, 0.25]}],
    "wel": [{"rescale": "gradient"}, {"rescale": "none", "prior": [2.0, 1.0, 1.0]}],
    "wedl": [{"rescale": "gradient"}, {"rescale": "none", "prior": [2.0, 1.0, 1.0]}],
    "wedl-c": [{"hidden_dim": 5}, {"compressor": "authors"}],
    "pcgrad": [{"at": "representation"}],
    "mgda-ub": [{"normalise": "l2"}],
}
NEEDS_PARAMETERS = {"fixed"}


def combiner_class(spec: CombinerSpec) -> type:
    module, _, attribute = spec.target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def in_rounds(spec: CombinerSpec, parameters: dict[str, Any]) -> dict[str, Any]:
    """What a combiner makes of given losses and gradients, in three rounds of an epoch each."""
    found_class = combiner_class(spec)
    head_dims = found_class.head_dims(WIDTH, NUM_LOSSES, "total")
    build = partial(found_class, **parameters)
    combiner = build_combiner(build, NUM_LOSSES, head_dims, WIDTH).double()
    found: dict[str, Any] = {"head dims": head_dims}
    for turn in range(ROUNDS):
        heads = [
            functional.normalize(tensor(f"head {head} {turn}", BATCH, dim)).requires_grad_()
            for head, dim in enumerate(head_dims)
        ]
        losses = (1.5 + tensor(f"losses {turn}", NUM_LOSSES)).requires_grad_()
        gradients = tensor(f"gradients {turn}", NUM_LOSSES, BATCH, WIDTH) * losses[:, None, None]
        gradients = gradients.detach()
        if combiner.sees_gradients:
            combiner.see_gradients(gradients, losses.detach())
        objective = combiner(losses, heads)
        combiner.zero_grad(set_to_none=True)
        objective.backward()
        found[f"objective {turn}"] = [objective.item()]
        found[f"gradient of the losses {turn}"] = whole(losses.grad)
        for index, head in enumerate(heads):
            if head.grad is not None:
                found[f"gradient of head {index} {turn}"] = summary(head.grad)
        if combiner.combines_gradients:
            combined = combiner.combine_gradients(gradients, losses.detach())
            found[f"combined gradient {turn}"] = summary(combined)
        auxiliary = combiner.auxiliary_loss([head.detach() for head in heads])
        if auxiliary is not None:
            auxiliary.backward()
            found[f"auxiliary loss {turn}"] = [auxiliary.item()]
        for name, parameter in combiner.named_parameters():
            if parameter.grad is not None:
                found[f"gradient of {name} {turn}"] = summary(parameter.grad)
        if combiner.weights() is not None:
            found[f"weights {turn}"] = whole(combiner.weights())
        found[f"embedding {turn}"] = summary(combiner.embed(heads))
        combiner.end_epoch()
    return found


def three_steps(spec: CombinerSpec, parameters: dict[str, Any]) -> dict[str, Any]:
    losses = [partial(build_loss, name) for name in JOINED]
    return train(losses, partial(combiner_class(spec), **parameters))


def cases() -> dict[str, Case]:
    found = {}
    for spec in COMBINERS:
        defaults = [] if spec.name in NEEDS_PARAMETERS else [{}]
        for parameters in (*defaults, *VARIANTS.get(spec.name, [])):
            name = named(spec.name, parameters)
            found[f"combiner {name}"] = Case(partial(in_rounds, spec, parameters))
            found[f"combiner {name}, three steps"] = Case(
                partial(three_steps, spec, parameters), tolerance=FLOAT32
            )
    return found
