"""Embeddings with labels from files of other tools: safetensors, npy, npz, parquet and CSV.

Nothing is ever unpickled. Legend: N items, D dimension.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dmlbench.errors import UsageError
from dmlbench.evaluate.embedding_arrays import from_npy, from_npz, from_safetensors, load_npy
from dmlbench.evaluate.embedding_file import LabelledEmbeddings, check_lengths, real_numbers
from dmlbench.evaluate.embedding_tables import (
    columns_of,
    dimensions,
    no_column,
    numbered_column,
    read_table,
    stacked,
)
from dmlbench.evaluate.label_values import check_labels

LABEL_COLUMN = "label"


def read_labelled(
    path: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None = None,
    *,
    label_column: str = LABEL_COLUMN,
) -> LabelledEmbeddings:
    """Read embeddings and their labels.

    path: ``.safetensors`` or ``.npz`` with the arrays ``embeddings`` and ``labels``, and perhaps
        ``gallery`` and ``gallery_labels``; ``.npy`` with embeddings alone, which stays a memory
        map; ``.csv`` or ``.parquet`` with a column of labels and either one column per dimension,
        named by a common prefix and its number (``0, 1, ...`` or ``e0, e1, ...``), or, in parquet,
        one column ``embedding`` of lists.
    labels: a file of labels instead of those in `path`: ``.npy``, ``.csv`` or ``.parquet``.
    label_column: of tables.
    Raises `UsageError` that names the file: for one that cannot be read, for labels that are
    missing, twice there, or of another number, for what is not a number, and for NaN and infinity.
    """
    path = Path(path)
    found = _reader(path, _READERS)(path, label_column)
    if labels is not None:
        if found.labels is not None:
            raise UsageError(f"{path} has labels, and {labels} gives others; give one of them.")
        found = replace(found, labels=read_labels(labels, label_column=label_column))
        check_lengths(found.labels, found.embeddings, str(labels), str(path))
    if found.labels is None:
        raise UsageError(f"{path} has no labels. {_how_to_label(path, label_column)}")
    return found


def read_labels(path: str | os.PathLike[str], *, label_column: str = LABEL_COLUMN) -> np.ndarray:
    """The labels (N,), int64 or text, of an ``.npy`` file or of a column of a table.

    Raises `UsageError` that names the file.
    """
    path = Path(path)
    if _reader(path, _LABEL_READERS) is from_npy:
        return check_labels(load_npy(path), str(path))
    table = read_table(path, label_column)
    if label_column not in table:
        raise UsageError(no_column(path, table, label_column))
    return check_labels(table[label_column].to_numpy(), f"{path}: the column {label_column}")


def _reader(path: Path, readers: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    if not path.is_file():
        raise UsageError(f"{path} is not a file." if path.exists() else f"There is no file {path}.")
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"{path}: files that end in {path.suffix or 'nothing'} cannot be read here. "
            f"Files end in {', '.join(readers)}."
        )
    return reader


def _how_to_label(path: Path, label_column: str) -> str:
    if path.suffix.lower() == ".npy":
        return "Give them with --labels FILE (.npy, .csv or .parquet)."
    return (
        f"Put them into the array labels, or give them with --labels FILE (.npy, or the column "
        f"{label_column} of a .csv or .parquet)."
    )


def _from_table(path: Path, label_column: str) -> LabelledEmbeddings:
    table = read_table(path, label_column)
    table.columns = [str(name) for name in table.columns]
    if not len(table):
        raise UsageError(f"{path} has no row.")
    if label_column in table:
        labels = check_labels(table[label_column].to_numpy(), f"{path}: the column {label_column}")
    elif path.suffix.lower() == ".csv" and not any(map(numbered_column, table.columns)):
        # Also a file without a header, whose first row is then taken for one.
        raise UsageError(no_column(path, table, label_column))
    else:
        labels = None
    columns = [name for name in table.columns if name != label_column]
    if "embedding" in columns:
        used = ["embedding"]
        rows = stacked(table["embedding"], path)
    else:
        used = dimensions(columns, path)
        rows = columns_of(table, used, path)
    ignored = tuple(name for name in columns if name not in used)
    return LabelledEmbeddings(path, real_numbers(rows, path, "embeddings"), labels, ignored=ignored)


_READERS: dict[str, Callable[[Path, str], LabelledEmbeddings]] = {
    ".safetensors": from_safetensors,
    ".npz": from_npz,
    ".npy": from_npy,
    ".csv": _from_table,
    ".parquet": _from_table,
}
_LABEL_READERS: dict[str, Callable[[Path, str], LabelledEmbeddings]] = {
    suffix: _READERS[suffix] for suffix in (".npy", ".csv", ".parquet")
}
