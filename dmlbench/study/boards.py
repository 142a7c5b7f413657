"""The rows of a study as configurations, and their entries on leaderboards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dmlbench.errors import UsageError
from dmlbench.leaderboard.comparison.groups import group_parts
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.metrics import (
    completed_values,
    metric_names,
    resolve_metric,
    values_by_trial,
)
from dmlbench.leaderboard.entries.store import leaderboard_folders, linked_out, read_entries
from dmlbench.leaderboard.verification.tiers import Tiers, Verification
from dmlbench.plan.expressions import dotted
from dmlbench.plan.request import Request, rows_of
from dmlbench.plugins.registry import Registry
from dmlbench.running.tuning_records import Setting, setting_of
from dmlbench.statistics.intervals import Key
from dmlbench.study.analysis import Trials
from dmlbench.study.design import Study

_RATES = ("backbone_lr", "head_lr", "loss_lr", "combiner_lr", "auxiliary_lr")


@dataclass(frozen=True)
class StudyRow:
    """One row of a study on one dataset, or on one of its replicates.

    replicate: its number, 0 where there are none. request: what `dmlbench run` would be asked for.
    setting: its configuration before tuning, and what is searched of it, which is nothing where the
        design says so.
    """

    name: str
    dataset: str
    request: Request
    setting: Setting
    tuned: bool
    replicate: int = 0

    @property
    def title(self) -> str:
        """``wedl on glyphs``, or ``wedl on glyphs, replicate 3``."""
        number = f", replicate {self.replicate}" if self.replicate else ""
        return f"{self.name} on {self.dataset}{number}"

    def is_of(self, entry: Entry, budget: int) -> bool:
        """Whether an entry is this row: the configuration, or one that tuning made of it."""
        if not self.tuned:
            return entry.entry_id == self.setting.configuration.entry_id
        return any(
            record.setting_sha256 == self.setting.sha256
            and record.budget == budget
            and len(record.trials) <= budget
            for record in entry.tuning
        )


def study_rows(study: Study, registry: Registry, out: Path) -> list[StudyRow]:
    """Every row on every dataset and replicate, in the design's order.

    Raises `UsageError` naming the row.
    """
    found = []
    for dataset, design in study.datasets.items():
        for replicate, written in design.names().items():
            for name in study.rows_of(dataset):
                try:
                    row = _row(study, name, dataset, written, registry, out)
                except UsageError as error:
                    raise UsageError(f"rows.{name} on {dataset}: {error}") from error
                found.append(replace(row, replicate=replicate))
    return found


def _row(
    study: Study, name: str, dataset: str, written: str, registry: Registry, out: Path
) -> StudyRow:
    design, place = study.rows[name], study.datasets[dataset]
    request = Request(
        losses=design.losses,
        combiners=[] if design.combiner is None else [design.combiner],
        dataset=written,
        recipe=study.recipe,
        seeds=place.seeds or study.seeds,
        splits=[0] if place.replicates else place.splits or study.splits,
        overrides=dotted(place.set) | dotted(design.set),
        singles=design.combiner is None,
        tuned=False,
        out=out,
    )
    rows = rows_of(request, registry)
    if len(rows) != 1:
        raise UsageError("several losses need a combiner; one loss alone takes none.")
    setting = setting_of(rows[0].configuration, registry, rows[0].fixed)
    return StudyRow(name, dataset, request, setting, design.tuned and bool(setting.space))


@dataclass(frozen=True)
class Found:
    """The entries of a study's rows.

    values: as `dmlbench.study.analysis.Values`. entries: by dataset and row, of replicates one for
    each. notes: what a reader
    must know of them, such as rows that fail their checks.
    """

    values: Mapping[str, Mapping[str, Trials]]
    entries: Mapping[str, Mapping[str, Sequence[Entry]]]
    notes: Sequence[str]


def find_entries(
    study: Study,
    rows: Iterable[StudyRow],
    entries: Sequence[Entry],
    verification: Mapping[str, Verification] | None = None,
) -> Found:
    """Pick each row's entry among those of leaderboards.

    verification: by content hash; rows of tier "unverified" count as missing.
    Raises `UsageError` where two entries fit one row, or where rows of a dataset are of different
    groups (`dmlbench.leaderboard.comparison.groups`; the learning rates are the design's).
    """
    metric = resolve_metric(study.metric, metric_names(entries))
    values: dict[str, dict[str, dict[Key, float | None]]] = {}
    chosen: dict[str, dict[str, list[Entry]]] = {}
    groups: dict[tuple[str, int], dict[str, Entry]] = {}
    notes = []
    for row in rows:
        fitting = [entry for entry in entries if row.is_of(entry, study.budget)]
        if len(fitting) > 1:
            ids = ", ".join(entry.entry_id for entry in fitting)
            raise UsageError(
                f"{len(fitting)} entries are the row {row.title}: {ids}. Give a "
                f"folder that has one of them."
            )
        if not fitting:
            continue
        (entry,) = fitting
        of_entry = None if verification is None else verification.get(entry.content_sha256())
        if of_entry is not None and of_entry.tier == "unverified":
            notes.append(f"{row.title} fails its checks and is left out.")
            continue
        done = completed_values(entry, metric)
        of_row = values.setdefault(row.dataset, {}).setdefault(row.name, {})
        for (split, seed), value in values_by_trial(entry, metric).items():
            if row.replicate and split:
                continue
            of_row[row.replicate or split, seed] = value if (split, seed) in done else None
        chosen.setdefault(row.dataset, {}).setdefault(row.name, []).append(entry)
        groups.setdefault((row.dataset, row.replicate), {})[row.name] = entry
    for (dataset, _), found in groups.items():
        _require_one_group(dataset, found)
    return Found(values, chosen, notes)


def find_in(study: Study, registry: Registry, out: Path, even_empty: bool = False) -> Found:
    """As `find_entries`, among all entries under a folder, those that fail their checks left out.

    Files that are not entries are named in the notes. Raises `UsageError` as `find_entries` does,
    and where the folder has no leaderboard, unless `even_empty`.
    """
    rows = study_rows(study, registry, out)
    if even_empty and not out.exists():
        return Found({}, {}, [])
    entries: list[Entry] = []
    problems: list[str] = [*linked_out(out).values()]
    verification: dict[str, Verification] = {}
    for folder in leaderboard_folders(out):
        found, refused = read_entries(folder)
        tiers = Tiers(folder)
        verification |= {entry.content_sha256(): tiers.verification(entry) for entry in found}
        entries += found
        problems += refused
    found_rows = find_entries(study, rows, entries, verification)
    return replace(found_rows, notes=[*found_rows.notes, *problems])


def _require_one_group(dataset: str, entries: Mapping[str, Entry]) -> None:
    first: tuple[str, Any] | None = None
    for name, entry in entries.items():
        parts = _without_rates(group_parts(entry))
        for decided_by_row in ("embedding_dim", "pca_dim"):
            parts.pop(decided_by_row, None)
        first = first or (name, parts)
        differing = [key for key in parts if parts[key] != first[1].get(key)]
        if differing:
            raise UsageError(
                f"On {dataset} the rows {first[0]} and {name} cannot be compared: they differ in "
                f"{', '.join(differing)}."
            )


def _without_rates(parts: Mapping[str, Any]) -> dict[str, Any]:
    recipe = dict(parts["recipe"])
    optimizer = {k: v for k, v in recipe.pop("optimizer", {}).items() if k not in _RATES}
    # Trials of more splits than the design's are left out, and separate nothing.
    kept = {k: v for k, v in parts.items() if k != "splits"}
    return kept | {"recipe": recipe | ({"optimizer": optimizer} if optimizer else {})}
