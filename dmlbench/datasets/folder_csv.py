"""The CSV file of a folder of images: its columns, its rows, and what is refused in them."""

from __future__ import annotations

import csv as csv_format
import posixpath
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from dmlbench.data.images import DatasetError
from dmlbench.data.listed_images import ListedImage, counted, some
from dmlbench.files import user_path

SPLITS = {"train": "train", "test": "test", "query": "test", "gallery": "gallery"}
"""The names of splits that a user may write, and the image set that each goes to."""

Row = tuple[int, Mapping[str | None, str | None]]  # its line number, its cells by column


def list_csv(root: Path, csv: str, split: str) -> list[ListedImage]:
    """List the images of a CSV file; their split is "" where it is still to be made.

    root: what the paths in the file are relative to.
    csv: the file, looked for in `root`, then in the working directory.
    split: "half", "given" or "auto" as for `dmlbench.datasets.folder.Folder`.
    Raises `DatasetError` that names the file and the line.
    """
    places = [root / csv, user_path(csv)]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise DatasetError(
            f"folder: there is no CSV file {csv!r}, neither {places[0]} nor {places[1].absolute()}."
        )
    columns, rows = _read(file)
    twice = [name for name in ("path", "label", "split") if columns.count(name) > 1]
    if twice:
        raise DatasetError(
            f"folder: {file} has several columns {twice[0]!r}. Rename all but the one to be used."
        )
    for needed in ("path", "label"):
        if needed not in columns:
            raise DatasetError(
                f"folder: {file} has no column {needed!r}. Its first line must name the columns "
                f"path, label and perhaps split; it names: {', '.join(columns) or 'nothing'}."
            )
    if split == "given" and "split" not in columns:
        raise DatasetError(f"folder: split=given, but {file} has no column 'split'.")
    if not rows:
        raise DatasetError(f"folder: {file} lists no image.")
    use_split = "split" in columns and split != "half"
    if use_split:
        _check_splits(file, rows)
    listed = [_listed(root, file, row, use_split) for row in rows]
    _check_present(root, file, listed)
    return listed


def _read(file: Path) -> tuple[list[str], list[Row]]:
    try:
        # utf-8-sig: spreadsheets put a byte-order mark before the first column's name.
        with open(file, encoding="utf-8-sig", newline="") as opened:
            reader = csv_format.DictReader(opened, strict=True)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            return columns, [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv_format.Error) as error:
        raise DatasetError(f"folder: {file} is not a CSV file in UTF-8: {error}.") from error


def _check_splits(file: Path, rows: list[Row]) -> None:
    used = set()
    for line, row in rows:
        value = (row["split"] or "").strip()
        if value not in SPLITS:
            raise DatasetError(
                f"folder: {file}, line {line}: the split is {value!r}. "
                f"Allowed: {', '.join(SPLITS)}."
            )
        used.add(value)
    if used not in ({"train", "test"}, {"train", "query", "gallery"}):
        raise DatasetError(
            f"folder: {file} has the splits {', '.join(sorted(used))}. It needs train and test, "
            "or train, query and gallery; or leave it to split=half."
        )


def _listed(root: Path, file: Path, row: Row, use_split: bool) -> ListedImage:
    line, cells = row
    if None in cells:
        raise DatasetError(f"folder: {file}, line {line} has more cells than there are columns.")
    path, label = ((cells[name] or "").strip() for name in ("path", "label"))
    for name, value in (("path", path), ("label", label)):
        if not value:
            raise DatasetError(f"folder: {file}, line {line}: the {name} is empty.")
    inside = posixpath.normpath(path)
    if Path(path).is_absolute() or inside.split("/")[0] in ("", ".."):
        raise DatasetError(
            f"folder: {file}, line {line}: {path} leads out of root ({root}). Paths are relative "
            "to root and stay inside it, so the dataset is the same wherever it is stored; "
            "name a root that holds all images, or put links into it."
        )
    return ListedImage(
        unicodedata.normalize("NFC", inside),
        unicodedata.normalize("NFC", label),
        SPLITS[(cells["split"] or "").strip()] if use_split else "",
        root / inside,
        f"line {line}",
    )


def _check_present(root: Path, file: Path, listed: list[ListedImage]) -> None:
    missing = [f"{item.id} ({item.place})" for item in listed if not item.path.is_file()]
    if missing:
        hint = " Write paths with forward slashes." if "\\" in missing[0] else ""
        what = counted(len(missing), "file is", "files are")
        raise DatasetError(
            f"folder: of the {len(listed)} files that {file} lists, {what} not in {root}: "
            f"{some(missing)}. Paths are relative to root.{hint}"
        )
