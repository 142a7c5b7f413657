"""One HTML file of queries with their nearest neighbours, of embeddings from anywhere.

Legend: N images.
"""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmlbench.data.decode import EXTENSIONS, decode_file
from dmlbench.errors import UsageError
from dmlbench.evaluate.embedding_file import LabelledEmbeddings
from dmlbench.evaluate.label_values import numbered
from dmlbench.evaluate.scored import searched
from dmlbench.files import write_text
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.site.neighbours import Query, sample_queries

# The shorter side of a picture in pixels.
_SIDE = 128


@dataclass(frozen=True)
class Shown:
    """A picture: its data URL, label and file; of a neighbour, whether it is right, and how near.

    number: the cosine or the distance.
    """

    source: str
    label: str
    file: str
    right: bool = False
    number: float = 0.0


def read_image_list(path: Path, count: int) -> list[Path]:
    """The images of embeddings, one per embedding in their order.

    path: a folder, whose images are taken by their sorted paths, as `dmlbench embed` does; a
        ``.csv`` with a column ``path``; or a ``.txt`` with a path per line. Relative paths begin at
        the list's folder.
    count: of embeddings. Raises `UsageError` that names the list for another number of images.
    """
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS]
        found = [f for f in found if not any(p[0] == "." for p in f.relative_to(path).parts)]
        images = sorted(found, key=lambda file: file.relative_to(path).as_posix())
    elif path.suffix.lower() in (".csv", ".txt"):
        images = [path.parent / name for name in _names(path)]
    else:
        raise UsageError(f"{path} is not a list of images: a folder, a .csv or a .txt.")
    if len(images) != count:
        raise UsageError(
            f"{path} has {len(images):,} images for {count:,} embeddings. One per embedding is "
            f"needed, in the same order: a .txt with a path per line, or a .csv with a column path."
        )
    return images


def write_neighbours(
    file: Path,
    queries: LabelledEmbeddings,
    images: Sequence[Path],
    gallery: LabelledEmbeddings | None = None,
    gallery_images: Sequence[Path] = (),
    similarity: str = "cosine",
) -> None:
    """Write the page: up to five queries whose nearest image is right, and five where it is wrong.

    file: written whole, pictures included. images: one per query. gallery: as in
    `dmlbench.evaluate.score_labelled`. gallery_images: one per item of a gallery; none without one.
    Raises `UsageError` for a picture that cannot be read, and what cannot be searched.
    """
    rows, labels = searched(queries, gallery)
    if queries.labels is None:
        raise UsageError(f"{queries.path} has no labels.")
    classes = numbered(queries.labels, *([] if labels is None else [labels]))
    of_items = classes[1] if labels is not None else None
    try:
        right, wrong, looked_at = sample_queries(
            queries.embeddings, classes[0], rows, of_items, metric=similarity
        )
    except ValueError as error:
        raise UsageError(f"{queries.path}: {error}") from error
    found_images = images if rows is None else gallery_images
    found_labels = queries.labels if labels is None else labels
    by_distance = similarity == "euclidean"

    def row(query: Query) -> tuple[Shown, list[Shown]]:
        return _shown(images, queries.labels, query.index), [
            _shown(found_images, found_labels, n.index, n.right, abs(n.similarity)
                   if by_distance else n.similarity)
            for n in query.neighbours
        ]  # fmt: skip

    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dmlbench.leaderboard.site"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    text = environment.get_template("neighbours.html").render(
        name=plain(queries.path.name),
        looked_at=looked_at,
        by_distance=by_distance,
        right=[row(query) for query in right],
        wrong=[row(query) for query in wrong],
    )
    write_text(file, text)


def _names(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    if path.suffix.lower() == ".txt":
        return [line for line in text.splitlines() if line.strip()]
    rows = list(csv.DictReader(io.StringIO(text)))
    if any(not row.get("path") for row in rows) or not rows:
        raise UsageError(f"{path} needs a column path, filled in every row.")
    return [row["path"] for row in rows]


def _shown(
    images: Sequence[Path],
    labels: np.ndarray,
    index: int,
    right: bool = False,
    number: float = 0.0,
) -> Shown:
    from PIL import Image

    path = images[index]
    if not path.is_file():
        raise UsageError(f"There is no image {path}, of row {index} (from 0).")
    pixels, failure = decode_file(path, _SIDE, True)
    if failure:
        raise UsageError(f"The image {path} cannot be decoded: {failure}.")
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1))).save(out, "JPEG", quality=85)
    source = f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"
    return Shown(source, plain(str(labels[index])), plain(path.name), right, number)
