"""The contract between dmlbench and its plugins.

A plugin is any distribution with an entry point in the group ``dmlbench`` that names a module
(or object) whose functions are marked with `hookimpl`. Each hook returns specs: small frozen
records that name a class without importing it. Listing plugins therefore imports no torch.

    >>> @hookimpl
    ... def dmlbench_losses():
    ...     return [LossSpec(name="mine", target="my_package.loss:Mine", summary="My loss")]
    >>> [spec.name for spec in dmlbench_losses()]
    ['mine']
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pluggy

ENTRY_POINT_GROUP = "dmlbench"

hookspec = pluggy.HookspecMarker(ENTRY_POINT_GROUP)
hookimpl = pluggy.HookimplMarker(ENTRY_POINT_GROUP)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What every plugin component says of itself.

    name: short name, lower case letters, digits and hyphens, unique within its distribution.
    target: ``"package.module:Class"``, imported only when the component is used.
    summary: one line for listings.
    reference: the paper, as "Author, Title, Venue Year (arXiv id)".
    defaults: every parameter a user may set, with its default; JSON values only.
    aliases: further short names.
    search: what `dmlbench tune` may try for some of the parameters: a list of choices,
        ``{"choices": [...]}`` or ``{"low": a, "high": b, "log": bool}`` (whole numbers where both
        ends are). With ``"when": {"mining": [True]}`` a parameter is tried only while the other one
        has one of these values; otherwise it would change nothing.
    """

    name: str
    target: str
    summary: str
    reference: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    search: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LossSpec(Spec):
    """A loss: ``Loss(**params)`` gives a module ``(embeddings (B, D), labels (B,)) -> scalar``.

    ``num_classes``, ``embedding_dim``, ``num_features`` (dimension F of the backbone's features)
    and ``num_images`` (images trained on) are passed as well where the signature asks for them.
    Attributes of the module: ``takes`` names its input, "embeddings" (L2-normalised, without the
    attribute), "unnormalised" (before normalisation) or "features" (B, F); ``learning_rate``, where
    it is not None, is that of its own parameters instead of the recipe's.
    family: "pair", "triplet", "listwise", "proxy" or "classification"; only for listings.
    learns: whether it has weights of its own, whose learning rate ``recipe.optimizer.loss_lr``
        `dmlbench tune` then searches; None: where the family is "proxy" or "classification".
    loss_lr_when: as ``"when"`` of `search`: the values of parameters with which the weights are
        trained at that rate. With others the loss sets its own or has no weights.
    wraps: losses that this one can wrap. Its parameter ``loss`` names one of them, and ``params``
        is None or a table of that one's parameters.
    """

    family: str = "pair"
    learns: bool | None = None
    loss_lr_when: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    wraps: tuple[LossSpec, ...] = ()

    @property
    def has_weights(self) -> bool:
        """Whether the loss has weights of its own, such as proxies."""
        return self.family in ("proxy", "classification") if self.learns is None else self.learns


@dataclass(frozen=True, kw_only=True)
class CombinerSpec(Spec):
    """A combiner: ``Combiner(num_losses, **params)``; see `dmlbench.combiners.base.Combiner`.

    heads: "shared" (one embedding for all losses) or "per-loss" (one embedding each).
    widens: False where the evaluated embedding has one loss's dimension although there are heads
        per loss, so ``--dim-budget per-loss`` changes nothing.
    widens_with: with these values of parameters its dimension is larger than one loss's all the
        same, and refused under ``--dim-budget total``.
    learns: whether it has learned weights, and auxiliary: whether it has extra modules.
        `dmlbench tune` then searches their learning rates, ``recipe.optimizer.combiner_lr`` and
        ``auxiliary_lr``.
    transductive: True where ``embed`` adapts to the other images of its batch on purpose. Such
        rows are a group of their own; without it an embedding that does fails its trial.
    """

    heads: str = "shared"
    widens: bool = True
    widens_with: Mapping[str, Any] = field(default_factory=dict)
    learns: bool = False
    auxiliary: bool = False
    transductive: bool = False


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """A dataset: ``Dataset(**params)`` with ``train``, ``test`` and perhaps ``gallery`` image sets.

    ``image_size`` (stored pixels a side) is passed as well where the signature asks for it.
    recall_at: the K values that the field reports on this dataset.
    """

    recall_at: tuple[int, ...] = (1, 2, 4, 8)


@dataclass(frozen=True, kw_only=True)
class BackboneSpec(Spec):
    """A backbone: ``Backbone(**params)`` gives a module: images (B, 3, H, W) -> features (B, F).

    The module has ``num_features`` (F) and per-channel ``mean`` and ``std`` of its input.
    image_size: pixels a side that it was made for.
    transductive: as of a `CombinerSpec`: features may depend on the other images of the batch.
    """

    image_size: int = 224
    transductive: bool = False


@dataclass(frozen=True, kw_only=True)
class TrialEvent:
    """Something that happened in a trial. Read-only; no listener can change a run.

    kind: "features_progress" (a frozen backbone's pass over the images), "trial_started",
        "epoch_finished", "refit_started" and "refit_epoch_finished" (of a second training, on all
        training classes), "trial_finished" or "trial_failed".
    seed, split: of the trial; split 0 is the dataset's own.
    settings: the configuration as JSON values: ``losses``, ``combiner``, ``dataset``, ``backbone``
        (each with ``distribution``, ``name``, ``params``), ``recipe`` and ``protocol``.
    values: JSON values, among them (where known) ``epoch``, ``loss``, ``losses``, ``weights``,
        ``validation_map_at_r``, ``seconds``, ``images_done`` of ``images``, ``place`` (the device
        that it runs on, and the node) and, at the end, ``metrics`` or ``reason``.
    """

    kind: str
    entry_id: str
    configuration: str
    seed: int
    split: int = 0
    values: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


class Hooks:
    """The hooks themselves. A plugin implements any of them."""

    @hookspec
    def dmlbench_losses(self) -> Iterable[LossSpec]:
        """Return the losses that this plugin offers."""
        raise NotImplementedError

    @hookspec
    def dmlbench_combiners(self) -> Iterable[CombinerSpec]:
        """Return the combiners that this plugin offers."""
        raise NotImplementedError

    @hookspec
    def dmlbench_datasets(self) -> Iterable[DatasetSpec]:
        """Return the datasets that this plugin offers."""
        raise NotImplementedError

    @hookspec
    def dmlbench_backbones(self) -> Iterable[BackboneSpec]:
        """Return the backbones that this plugin offers."""
        raise NotImplementedError

    @hookspec
    def dmlbench_trial_event(self, event: TrialEvent) -> None:
        """Listen to what happens in trials, for trackers such as TensorBoard or MLflow."""
