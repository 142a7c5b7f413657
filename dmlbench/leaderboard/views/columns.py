"""The text of a leaderboard's cells, titles and verdicts, the same for every way of showing it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dmlbench.evaluate.metrics import is_metric, metric_spec
from dmlbench.leaderboard.comparison.sentence import brief
from dmlbench.leaderboard.entries.metrics import (
    DEFAULT_METRIC,
    metric_title,
    resolve_metric,
)

if TYPE_CHECKING:
    import pandas

    from dmlbench.leaderboard.comparison.outcome import Verdict

NOTHING = "–"
#: Kinds of cost, each with the frame's column, from what says most of a training.
COST_KINDS = {"GPU": "device_seconds", "CPU": "process_seconds", "wall": "train_seconds"}
# So many verdicts are read in whole sentences.
_FEW = 3


def shown_metrics(rows: pandas.DataFrame, by: str, chosen: Sequence[str] = ()) -> list[str]:
    """The metric columns to show of one group: the ranking one first, then those chosen.

    By default MAP@R, every Recall@K of the group and what else is `shown` by its `MetricSpec`,
    where they were measured.
    Raises `UsageError` for a chosen metric that does not exist.
    """
    known = [column for column in rows.columns if is_metric(column)]
    if chosen:
        wanted = [resolve_metric(name, known) for name in chosen]
    else:
        wanted = [
            column for column in known if metric_spec(column).shown and rows[column].notna().any()
        ]
        wanted.sort(key=lambda column: column != DEFAULT_METRIC)
    return list(dict.fromkeys([by, *wanted]))


def metric_cells(rows: pandas.DataFrame, metric: str, plus_minus: str = "±") -> list[str]:
    """``79.8 ± 1.2`` in percent for each row, padded so that points and signs are aligned."""
    means = [percent(value) for value in rows[metric]]
    halves = [
        percent((high - low) / 2)
        for low, high in zip(rows[f"{metric}_low"], rows[f"{metric}_high"], strict=True)
    ]
    left = max(map(len, means), default=0)
    right = max((len(half) for half in halves if half != NOTHING), default=0)
    tail = len(f" {plus_minus} ") + right if right else 0
    return [
        f"{mean:>{left}}" + (f" {plus_minus} {half:>{right}}" if half != NOTHING else " " * tail)
        for mean, half in zip(means, halves, strict=True)
    ]


def best_rows(rows: pandas.DataFrame, metric: str) -> set[int]:
    """Positions of the best mean of a metric among the ranked rows (all, if none is ranked)."""
    ranked = rows["rank_low"].notna()
    ranked = ranked if ranked.any() else rows["seeds"] > 0
    values = rows[metric].where(ranked)
    if len(rows) < 2 or not values.notna().any():
        return set()
    return set(np.flatnonzero(values.to_numpy(dtype=float) == values.max()).tolist())


def rank_cells(rows: pandas.DataFrame) -> list[str]:
    """``3``, or ``1–4`` where the row may have any of these ranks."""
    found = zip(rows["rank_low"].isna(), rows["rank_low"], rows["rank_high"], strict=True)
    return [
        NOTHING if unranked else str(low) if low == high else f"{low}–{high}"
        for unranked, low, high in found
    ]


def trial_cells(rows: pandas.DataFrame) -> list[str]:
    """Trials, as ``3/5`` where only three of five completed."""
    return [
        NOTHING if source else f"{seeds}/{seeds + failed}" if failed else str(seeds)
        for seeds, failed, source in zip(rows["seeds"], rows["failed"], rows["source"], strict=True)
    ]


def tier_cells(rows: pandas.DataFrame) -> list[str]:
    """The tier; of a confirmed row with what was fresh: ``confirmed (splits)``."""
    found = zip(rows["tier"], rows["confirmed_on"], strict=True)
    return [f"{tier} ({on})" if isinstance(on, str) else tier for tier, on in found]


def width_cells(rows: pandas.DataFrame) -> list[str]:
    """Dimension of the evaluated embedding, and the heads behind it: ``64 (4×16)``."""
    cells = []
    for dim, heads in zip(rows["embedding_dim"], rows["head_dims"], strict=True):
        if heads in ([], [dim]):
            cells.append(str(dim))
        elif len(set(heads)) == 1:
            cells.append(f"{dim} ({len(heads)}×{heads[0]})")
        else:
            cells.append(f"{dim} ({'+'.join(map(str, heads))})")
    return cells


def entry_cells(rows: pandas.DataFrame) -> list[str]:
    """What names the entry to other commands; nothing for what was published elsewhere."""
    return [
        NOTHING if source else short
        for source, short in zip(rows["source"], rows["short"], strict=True)
    ]


def tuning_cells(rows: pandas.DataFrame) -> list[str]:
    """How parameters were chosen; empty where all have their defaults, or nobody knows."""
    if set(rows["tuning"]) <= {None, "defaults"}:
        return []
    return [text or NOTHING for text in rows["tuning"]]


def head_parameter_cells(rows: pandas.DataFrame) -> list[str]:
    """Trainable parameters behind the backbone; empty where no entry of the group says."""
    counts = rows["head_parameters"]
    if not counts.notna().any():
        return []
    return [
        NOTHING if missing else f"{n:,}" for missing, n in zip(counts.isna(), counts, strict=True)
    ]


def loss_rate_cells(rows: pandas.DataFrame) -> list[str]:
    """Rates that losses set for their own parameters; empty where no loss of the group does."""
    if not any(rate is not None for rates in rows["loss_rates"] for rate in rates):
        return []
    return [
        "+".join(NOTHING if rate is None else f"{rate:g}" for rate in rates) or NOTHING
        for rates in rows["loss_rates"]
    ]


def cost_cells(rows: pandas.DataFrame) -> list[str]:
    """What training a trial takes on average: ``8.1 s GPU`` or ``3.4 min CPU``.

    Seconds of the accelerator, or else of processors; ``wall`` for the wall clock of an older
    entry, which depends on what else its machine did.
    """
    return [f"{duration(cost[1])} {cost[0]}" if cost else NOTHING for cost in costs(rows)]


def cost_order(rows: pandas.DataFrame) -> list[tuple[int, float] | None]:
    """What rows are sorted by: seconds of one kind are not compared with those of another."""
    kinds = list(COST_KINDS)
    return [(kinds.index(cost[0]), cost[1]) if cost else None for cost in costs(rows)]


def costs(rows: pandas.DataFrame) -> list[tuple[str, float] | None]:
    """Kind and mean seconds of a trial's training, of the first kind that a row knows."""
    found = []
    for values in zip(*(rows[name] for name in COST_KINDS.values()), strict=True):
        known = zip(COST_KINDS, map(float, values), strict=True)
        found.append(next(((kind, s) for kind, s in known if math.isfinite(s)), None))
    return found


def duration(seconds: float) -> str:
    """``8.1 s``, ``3.4 min``, ``1.2 h``."""
    if not math.isfinite(seconds):
        return NOTHING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3597 else f"{seconds / 3600:.1f} h"


def group_title(rows: pandas.DataFrame) -> str:
    """What the rows of a group have in common."""
    first = rows.iloc[0]
    if first["source"] is not None:
        start = "pretrained" if first["pretrained"] else "from scratch"
        return (
            f"{first['dataset']} · published results, not run under this protocol · "
            f"{first['backbone']}, {start} · {first['embedding_dim']}-d"
        )
    recipes = " / ".join(dict.fromkeys(rows["recipe"]))
    start = "pretrained" if first["pretrained"] else "from scratch"
    trials = rows["seeds"] + rows["failed"]
    fewest, most = trials.min(), trials.max()
    count = str(most) if fewest == most else f"{fewest} to {most}"
    splits = f"{first['splits']} class splits · " if first["splits"] > 1 else ""
    return (
        f"{first['dataset']} · {first['protocol']} · {first['backbone']}, {start} · "
        f"recipe {recipes} · {first['embedding_dim']}-d · "
        f"{splits}{count} trial{'' if count == '1' else 's'}"
    )


def verdict_lines(found: Sequence[Verdict]) -> tuple[list[Verdict], list[str]]:
    """Verdicts to say in whole sentences, and lines for the others, under a title.

    Of a few all are said. Of many those that separate, and what could not be decided.
    """
    whole = [v for v in found if v.outcome != "no significant difference"]
    rest = [v for v in found if v.outcome == "no significant difference"]
    if len(found) <= _FEW:
        return list(found), []
    order = ("better", "worse", "incomplete", "inconclusive")
    whole.sort(key=lambda verdict: order.index(verdict.outcome))
    if not rest:
        return whole, []
    title = (
        f"{len(rest)} of {len(found)} combinations do not differ significantly from their best "
        f"single loss. Points of {metric_title(rest[0].metric)}, 95 % interval over trials, p "
        f"corrected for {rest[0].num_comparisons} comparisons:"
    )
    return whole, [title, *map(brief, rest)]


def ranking_metric(frame: pandas.DataFrame, by: str = DEFAULT_METRIC) -> str:
    """The column of a frame that `by` means; raises `UsageError` naming those there are."""
    return resolve_metric(by, [column for column in frame.columns if is_metric(column)])


def percent(fraction: float | None) -> str:
    """A fraction in percent, one decimal."""
    return NOTHING if fraction is None or math.isnan(fraction) else f"{100 * fraction:.1f}"
