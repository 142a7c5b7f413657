"""Trials become an entry: pure functions of the configuration, the plugins and the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmlbench.errors import DmlbenchError
from dmlbench.leaderboard.entries.entry import Entry, TuningRecord
from dmlbench.plan.code import component_sources
from dmlbench.plan.config import Component, Configuration
from dmlbench.plugins.registry import Registry
from dmlbench.version import RESULTS_VERSION, __version__, commit


def assemble_entry(
    configuration: Configuration,
    registry: Registry,
    results: Sequence[dict[str, Any]],
    submitter: str | None = None,
    tuning: Sequence[TuningRecord] = (),
) -> Entry:
    """Build the entry of one configuration from its trials' results, in the order of the seeds.

    Raises `DmlbenchError` where the trials saw different data or models.
    """
    ordered = sorted(results, key=lambda result: result["trial"]["seed"])
    facts = ordered[0]["facts"]
    for result in ordered[1:]:
        if result["facts"] != facts:
            differing = [k for k in facts if facts[k] != result["facts"].get(k)]
            raise DmlbenchError(
                f"{configuration.label()}: the trials of seeds {ordered[0]['trial']['seed']} and "
                f"{result['trial']['seed']} differ in {', '.join(differing)}: the data or the "
                f"weights changed between them. Give the changed run a folder of its own (--out)."
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
            "dataset": record("datasets", configuration.dataset, **facts["dataset"]),
            "losses": [record("losses", loss) for loss in configuration.losses],
            "combiner": (
                record("combiners", configuration.combiner) if configuration.combiner else None
            ),
            "backbone": record("backbones", configuration.backbone, **facts["backbone"]),
            "recipe": identity["recipe"],
            "recipe_overrides": configuration.recipe.overrides(),
            "embedding_dim": facts["embedding_dim"],
            "head_dims": facts["head_dims"],
            "trials": [result["trial"] for result in ordered],
            "tuning": [record.model_dump() for record in tuning],
            "dmlbench_version": __version__,
            "dmlbench_commit": commit(),
            "results_version": RESULTS_VERSION,
            "submitter": submitter,
        }
    )


def carried_on(stored: Entry | None, assembled: Entry, submitter: str | None) -> Entry:
    """The entry to be on file: the stored one wherever its trials are all there is.

    An attestation holds for exactly the content that it names, so that a new commit or a submitter
    who is not named again must not change an entry. One that gains trials keeps its submitter, and
    what it says of its tuning where that is not known here.
    stored: of the same code as `assembled`; None where there is none.
    submitter: as named now; None leaves the stored one.
    """
    if stored is None:
        return assembled
    who = stored.submitter if submitter is None else submitter
    if stored.trials == assembled.trials:
        return stored if who == stored.submitter else stored.model_copy(update={"submitter": who})
    known = {_tuned_component(record) for record in assembled.tuning}
    kept = [record for record in stored.tuning if _tuned_component(record) not in known]
    return assembled.model_copy(update={"submitter": who, "tuning": [*kept, *assembled.tuning]})


def _tuned_component(record: TuningRecord) -> tuple[str, str, str, str]:
    return record.kind, record.distribution, record.name, record.setting_sha256
