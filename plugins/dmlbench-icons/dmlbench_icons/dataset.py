"""The dataset: one class per pictogram, one image per drawing of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from dmlbench.data.cache import CacheEntry
from dmlbench.data.images import DatasetError, ImageSet
from dmlbench.data.subset import ImageView
from dmlbench.data.training_phase import refuse_while_training
from dmlbench_icons.render import render
from dmlbench_icons.sets import SETS, read_all, require
from dmlbench_icons.split import halves

CLASSES = Path(__file__).parent / "classes.txt"

DRAWINGS_SHA256 = "2f49f57cb08203aa3bf2f61bd8d32acaedb6ad3456b9be55dfc661129ca76eeb"
"""What `drawings_sha256` gives for the packages that the dataset is made of."""

PIXELS_SHA256 = "c96ae612f14ac8e4d5d37ffdb8982bd0b430e2f54ae9514f5ad5814a9313a350"
"""The sha256 of ``Icons(image_size=64)``: of the two hex digests of training and test images."""

_RENDERER = ("resvg-py", "0.5.0")
_CHUNK = 256


class Icons:
    """Pictograms: what a set of icons calls by one name is a class, each drawing of it an image.

    Drawings are vector graphics of fifteen sets in packages of exact versions, drawn black on white
    at the size that is asked for, with one channel. They are in the cache after the first use;
    training and test images are in separate files, which are read only where images are asked for.

    image_size: pixels a side.
    Raises `DatasetError` where a package is missing, is of another version, or holds other
    drawings than the dataset is made of.
    """

    gallery = None

    def __init__(self, image_size: int = 64) -> None:
        refuse_while_training("icons")
        if type(image_size) is not int or not 8 <= image_size <= 1024:
            raise DatasetError(
                f"icons: image_size must be an integer from 8 to 1024, not {image_size!r}."
            )
        for distribution, version in sorted({(s.distribution, s.version) for s in SETS}) + [
            _RENDERER
        ]:
            require(distribution, version)
        classes = read_classes()
        sources = _Sources(classes)
        training, testing = halves(classes)
        digest = hashlib.sha256()
        self.train = _image_set(training, classes, sources, image_size, digest)
        self.test = _image_set(testing, classes, sources, image_size, digest)
        self.content_sha256 = DRAWINGS_SHA256
        self.report: tuple[str, ...] = ()
        if image_size == 64 and digest.hexdigest() != PIXELS_SHA256:
            self.report = (
                f"this machine draws other pixels than the recorded ones (sha256 "
                f"{digest.hexdigest()}), from the same drawings with the same renderer",
            )


def read_classes() -> dict[str, tuple[str, ...]]:
    """Return the drawings of each class, as "set/style/name", from ``classes.txt``."""
    rows = (line.partition(":") for line in CLASSES.read_text("utf-8").splitlines())
    return {name: tuple(ids.split()) for name, _, ids in rows if not name.startswith("#")}


def drawings_sha256(classes: Mapping[str, Sequence[str]], drawings: Mapping[str, str]) -> str:
    """Return the sha256 of the SVG texts of all classes' drawings, in order of their ids."""
    digest = hashlib.sha256()
    for drawing in sorted(drawing for owned in classes.values() for drawing in owned):
        content = hashlib.sha256(drawings[drawing].encode()).hexdigest()
        digest.update(f"{drawing}\0{content}\n".encode())
    return digest.hexdigest()


class _Sources:
    """The drawings, read from the packages only where the cache does not have the images."""

    def __init__(self, classes: Mapping[str, Sequence[str]]) -> None:
        self._classes = classes
        self._drawings: dict[str, str] | None = None

    def __getitem__(self, drawing: str) -> str:
        if self._drawings is None:
            found = read_all()
            missing = sorted({d for ds in self._classes.values() for d in ds} - set(found))
            if missing:
                raise DatasetError(
                    f"icons: {len(missing)} drawings are not in the installed packages: "
                    f"{', '.join(missing[:5])}. Install the packages again."
                )
            if drawings_sha256(self._classes, found) != DRAWINGS_SHA256:
                raise DatasetError(
                    "icons: the installed packages hold other drawings than the dataset is made "
                    "of, under the same versions. Results on them could not be compared. Install "
                    "the packages again."
                )
            self._drawings = found
        return self._drawings[drawing]


def _image_set(
    names: Sequence[str],
    classes: Mapping[str, Sequence[str]],
    sources: _Sources,
    size: int,
    digest: hashlib._Hash,
) -> ImageSet:
    ids = tuple(drawing for name in names for drawing in classes[name])
    labels = np.repeat(np.arange(len(names)), [len(classes[name]) for name in names])
    made_from = {"drawings": DRAWINGS_SHA256, "renderer": _RENDERER, "ids": ids, "image_size": size}
    entry = CacheEntry.of("icons", made_from)
    found = entry.read()
    if found is None:
        pixels = hashlib.sha256()
        found = entry.make(
            (len(ids), 1, size, size),
            lambda: _draw(ids, sources, size, pixels),
            notes=lambda: {"pixels_sha256": pixels.hexdigest()},
        )
    images, notes = found
    digest.update(notes["pixels_sha256"].encode())
    # As a view, so the fingerprint takes the drawings, not the pixels, also without a cache.
    view = ImageView(images, np.arange(len(ids)))
    return ImageSet(view, labels.astype(np.int64), tuple(names), ids)


def _draw(
    ids: Sequence[str], sources: _Sources, size: int, pixels: hashlib._Hash
) -> Iterator[np.ndarray]:
    for start in range(0, len(ids), _CHUNK):
        chunk = np.stack([render(sources[d], size)[None] for d in ids[start : start + _CHUNK]])
        pixels.update(chunk.tobytes())
        yield chunk
