"""Small pictures of a dataset's images, as files that all entries on the dataset share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmlbench.data.images import ImageSet, fingerprint
from dmlbench.errors import DmlbenchError
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.plugins.components import create_dataset

if TYPE_CHECKING:
    from dmlbench.plugins.registry import Registry

# The longest side of a picture in pixels.
_SIDE = 128
# Above this side JPEG is much smaller, and a loss is not seen.
_LOSSLESS_SIDE = 64


class LeftOut(Exception):
    """Why a gallery is not shown, in a sentence for its readers."""


class Pictures:
    """Datasets built again, each once, and pictures of their images written into a site."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.folder = folder
        self.registry = registry
        self.written: set[str] = set()
        self._datasets: dict[str, Any] = {}

    def dataset(self, entry: Entry) -> Any:
        """The entry's dataset, the very one it was made on. Raises `LeftOut`."""
        record = entry.dataset
        size = _stored_size(entry)
        key = json.dumps([record.distribution, record.name, record.params, size])
        if key not in self._datasets:
            name = f"{record.distribution}:{record.name}"
            try:
                built = create_dataset(self.registry, name, record.params, size)
                self._datasets[key] = built, fingerprint(built)
            except (DmlbenchError, OSError) as error:
                self._datasets[key] = None, plain(str(error), 300)
        built, told = self._datasets[key]
        if built is None:
            raise LeftOut(f"The dataset could not be built where this site was made: {told}")
        if told != record.fingerprint:
            raise LeftOut(
                "The dataset found where this site was made is not the one that the entry names: "
                f"its fingerprint is {told[:12]}, the entry's {record.fingerprint[:12]}."
            )
        return built

    def save(self, entry: Entry, split: str, images: ImageSet, index: int) -> str:
        """Write one picture, once, and give its path in the site."""
        stem = f"images/{entry.dataset.fingerprint[:12]}-{_stored_size(entry)}/{split}-{index}"
        pixels = np.asarray(images.images[np.array([index])])[0]  # (C, H, W)
        small = max(pixels.shape[1:]) <= _LOSSLESS_SIDE
        name = f"{stem}.{'png' if small else 'jpg'}"
        if name not in self.written:
            _write(pixels, self.folder / name)
            self.written.add(name)
        return name


def _write(pixels: np.ndarray, path: Path) -> None:
    from PIL import Image

    shown = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)
    image = Image.fromarray(np.ascontiguousarray(shown))
    image.thumbnail((_SIDE, _SIDE))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **({"quality": 85} if path.suffix == ".jpg" else {"optimize": True}))


def _stored_size(entry: Entry) -> int | None:
    """At what size the recipe stores images; None where the entry does not say."""
    table = entry.recipe.get("input")
    size = table.get("resize") if isinstance(table, dict) else None
    return size if isinstance(size, int) and 0 < size <= 4096 else None
