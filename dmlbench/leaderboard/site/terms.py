"""What the words of the page mean: for its legend, and for the explanations beside the words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmlbench.evaluate.metrics import is_metric, metric_spec, recall_depth
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.published import PublishedResult
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.site.board_rows import filter_name
from dmlbench.leaderboard.views.columns import shown_metrics
from dmlbench.leaderboard.views.explain import COLUMNS
from dmlbench.leaderboard.views.table import LEADING, TRAILING

if TYPE_CHECKING:
    import pandas

    from dmlbench.plugins.registry import Registry

_METRICS = {
    "map_at_r": (
        "mean average precision at R. For each query the R most similar images are looked at, R "
        "being the number of other images of its class; a right one counts more the earlier it "
        "comes. 100 only if every query finds its whole class first. It rates the whole class "
        "where Recall@1 rates one neighbour."
    ),
    "r_precision": (
        "of the R most similar images, R being the number of other images of the query's class, "
        "the share that is of this class."
    ),
    "knn_accuracy": "share of queries whose class has the most votes of the 3 most similar images.",
    "nmi": "how well a k-means clustering of the embeddings agrees with the classes.",
    "ami": "NMI, corrected for the agreement that chance alone would give.",
}
_RECALL = "share of queries with an image of their class among the {k} most similar."
_INTERVAL = (
    "mean and 95 % interval over trials, on one scale per table; a line marks the best mean. "
    "Filled: no row is significantly better, so the row may be first. Hollow: at least one row is. "
    "Grey: not ranked. An arrow leads to what is off the scale."
)
_OTHERS = {
    "dim-budget": (
        "Dimension budget",
        "what an ensemble may have. With “total” its evaluated embedding has the dimension of a "
        "single loss, however many heads it has, so it cannot win by being larger. With “per-loss” "
        "every head has that dimension; such a row is compared with single losses of its own "
        "dimension. Rows of one table have the same dimension.",
    ),
    "tuned": (
        "tuned",
        "the row's parameters were chosen on validation classes before these trials; the column "
        "Tuning (under “All metrics”) says among how many settings.",
    ),
}
_TIERS = {
    "unverified": "a published number, or an entry that fails verification; not ranked.",
    "checked": (
        "the entry is consistent: its numbers are possible together, and dataset and protocol are "
        "the ones it names. Nobody else computed or trained anything."
    ),
    "recomputed": (
        "somebody else computed the metrics again from the stored test embeddings, and they are "
        "equal up to rounding. It does not prove where the embeddings come from."
    ),
    "audited": ("somebody else trained some trials again, drawn after submission, and they agree."),
    "reproduced": (
        "somebody else trained all trials again, and they agree. It does not prove that the seeds "
        "were not chosen for luck, or that the code of plugins is honest."
    ),
    "confirmed": (
        "somebody else trained it on seeds that its author did not choose (“splits”: on class "
        "splits too), and the results agree."
    ),
}


@dataclass(frozen=True)
class Term:
    """A word of the page.

    id: what the page's scripts know it by. text: may hold code between backticks.
    parts: the words under it, such as the tiers, each with its text.
    """

    id: str
    title: str
    text: str
    parts: tuple[tuple[str, str], ...] = ()


def terms(
    frame: pandas.DataFrame,
    by: str,
    sources: Mapping[str, Entry | PublishedResult],
    registry: Registry | None = None,
) -> list[Term]:
    """Every column, metric and mark of the page, in the order of its columns.

    frame: of `leaderboard_frame`; by: the metric that ranks; sources: what its rows were made from.
    registry: where the combiners' summaries come from.
    """
    metrics = dict.fromkeys([*shown_metrics(frame, by), "recall_at_1"])
    parts = {"combiner": _combiners(sources, registry), "tier": tuple(_TIERS.items())}
    title = metric_spec(by).title
    listed = {column.id: column.title for column in (*LEADING, *TRAILING)}
    found = {
        id: Term(id, name, COLUMNS[name].format(by=title), parts.get(id, ()))
        for id, name in listed.items()
        if name in COLUMNS
    }
    leading = [found.pop(column.id) for column in LEADING]
    measured = [
        Term(metric, metric_spec(metric).title, _metric(metric))
        for metric in metrics
        if is_metric(metric)
    ]
    others = [Term(id, name, text) for id, (name, text) in _OTHERS.items()]
    bars = Term("interval", "95 % interval", _INTERVAL)
    means = Term("metrics", "Metrics", COLUMNS["Metrics"])
    return [*leading, *measured, means, bars, *others, *found.values()]


def _metric(name: str) -> str:
    k = recall_depth(name)
    return _METRICS.get(name, "") if k is None else _RECALL.format(k=k)


def _combiners(
    sources: Mapping[str, Entry | PublishedResult], registry: Registry | None
) -> tuple[tuple[str, str], ...]:
    """The combiners of the page, each with its summary; without those that nothing is known of."""
    if registry is None:
        return ()
    summaries = {
        (c.distribution, c.spec.name): c.spec.summary for c in registry.of_kind("combiners")
    }
    used = {
        filter_name(source.combiner): (source.combiner.distribution, source.combiner.name)
        for source in sources.values()
        if isinstance(source, Entry) and source.combiner is not None
    }
    return tuple(
        (name, plain(summaries[key])) for name, key in sorted(used.items()) if key in summaries
    )
