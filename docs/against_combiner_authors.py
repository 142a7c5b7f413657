"""The built-in combiners against what their authors published, from stored numbers.

``tests/combiners/authors.json`` has what each author's code made of the losses of one batch, in
float64: the value of the objective, the weights, and the gradients of the shared parameters, of
the shared representation and of what the combiner learns. Ours are those of a step of training,
computed whenever the page is made. Shapes: B batch, D dimension, F feature dimension, M
losses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import against_authors
import torch
from against_authors import short
from speed_tables import table
from torch import Tensor, nn

from dmlbench.plan.recipe import load_recipe
from dmlbench.plugins.components import create
from dmlbench.plugins.loading import load_plugins
from dmlbench.training.backbone_pass import BackbonePass
from dmlbench.training.model import EmbeddingModel
from dmlbench.training.parts import TrainingModules
from dmlbench.training.step import choose_backward, forward, objective_of

STORED = Path(__file__).parent.parent / "tests" / "combiners" / "authors.json"
C, D, F = against_authors.C, against_authors.D, 6
#: Which losses a record's batch goes through.
LOSSES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "three": [("multi-similarity", {}), ("proxy-anchor", {}), ("smooth-ap", {})],
    # Smoothing that is spread over the other classes, as their code has it.
    "ensemble": [
        ("cross-entropy", {"smoothing": 0.15 * C / (C - 1)}),
        ("triplet", {"margin": 1.0, "mining": "semi-hard", "mining_margin": 0.1}),
        ("binomial-deviance", {}),
        ("proxy-nca", {"softmax_scale": 3.0, "smoothing": 0.1}),
    ],
}
#: What is compared as a direction and a length.
GRADIENTS = ("parameters", "representation", "own")

_PAGE = """# Combiners against their authors' code

Each built-in combiner beside what its authors published, or, where they published none, beside
LibMTL (the authors of RLW) or the paper's formula, written apart from ours. Everybody gets the
same losses: ours, of one small network (a linear layer to 6 features, tanh, a linear head to 5
dimensions, or one per loss for `wedl` and `wedl-c`), on the two batches that
[the table of losses](../losses/against-authors.md) has: 8 classes of 4, and 32 items in classes of
9, 6, 5, 4, 3, 2, 1, 1 and 1. The losses are Multi-Similarity, Proxy-Anchor and Smooth-AP; for
`wel`, `wedl` and `wedl-c`, and where a row says so, the four of the ensembles' paper:
cross-entropy, two-margin triplet, binomial deviance and Proxy-NCA (3, 0.1). A combiner that
remembers sees other batches first.

Ours is one step of training up to the optimiser. *Value* is the objective. *Weights* is the
largest difference between the losses' weights. The gradients are compared by their cosine and the
ratio of their norms (ours over theirs), at the *parameters* of backbone and heads, at the shared
*representation* (the head's output before normalisation; the features where there is a head per
loss, or where a loss looks at them) and at what the combiner *learns*. 1 and 1 mean the same
update; – is what one of the two does not define.

Their numbers were computed once, in November 2026, and are stored in
`tests/combiners/authors.json`; tests compare them. Theirs was run as it is, except for this:
tensors stay on the CPU and in float64, and random orders were replaced by ours.

"""


def records() -> list[dict[str, Any]]:
    """What is stored: a record for each pair of a combiner and someone's code."""
    return json.loads(STORED.read_text("utf-8"))


class Backbone(nn.Module):
    """Features (B, F) of "images" (B, D)."""

    num_features = F

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(D, F)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images).tanh()


class DoublePass(BackbonePass):
    """Features in float64, which are float32 in a trial."""

    def _features(self, images: Tensor) -> Tensor:
        return self.backbone(images)


def fill(module: nn.Module, scale: float) -> None:
    """Give the parameters of a module values by formula, others for each."""
    for index, parameter in enumerate(module.parameters()):
        count = torch.arange(parameter.numel(), dtype=torch.float64).view_as(parameter)
        parameter.data = scale * torch.sin(1 + index + 0.7 * count + 0.01 * count.square())


def build(record: dict[str, Any]) -> TrainingModules:
    """The network, the losses and our combiner of a record, in float64."""
    registry, given = load_plugins(), LOSSES[record["losses"]]
    losses = nn.ModuleList()
    for name, params in given:
        params = params | record.get("loss_params", {}).get(name, {})
        item = registry.resolve("losses", name)
        loss = create(
            item, item.resolve_params(params), num_classes=C, embedding_dim=D, num_features=F
        )
        against_authors.fill(loss.double())
        losses.append(loss)
    item = registry.resolve("combiners", record["combiner"])
    combiner = create(
        item,
        item.resolve_params(record["params"]),
        num_losses=len(losses),
        embedding_dim=D,
        head_dims=[D] * len(losses),
    ).double()
    shift = torch.sin(1 + torch.arange(len(losses), dtype=torch.float64))  # (M,)
    with torch.no_grad():
        if hasattr(combiner, "roots"):
            combiner.roots += 0.02 * shift
        if hasattr(combiner, "log_variances"):
            combiner.log_variances += 0.5 * shift
        if hasattr(combiner, "raw"):
            combiner.raw.copy_(len(losses) * (1 + 0.5 * shift) / (1 + 0.5 * shift).sum())
    if combiner.auxiliary is not None:
        fill(combiner.auxiliary, 0.5)
    heads = 1 if combiner.heads == "shared" else len(losses)
    model = EmbeddingModel(Backbone(), [D] * heads).double()
    fill(model, 0.5)
    return TrainingModules(
        model=model,
        losses=losses,
        loss_names=[name for name, _ in given],
        combiner=combiner,
        train_transform=lambda images, *_: images,
        test_transform=lambda images, *_: images,
        device=torch.device("cpu"),
    )


def ours(record: dict[str, Any], case: str) -> dict[str, Any]:
    """Value, weights and gradients of our combiner in the step that a record compares.

    "before" has an epoch of batches per item, which the combiner sees first.
    """
    parts = build(record)
    for epoch in record["before"]:
        for scale in epoch:
            images, labels = against_authors.inputs(case, scale)
            objective_of(parts, forward(parts, parts.model.backbone(images), labels))
        parts.combiner.end_epoch()
    images, labels = against_authors.inputs(case)
    through = DoublePass(parts.model.backbone, load_recipe("quick"), parts.device)
    passed = forward(parts, through.forward(images), labels)
    if record["compares"] == "compressor":
        return _compressor(parts, passed.heads)
    torch.manual_seed(0)
    objective = objective_of(parts, passed)
    at_representation: list[Tensor] = []
    passed.representation.register_hook(at_representation.append)
    choose_backward(parts)(parts, through, passed, objective)
    combiner = parts.combiner
    found: dict[str, Any] = {"parameters": _flat(network_parameters(parts))}
    if not combiner.combines_gradients:
        found["value"] = objective.item()
    if combiner.weights() is not None:
        found["weights"] = combiner.weights()
    if not (combiner.combines_gradients and combiner.at == "parameters"):
        found["representation"] = at_representation[-1].flatten()
    own = [parameter for name, parameter in combiner.named_parameters() if "auxiliary" not in name]
    if own:
        found["own"] = _flat(own)
    return found


def _compressor(parts: TrainingModules, heads: list[Tensor]) -> dict[str, Any]:
    """Value and gradient of the small network of `wedl-c`."""
    loss = parts.combiner.auxiliary_loss([head.detach() for head in heads])
    loss.backward()
    return {"value": loss.item(), "own": _flat(parts.combiner.auxiliary.parameters())}


def network_parameters(parts: TrainingModules) -> list[nn.Parameter]:
    """Of the backbone and of the heads."""
    return [*parts.model.backbone.parameters(), *parts.model.heads.parameters()]


def _flat(parameters: Any) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in parameters])


def compared(record: dict[str, Any], case: str) -> dict[str, Any]:
    """Ours against theirs, of what both define.

    value: both values. weights: the largest difference. Of each gradient: cosine, ratio of norms.
    """
    found, stored = ours(record, case), record["cases"][case]
    both: dict[str, Any] = {}
    if "value" in found and "value" in stored:
        both["value"] = found["value"], stored["value"]
    if "weights" in found and "weights" in stored:
        theirs = torch.tensor(stored["weights"], dtype=torch.float64)
        both["weights"] = (found["weights"] - theirs).abs().max().item()
    for name in GRADIENTS:
        if name in found and name in stored:
            theirs = torch.tensor(stored[name], dtype=torch.float64)
            norms = found[name].norm().item(), theirs.norm().item()
            cosine = (found[name] @ theirs).item() / (norms[0] * norms[1])
            both[name] = cosine, norms[0] / norms[1]
    return both


def page() -> str:
    """The whole page, as Markdown."""
    rows = []
    for record in records():
        params = ", ".join(f"{k}={json.dumps(v)}" for k, v in record["params"].items())
        name = record["combiner"] + (f"({params})" if params else "")
        first = f"[`{name}`]({record['combiner']}.md)"
        if record["losses"] == "ensemble" and not name.startswith("we"):
            first += ", four losses"
        if record["compares"] == "compressor":
            first += ", its compressor"
        for case in against_authors.LABELS:
            found = compared(record, case)
            values = [short(value) for value in found.get("value", ())] or ["–", "–"]
            weights = short(found["weights"]) if "weights" in found else "–"
            gradients = [
                ", ".join(short(number) for number in found[name]) if name in found else "–"
                for name in GRADIENTS
            ]
            rows.append(
                [first, record["against"], case, *values, weights, *gradients, record["verdict"]]
            )
    titles = ["combiner", "against", "batch", "value, ours", "value, theirs", "weights"]
    gradients = ["parameters", "representation", "learns"]
    return _PAGE + table([*titles, *gradients, ""], rows) + "\n\n[All combiners](README.md)\n"
