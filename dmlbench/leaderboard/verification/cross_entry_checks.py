"""What must hold between the entries of one leaderboard, whoever made them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import Trial
from dmlbench.leaderboard.verification.checks import Failure
from dmlbench.leaderboard.verification.fingerprints import dataset_key
from dmlbench.leaderboard.verification.trial_checks import trial_marks


class Clash(NamedTuple):
    """Something that does not hold between entries: positions of those it is about.

    failure: None for what is only worth knowing, said in `note`.
    """

    entries: tuple[int, ...]
    failure: Failure | None
    note: str = ""


def clashes(entries: Sequence[Entry], names: Sequence[str]) -> Iterator[Clash]:
    """Compare the entries of one leaderboard; names: what to call each in messages."""
    yield from fingerprint_clashes(entries, names)
    yield from copies(entries, names)


def label_clashes(
    hashes: Mapping[int, Mapping[int, str]], entries: Sequence[Entry], names: Sequence[str]
) -> Iterator[Clash]:
    """Entries whose stored test labels differ although their datasets are said to be the same.

    hashes: position of an entry -> class split -> hash of the labels beside the embeddings.
    """
    by_data: dict[tuple[str, int], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, of_splits in hashes.items():
        for split, labels in of_splits.items():
            by_data[entries[i].dataset.fingerprint, split][labels].append(i)
    for found in by_data.values():
        if len(found) > 1:
            sides = " against ".join(_listed([names[i] for i in side]) for side in found.values())
            message = f"the test labels are not those of other entries on the same dataset: {sides}"
            everyone = tuple(i for side in found.values() for i in side)
            yield Clash(everyone, Failure("labels", message))


def fingerprint_clashes(entries: Sequence[Entry], names: Sequence[str]) -> Iterator[Clash]:
    """The same dataset with the same parameters has one fingerprint."""
    by_dataset: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, entry in enumerate(entries):
        by_dataset[dataset_key(entry)][entry.dataset.fingerprint].append(i)
    for found in by_dataset.values():
        if len(found) > 1:
            sides = "; ".join(
                f"{fingerprint[:12]} of {_listed([names[i] for i in side])}"
                for fingerprint, side in found.items()
            )
            message = f"entries of one dataset have different fingerprints: {sides}"
            everyone = tuple(i for side in found.values() for i in side)
            yield Clash(everyone, Failure("fingerprint", message))


def copies(entries: Sequence[Entry], names: Sequence[str]) -> Iterator[Clash]:
    """No trial is listed twice, under whatever entry or seed."""
    seen: dict[Hashable, tuple[int, Trial]] = {}
    for i, entry in enumerate(entries):
        for trial in entry.completed:
            for what, mark in trial_marks(trial).items():
                j, other = seen.setdefault((what, mark), (i, trial))
                if i == j:
                    continue
                clash = _copy(what, (j, other), (i, trial), entries, names)
                if clash is not None:
                    yield clash
                    break


def _copy(
    what: str,
    first: tuple[int, Trial],
    second: tuple[int, Trial],
    entries: Sequence[Entry],
    names: Sequence[str],
) -> Clash | None:
    (j, other), (i, trial) = first, second
    both = f"{other.title} of {names[j]} and {trial.title} of {names[i]} have the same {what}"
    same_row = entries[i].entry_id == entries[j].entry_id and trial.key == other.key
    if same_row and entries[i].submitter == entries[j].submitter:
        return None
    if what == "embeddings" and _course(trial) == _course(other) and trial.key == other.key:
        if trial.cost.train_seconds != other.cost.train_seconds:
            # Trained twice to the same end: a reproduction, or two names for one thing.
            note = "" if same_row else f"{both} and the same course: the two do the same"
            return Clash((j, i), None, note)
    return Clash((j, i), Failure("copies", f"{both}: one is a copy"))


def _course(trial: Trial) -> list[tuple[float, ...]]:
    return [(record.objective, *record.losses) for record in trial.history]


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return plain(", ".join(names[:most]) + more, 400)
