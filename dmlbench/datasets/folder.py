"""Your own images: a directory of class directories, or a CSV file that lists them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dmlbench.data.decode import EXTENSIONS
from dmlbench.data.images import DatasetError
from dmlbench.data.listed_images import ListedDataset, ListedImage, counted, some
from dmlbench.data.split import half_and_half
from dmlbench.datasets.folder_csv import SPLITS, list_csv
from dmlbench.files import resolved, user_path

_LAYOUTS = ({"train", "test"}, {"train", "query", "gallery"})
# Words of which the directories of splits are named by other tools, and those that need another.
_SPLIT_EXTRAS = frozenset("all bounding box gt multi new set data images ids".split()) | {""}
_SPLIT_WORDS = _SPLIT_EXTRAS | set(
    "train training trainval val valid validation dev test testing query queries probe gallery "
    "bbox index holdout".split()
)


class Folder(ListedDataset):
    """Images of a directory, stored as squares in the cache when first used.

    Without `csv`, the directory holds a directory for each class, or the directories ``train`` and
    ``test`` (or ``train``, ``query`` and ``gallery``) with a directory for each class in them.
    Images may be deeper inside a class directory. Links are followed; names that start with a dot
    are passed over.

    root: the directory; the ids of images are their paths relative to it.
    csv: a CSV file, looked for in `root`, then in the working directory, with the columns ``path``
        (relative to `root`, inside it), ``label`` and perhaps ``split`` (train, test; or train,
        query, gallery).
    split: "half" (the first half of the sorted classes trains), "given" (by the directories
        or the column ``split``), or "auto": given where it is there, else half.
    image_size: pixels a side that the middle square of each image is stored at.
    whole_images: store whole images instead, their short side at `image_size`.
    Raises `DatasetError` for what is invalid; what can be worked around is in `report`.
    """

    def __init__(
        self,
        root: str | None = None,
        csv: str | None = None,
        split: str = "auto",
        image_size: int = 256,
        whole_images: bool = False,
    ) -> None:
        for name, value in (("root", root), ("csv", csv)):
            if value is not None and not isinstance(value, str | os.PathLike):
                raise DatasetError(
                    f"folder: {name} must be text, not {value!r}. Put it in quotes: "
                    f"--dataset 'folder({name}=\"{value}\")'."
                )
        if not root:
            raise DatasetError(
                "folder: no directory given. Name it: --dataset 'folder(root=PATH)', with a "
                "directory for each class in PATH."
            )
        if split not in ("auto", "half", "given"):
            raise DatasetError(f"folder: split must be auto, half or given, not {split!r}.")
        base = user_path(root)
        if not base.is_dir():
            raise DatasetError(
                f"folder: root={root!r} is not a directory (looked at {base.absolute()})."
            )
        report: list[str] = []
        listed = list_csv(base, csv, split) if csv else _from_directories(base, split, report)
        if not listed[0].split:
            listed = _halved(listed, f"folder: {root}")
        super().__init__(
            "folder", base, listed, image_size, report, whole_images, csv=csv, split=split
        )


def _halved(listed: list[ListedImage], where: str) -> list[ListedImage]:
    training, testing = half_and_half(item.label for item in listed)
    if len(testing) < 2:
        names = ", ".join(training + testing)
        raise DatasetError(
            f"{where} holds {counted(len(training + testing), 'class', 'classes')} ({names}). "
            "Half of the classes train and the others test, so at least 4 are needed."
        )
    train = set(training)
    return [replace(item, split="train" if item.label in train else "test") for item in listed]


def _from_directories(root: Path, split: str, report: list[str]) -> list[ListedImage]:
    """List the images of class directories; their split is "" where it is still to be made."""
    contents = _Contents(root)
    for part, its_split in _parts(root, split, report):
        contents.add(part, its_split)
    if not contents.images:
        raise DatasetError(
            f"folder: {root} holds no image in a class directory: there should be "
            f"{root / 'CLASS' / 'IMAGE.jpg'}. Images end in {', '.join(sorted(EXTENSIONS))}."
        )
    report += contents.passed_over()
    return contents.images


def _parts(root: Path, split: str, report: list[str]) -> list[tuple[Path, str]]:
    """The directories that hold class directories, each with its split; "" is still to be made."""
    top = _directories(root)
    if split == "auto":
        _refuse_unknown_layout(root, top)
    given = [name for name in SPLITS if name in top]
    whole = set(given) in _LAYOUTS
    if split == "given" and not whole:
        raise DatasetError(
            f"folder: split=given, but {root} has neither the directories train and test nor "
            f"train, query and gallery. It has: {some(sorted(top)) or 'no directory'}."
        )
    if split == "auto" and whole and all(_directories(root / name) for name in given):
        split = "given"
    if split != "given":
        return [(root, "")]
    outside = sorted(set(top) - set(given))
    if outside:
        what = counted(len(outside), "directory is", "directories are")
        report.append(f"{what} beside the splits and passed over: {some(outside)}")
    return [(root / name, SPLITS[name]) for name in given]


class _Contents:
    """The images of class directories, and what was passed over beside them.

    root: what ids are relative to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images: list[ListedImage] = []
        self._other_files: list[str] = []
        self._empty: list[str] = []

    def add(self, part: Path, split: str) -> None:
        """Take in the class directories of `part`; images beside them are of no class."""
        self._other_files += [_id(path, self.root) for path in _files(part) if _is_image(path)]
        for name in _directories(part):
            self._add_class(part / name, split)

    def _add_class(self, folder: Path, split: str) -> None:
        label = unicodedata.normalize("NFC", folder.name)
        found = False
        for path in _walk(folder):
            if _is_image(path):
                self.images.append(ListedImage(_id(path, self.root), label, split, path))
                found = True
            else:
                self._other_files.append(_id(path, self.root))
        if not found:
            self._empty.append(_id(folder, self.root))

    def passed_over(self) -> list[str]:
        """Lines of the dataset's report."""
        lines = []
        if self._other_files:
            what = counted(len(self._other_files), "file is", "files are")
            lines.append(
                f"{what} no image of a class directory and passed over: {some(self._other_files)}"
            )
        if self._empty:
            what = counted(len(self._empty), "directory holds", "directories hold")
            lines.append(f"{what} no image and is no class: {some(self._empty)}")
        return lines


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS


def _refuse_unknown_layout(root: Path, top: list[str]) -> None:
    """Raise `DatasetError` where directories are named like splits, but not as one of our layouts.

    Taken for classes, they would give a number that means nothing. One alone may be a class.
    """
    splits = [name for name in top if _is_named_like_a_split(name)]
    if len(splits) < 2 or set(SPLITS).intersection(splits) in _LAYOUTS:
        return
    raise DatasetError(
        f"folder: {root} has directories named like splits ({some(splits)}), but neither the "
        "layout train, test nor the layout train, query, gallery. Rename or link the directories "
        "so that exactly one of the two layouts is there, or list the images in a CSV file with "
        "a column split (csv=FILE). With split=half every directory is taken as a class."
    )


def _is_named_like_a_split(name: str) -> bool:
    parts = re.split(r"[^a-z]+", name.casefold())
    return all(part in _SPLIT_WORDS for part in parts) and not _SPLIT_EXTRAS.issuperset(parts)


def _directories(folder: Path) -> list[str]:
    return sorted(p.name for p in _entries(folder) if p.is_dir())


def _files(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if not path.is_dir()]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"folder: {folder} cannot be listed: {error.strerror}.") from error


def _walk(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield every file below, in order; a link to a directory above is not followed again."""
    here = resolved(folder)
    if here in above:
        return
    for path in _entries(folder):
        if path.is_dir():
            yield from _walk(path, above | {here})
        else:
            yield path


def _id(path: Path, root: Path) -> str:
    return unicodedata.normalize("NFC", path.relative_to(root).as_posix())
