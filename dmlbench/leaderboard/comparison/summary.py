"""Rows over several datasets: a mean only where no dataset is missing.

A configuration is the same on two datasets if losses, combiner, backbone, pretraining, recipe,
width and protocol are, apart from the K that each dataset reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dmlbench.leaderboard.comparison.table import group_parts
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.labels import Labels, recipe_label
from dmlbench.leaderboard.entries.metrics import (
    DEFAULT_METRIC,
    metric_interval,
    metric_names,
    resolve_metric,
    values_by_seed,
)
from dmlbench.leaderboard.verification.checks import check_entry
from dmlbench.plan.config import sha256_of
from dmlbench.plan.expressions import write_copies
from dmlbench.statistics.intervals import Interval, mean_interval

MISSING = "missing"


@dataclass(frozen=True)
class Cell:
    """One configuration on one dataset.

    interval: over seeds; None where there is none, for the `reason`: "missing", "not measured",
        "several claims" or "fails its checks".
    """

    interval: Interval | None
    reason: str | None = None


@dataclass(frozen=True)
class SummaryRow:
    """One configuration over the datasets of a summary, in their order.

    mean: over all datasets, with the interval over the seeds that every dataset has; None unless
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
    """Configurations by datasets, for one metric. Rows with a mean first, best first."""

    metric: str
    datasets: tuple[str, ...]
    rows: tuple[SummaryRow, ...]


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
    return Summary(by, _titles(datasets), tuple(rows))


def _row(claims: Sequence[Sequence[Entry]], by: str, labels: Labels) -> SummaryRow:
    first = next(entries[0] for entries in claims if entries)
    cells = tuple(_cell(entries, by) for entries in claims)
    width = f"{first.protocol.rules.get('width')} width, {first.embedding_dim}-d"
    return SummaryRow(
        losses=" + ".join(write_copies(labels.component(loss) for loss in first.losses)),
        combiner=labels.component(first.combiner) if first.combiner else None,
        setting=f"{labels.component(first.backbone)}, {recipe_label(first)}, {width}",
        cells=cells,
        mean=_mean([entries[0] for entries in claims if entries], cells, by),
    )


def _cell(entries: Sequence[Entry], by: str) -> Cell:
    if not entries:
        return Cell(None, MISSING)
    if len(entries) > 1:
        return Cell(None, "several claims")
    if check_entry(entries[0]):
        return Cell(None, "fails its checks")
    interval = metric_interval(entries[0], by)
    return Cell(interval) if interval else Cell(None, "not measured")


def _mean(entries: Sequence[Entry], cells: Sequence[Cell], by: str) -> Interval | None:
    if any(cell.interval is None for cell in cells):
        return None
    values = [values_by_seed(entry, by) for entry in entries]
    mean = sum(cell.interval.mean for cell in cells) / len(cells)
    shared = sorted(set.intersection(*(set(of_dataset) for of_dataset in values)))
    if len(shared) < 2 or any(len(of_dataset) != len(shared) for of_dataset in values):
        # An interval over other seeds than the mean's would belong to another mean.
        return Interval(mean, None, None)
    return mean_interval([sum(v[seed] for v in values) / len(values) for seed in shared])


def _configuration(entry: Entry) -> str:
    """Equal for entries that differ in their dataset alone."""
    parts = group_parts(entry)
    del parts["dataset"]
    rules = {k: v for k, v in entry.protocol.rules.items() if k != "recall_at"}
    identity = entry.identity_json()
    return sha256_of([identity["losses"], identity["combiner"], {**parts, "protocol": rules}])


def _titles(datasets: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The datasets' names, told apart by fingerprint where two have the same."""
    names = [name for name, _ in datasets]
    return tuple(
        name if names.count(name) == 1 else f"{name} {fingerprint[:6]}"
        for name, fingerprint in datasets
    )
