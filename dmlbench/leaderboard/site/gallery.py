"""The gallery of an entry: queries of one trial with their nearest neighbours, as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmlbench.files import file_sha256, resolved
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import Artefact
from dmlbench.leaderboard.site.neighbours import Query, sample_queries
from dmlbench.leaderboard.site.pictures import LeftOut, Pictures
from dmlbench.plan.protocol import similarity_of


@dataclass(frozen=True)
class Picture:
    """An image of the gallery: its file in the site and its class; `right` of a neighbour."""

    file: str
    name: str
    right: bool | None
    similarity: float | None = None


@dataclass(frozen=True)
class Gallery:
    """Queries answered right and wrong, each a picture and those of its neighbours."""

    seed: str
    looked_at: int
    right: tuple[tuple[Picture, tuple[Picture, ...]], ...]
    wrong: tuple[tuple[Picture, tuple[Picture, ...]], ...]


def gallery(entry: Entry, roots: list[Path], pictures: Pictures) -> Gallery:
    """Find neighbours in the stored test embeddings of the first seed that has them.

    roots: folders that the paths of embeddings may be relative to.
    Raises `LeftOut`, saying why, where the embeddings or the images are not there.
    """
    seed, tensors = _embeddings(entry, roots)
    dataset = pictures.dataset(entry)
    searched = dataset.gallery if dataset.gallery is not None else dataset.test
    _check_labels(tensors, dataset)
    try:
        right, wrong, looked_at = sample_queries(
            tensors["embeddings"],
            dataset.test.labels,
            tensors.get("gallery"),
            dataset.gallery.labels if dataset.gallery is not None else None,
            metric=similarity_of(entry.protocol.rules),
        )
    except ValueError as error:
        raise LeftOut(f"The stored test embeddings cannot be searched: {error}") from error
    split = "test" if dataset.gallery is None else "gallery"

    def row(query: Query) -> tuple[Picture, tuple[Picture, ...]]:
        names = dataset.test.class_names
        shown = Picture(
            pictures.save(entry, "test", dataset.test, query.index), plain(names[query.label]), None
        )
        found = tuple(
            Picture(
                pictures.save(entry, split, searched, item.index),
                plain(searched.class_names[item.label]),
                item.right,
                item.similarity,
            )
            for item in query.neighbours
        )
        return shown, found

    return Gallery(seed, looked_at, tuple(map(row, right)), tuple(map(row, wrong)))


def _embeddings(entry: Entry, roots: list[Path]) -> tuple[str, Mapping[str, np.ndarray]]:
    """The tensors that the first seed with stored embeddings left. Raises `LeftOut`."""
    trials = sorted(entry.completed, key=lambda trial: trial.key)
    # The pictures are those of the dataset's own test classes.
    named = [trial for trial in trials if trial.embeddings is not None and trial.split == 0]
    if not named:
        raise LeftOut("The entry names no stored test embeddings of the dataset's own split.")
    changed = False
    for trial in named:
        for path in _files(trial.embeddings, roots):
            if file_sha256(path) == trial.embeddings.sha256:
                return trial.number, _read(path)
            changed = True
    if changed:
        raise LeftOut("The test embeddings found beside the leaderboard are not the entry's own.")
    raise LeftOut("The test embeddings that the entry names were not there when this was made.")


def _files(artefact: Artefact, roots: list[Path]) -> list[Path]:
    """Where an artefact is, of the size it is said to have and nowhere outside the roots."""
    if not artefact.path.isprintable():
        return []
    found = []
    for root in roots:
        path = resolved(root / artefact.path)
        inside = path.is_relative_to(resolved(root))
        if inside and path.is_file() and path.stat().st_size == artefact.num_bytes:
            found.append(path)
    return found


def _read(path: Path) -> Mapping[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise LeftOut(f"The stored test embeddings cannot be read: {error}") from error
    return tensors


def _check_labels(tensors: Mapping[str, Any], dataset: Any) -> None:
    """Embeddings and images must be in one order, or pictures would stand for others."""
    wanted = {"labels": ("embeddings", dataset.test)}
    if dataset.gallery is not None:
        wanted["gallery_labels"] = ("gallery", dataset.gallery)
    for name, (embeddings, images) in wanted.items():
        labels, rows = tensors.get(name), tensors.get(embeddings)
        if labels is None or not np.array_equal(labels, images.labels):
            raise LeftOut("The stored labels are not in the order of the dataset's images.")
        if rows is None or rows.ndim != 2 or len(rows) != len(labels):
            raise LeftOut("The stored test embeddings are not one row per image.")
