"""Recipes: how to train. TOML files of the package or the user, every value overridable."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from dmlbench.data.augmentations import check_augmentation
from dmlbench.errors import UsageError
from dmlbench.plan.schedule import Schedule, without_others

#: What an entry's schema holds of epochs and dimensions; nothing of a recipe is meant larger.
_LARGEST = 10**6


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Batch composition: `classes` distinct classes of `images` images each.

    sampler: "classes", or "random" for as many images drawn uniformly, whatever their classes.
    micro: the most images that go through the backbone at once; 0 for the whole batch. The losses
        see the whole batch all the same (`dmlbench.training.backbone_pass`).
    """

    classes: int = 32
    images: int = 4
    micro: int = 0
    sampler: Literal["classes", "random"] = "classes"


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """One optimiser; a learning rate each for backbone, heads, losses (proxies) and combiner.

    `auxiliary_lr` drives the extra modules of a combiner (the compression of wedl-c).
    `combiner_weight_decay` pulls a combiner's learned weights towards zero, as the authors of the
    ensembles do; no loss falls under its floor all the same.
    The auxiliary optimiser is Adam with the same `eps`, and `auxiliary_weight_decay`.
    `max_gradient_norm` clips the gradient of backbone and heads; 0 turns clipping off.
    """

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adamw"
    backbone_lr: float = 4e-3
    head_lr: float = 4e-3
    loss_lr: float = 2e-2
    combiner_lr: float = 1e-3
    auxiliary_lr: float = 1e-3
    weight_decay: float = 1e-4
    combiner_weight_decay: float = 0.0
    auxiliary_weight_decay: float = 0.0
    eps: float = 1e-8
    momentum: float = 0.9
    max_gradient_norm: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Input:
    """Images are stored at `resize` pixels a side; the network sees `size` of them.

    keep: "middle" stores the middle square of an image, "whole" all of it, its short side at
        `resize`: a random crop may then be taken anywhere. Tests see the middle either way.
    """

    size: int = 32
    resize: int = 32
    keep: Literal["middle", "whole"] = "middle"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides how a network is trained.

    backbone: the backbone where the user names none; `pretrained` is passed to a timm backbone.
    frozen: the backbone stays as it is. Its features are computed once
        (`dmlbench.training.frozen_features`), and only heads, losses and combiner learn.
    embedding_dim: dimension of a single loss's embedding, the budget that combiners share.
    pca_dim: the evaluated embedding is reduced to this dimension by PCA on the training images; 0
        for none (`dmlbench.training.reduction`).
    precision: "float32", or "bfloat16" for autocast of the backbone.
    augment: transforms of `dmlbench.data.transforms`, in order: tables with `name` and parameters.
    parameters: name of a loss or combiner -> its parameters where the user gives none. They are
        resolved into the components of a configuration, and so no part of the recipe's JSON.
    """

    name: str
    summary: str = ""
    backbone: str = "resnet-mini"
    pretrained: bool = False
    frozen: bool = False
    frozen_epochs: int = 0
    layer_norm: bool = False
    embedding_dim: int = 64
    pca_dim: int = 0
    epochs: int = 20
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = True
    freeze_batch_norm: bool = False
    validate_every: int = 1
    batch: Batch = field(default_factory=Batch)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    input: Input = field(default_factory=Input)
    augment: tuple[Mapping[str, Any], ...] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        positive = {
            "embedding_dim": self.embedding_dim,
            "epochs": self.epochs,
            "validate_every": self.validate_every,
            "batch.classes": self.batch.classes,
            "batch.images": self.batch.images,
            "input.size": self.input.size,
        }
        for key, value in positive.items():
            if value < 1:
                raise UsageError(f"recipe.{key} must be at least 1, not {value}.")
        if self.pca_dim < 0:
            raise UsageError(f"recipe.pca_dim must not be negative: {self.pca_dim}.")
        if self.batch.micro < 0:
            raise UsageError(f"recipe.batch.micro must not be negative: {self.batch.micro}.")
        if self.frozen and (self.augment or self.batch.micro):
            given = "recipe.augment" if self.augment else "recipe.batch.micro"
            raise UsageError(
                f"recipe.frozen computes the features once, from images as they are, so "
                f"{given} has nothing to act on. Leave one of the two out."
            )
        for step in self.augment:
            check_augmentation(step)
        for spec in dataclasses.fields(self.optimizer):
            value = getattr(self.optimizer, spec.name)
            if not isinstance(value, str) and not 0 <= value < float("inf"):
                raise UsageError(f"recipe.optimizer.{spec.name} must not be negative: {value}.")
        if not 0 <= self.frozen_epochs < self.epochs or (self.frozen and self.frozen_epochs):
            most = 0 if self.frozen else self.epochs - 1
            raise UsageError(
                f"recipe.frozen_epochs must be between 0 and {most}, not {self.frozen_epochs}"
                f"{': recipe.frozen keeps the backbone to the end' if self.frozen else ''}."
            )
        self.schedule.check(self.epochs, self.validate_every)
        if self.input.resize < self.input.size:
            raise UsageError(
                f"recipe.input.resize ({self.input.resize}) must be at least recipe.input.size "
                f"({self.input.size}): the network sees a crop of the stored image."
            )

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain JSON values, every value present."""
        values = dataclasses.asdict(self)
        del values["parameters"]
        values["augment"] = [dict(step) for step in self.augment]
        values["schedule"]["milestones"] = list(self.schedule.milestones)
        return values

    def overrides(self) -> dict[str, Any]:
        """The values that differ from the packaged recipe of this name, by dotted key."""
        if self.name not in recipe_names():
            return {}
        packaged = _flatten(load_recipe(self.name).to_json())
        return {k: v for k, v in _flatten(self.to_json()).items() if packaged.get(k) != v}


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    files = (file.name for file in (resources.files("dmlbench.plan") / "recipes").iterdir())
    return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))


def load_recipe(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Load a packaged recipe by name, or the user's by the path of a TOML file.

    overrides: values by dotted key, such as ``{"optimizer.backbone_lr": 1e-3}``.
    Raises `UsageError` for an unknown recipe, key or type of value.
    """
    if name in recipe_names():
        text = (resources.files("dmlbench.plan") / "recipes" / f"{name}.toml").read_text("utf-8")
    elif name.endswith(".toml") and Path(name).is_file():
        text = Path(name).read_text("utf-8")
    else:
        raise UsageError(
            f"There is no recipe {name!r}. Packaged: {', '.join(recipe_names())}; "
            f"or give the path of a TOML file."
        )
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The recipe {name} is not valid TOML: {error}.") from error
    table.setdefault("name", Path(name).stem)
    return recipe_from_json(table, overrides, source=name)


def recipe_from_json(
    table: Mapping[str, Any], overrides: Mapping[str, Any] | None = None, source: str = "recipe"
) -> Recipe:
    """Build a recipe from nested tables; `overrides` by dotted key go on top.

    Another schedule does not inherit the values of the one that it takes the place of.
    """
    merged = {k: dict(v) if isinstance(v, Mapping) else v for k, v in table.items()}
    if isinstance(merged.get("schedule"), dict) and "schedule.name" in (overrides or {}):
        merged["schedule"] = without_others(merged["schedule"], overrides["schedule.name"])
    for key, value in (overrides or {}).items():
        head, _, tail = key.partition(".")
        if tail and isinstance(merged.setdefault(head, {}), dict):
            merged[head][tail] = value
        elif tail:
            raise UsageError(f"recipe.{key}: recipe.{head} is a value, not a table.")
        else:
            merged[head] = value
    return _build(Recipe, merged, source, prefix="recipe.")


def _build(cls: type, table: Mapping[str, Any], source: str, prefix: str) -> Any:
    """Fill a dataclass from a table, checking every key and type."""
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in table.items():
        if key not in hints:
            close = difflib.get_close_matches(key, hints, n=1)
            hint = f" Did you mean {prefix}{close[0]}?" if close else ""
            raise UsageError(
                f"{source}: there is no {prefix}{key}.{hint} Allowed: {', '.join(sorted(hints))}."
            )
        values[key] = _coerce(hints[key], value, source, f"{prefix}{key}")
    missing = [
        spec.name
        for spec in dataclasses.fields(cls)
        if spec.name not in values
        and spec.default is dataclasses.MISSING
        and spec.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UsageError(f"{source}: {prefix}{missing[0]} is missing.")
    return cls(**values)


def _coerce(hint: Any, value: Any, source: str, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise UsageError(f"{source}: {key} is a table; set one of its values, not {value!r}.")
        return _build(hint, value, source, prefix=f"{key}.")
    if typing.get_origin(hint) is Literal:
        allowed = typing.get_args(hint)
        if value not in allowed:
            raise UsageError(f"{source}: {key} must be one of {', '.join(allowed)}, not {value!r}.")
        return value
    if hint == tuple[int, ...]:
        if not isinstance(value, (list, tuple)) or any(type(item) is not int for item in value):
            raise UsageError(f"{source}: {key} must be a list of whole numbers, not {value!r}.")
        if any(abs(item) > _LARGEST for item in value):
            raise UsageError(f"{source}: {key} has a number beyond {_LARGEST}.")
        return tuple(value)
    if typing.get_origin(hint) is Mapping:
        if not isinstance(value, Mapping) or not all(
            isinstance(v, Mapping) for v in value.values()
        ):
            raise UsageError(
                f"{source}: {key} must be a table for each loss or combiner, such as "
                f"{{triplet = {{margin = 0.1}}}}, not {value!r}."
            )
        return {name: dict(params) for name, params in value.items()}
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)) or not all(
            isinstance(step, Mapping) and isinstance(step.get("name"), str) for step in value
        ):
            raise UsageError(
                f'{source}: {key} must be a list of tables such as [{{name="shift", pixels=2}}], '
                f"not {value!r}."
            )
        return tuple(dict(step) for step in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            raise UsageError(f"{source}: {key} is larger than any float.") from None
    if type(value) is not hint:
        raise UsageError(f"{source}: {key} must be of type {hint.__name__}, not {value!r}.")
    if hint is int and abs(value) > _LARGEST:
        raise UsageError(f"{source}: {key} is beyond {_LARGEST}.")
    return value


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        elif prefix + key not in ("name", "summary"):
            flat[prefix + key] = value
    return flat
