"""A request becomes configurations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmlbench.backbones.weight_files import weights_reference
from dmlbench.errors import UsageError
from dmlbench.plan.config import Component, Configuration
from dmlbench.plan.expressions import parse_call, parse_copies
from dmlbench.plan.protocol import Protocol
from dmlbench.plan.recipe import Batch, Recipe, load_recipe, recipe_names
from dmlbench.plan.usual_parameters import Parameters, usual_of, usual_parameters
from dmlbench.plan.values import check_backbone, check_pairs, check_place, check_values
from dmlbench.plan.writing import write_call
from dmlbench.plugins.registry import Registered, Registry

#: (configuration, keys of the values that the user gave) -> the configuration, tuned.
FindTuned = Callable[[Configuration, Collection[str]], Configuration]

# More than anybody combines.
_MOST_LOSSES = 64


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for, in the words of the command line.

    losses, combiners: ``name`` or ``name(key=value, ...)``. Every loss alone and every combiner
    over all of them is a configuration. ``3*name`` is trained alone once, and combined as three
    copies. combiners None: ``learned``, if there are several losses.
    weights: a file that the backbone starts from.
    seeds: how many (0, 1, ...), or which. splits: the same for class splits, each of which is
        trained with every seed; 0 is the dataset's own (`dmlbench.data.class_splits`).
    overrides: ``recipe.*`` and ``protocol.*`` values by dotted key.
    singles: train each loss alone as well.
    tuned: take the values that `dmlbench.running.tune` found, for all that are not given here.
    """

    losses: Sequence[str] = ("triplet", "multi-similarity")
    combiners: Sequence[str] | None = None
    dataset: str = "glyphs"
    backbone: str | None = None
    pretrained: bool | None = None
    weights: Path | None = None
    recipe: str = "quick"
    seeds: int | Sequence[int] = 5
    splits: int | Sequence[int] = 1
    overrides: Mapping[str, Any] = field(default_factory=dict)
    singles: bool = True
    tuned: bool = False
    out: Path = Path("leaderboards")


@dataclass(frozen=True)
class Row:
    """A configuration of a request, and which of its values the user gave.

    fixed: their keys (`dmlbench.plan.search_space`).
    """

    configuration: Configuration
    fixed: frozenset[str]


def configurations_of(
    request: Request, registry: Registry, find_tuned: FindTuned | None = None
) -> list[Configuration]:
    """Resolve every name and value of a request. Raises `UsageError`; imports no torch.

    find_tuned: where the values that tuning found come from, if the request asks for them.
    """
    rows = rows_of(request, registry)
    if request.tuned and find_tuned is not None:
        chosen = [find_tuned(row.configuration, row.fixed) for row in rows]
    else:
        chosen = [row.configuration for row in rows]
    return list({c.entry_id: c for c in chosen}.values())


def rows_of(request: Request, registry: Registry) -> list[Row]:
    """Each loss of a request alone, in their order, then every combiner over all of them.

    Nothing is tuned yet. Raises `UsageError`; imports no torch.
    """
    shared, protocol = _shared_settings(request, registry)
    usual = usual_parameters(shared["recipe"], registry)
    named = _named_losses(request, registry, usual, shared["recipe"].batch)
    losses = [loss for copies, _, loss in named for _ in range(copies)]
    if len(losses) > _MOST_LOSSES:
        raise UsageError(
            f"{len(losses)} losses are too many to combine: the most is {_MOST_LOSSES}."
        )
    if len(losses) == 1 and request.combiners:
        raise UsageError(
            f"A combiner needs at least two losses, but {losses[0].id} is the only one. Name more "
            f"with --losses, or drop --combiner."
        )
    if len(losses) > 1 and not request.singles and request.combiners == []:
        raise UsageError("Nothing to train: no combiner is named and --no-singles is given.")
    # With one head the rule of dimensions changes nothing, and the row is the same under both.
    total = dataclasses.replace(protocol, dim_budget="total")
    given = {key for key in request.overrides if key.startswith("recipe.")}
    rows = []
    if request.singles or len(losses) == 1:
        for _, text, loss in named:
            c = Configuration(losses=(loss,), combiner=None, protocol=total, **shared)
            rows.append(Row(c, frozenset({*given, *_fixed("losses[0]", text)})))
    if len(losses) > 1:
        texts = [text for copies, text, _ in named for _ in range(copies)]
        for index, text in enumerate(texts):
            given |= _fixed(f"losses[{index}]", text)
        for text in ("learned",) if request.combiners is None else request.combiners:
            item, combiner = _resolve(registry, "combiners", text, usual, losses)
            rules = protocol if _widens(item, combiner, protocol) else total
            if item.spec.transductive:
                rules = dataclasses.replace(rules, transductive=True)
            c = Configuration(losses=tuple(losses), combiner=combiner, protocol=rules, **shared)
            rows.append(Row(c, frozenset({*given, *_fixed("combiner", text)})))
    return rows


def _named_losses(
    request: Request, registry: Registry, usual: Parameters, batch: Batch
) -> list[tuple[int, str, Component]]:
    """Of each loss that is named: how many copies, the text without their number, the loss."""
    if not request.losses:
        raise UsageError("Name at least one loss: --losses triplet,ms. `dmlbench list losses`.")
    named: list[tuple[int, str, Component]] = []
    for written in request.losses:
        copies, text = parse_copies(written)
        item, loss = _resolve(registry, "losses", text, usual)
        check_pairs(item, batch)
        if any(loss.identity() == other.identity() for _, _, other in named):
            raise UsageError(
                f"The loss {loss.id} is named twice with the same parameters. For copies on "
                f"purpose write --losses 2*{loss.name}."
            )
        named.append((copies, text, loss))
    return named


def _widens(item: Registered, combiner: Component, protocol: Protocol) -> bool:
    """Whether the rule of dimensions decides a combiner's. Raises `UsageError`."""
    spec = item.spec
    if spec.widens_with and all(combiner.params[k] == v for k, v in spec.widens_with.items()):
        if protocol.dim_budget == "total":
            raise UsageError(
                f"{write_call(item.id, spec.widens_with)} has an embedding of more dimensions "
                f"than a single loss; ask for that with --dim-budget per-loss."
            )
        return True
    return spec.heads == "per-loss" and spec.widens


def _fixed(owner: str, text: str) -> set[str]:
    """The keys of the parameters that are given in ``name(key=value, ...)``."""
    return {f"{owner}.{name}" for name in parse_call(text)[1]}


def _shared_settings(request: Request, registry: Registry) -> tuple[dict[str, Any], Protocol]:
    """Dataset, backbone and recipe of every configuration of a request, and the protocol."""
    recipe = _recipe(request)
    item, dataset = _resolve(registry, "datasets", request.dataset)
    check_place(item, dataset.params)
    backbone = _backbone(request, registry, recipe)
    shared = {"dataset": dataset, "backbone": backbone, "recipe": recipe}
    adapts = registry.resolve("backbones", backbone.id).spec.transductive
    return shared, dataclasses.replace(_protocol(request, item), transductive=adapts)


def _recipe(request: Request) -> Recipe:
    try:
        given = Path(request.recipe)
        if request.recipe not in recipe_names() and given.exists() and not given.is_file():
            kind = "a directory" if given.is_dir() else "not a regular file"
            raise UsageError(f"The recipe {given} is {kind}; give the path of a TOML file.")
        return load_recipe(request.recipe, _overrides(request, "recipe"))
    except UnicodeDecodeError as error:
        raise UsageError(
            f"The recipe {request.recipe} is not text in UTF-8, as TOML is: {error.reason} at byte "
            f"{error.start}."
        ) from error
    except OSError as error:
        reason = error.strerror
        raise UsageError(f"The recipe {request.recipe} cannot be read: {reason}.") from error


def _resolve(
    registry: Registry,
    kind: str,
    text: str,
    usual: Parameters | None = None,
    losses: Sequence[Component] = (),
) -> tuple[Registered, Component]:
    """What a text names, with its parameters; `usual` ones of the recipe where it gives none.

    losses: those that a combiner is for.
    """
    name, params = parse_call(text)
    item = registry.resolve(kind, name)
    return item, _component(item, {**usual_of(item, usual or {}, losses), **params})


def _component(item: Registered, given: Mapping[str, Any]) -> Component:
    params = item.resolve_params(given)
    check_values(item, given)
    return Component(
        distribution=item.distribution,
        name=item.spec.name,
        params=params,
        defaults=item.spec.defaults,
    )


def _backbone(request: Request, registry: Registry, recipe: Recipe) -> Component:
    text = request.backbone or recipe.backbone
    name, params = parse_call(text)
    if not registry.find("backbones", name):
        # Any other name is taken for one of timm's.
        name, params = "dmlbench:timm", {"model": name, **params}
    item = registry.resolve("backbones", name)
    if request.weights is not None:
        if "weights" not in item.spec.defaults:
            raise UsageError(f"The backbone {item.id} takes no weights of a file; drop --weights.")
        params = {**params, "weights": str(request.weights)}
    check_backbone(item, _component(item, params).params)
    if isinstance(params.get("weights"), str):
        params["weights"] = weights_reference(params["weights"])
    if "pretrained" in item.spec.defaults:
        wanted = recipe.pretrained and not params.get("weights")
        wanted = wanted if request.pretrained is None else request.pretrained
        params = {"pretrained": wanted, **params}
    elif request.pretrained:
        raise UsageError(f"The backbone {item.id} has no pretrained weights; drop --pretrained.")
    if recipe.frozen and not (params.get("pretrained") or params.get("weights")):
        _refuse_random_features(request, item)
    return Component(
        distribution=item.distribution,
        name=item.spec.name,
        params=item.resolve_params(params),
        defaults=item.spec.defaults,
    )


def _refuse_random_features(request: Request, item: Registered) -> None:
    """A frozen backbone with random weights is a control, not what anyone gets by accident."""
    said = request.pretrained is False or request.overrides.get("recipe.pretrained") is False
    if not said:
        raise UsageError(
            f"The recipe keeps the backbone frozen, and {item.id} would start from random weights. "
            f"Name one with pretrained weights (--backbone resnet50 --pretrained) or give a file "
            f"(--weights FILE); for random features on purpose add --no-pretrained."
        )


def _protocol(request: Request, dataset: Registered) -> Protocol:
    values = _overrides(request, "protocol")
    allowed = {
        "dim_budget": str,
        "validation_fraction": float,
        "similarity": str,
        "refit": bool,
    }
    for key, value in values.items():
        if key not in allowed:
            raise UsageError(
                f"There is no protocol.{key} to set. Allowed: "
                f"{', '.join(f'protocol.{name}' for name in allowed)}."
            )
        if type(value) is not allowed[key]:
            raise UsageError(
                f"protocol.{key} must be of type {allowed[key].__name__}, not {value!r}."
            )
    return Protocol(recall_at=tuple(dataset.spec.recall_at), **values)


def _overrides(request: Request, section: str) -> dict[str, Any]:
    for key in request.overrides:
        if key.partition(".")[0] not in ("recipe", "protocol") or "." not in key:
            raise UsageError(
                f"--set {key}: only recipe.* and protocol.* can be set; parameters of a loss or "
                f"combiner go behind its name, such as --losses 'triplet(margin=0.1)'."
            )
    prefix = f"{section}."
    return {
        key.removeprefix(prefix): value
        for key, value in request.overrides.items()
        if key.startswith(prefix)
    }
