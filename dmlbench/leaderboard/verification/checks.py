"""What must hold of one entry beyond its schema, known from the entry alone.

What must hold of each of its trials is in `trial_checks`.

Each check has a name, so what is refused can be looked up in docs/submitting.md.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.dataset_metadata import DatasetMetadata
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import keys_text, trial_title
from dmlbench.leaderboard.verification import trial_checks
from dmlbench.leaderboard.verification.fingerprints import known_dataset
from dmlbench.plan.config import canonical_json
from dmlbench.plan.identity import same
from dmlbench.plan.protocol import PROTOCOLS, dim_budget_of, protocol_from_json
from dmlbench.plan.trial_keys import missing_trials


class Failure(NamedTuple):
    """A check that an entry fails, and what exactly does not hold."""

    check: str
    message: str


def check_entry(entry: Entry) -> list[Failure]:
    """Everything that does not hold of an entry. Fast: no file is read, nothing is computed."""
    return [failure for name in _CHECKS for failure in _failures_of(name, entry)]


def _failures_of(name: str, entry: Entry) -> list[Failure]:
    """One check. Parts of an entry are free JSON: what a check stumbles over is refused."""
    try:
        return [Failure(name, message) for message in _CHECKS[name](entry)]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return [Failure(name, f"cannot be checked, a value is of no kind known: {error}")]


def _protocol(entry: Entry) -> Iterator[str]:
    """The rules are those that this dmlbench knows under the protocol's name."""
    yield from _rule_faults(entry.protocol.name, canonical_json(entry.protocol.rules))


@functools.lru_cache(maxsize=16)
def _rule_faults(name: str, rules_json: str) -> tuple[str, ...]:
    """As `_protocol`; kept, for entries share few protocols."""
    rules = json.loads(rules_json)
    if name not in PROTOCOLS or rules.get("name") != name:
        known = ", ".join(PROTOCOLS)
        return (f"the protocol {plain(name)!r} is not known here; known: {known}",)
    ks = rules.get("recall_at")
    if not isinstance(ks, list) or not all(type(k) is int and 0 < k < 10**7 for k in ks):
        return (f"the rule 'recall_at' is not a list of numbers: {plain(repr(ks))}",)
    try:
        expected = protocol_from_json(rules).to_json()
    except (KeyError, TypeError, UsageError) as error:
        return (f"the rules are not those of {name}: {plain(str(error))}",)
    pairs = {k: (expected.get(k), rules.get(k)) for k in sorted(expected.keys() | rules.keys())}
    return tuple(
        f"the rule {plain(key)!r} is {plain(repr(theirs))}; in {name} it is {ours!r}"
        for key, (ours, theirs) in pairs.items()
        if canonical_json(ours) != canonical_json(theirs)
    )


def _budget(entry: Entry) -> Iterator[str]:
    """Under the budget "total" no embedding has more dimensions than the recipe allows."""
    budget = entry.recipe.get("embedding_dim")
    total = dim_budget_of(entry.protocol.rules) == "total"
    if total and isinstance(budget, int) and entry.embedding_dim > budget:
        yield (
            f"the evaluated embedding has {entry.embedding_dim} dimensions; the recipe "
            f"allows {budget}"
        )


def _seeds(entry: Entry) -> Iterator[str]:
    """Every class split has the seeds 0 to n − 1, and no random split before the last is left out.

    Which seeds and which random splits an entry has is thus nobody's choice. Split 0 is the
    dataset's own, beside which there need be no random ones, nor the reverse.
    """
    keys = [trial.key for trial in entry.trials]
    if not keys:
        yield "there is no trial"
        return
    splits = {split for split, _ in keys}
    last = max(seed for _, seed in keys)
    left_out = [split for split in range(1, max(splits)) if split not in splits]
    # Of a forged entry there may be very many: no more are looked for than are told.
    missing = list(itertools.islice(missing_trials(keys), _TOLD + 1))
    if left_out:
        yield (
            f"of the class splits 1 to {max(splits)}, {_missing(left_out)}: random splits are "
            f"1 to n, so none can be picked"
        )
    elif missing and splits == {0}:
        yield (
            f"of the seeds 0 to {last}, {_missing([seed for _, seed in missing])}: the seeds of "
            f"an entry are 0 to n - 1, so none can be picked"
        )
    elif missing:
        yield (
            f"{_missing([trial_title(*key) for key in missing])}: every class split of an entry "
            f"has the same seeds, 0 to n - 1, so none can be picked"
        )
    elif keys != sorted(keys):
        yield f"the trials are not in the order of their splits and seeds: {keys_text(keys)}"


# Of missing trials.
_TOLD = 8


def _missing(what: Sequence[object]) -> str:
    """``3 is missing``, or the first eight of several."""
    few = ", ".join(map(str, what[:_TOLD])) + (", ..." if len(what) > _TOLD else "")
    return f"{few} {'are' if len(what) > 1 else 'is'} missing"


def _splits(entry: Entry) -> Iterator[str]:
    """Random splits divide all classes and images of the dataset, each in one way."""
    own = entry.dataset
    classes = own.num_train_classes + own.num_test_classes
    images = own.num_train_images + own.num_test_images
    seen: dict[int, DatasetMetadata] = {}
    for trial in entry.trials:
        if trial.split == 0:
            continue
        data = trial.data
        if data is None:
            yield f"{trial.title} does not say what its class split holds"
            continue
        if seen.setdefault(trial.split, data) != data:
            yield f"the trials of split {trial.split} say different things of what it holds"
        # Classes of one image are left out of training.
        lost = classes - data.num_train_classes - data.num_test_classes
        if data.num_test_classes != classes // 2 or lost < 0 or own.num_gallery_images:
            yield (
                f"split {trial.split} tests on {data.num_test_classes} classes and trains on "
                f"{data.num_train_classes}; it should divide the dataset's {classes} in halves"
            )
        elif data.num_train_images + data.num_test_images + lost != images:
            yield (
                f"split {trial.split} has {data.num_train_images} training and "
                f"{data.num_test_images} test images; the dataset has {images} in all"
            )


def _tuning(entry: Entry) -> Iterator[str]:
    """The values of a row that was tuned as a whole are the best that its record tried."""
    optimizer = entry.recipe.get("optimizer", {})
    values = {f"recipe.optimizer.{key}": value for key, value in optimizer.items()}
    values |= {
        f"losses[{i}].{key}": value
        for i, loss in enumerate(entry.losses)
        for key, value in loss.params.items()
    }
    if entry.combiner is not None:
        values |= {f"combiner.{key}": value for key, value in entry.combiner.params.items()}
    for record in entry.tuning:
        if record.kind != "row":
            continue
        if record.best is None:
            yield "a tuning record has no tuning trial with a score, so it chose nothing"
            continue
        for key in sorted(record.space):
            chosen = record.best.params.get(key)
            if not same(values.get(key), chosen):
                yield (
                    f"{plain(key)} is {plain(repr(values.get(key)))}; the best tuning trial has "
                    f"{plain(repr(chosen))}"
                )


def _fingerprint(entry: Entry) -> Iterator[str]:
    """A dataset that is known has the sizes, and maybe the fingerprint, that it is known by."""
    for name, value in known_dataset(entry).items():
        if getattr(entry.dataset, name) != value:
            yield (
                f"the dataset's {name} is {getattr(entry.dataset, name)}; "
                f"{entry.dataset.distribution}:{entry.dataset.name} with these parameters has "
                f"{value}"
            )


_CHECKS: dict[str, Callable[[Entry], Iterator[str]]] = {
    "protocol": _protocol,
    "fingerprint": _fingerprint,
    "budget": _budget,
    "seeds": _seeds,
    "splits": _splits,
    "counts": trial_checks.counts,
    "history": trial_checks.history,
    "selection": trial_checks.selection,
    "artefacts": trial_checks.artefacts,
    "copies": trial_checks.repeated,
    "tuning": _tuning,
}
