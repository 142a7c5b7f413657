"""What each column of a table means, for readers who ask."""

from __future__ import annotations

from collections.abc import Iterable

from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.leaderboard.views.columns import NOTHING
from dmlbench.statistics.ranking import FEWEST_RANKED

#: What the numbers are, and where a reader finds the rest.
POINTER = (
    "In percent: mean over trials ± half of the 95 % interval. "
    "`dmlbench leaderboard show --explain` explains the columns."
)
#: What each column of a table means, by its title. "{by}" is the metric that ranks.
COLUMNS = {
    "Rank": (
        "a range, which contains the row's true rank in {by} with 95 % confidence: from 1 + the "
        "number of rows that are significantly better to the number of rows that are not "
        "significantly worse (paired over trials, corrected after Holm). Rows whose ranges overlap "
        "can still differ significantly: `dmlbench leaderboard compare A B` tests any two. A row "
        "with fewer than "
        f"{FEWEST_RANKED} trials, with trials on two class splits alone, that fails verification, "
        "or that did not measure {by} in every completed trial has no rank. Several submissions of "
        "a configuration count as one row. The note on missed differences says how far two typical "
        "ranked rows must be apart for this board to show it with 80 % power."
    ),
    "Losses": (
        "the losses that were trained together. Rows with a rank come first, sorted by their mean "
        "{by}; then those without, and last those that fail verification."
    ),
    "Combiner": f"how the losses were combined; {NOTHING} for a single loss.",
    "Tier": (
        "how far the row is verified, from weakest to strongest: unverified, checked, recomputed, "
        "audited, reproduced, confirmed (on fresh seeds, or on fresh class splits and seeds). "
        "docs/trust.md says what each proves; `dmlbench leaderboard verify` checks again."
    ),
    "Metrics": (
        "in percent: mean over trials ± half of the 95 % interval (Student t), over class splits "
        "where there are several. A failed trial counts as 0."
    ),
    "Dim": "dimension of the evaluated embedding; in brackets, of the heads behind it.",
    "Tuning": (
        "how many settings were tried on validation classes before these runs; "
        f"{NOTHING} where an older entry does not say. Untuned parameters "
        "are not the defaults, and no record says how they were chosen."
    ),
    "Loss lr": "learning rates that losses set for their own parameters, such as proxies.",
    "Head params": "number of trainable parameters behind the backbone.",
    "Trials": "number of trials; 3/5 if only three of five were completed.",
    "Cost": (
        "mean training time of the completed trials: of the accelerator (GPU), of the processor "
        "(CPU) or, for older entries, wall-clock time."
    ),
    "Entry": (
        "the start of the entry's id, as other commands take it; of several submissions of a "
        "configuration, the id and the start of the content's hash."
    ),
}


_BOLD = " The best mean of each metric among the ranked rows (of all, if none is ranked) is bold."


def explanation(by: str, titles: Iterable[str] = COLUMNS) -> list[str]:
    """A paragraph per column of `COLUMNS` that is among the titles; one for all metrics.

    by: the metric that ranks. A title that is not in `COLUMNS` is a metric's.
    """
    shown = set(titles)
    if shown - set(COLUMNS):
        shown.add("Metrics")
    return [
        f"{title}: {text.format(by=metric_title(by))}" + _BOLD * (title == "Metrics")
        for title, text in COLUMNS.items()
        if title in shown
    ]
