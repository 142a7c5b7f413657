"""Files of arrays: npy, npz and safetensors. Nothing is ever unpickled."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from dmlbench.errors import UsageError
from dmlbench.evaluate.embedding_file import LabelledEmbeddings, check_lengths, real_numbers
from dmlbench.evaluate.label_values import check_labels

_ARRAYS = ("embeddings", "labels", "gallery", "gallery_labels")


def from_npy(path: Path, label_column: str) -> LabelledEmbeddings:
    """Embeddings alone, as a memory map. Raises `UsageError`."""
    return LabelledEmbeddings(path, real_numbers(load_npy(path, "r"), path, "embeddings"), None)


def load_npy(path: Path, mmap_mode: Any = None) -> Any:
    """An array, or an archive of them, without unpickling. Raises `UsageError`."""
    try:
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is not a NumPy file that can be read: {error}.") from error


def from_npz(path: Path, label_column: str) -> LabelledEmbeddings:
    """An archive of arrays, by their names. Raises `UsageError`."""
    archive = load_npy(path)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise UsageError(f"{path} is an .npy file by its content. Rename it.")
    with archive:
        try:
            return _from_arrays(path, {name: archive[name] for name in archive.files})
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UsageError(f"{path} holds arrays that cannot be read: {error}.") from error


def from_safetensors(path: Path, label_column: str) -> LabelledEmbeddings:
    """Tensors, by their names. Raises `UsageError`."""
    from safetensors import SafetensorError

    try:
        from safetensors.numpy import load_file

        arrays: dict[str, Any] = load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise UsageError(f"{path} is not a safetensors file: {error}.") from error
    except (KeyError, TypeError, AttributeError):  # bfloat16, which NumPy lacks
        from safetensors.torch import load_file as load_tensors

        arrays = load_tensors(path)
    return _from_arrays(path, arrays)


def _from_arrays(path: Path, arrays: dict[str, Any]) -> LabelledEmbeddings:
    if "embeddings" not in arrays:
        raise UsageError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}; the embeddings must be named "
            f"embeddings, and their labels labels."
        )
    if ("gallery" in arrays) != ("gallery_labels" in arrays):
        raise UsageError(f"{path}: gallery and gallery_labels belong together; one is missing.")
    found = LabelledEmbeddings(
        path,
        real_numbers(arrays["embeddings"], path, "embeddings"),
        check_labels(arrays["labels"], f"{path}: labels") if "labels" in arrays else None,
        real_numbers(arrays["gallery"], path, "gallery") if "gallery" in arrays else None,
        check_labels(arrays["gallery_labels"], f"{path}: gallery_labels")
        if "gallery" in arrays
        else None,
        tuple(sorted(set(arrays) - set(_ARRAYS))),
    )
    check_lengths(found.labels, found.embeddings, f"{path}: labels", "embeddings")
    check_lengths(found.gallery_labels, found.gallery, f"{path}: gallery_labels", "gallery")
    return found
