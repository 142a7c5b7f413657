"""Trials become an entry: pure functions of the configuration, the plugins and the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dmlbench.errors import DmlbenchError, UsageError
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.origin import check_link
from dmlbench.leaderboard.entries.record import check_name
from dmlbench.leaderboard.entries.trial_result import TrialResult
from dmlbench.leaderboard.entries.tuning import TuningRecord
from dmlbench.plan.code import component_sources
from dmlbench.plan.config import Component, Configuration
from dmlbench.plugins.registry import Registry
from dmlbench.version import RESULTS_VERSION, __version__, commit


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who stands behind an entry, and the addresses (http or https) of paper and code."""

    submitter: str | None = None
    paper: str | None = None
    code: str | None = None

    def __post_init__(self) -> None:
        if self.submitter is not None:
            check_name(self.submitter)
        for name in ("paper", "code"):
            link = getattr(self, name)
            try:
                if link is not None:
                    check_link(link)
            except ValueError as error:
                raise UsageError(f"--{name}: {error}.") from error


def assemble_entry(
    configuration: Configuration,
    registry: Registry,
    results: Sequence[TrialResult],
    origin: Origin | None = None,
    tuning: Sequence[TuningRecord] = (),
) -> Entry:
    """Build the entry of one configuration from its trials' results, in the order of their keys.

    Raises `DmlbenchError` where the trials saw different data or models.
    """
    ordered = sorted(results, key=lambda result: result.trial.key)
    metadata = ordered[0].metadata
    for result in ordered[1:]:
        differing = metadata.differing(result.metadata)
        if differing:
            raise DmlbenchError(
                f"{configuration.label()}: the trials of {ordered[0].trial.title} and "
                f"{result.trial.title} differ in {', '.join(differing)}: the data or the "
                f"weights changed between them. Give the changed run a folder of its own "
                f"(--leaderboards)."
            )
    sources = component_sources(configuration, registry)

    def record(kind: str, component: Component, **more: Any) -> dict[str, Any]:
        return {
            **component.to_json(),
            "version": registry.resolve(kind, component.id).version,
            "source_sha256": sources[f"{kind}/{component.id}"],
            **more,
        }

    identity = configuration.to_json()
    rates = metadata.loss_rates or [None] * len(configuration.losses)
    return Entry.model_validate(
        {
            "schema_version": 2,
            "entry_id": configuration.entry_id,
            "identity": configuration.identity(),
            "protocol": {
                "name": configuration.protocol.name,
                "sha256": configuration.protocol.sha256,
                "rules": configuration.protocol.to_json(),
            },
            "dataset": record("datasets", configuration.dataset, **metadata.dataset.model_dump()),
            "losses": [
                record("losses", loss, learning_rate=rate)
                for loss, rate in zip(configuration.losses, rates, strict=True)
            ],
            "combiner": (
                record("combiners", configuration.combiner) if configuration.combiner else None
            ),
            "backbone": record(
                "backbones", configuration.backbone, **metadata.backbone.model_dump()
            ),
            "recipe": identity["recipe"],
            "recipe_overrides": configuration.recipe.overrides(),
            "embedding_dim": metadata.embedding_dim,
            "head_dims": metadata.head_dims,
            "head_parameters": metadata.head_parameters,
            "trials": [result.trial for result in ordered],
            "tuning": [record.model_dump() for record in tuning],
            "dmlbench_version": __version__,
            "dmlbench_commit": commit(),
            "results_version": RESULTS_VERSION,
            **vars(origin or Origin()),
        }
    )


def merge_with_stored(stored: Entry | None, assembled: Entry, origin: Origin) -> Entry:
    """The entry to be on file: the stored one wherever its trials are all there is.

    An attestation holds for exactly the content that it names, so a new commit or a submitter
    who is not named again must not change an entry. One that gains trials keeps its origin, and
    what it says of its tuning where that is not known here.
    stored: of the same code as `assembled`; None where there is none.
    origin: as named now; what is None in it is left as stored.
    """
    if stored is None:
        return assembled
    said = {
        name: getattr(stored, name) if value is None else value
        for name, value in vars(origin).items()
    }
    if stored.trials == assembled.trials:
        same = all(getattr(stored, name) == value for name, value in said.items())
        return stored if same else stored.model_copy(update=said)
    known = {record.setting_sha256 for record in assembled.tuning}
    kept = [record for record in stored.tuning if record.setting_sha256 not in known]
    return assembled.model_copy(update={**said, "tuning": [*kept, *assembled.tuning]})
