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
from dmlbench.files import user_path

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
    Images may lie deeper inside a class directory. Links are followed; names that start with a dot
    are passed over.

    root: the directory; the ids of images are their paths relative to it.
    csv: a CSV file, looked for in `root`, then in the working directory, with the columns ``path``
        (relative to `root`, inside it), ``label`` and perhaps ``split`` (train, test; or train,
        query, gallery).
    split: "half" (the first half of the sorted classes trains), "given" (by the directories
        or the column ``split``), or "auto": given where it is there, else half.
    image_size: pixels a side that the middle square of each image is stored at.
    whole_images: store whole images instead, their short side at `image_size`.
    Raises `DatasetError` for what cannot be meant; what can be worked around is in `report`.
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
    if split == "given":
        parts = [(root / name, SPLITS[name]) for name in given]
        outside = sorted(set(top) - set(given))
        if outside:
            what = counted(len(outside), "directory is", "directories are")
            report.append(f"{what} beside the splits and passed over: {some(outside)}")
    else:
        parts = [(root, "")]
    listed: list[ListedImage] = []
    others: list[str] = []  # files that are no images of a class
    empty: list[str] = []
    for part, its_split in parts:
        others += [_id(path, root) for path in _files(part) if path.suffix.lower() in EXTENSIONS]
        for name in _directories(part):
            found = [
                ListedImage(_id(path, root), unicodedata.normalize("NFC", name), its_split, path)
                for path in _walk(part / name)
            ]
            images = [item for item in found if item.path.suffix.lower() in EXTENSIONS]
            listed += images
            if not images:
                empty.append(_id(part / name, root))
            if len(images) < len(found):
                kept = {item.id for item in images}
                others += [item.id for item in found if item.id not in kept]
    if not listed:
        raise DatasetError(
            f"folder: {root} holds no image in a class directory: there should be "
            f"{root / 'CLASS' / 'IMAGE.jpg'}. Images end in {', '.join(sorted(EXTENSIONS))}."
        )
    if others:
        what = counted(len(others), "file is", "files are")
        report.append(f"{what} no image of a class directory and passed over: {some(others)}")
    if empty:
        what = counted(len(empty), "directory holds", "directories hold")
        report.append(f"{what} no image and is no class: {some(empty)}")
    return listed


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
    here = folder.resolve()
    if here in above:
        return
    for path in _entries(folder):
        if path.is_dir():
            yield from _walk(path, above | {here})
        else:
            yield path


def _id(path: Path, root: Path) -> str:
    return unicodedata.normalize("NFC", path.relative_to(root).as_posix())
