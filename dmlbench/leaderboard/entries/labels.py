"""What rows and groups are called, as plain text that is safe to pass on to any renderer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from dmlbench.leaderboard.entries.descriptions import components_of, in_brackets, one_text
from dmlbench.leaderboard.entries.entry import ComponentRecord, Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.plan.identity import BUILT_IN
from dmlbench.plan.writing import row_name


class Labels:
    """Names for components, told apart by the parameters in which the given entries differ.

    Parameters that two thirds of the uses have go without saying: the others name what they have
    otherwise. Where none are so common, all name the parameters that differ.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        entries = list(entries)
        uses: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for entry in entries:
            for record in components_of(entry):
                uses.setdefault((record.distribution, record.name), []).append(record.params)
        self._submissions = _submissions(entries)
        self._varying = {key: _varying_names(params) for key, params in uses.items()}
        self._commonest = {key: _commonest(params) for key, params in uses.items()}

    def component(self, record: ComponentRecord) -> str:
        """``triplet``, ``triplet(margin=0.1)`` or, from elsewhere, ``my-loss [my-dist 0.1.0]``."""
        return "".join(self.parts(record))

    def parts(self, record: ComponentRecord) -> tuple[str, str]:
        """The name, and what follows it in `component`: ``("triplet", "(margin=0.1)")``."""
        key = (record.distribution, record.name)
        varying, usual = self._varying.get(key, set()), self._commonest.get(key)
        if usual is not None:
            varying = _varying_names([usual, record.params])
        shown = {k: v for k, v in sorted(record.params.items()) if k in varying}
        rest = in_brackets(shown)
        if record.distribution != BUILT_IN:
            rest += f" [{plain(f'{record.distribution} {record.version}')}]"
        return plain(record.name), rest

    def losses(self, entry: Entry) -> str:
        """The losses' names joined by plus signs; the submitter, where there are several."""
        return row_name(None, self._names(entry)) + self.submission(entry)

    def row(self, entry: Entry) -> str:
        """A name for the whole row, such as ``wedl(triplet + multi-similarity)``.

        Of a combiner with brackets of its own, ``fixed(weights=[1,2]) of triplet + supcon``.
        """
        if entry.combiner is None:
            return self.losses(entry)
        return row_name(self.component(entry.combiner), self._names(entry)) + self.submission(entry)

    def key(self, entry: Entry) -> str:
        """The entry's id; with its content's hash, as in file names, where it is not alone."""
        submissions = self._submissions.get(entry.entry_id, [])
        return entry.entry_id if len(submissions) < 2 else entry.submission_key

    def _names(self, entry: Entry) -> list[str]:
        return [self.component(loss) for loss in entry.losses]

    def submission(self, entry: Entry) -> str:
        """Who submitted it, where there are several, with the content's hash if that is needed."""
        submissions = self._submissions.get(entry.entry_id, [])
        if len(submissions) < 2:
            return ""
        who = plain(entry.submitter or "unnamed")
        if submissions.count(entry.submitter) > 1:
            who += f" {entry.content_sha256()[:8]}"
        return f" <by {who}>"


def _submissions(entries: Iterable[Entry]) -> dict[str, list[str | None]]:
    """Entry id -> the submitter of each submission of that configuration."""
    submissions: dict[str, list[str | None]] = {}
    for entry in entries:
        submissions.setdefault(entry.entry_id, []).append(entry.submitter)
    return submissions


def _varying_names(uses: list[Mapping[str, Any]]) -> set[str]:
    """The parameters that do not have one and the same value everywhere."""
    texts = [{name: one_text(value) for name, value in params.items()} for params in uses]
    names = set().union(*texts)
    return {name for name in names if len({text.get(name) for text in texts}) > 1}


def _commonest(uses: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The parameters of two thirds of the uses; None where none are so common."""
    ((first, most),) = Counter(map(one_text, uses)).most_common(1)
    if 3 * most < 2 * len(uses):
        return None
    return next(params for params in uses if one_text(params) == first)
