"""What the field's datasets share: found on disk, listed by their own files, split by class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from dmlbench.data.images import DatasetError
from dmlbench.data.listed_images import ListedDataset, ListedImage, some
from dmlbench.data.locations import Found, Layout, find_layout, place_of
from dmlbench.datasets.published import PUBLISHED, Counts


class BenchmarkDataset(ListedDataset):
    """A published set of images with its zero-shot split, whatever folder it is in.

    The ids of images are those of the set's own lists, so the same set has the same ids
    wherever it is. A listed image that is not on disk is an error; a set with other numbers
    than the published ones is loaded, and the report, which every entry holds, says so.

    root: the folder of the set, or the one above; None looks where `dmlbench data list` says.
    image_size: pixels a side that the middle square of each image is stored at.
    whole_images: store whole images instead, their short side at `image_size`.
    Raises `DatasetError` that says what is missing and where it was looked for.
    """

    name: ClassVar[str]
    folders: ClassVar[tuple[str, ...]]
    """Names that the set's folder usually has below the one that the user gives."""
    layouts: ClassVar[tuple[Layout, ...]]

    def __init__(
        self, root: str | None = None, image_size: int = 256, whole_images: bool = False
    ) -> None:
        found = self.find(root)
        listed = self.listed(found)
        self.require_present(listed, found)
        report = [
            f"not the published {self.name}: {difference}"
            for difference in count_differences(listed, PUBLISHED[self.name])
        ]
        super().__init__(
            self.name,
            found.base,
            listed,
            image_size,
            report,
            whole_images,
            layout=found.layout.name,
        )

    @classmethod
    def find(cls, root: str | None = None) -> Found:
        """Return where the set is, and in which form. Raises `DatasetError`."""
        return find_layout(cls.name, place_of(cls.name, root), cls.folders, cls.layouts)

    @classmethod
    def listed(cls, found: Found) -> list[ListedImage]:
        """Return every image of the set's lists, on disk or not. Raises `DatasetError`."""
        listed = list(cls._list(found))
        if not listed:
            raise DatasetError(f"{cls.name}: the lists in {found.base} name no image.")
        return listed

    @classmethod
    def _list(cls, found: Found) -> Iterator[ListedImage]:
        raise NotImplementedError

    @classmethod
    def require_present(cls, listed: Sequence[ListedImage], found: Found) -> None:
        """Raise `DatasetError` where a listed image is not on disk."""
        missing = absent(listed)
        if missing:
            raise DatasetError(
                f"{cls.name}: {len(missing)} of the {len(listed)} images that it lists are not in "
                f"{found.base}: {some([item.id for item in missing])}. It was unpacked in part, or "
                "is another version; `dmlbench data verify` says more, and unpacking it into an "
                "empty folder is the way out."
            )


def absent(listed: Sequence[ListedImage]) -> list[ListedImage]:
    """Return the listed images that are not files on disk."""
    return [item for item in listed if not item.path.is_file()]


def count(listed: Sequence[ListedImage]) -> Counts:
    """Return how many images and classes are listed, by split."""
    by_split = {
        split: [item.label for item in listed if item.split == split]
        for split in ("train", "test", "gallery")
    }
    return Counts(
        images=len(listed),
        train_classes=len(set(by_split["train"])),
        test_classes=len({*by_split["test"], *by_split["gallery"]}),
        train_images=len(by_split["train"]),
        test_images=len(by_split["test"]),
        gallery_images=len(by_split["gallery"]),
    )


def count_differences(listed: Sequence[ListedImage], published: Counts) -> list[str]:
    """Say in which numbers listed images differ from the published ones; [] where in none."""
    found = count(listed)
    return [
        f"{getattr(found, key):,} {key.replace('_', ' ')} instead of {wanted:,}"
        for key, wanted in vars(published).items()
        if wanted is not None and getattr(found, key) != wanted
    ]


def half_by_number(number: int, training: int) -> str:
    """Return the split of class `number` (from 1) where the first `training` classes train."""
    return "train" if number <= training else "test"


def read_lines(name: str, file: Path) -> list[str]:
    """Return the lines of a list. Raises `DatasetError` where it cannot be read."""
    try:
        return file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{name}: {file} cannot be read: {error}.") from error


def read_rows(
    name: str, file: Path, columns: int, head: int = 0
) -> Iterator[tuple[str, list[str]]]:
    """Yield the place ("line 7 of images.txt") and the cells of each line that is not empty.

    columns: how many cells, separated by blanks, a line must have.
    head: lines at the beginning that are passed over.
    Raises `DatasetError` for another number of cells, or a file that cannot be read.
    """
    for number, line in enumerate(read_lines(name, file), 1):
        cells = line.split()
        if number <= head or not cells:
            continue
        if len(cells) != columns:
            raise DatasetError(
                f"{name}: line {number} of {file} has {len(cells)} columns instead of {columns}: "
                f"{line[:80]!r}. The file is damaged, or of another dataset."
            )
        yield f"line {number} of {file.name}", cells


def require_head(name: str, file: Path, wanted: Sequence[str], line: int = 1) -> None:
    """Raise `DatasetError` unless line `line` of a list holds the column names `wanted`."""
    lines = read_lines(name, file)
    given = lines[line - 1].split() if len(lines) >= line else []
    if given != list(wanted):
        raise DatasetError(
            f"{name}: line {line} of {file} is {' '.join(given)[:80]!r} instead of "
            f"{' '.join(wanted)!r}: the file is damaged, or of another dataset."
        )


def whole_number(name: str, text: str, place: str) -> int:
    """Return the number that a cell holds. Raises `DatasetError` that names the place."""
    # int() would take "1_0" and digits of other scripts as well.
    if not (text.isascii() and text.isdigit()):
        raise DatasetError(f"{name}: {place}: {text!r} should be a whole number.")
    return int(text)


def inside(name: str, folder: Path, path: str, place: str) -> Path:
    """Return the file that a list names, below `folder`. Raises `DatasetError` if it leads out."""
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise DatasetError(f"{name}: {place}: {path!r} leads out of {folder}.")
    return folder.joinpath(*parts)
