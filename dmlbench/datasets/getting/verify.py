"""Compare a set on disk with what was published of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmlbench.data.listed_images import ListedImage, some
from dmlbench.datasets import DATASETS
from dmlbench.datasets.published import PUBLISHED, Counts
from dmlbench.errors import UsageError

if TYPE_CHECKING:
    from dmlbench.datasets.benchmark import BenchmarkDataset


@dataclass(frozen=True)
class Verification:
    """What was found of a set.

    base: the folder of the set. layout: in which form it is there.
    counts: of the images on disk.
    problems: one line for each difference from the published set; none where it is whole.
    """

    name: str
    base: Path
    layout: str
    counts: Counts
    published: Counts
    problems: tuple[str, ...]


def names() -> list[str]:
    """Return the names of the sets that are verified and downloaded."""
    return list(PUBLISHED)


def benchmark(name: str) -> type[BenchmarkDataset]:
    """Return the class of a set. Raises `UsageError` for a name that is not one of `names`."""
    targets = {spec.name: spec.target for spec in DATASETS if spec.name in PUBLISHED}
    if name not in targets:
        raise UsageError(
            f"{name!r} is not a dataset that can be downloaded or verified. These are: "
            f"{', '.join(targets)}."
        )
    module, _, attribute = targets[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def verify(
    name: str,
    root: str | None = None,
    decode: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verification:
    """Count the images and classes of a set on disk and name what is missing or broken.

    decode: read every image as well, which takes minutes.
    progress: called with the images decoded so far and in all.
    Raises `dmlbench.data.images.DatasetError` where the set is not there, or its lists are broken.
    """
    from dmlbench.datasets.benchmark import count, count_differences

    dataset = benchmark(name)
    found = dataset.find(root)
    listed = dataset.listed(found)
    problems = [f"listed: {line}" for line in count_differences(listed, PUBLISHED[name])]
    problems += _repeats(listed)
    present, missing, empty = [], [], []
    for item in listed:
        try:
            size = item.path.stat().st_size if item.path.is_file() else None
        except OSError:
            size = None
        (missing if size is None else present if size else empty).append(item)
    for items, what in ((missing, "missing"), (empty, "empty")):
        if items:
            problems.append(f"{what}: {len(items):,} images: {some([i.id for i in items])}")
    lost = sorted({i.label for i in listed} - {i.label for i in present})
    if lost:
        problems.append(f"without any image: {len(lost):,} classes: {some(lost)}")
    if decode:
        broken = _undecodable(present, progress)
        if broken:
            problems.append(f"not decodable: {len(broken):,} images: {some(broken)}")
    return Verification(
        name, found.base, found.layout.name, count(present), PUBLISHED[name], tuple(problems)
    )


def _repeats(listed: Sequence[ListedImage]) -> list[str]:
    seen: set[str] = set()
    twice = [i.id for i in listed if i.id in seen or seen.add(i.id)]
    return [f"listed twice: {len(twice):,} images: {some(twice)}"] if twice else []


def _undecodable(listed: Sequence[ListedImage], progress: Callable[[int, int], None]) -> list[str]:
    from dmlbench.data.rgb import decode_image, raise_if_of_machine

    def problem(item: ListedImage) -> str:
        try:
            decode_image(item.path.read_bytes(), 8)
        except Exception as error:  # broken files make Pillow's decoders raise nearly anything
            raise_if_of_machine(error)
            return f"{item.id} ({type(error).__name__})"
        return ""

    broken = []
    with ThreadPoolExecutor() as pool:
        for done, line in enumerate(pool.map(problem, listed), 1):
            progress(done, len(listed))
            if line:
                broken.append(line)
    return broken
