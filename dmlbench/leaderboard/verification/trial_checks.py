"""What must hold of each trial of an entry, known from the entry alone.

A check yields a sentence per violation.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from pathlib import PurePosixPath

from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import EpochRecord, Trial, trial_folder_name
from dmlbench.plan.protocol import refits


def counts(entry: Entry) -> Iterator[str]:
    """The metrics are those of the protocol, over the queries that the dataset has."""
    asked = sorted(entry.protocol.rules["recall_at"])
    for trial in entry.completed:
        num_test = entry.data_of(trial).num_test_images
        metrics = trial.metrics
        ks = sorted(map(int, metrics.recall_at))
        if ks != asked:
            yield f"{trial.title} has Recall@K for K = {ks}; the protocol asks for {asked}"
        if metrics.num_queries + metrics.num_skipped != num_test:
            yield (
                f"{trial.title} scored {metrics.num_queries} queries and left "
                f"{metrics.num_skipped} out; there are {num_test} test images"
            )
        right = metrics.knn_accuracy * metrics.num_queries
        if abs(right - round(right)) > 1e-6 * max(1, metrics.num_queries):
            yield (
                f"the kNN accuracy of {trial.title}, {metrics.knn_accuracy}, is not a whole "
                f"number of {metrics.num_queries} queries"
            )


def history(entry: Entry) -> Iterator[str]:
    """A trial went through the recipe's epochs and, to refit, the chosen ones, with all losses."""
    epochs, num_losses = entry.recipe.get("epochs"), len(entry.losses)
    for trial in entry.completed:
        if not _runs_to(trial.history, epochs):
            yield (
                f"the history of {trial.title} does not run from epoch 1 to the recipe's "
                f"{plain(repr(epochs))}"
            )
        yield from _refit(entry, trial)
        for record in [*trial.history, *(trial.refit_history or ())]:
            widths = {len(record.losses), len(record.weights or record.losses)}
            if widths != {num_losses}:
                yield (
                    f"epoch {record.epoch} of {trial.title} records {max(widths)} losses or "
                    f"weights, and the entry has {num_losses}"
                )
                break


def _runs_to(history: Sequence[EpochRecord], epochs: object) -> bool:
    numbers = [record.epoch for record in history]
    return numbers == list(range(1, len(numbers) + 1)) and len(numbers) == epochs


def _refit(entry: Entry, trial: Trial) -> Iterator[str]:
    """A second training is there exactly where the protocol asks for one."""
    again, asked = trial.refit_history, refits(entry.protocol.rules)
    if asked != (again is not None) or asked != (trial.cost.refit_seconds is not None):
        yield (
            f"{trial.title} records {'no' if asked else 'a'} second training or its cost, and the "
            f"protocol asks for {'one' if asked else 'none'}"
        )
    elif again is not None and not _runs_to(again, trial.best_epoch):
        yield (
            f"the second training of {trial.title} does not run from epoch 1 to the chosen "
            f"{trial.best_epoch}"
        )
    elif again is not None and any(r.validation_map_at_r is not None for r in again):
        yield f"the second training of {trial.title} holds out no class that it could validate on"


def selection(entry: Entry) -> Iterator[str]:
    """The tested epoch is the first with the best validation MAP@R: no other may be picked."""
    for trial in entry.completed:
        course = [
            (record.validation_map_at_r, -record.epoch)
            for record in trial.history
            if record.validation_map_at_r is not None
        ]
        if not course:
            yield f"{trial.title} has no validation to choose its epoch by"
            continue
        best, epoch = max(course)
        if trial.best_epoch != -epoch or trial.validation_map_at_r != best:
            yield (
                f"{trial.title} tested epoch {trial.best_epoch} with a validation MAP@R of "
                f"{trial.validation_map_at_r}; its history has the best at epoch {-epoch}, {best}"
            )


def artefacts(entry: Entry) -> Iterator[str]:
    """The embeddings are filed under the entry, the code and the trial that they belong to."""
    from dmlbench.leaderboard.entries.code import entry_code

    code = entry_code(entry)[:12]
    for trial in entry.trials:
        if trial.embeddings is None:
            continue
        path = PurePosixPath(trial.embeddings.path)
        expected = PurePosixPath(
            ".trials",
            entry.entry_id,
            code,
            trial_folder_name(*trial.key),
            "embeddings.safetensors",
        )
        if path != expected:
            yield (
                f"the embeddings of {trial.title} are filed as {plain(str(path))}; an entry "
                f"{entry.entry_id} of this code files them as {expected}"
            )


def repeated(entry: Entry) -> Iterator[str]:
    """Two trials never give the same training and the same embeddings."""
    seen: dict[Hashable, Trial] = {}
    for trial in entry.completed:
        for what, mark in trial_marks(trial).items():
            first = seen.setdefault(mark, trial)
            if first.key != trial.key:
                both = f"{first.title} and {trial.title}"
                if first.split == trial.split == 0:
                    both = f"seeds {first.seed} and {trial.seed}"
                yield f"{both} have the same {what}: one is a copy"
                break


def trial_marks(trial: Trial) -> dict[str, Hashable]:
    """Parts of a trial that no other trial has, to compare."""
    marks: dict[str, Hashable] = {}
    if trial.embeddings is not None:
        marks["embeddings"] = trial.embeddings.sha256
    if trial.metrics is not None and trial.history:
        # With the seconds, which no two trainings take alike.
        course = tuple((record.objective, *record.losses) for record in trial.history)
        marks["training"] = course, trial.metrics.map_at_r, trial.cost.train_seconds
    return marks
