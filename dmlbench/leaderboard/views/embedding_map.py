"""A map of one trial's test embeddings: t-SNE, a colour per class, names for the extremes.

Legend: N test images, n drawn ones, D dimension, C classes.
"""

from __future__ import annotations

import colorsys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.comparison.classes import (
    ClassTable,
    class_table,
    no_embeddings,
    numbers_of,
)
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import Trial
from dmlbench.leaderboard.verification.recompute import StoredEmbeddings, stored_embeddings
from dmlbench.leaderboard.views.classes import ClassNames
from dmlbench.leaderboard.views.figure import COLOURS, checked_file, figure_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: More images than this are not drawn: t-SNE takes long and dots cover each other.
MOST_POINTS = 3000
# With more classes than colours the best and the worst have their names beside them.
_NAMED = 5
_FEWEST_POINTS = 4
_GOLDEN = 0.6180339887


def plot_map(entry: Entry, leaderboard: Path, file: str | Path, names: ClassNames) -> Trial:
    """Draw the test embeddings of the first trial whose embeddings are stored; gives the trial.

    At most `MOST_POINTS` images, drawn at random with a fixed seed, by scikit-learn's t-SNE
    (van der Maaten and Hinton, JMLR 2008) from a fixed start: by the angle between embeddings where
    the protocol compares by cosine, else by their distance. Best and worst classes are those of
    this trial, over all test images.
    leaderboard: the folder that the entry is in. file: its suffix says PNG, SVG or PDF.
    Raises `UsageError` for another suffix or fewer than four images, and `VerificationError` where
    no trial has embeddings here or they are not the entry's.
    """
    checked_file(file)
    trial, stored = _first(entry, leaderboard)
    table = class_table(entry, leaderboard, [trial])
    chosen = _chosen(len(stored.labels))
    if len(chosen) < _FEWEST_POINTS:
        raise UsageError(f"{len(chosen)} test images give no map; {_FEWEST_POINTS} are needed.")
    places = tsne(stored.embeddings[chosen], stored.similarity)
    numbers = numbers_of(stored.labels[chosen], stored, f"the embeddings of {trial.title}")
    with figure_for(file, 7.2, 7.4) as figure:
        title = f"{plain(entry.label)} on {entry.dataset.name} (entry {entry.entry_id[:8]})"
        figure.suptitle(textwrap.fill(title, 90), fontsize=9.5, fontweight="bold")
        axes = figure.subplots()
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", adjustable="datalim")
        _draw(axes, places, numbers, table, names)
        axes.set_xlabel(_caption(trial, len(chosen), len(stored.labels)), fontsize=8)
    return trial


def tsne(embeddings: np.ndarray, similarity: str) -> np.ndarray:
    """Places (n, 2) of embeddings (n, D), the same for the same embeddings and packages.

    similarity: "cosine" brings them to unit length first, "euclidean" takes them as they are.
    """
    from sklearn.manifold import TSNE

    rows = np.asarray(embeddings, dtype=np.float64)
    if similarity == "cosine":
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(lengths > 0, lengths, 1.0)
    # PCA gives a start of two dimensions only where there are two.
    start = "pca" if min(rows.shape) >= 2 else "random"
    return TSNE(perplexity=_perplexity(len(rows)), init=start, random_state=0).fit_transform(rows)


def _perplexity(count: int) -> float:
    """Of t-SNE on so many points: 30, and less where these are no more than a few."""
    return min(30.0, (count - 1) / 3)


def _first(entry: Entry, leaderboard: Path) -> tuple[Trial, StoredEmbeddings]:
    for trial in sorted(entry.completed, key=lambda trial: trial.key):
        stored = stored_embeddings(entry, trial, leaderboard)
        if stored is not None:
            return trial, stored
    raise VerificationError(no_embeddings(entry, leaderboard))


def _chosen(count: int) -> np.ndarray:
    """The images (n,) that are drawn."""
    if count <= MOST_POINTS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, MOST_POINTS, replace=False))


def _draw(
    axes: Axes, places: np.ndarray, numbers: np.ndarray, table: ClassTable, names: ClassNames
) -> None:
    classes = np.unique(numbers).tolist()
    few = len(classes) <= len(COLOURS)
    scored = [one for one in table.classes if one.number in set(classes)]
    best, worst = scored[:_NAMED], scored[_NAMED:][-_NAMED:]
    named = [] if few else [*best, *worst]
    emphasised = {one.number: place / len(named) for place, one in enumerate(named)}
    for place, number in enumerate(classes):
        own = places[numbers == number]
        bold = few or number in emphasised
        if few:
            colour: str | tuple[float, float, float] = COLOURS[place]
        elif bold:
            colour = colorsys.hls_to_rgb(emphasised[number], 0.5, 0.9)
        else:
            colour = _hue(place)
        axes.scatter(
            own[:, 0],
            own[:, 1],
            s=14 if bold else 7,
            color=colour,
            alpha=0.9 if bold else 0.45,
            linewidths=0.4 if bold else 0,
            edgecolors="black" if number in emphasised else "none",
            zorder=3 if bold else 2,
            label=names[number] if few else None,
        )
    if few:
        axes.legend(loc="best", fontsize=8, markerscale=1.3, frameon=True)
    for one in named:
        own = places[numbers == one.number]
        # At the image nearest to the median, which is one of the class wherever others are.
        middle = own[np.linalg.norm(own - np.median(own, axis=0), axis=1).argmin()]
        good = one in best
        axes.annotate(
            f"{names[one.number][:24]} {100 * one.map_at_r:.0f} %",
            middle,
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color="white",
            zorder=5,
            bbox={"boxstyle": "round,pad=0.2", "linewidth": 0,
                  "facecolor": COLOURS[2] if good else COLOURS[1]},
        )  # fmt: skip
    if named:
        axes.set_title(
            f"a colour per class (similar hues repeat); named, with MAP@R: the {len(best)} "
            f"best classes (green) and the {len(worst)} worst (orange)",
            fontsize=8,
        )


def _hue(place: int) -> tuple[float, float, float]:
    """Colours of which each is far from the last ones, in three shades."""
    return colorsys.hls_to_rgb((place * _GOLDEN) % 1.0, (0.38, 0.52, 0.64)[place % 3], 0.65)


def _caption(trial: Trial, drawn: int, count: int) -> str:
    images = f"{drawn:,} of {count:,} test images" if drawn < count else f"{count:,} test images"
    return textwrap.fill(
        f"{images} of {trial.title}, t-SNE (perplexity {_perplexity(drawn):.3g}). Distances "
        f"between groups and the sizes of groups mean nothing; what is near is near in the "
        f"embedding as a rule.",
        110,
    )
