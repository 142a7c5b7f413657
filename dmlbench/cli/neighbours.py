"""The options of `dmlbench evaluate` that show queries with their nearest images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from dmlbench.errors import UsageError
from dmlbench.evaluate.embedding_file import LabelledEmbeddings
from dmlbench.evaluate.scored import searched


def neighbours_writer(
    file: Path | None,
    images: Path | None,
    gallery_images: Path | None,
    queries: LabelledEmbeddings,
    gallery: LabelledEmbeddings | None,
    similarity: str,
) -> Callable[[], None] | None:
    """What writes the page; None where none is asked for.

    Raises `UsageError`, before anything is computed, for options and lists that do not fit.
    """
    if file is None and images is None and gallery_images is None:
        return None
    if file is None or images is None:
        raise UsageError("--neighbours FILE.html and --images belong together; one is missing.")
    if file.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--neighbours {file} must end in .html.")
    rows, _ = searched(queries, gallery)
    if (rows is None) != (gallery_images is None):
        raise UsageError(
            "--gallery-images needs a gallery."
            if rows is None
            else "A gallery is searched; give its images with --gallery-images."
        )
    from dmlbench.files import require_writable
    from dmlbench.leaderboard.site.neighbours_page import read_image_list, write_neighbours

    require_writable(file.parent, "Give another file with --neighbours.")
    shown = read_image_list(images, len(queries.embeddings))
    found = (
        read_image_list(gallery_images, len(rows))
        if gallery_images is not None and rows is not None
        else []
    )
    return partial(write_neighbours, file, queries, shown, gallery, found, similarity)
