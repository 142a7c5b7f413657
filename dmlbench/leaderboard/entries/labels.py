"""What rows and groups are called, as plain text that is safe to pass on to any renderer.

A label says what its row is, whatever other rows are beside it: a component's name, and the
parameters that do not have their default. Values that tuning found are left out: they are no
choice of the author's, the column "Tuning" says how many were tried, and the columns of JSON and
CSV have them all.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from dmlbench.leaderboard.entries.descriptions import in_brackets
from dmlbench.leaderboard.entries.entry import ComponentRecord, Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.plan.identity import BUILT_IN, one_form, same, without_defaults
from dmlbench.plan.writing import row_name


class Labels:
    """Names for components and rows. The entries tell which of them are several submissions.

    submissions: entry id -> the submitters of each configuration, where more than the given
        entries are on the board.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        submissions: Mapping[str, list[str | None]] | None = None,
    ) -> None:
        self._submissions = _submissions(entries) if submissions is None else submissions

    def component(self, record: ComponentRecord, entry: Entry | None = None) -> str:
        """``triplet``, ``triplet(margin=0.1)`` or, from elsewhere, ``my-loss [my-dist 0.1.0]``.

        entry: the one that it is a loss or the combiner of, whose tuned values are left out.
        """
        return "".join(self.parts(record, entry))

    def parts(self, record: ComponentRecord, entry: Entry | None = None) -> tuple[str, str]:
        """The name, and what follows it in `component`: ``("triplet", "(margin=0.1)")``."""
        params = _stated(record)
        if entry is not None:
            searched = searched_names(entry, record)
            params = {name: value for name, value in params.items() if name not in searched}
        return _parts(record, params)

    def losses(self, entry: Entry) -> str:
        """The losses' names joined by plus signs; the submitter, where there are several."""
        return row_name(None, loss_names(entry)) + self.submission(entry)

    def row(self, entry: Entry) -> str:
        """A name for the whole row, such as ``wedl(triplet + multi-similarity)``.

        Of a combiner with brackets of its own, ``fixed(weights=[1,2]) of triplet + supcon``.
        """
        if entry.combiner is None:
            return self.losses(entry)
        combiner = self.component(entry.combiner, entry)
        return row_name(combiner, loss_names(entry)) + self.submission(entry)

    def key(self, entry: Entry) -> str:
        """The entry's id; with its content's hash, as in file names, where it is not alone."""
        submissions = self._submissions.get(entry.entry_id, [])
        return entry.entry_id if len(submissions) < 2 else entry.submission_key

    def submission(self, entry: Entry) -> str:
        """Who submitted it, where there are several, with the content's hash if that is needed."""
        submissions = self._submissions.get(entry.entry_id, [])
        if len(submissions) < 2:
            return ""
        who = plain(entry.submitter or "unnamed")
        if submissions.count(entry.submitter) > 1:
            who += f" {entry.content_sha256()[:8]}"
        return f" <by {who}>"


def loss_names(entry: Entry) -> list[str]:
    """The losses of an entry in their order.

    Tuned values are left out, except where losses of one name differ in them alone.
    """
    labels = Labels(())
    names = [labels.component(loss, entry) for loss in entry.losses]
    for name in {name for name in names if names.count(name) > 1}:
        places = [i for i, other in enumerate(names) if other == name]
        params = [_stated(entry.losses[i]) for i in places]
        if any(not same(params[0], other) for other in params[1:]):
            for i, of_loss in zip(places, params, strict=True):
                names[i] = "".join(_parts(entry.losses[i], of_loss))
    return names


def searched_names(entry: Entry, record: ComponentRecord) -> set[str]:
    """The parameters of one of an entry's losses, or of its combiner, that tuning searched."""
    searched: set[str] = set()
    for tuning in entry.tuning:
        if tuning.kind == "row":
            prefix = _search_prefix(entry, record)
            searched |= {
                key.removeprefix(prefix)
                for key in tuning.space
                if prefix and key.startswith(prefix)
            }
        elif (tuning.distribution, tuning.name) == (record.distribution, record.name):
            searched |= tuning.space.keys()
    return searched


def _search_prefix(entry: Entry, record: ComponentRecord) -> str:
    """What keys of a component's parameters start with; the copies of a loss share the first's."""
    if record is entry.combiner:
        return "combiner."
    place = next((i for i, loss in enumerate(entry.losses) if loss is record), None)
    if place is None:
        return ""
    like = (record.distribution, record.name, record.params)
    first = next(
        i
        for i, loss in enumerate(entry.losses)
        if (loss.distribution, loss.name, loss.params) == like
    )
    return f"losses[{first}]."


def _parts(record: ComponentRecord, params: Mapping[str, Any]) -> tuple[str, str]:
    rest = in_brackets(dict(sorted(params.items())))
    if record.distribution != BUILT_IN:
        rest += f" [{plain(f'{record.distribution} {record.version}')}]"
    return plain(record.name), rest


def _stated(record: ComponentRecord) -> dict[str, Any]:
    """The parameters that do not have the default that they have in this dmlbench.

    Of a plugin's component, which need not be installed where its row is read, all.
    """
    if record.distribution != BUILT_IN or not record.params:
        return dict(record.params)
    stated = without_defaults(record.params, _defaults().get(record.name, {}))
    # As the entry has them: 10000.0 is not 10000 to whoever types it.
    return {name: record.params[name] for name in stated}


@functools.cache
def _defaults() -> dict[str, dict[str, Any]]:
    """The defaults of the built-in components, by name."""
    from dmlbench.plugins import builtins

    hooks = (
        builtins.dmlbench_losses,
        builtins.dmlbench_combiners,
        builtins.dmlbench_datasets,
        builtins.dmlbench_backbones,
    )
    return {spec.name: one_form(spec.defaults) for hook in hooks for spec in hook()}


def _submissions(entries: Iterable[Entry]) -> dict[str, list[str | None]]:
    """Entry id -> the submitter of each submission of that configuration."""
    submissions: dict[str, list[str | None]] = {}
    for entry in entries:
        submissions.setdefault(entry.entry_id, []).append(entry.submitter)
    return submissions
