"""Which rows of a leaderboard are shown. What is left out keeps its part in ranks and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.published import PublishedResult
from dmlbench.leaderboard.listing.listing import Listing
from dmlbench.leaderboard.listing.reader import Row

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What rows must be to be shown; None or empty where anything goes.

    losses: each is among the row's. combiner: a name, or "none" for single losses. Names are those
    of components, without parameters, or whole labels as tables have them.
    top: at most so many rows of each group, the first.
    """

    losses: tuple[str, ...] = ()
    combiner: str | None = None
    dataset: str | None = None
    backbone: str | None = None
    recipe: str | None = None
    protocol: str | None = None
    tier: str | None = None
    top: int | None = None

    @property
    def of_rows(self) -> bool:
        """Whether rows of a group may be left out."""
        return bool(self.losses or self.combiner or self.tier or self.top)

    def listing(self, listing: Listing) -> Listing:
        """The groups of a listing of which rows may be shown."""
        return listing.only(self._fits_row) if any(self._wanted()) else listing

    def check(self, listing: Listing) -> None:
        """Raise `UsageError` for a name that no row has, naming those there are."""
        for option, wanted, names in self._wanted():
            there = {name for row in listing.rows for name in names(row)}
            if not any(_fits(wanted, name) for name in there):
                shown = ", ".join(sorted({_short(name) for name in there}))
                raise UsageError(
                    f"{listing.folder} has no entry for the {option} {wanted!r}. It has: {shown}."
                )

    def fits_published(self, result: PublishedResult) -> bool:
        """Whether a published result is shown."""
        wanted = [
            (self.dataset, [result.dataset]),
            (self.backbone, [result.backbone]),
            (self.protocol, [result.protocol]),
            (self.combiner, [result.combiner or "none"]),
            *((loss, result.losses) for loss in self.losses),
        ]
        if self.recipe or self.tier not in (None, "unverified"):
            return False
        return all(name is None or any(_fits(name, n) for n in names) for name, names in wanted)

    def keep(self, rows: pandas.DataFrame) -> pandas.DataFrame:
        """The rows of one group that are shown."""
        kept = rows
        if self.losses or self.combiner or self.tier:
            kept = rows[[self._fits_values(row) for row in rows.to_dict("records")]]
        return kept if self.top is None else kept.head(self.top)

    def keep_all(self, frame: pandas.DataFrame) -> pandas.DataFrame:
        """The rows of every group that are shown."""
        if not self.of_rows or frame.empty:
            return frame
        kept = [self.keep(rows).index for _, rows in frame.groupby("group", sort=False)]
        return frame.loc[[i for index in kept for i in index]]

    def _wanted(self) -> Iterable[tuple[str, str, Callable[[Row], Sequence[str]]]]:
        yield from (("loss", loss, _losses) for loss in self.losses)
        options: tuple[tuple[str, str | None, Callable[[Row], Sequence[str]]], ...] = (
            ("combiner", self.combiner, lambda row: [row.combiner or "none"]),
            ("dataset", self.dataset, lambda row: [row.dataset]),
            ("backbone", self.backbone, lambda row: [row.backbone]),
            ("recipe", self.recipe, lambda row: [row.recipe]),
            ("protocol", self.protocol, lambda row: [row.protocol]),
        )
        for option, wanted, names in options:
            if wanted is not None:
                yield option, wanted, names

    def _fits_row(self, row: Row) -> bool:
        return all(any(_fits(w, name) for name in names(row)) for _, w, names in self._wanted())

    def _fits_values(self, row: dict[str, Any]) -> bool:
        if row["source"] is not None:  # published results were chosen before
            return True
        if self.tier is not None and row["tier"] != self.tier:
            return False
        losses = [table["name"] for table in row["loss_params"]]
        combiner = row["combiner_params"]["name"] if row["combiner_params"] else "none"
        return all(any(_fits(w, name) for name in losses) for w in self.losses) and (
            self.combiner is None or _fits(self.combiner, combiner)
        )


def _losses(row: Row) -> list[str]:
    return row.losses.split("\n")


def _fits(wanted: str, name: str) -> bool:
    """Whether a name is meant: in full, without its distribution, or without its parameters."""
    short = name.rpartition(":")[2] if "(" not in name else name
    return wanted in (name, short, _short(name)) or (
        ":" in wanted and ":" not in name and wanted.rpartition(":")[2] == name
    )


def _short(name: str) -> str:
    """A name without parameters; of a timm backbone that of the model."""
    before, bracket, inside = name.partition("(")
    if before == "timm" and inside.startswith("model="):
        return inside.removeprefix("model=").partition(",")[0].rstrip(")")
    return before.strip() if bracket else name
