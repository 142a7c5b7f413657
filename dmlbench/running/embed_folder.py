"""A folder of images to embeddings, and the files that hold them.

Legend: N images, D embedding dimension.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dmlbench.data.decode import EXTENSIONS, decode_file
from dmlbench.errors import UsageError
from dmlbench.files import write_atomically
from dmlbench.training.network import EmbeddingNetwork

FORMATS = (".safetensors", ".npy")
_BATCH = 64


@dataclass(frozen=True)
class EmbeddedFolder:
    """The images of a folder, by their paths in it, in order.

    files: with forward slashes, relative to the folder. embeddings: (N, D) float32.
    labels, class_names: (N,) int64 and what they mean, the first directory of each path; None where
        an image is in no directory.
    failures: why a file was left out, by its path.
    """

    files: tuple[str, ...]
    embeddings: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    failures: Mapping[str, str]


def image_files(folder: Path) -> list[Path]:
    """The image files below a folder, sorted by path. Hidden names are passed over.

    Links to directories are not followed. Raises `UsageError` where there is no image.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of images.")
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        shown = (Path(place, name) for name in names if not name.startswith("."))
        found += [path for path in shown if path.suffix.lower() in EXTENSIONS]
    if not found:
        raise UsageError(f"{folder} holds no image. Images end in {', '.join(sorted(EXTENSIONS))}.")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


@torch.no_grad()
def embed_folder(
    network: EmbeddingNetwork,
    folder: Path,
    device: torch.device,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> EmbeddedFolder:
    """Embed every image below a folder; a file that cannot be decoded is left out and named.

    network: on `device`. told: called with the number of images done and their total.
    Raises `UsageError` where no image can be embedded.
    """
    paths = image_files(folder)
    files, blocks, failures = [], [], {}
    done = 0
    for batch in _decoded(network, paths):
        names = [path.relative_to(folder).as_posix() for path, _ in batch]
        good = [image for _, image in batch if isinstance(image, torch.Tensor)]
        for name, (_, image) in zip(names, batch, strict=True):
            if isinstance(image, torch.Tensor):
                files.append(name)
            else:
                failures[name] = image
        if good:
            blocks.append(network(torch.stack(good).to(device)).cpu().numpy())
        done += len(batch)
        told(done, len(paths))
    if not files:
        name, reason = next(iter(failures.items()))
        raise UsageError(f"No image of {folder} can be decoded; the first is {name}: {reason}.")
    classes = [name.partition("/")[0] if "/" in name else "" for name in files]
    class_names = sorted(set(classes)) if all(classes) else []
    labels = np.array([class_names.index(one) for one in classes]) if class_names else None
    return EmbeddedFolder(
        tuple(files), np.concatenate(blocks), labels, tuple(class_names), failures
    )


def _decoded(
    network: EmbeddingNetwork, paths: list[Path]
) -> Iterator[list[tuple[Path, torch.Tensor | str]]]:
    """Batches of files with what the network takes of each, or why there is none."""
    transform = network.transform

    def decode(path: Path) -> torch.Tensor | str:
        pixels, failure = decode_file(path, transform.resize, transform.whole)
        return failure or transform.batch(torch.from_numpy(pixels.copy())[None])[0]

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(paths), _BATCH):
            part = paths[start : start + _BATCH]
            yield list(zip(part, pool.map(decode, part), strict=True))


def write_embedded(found: EmbeddedFolder, out: Path, about: Mapping[str, str]) -> list[Path]:
    """Write embeddings; gives the files that were written.

    out: ``.safetensors`` holds ``embeddings``, ``labels`` where there are classes, and as metadata
        the JSON lists ``files`` and ``class_names`` beside `about`. Beside ``.npy`` goes a table
        of the same name that ends in ``.csv``, with the columns ``path`` and ``label``.
    """
    if out.suffix == ".npy":
        table = out.with_suffix(".csv")
        write_atomically(table, lambda file: file.write(_table(found)))
        write_atomically(out, lambda file: np.save(file, found.embeddings))
        return [out, table]
    from safetensors.numpy import save

    tensors = {"embeddings": found.embeddings}
    if found.labels is not None:
        tensors["labels"] = found.labels
    lists = {"files": json.dumps(found.files), "class_names": json.dumps(found.class_names)}
    content = save(tensors, {**about, **lists})
    write_atomically(out, lambda file: file.write(content))
    return [out]


def _table(found: EmbeddedFolder) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if found.labels is None:
        writer.writerows([["path"], *([name] for name in found.files)])
    else:
        names = (found.class_names[label] for label in found.labels)
        writer.writerows([["path", "label"], *zip(found.files, names, strict=True)])
    return text.getvalue().encode("utf-8", "surrogateescape")
