"""Images from which no way leads to others: kept where they are so, else copied.

Arrays of a dataset are often parts of one array: whoever holds the training images then holds the
test images as well. Such arrays are copied, into memory or, large ones, into the cache.
Legend: N images, C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from dmlbench.data.cache import CacheEntry
from dmlbench.data.images import ImageSet
from dmlbench.data.subset import ImageView
from dmlbench.data.whole import WholeImages

_MEMORY_BYTES = 1 << 30  # larger copies go into the cache
_CHUNK = 256


def apart_from(images: ImageSet, others: Sequence[ImageSet], fingerprint: str) -> Any:
    """The images of a set (N, C, H, W), as an array-like that leads to none of the `others`.

    fingerprint: of their dataset, which a copy in the cache goes by.
    """
    if _apart(images.images, [other.images for other in others]):
        return images.images
    return _copied(images, fingerprint)


def _apart(images: Any, others: list[Any]) -> bool:
    """Whether an array, or what it is a view of, holds nothing that `others` hold."""
    root = _root(images)
    if isinstance(root, np.memmap):
        files = {_root(other).filename for other in others if isinstance(_root(other), np.memmap)}
        return root.filename is not None and root.filename not in files
    if type(root) is not np.ndarray or root.base is not None:
        return False  # what a reader of its own can reach nobody knows
    return not any(root is _root(other) for other in others)


def _root(images: Any) -> Any:
    """What holds the memory that an array is a view of."""
    while True:
        if isinstance(images, ImageView):
            images = images.images
        elif isinstance(images, WholeImages):
            images = images.pixels
        elif isinstance(images, np.ndarray) and isinstance(images.base, np.ndarray):
            images = images.base
        else:
            return images


def _copied(train: ImageSet, fingerprint: str) -> np.ndarray | WholeImages:
    sizes = getattr(train.images, "sizes", None)

    def chunks() -> Iterator[np.ndarray]:
        for start in range(0, len(train), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(train)))
            images = np.asarray(train.images[rows])
            if sizes is None:
                yield images
            else:
                pairs = zip(images, sizes[rows], strict=True)
                yield np.concatenate([image[:, :h, :w].ravel() for image, (h, w) in pairs])

    if sizes is None:
        first = np.asarray(train.images[np.zeros(1, np.int64)])
        shape: tuple[int, ...] = (len(train), *first.shape[1:])
    else:
        shape = (int(3 * sizes.prod(axis=1).sum()),)
    copy = _kept({"fingerprint": fingerprint, "shape": list(shape)}, shape, chunks)
    return copy if sizes is None else WholeImages(copy, np.array(sizes))


def _kept(
    made_from: dict[str, Any], shape: tuple[int, ...], chunks: Callable[[], Iterator[np.ndarray]]
) -> np.ndarray:
    if np.prod(shape) <= _MEMORY_BYTES:
        return np.concatenate(list(chunks()))
    entry = CacheEntry.of("training", made_from)
    with entry.locked(waiting=lambda: None):
        found = entry.read() or entry.make(shape, chunks)
    return found[0]
