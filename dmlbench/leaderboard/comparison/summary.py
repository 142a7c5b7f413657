"""Rows over several datasets: a mean only where no dataset is missing.

A configuration is the same on two datasets if losses, combiner, backbone, pretraining, recipe,
dimension budget and protocol are, apart from the K that each dataset reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dmlbench.leaderboard.comparison.groups import (
    group_parts,
    tuned_as_a_row,
    tuning_trials,
    untuned_components,
)
from dmlbench.leaderboard.entries.descriptions import protocol_label, recipe_label
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.labels import Labels
from dmlbench.leaderboard.entries.metrics import (
    DEFAULT_METRIC,
    metric_interval,
    metric_names,
    resolve_metric,
    values_by_trial,
)
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.verification.checks import check_entry
from dmlbench.plan.identity import one_form, sha256_of
from dmlbench.plan.protocol import dim_budget_of
from dmlbench.plan.writing import write_copies
from dmlbench.statistics.intervals import Interval, Key, by_unit, mean_interval

MISSING = "missing"


@dataclass(frozen=True)
class Cell:
    """One configuration on one dataset.

    interval: over trials; None where there is none, for the `reason`: "missing", "not measured" or
        "fails its checks".
    submissions: how many people's entries it is the mean of.
    """

    interval: Interval | None
    reason: str | None = None
    submissions: int = 0


@dataclass(frozen=True)
class SummaryRow:
    """One configuration over the datasets of a summary, in their order.

    mean: over all datasets, with the interval over the trials that every dataset has; None unless
        every dataset has a number.
    """

    losses: str
    combiner: str | None
    setting: str
    cells: tuple[Cell, ...]
    mean: Interval | None

    @property
    def num_missing(self) -> int:
        return sum(cell.interval is None for cell in self.cells)


@dataclass(frozen=True)
class Summary:
    """Configurations by datasets, for one metric. Rows with a mean first, best first.

    protocols: of its rows, sorted.
    """

    metric: str
    datasets: tuple[str, ...]
    rows: tuple[SummaryRow, ...]
    protocols: tuple[str, ...] = ()


def summarise(entries: Iterable[Entry], by: str = DEFAULT_METRIC) -> Summary:
    """Lay entries out over their datasets. Raises `UsageError` for a metric that none has."""
    entries = list(entries)
    by = resolve_metric(by, metric_names(entries))
    labels = Labels(entries)
    datasets = sorted({(labels.component(e.dataset), e.dataset.fingerprint) for e in entries})
    found: dict[str, dict[tuple[str, str], list[Entry]]] = {}
    for entry in entries:
        place = labels.component(entry.dataset), entry.dataset.fingerprint
        found.setdefault(_configuration(entry), {}).setdefault(place, []).append(entry)
    rows = [
        _row([places.get(dataset, []) for dataset in datasets], by, labels)
        for places in found.values()
    ]
    rows.sort(key=lambda row: (row.mean is None, -(row.mean.mean if row.mean else 0), row.losses))
    protocols = sorted({plain(entry.protocol.name) for entry in entries})
    return Summary(by, _titles(datasets), tuple(rows), tuple(protocols))


def _row(places: Sequence[Sequence[Entry]], by: str, labels: Labels) -> SummaryRow:
    first = next(entries[0] for entries in places if entries)
    cells = tuple(_cell(entries, by) for entries in places)
    budget = plain(str(dim_budget_of(first.protocol.rules)))
    losses, combiner = untuned_components(first)
    tuned = f", tuned with {tuning_trials(first)} trials" if tuned_as_a_row(first) else ""
    return SummaryRow(
        losses=" + ".join(write_copies(labels.component(loss) for loss in losses)),
        combiner=labels.component(combiner) if combiner else None,
        setting=f"{labels.component(first.backbone)}, {recipe_label(first)}, "
        f"{first.embedding_dim}-d ({budget}), {protocol_label(first)}{tuned}",
        cells=cells,
        mean=_mean(places, cells, by),
    )


def _values(entries: Sequence[Entry], by: str) -> dict[Key, float]:
    """The metric by trial, of each trial the mean over the submissions that have it.

    A mean prefers nobody: the best or the longest of several submissions could be made on purpose.
    """
    found: dict[Key, list[float]] = {}
    for entry in entries:
        for key, value in values_by_trial(entry, by).items():
            found.setdefault(key, []).append(value)
    return {key: sum(values) / len(values) for key, values in sorted(found.items())}


def _cell(entries: Sequence[Entry], by: str) -> Cell:
    if not entries:
        return Cell(None, MISSING)
    sound = _sound(entries)
    if not sound:
        return Cell(None, "fails its checks")
    if any(metric_interval(entry, by) is None for entry in sound):
        return Cell(None, "not measured")
    return Cell(mean_interval(by_unit(_values(sound, by))), submissions=len(sound))


def _sound(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if not check_entry(entry)]


def _mean(places: Sequence[Sequence[Entry]], cells: Sequence[Cell], by: str) -> Interval | None:
    if any(cell.interval is None for cell in cells):
        return None
    values = [_values(_sound(entries), by) for entries in places]
    mean = sum(cell.interval.mean for cell in cells) / len(cells)
    shared = sorted(set.intersection(*(set(of_dataset) for of_dataset in values)))
    if len(shared) < 2 or any(len(of_dataset) != len(shared) for of_dataset in values):
        # An interval over other trials than the mean's would belong to another mean.
        return Interval(mean, None, None)
    return mean_interval(by_unit({k: sum(v[k] for v in values) / len(values) for k in shared}))


def _configuration(entry: Entry) -> str:
    """Equal for entries that differ in their dataset alone."""
    parts = group_parts(entry)
    del parts["dataset"]
    rules = {k: v for k, v in entry.protocol.rules.items() if k != "recall_at"}
    identity = entry.identity_json()
    components = [identity["losses"], identity["combiner"]]
    if tuned_as_a_row(entry):
        # Each dataset has its own best values of what was searched.
        losses, combiner = untuned_components(entry)
        components = [
            [x and [x.distribution, x.name, one_form(x.params)] for x in (*losses, combiner)],
            tuning_trials(entry),
        ]
    return sha256_of([*components, {**parts, "protocol": rules}])


def _titles(datasets: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The datasets' names, told apart by fingerprint where two have the same."""
    names = [name for name, _ in datasets]
    return tuple(
        name if names.count(name) == 1 else f"{name} {fingerprint[:6]}"
        for name, fingerprint in datasets
    )
