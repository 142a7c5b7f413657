"""Where datasets are stored: the folder each is looked for in, and the forms it is found in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmlbench.data.cache import cache_dir
from dmlbench.data.images import DatasetError
from dmlbench.files import user_path

PLACES = "places.json"
"""The file of the data folder that says where sets are that were given a folder of their own."""


def data_home() -> Path:
    """Return the folder of all downloaded sets: ``$DMLBENCH_DATA``, or ``data`` in the cache."""
    given = os.environ.get("DMLBENCH_DATA")
    return user_path(given) if given else cache_dir() / "data"


def place_of(name: str, root: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder that a set is looked for in.

    root: what the user gave; else the folder remembered for it, else its own in `data_home`.
    """
    if root:
        return user_path(root).absolute()
    return places().get(name) or data_home().absolute() / name


def places() -> dict[str, Path]:
    """Return the folders remembered for sets. Raises `DatasetError` where they cannot be read."""
    file = data_home() / PLACES
    try:
        values = json.loads(file.read_text("utf-8"))
        return {name: Path(path) for name, path in values.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DatasetError(
            f"{file}, which says where datasets are stored, cannot be read ({error}). "
            "Correct it, or remove it and name the folders again: dmlbench data get NAME --root DIR"
        ) from error


@dataclass(frozen=True)
class Layout:
    """One form in which a set is stored.

    name: what messages call it.
    parts: for each thing that is needed, the relative paths of which one must be there; a path
        that ends in a slash is a directory.
    """

    name: str
    parts: Mapping[str, tuple[str, ...]]

    def find(self, base: Path) -> tuple[dict[str, Path], list[str]]:
        """Return the parts that are there, by name, and the first path of each that is not."""
        found: dict[str, Path] = {}
        missing = []
        for part, paths in self.parts.items():
            here = next((path for path in paths if _is_there(base, path)), None)
            if here is None:
                missing.append(paths[0])
            else:
                found[part] = base / here
        return found, missing


@dataclass(frozen=True)
class Found:
    """A set on disk: its base folder, its form, and the path of each part."""

    base: Path
    layout: Layout
    parts: Mapping[str, Path]


def find_layout(name: str, place: Path, folders: Iterable[str], layouts: Sequence[Layout]) -> Found:
    """Return the first form of a set that is whole, in `place` or one of its `folders`.

    folders: names that the set's own folder usually has.
    Raises `DatasetError` that says what is missing and what to do.
    """
    if not place.is_dir():
        raise DatasetError(
            f"{name}: there is no directory {place}, where its images are looked for. {_ways(name)}"
        )
    bases = [place, *(place / folder for folder in folders)]
    tried = []
    for base in bases:
        if base.is_dir():
            for layout in layouts:
                parts, missing = layout.find(base)
                if not missing:
                    return Found(base, layout, parts)
                tried.append((len(parts), base, layout, missing))
    # The form of which most is there is the one that the user means.
    most = max(count for count, *_ in tried)
    if most:
        _, base, layout, missing = next(entry for entry in tried if entry[0] == most)
        what = f"{base} lacks {', '.join(missing)} (layout: {layout.name})"
    else:
        forms = " or ".join(", ".join(paths[0] for paths in x.parts.values()) for x in layouts)
        what = f"{place} has no file of it. Expected there: {forms}"
    raise DatasetError(f"{name}: {what}. {_ways(name)}")


def _ways(name: str) -> str:
    return (
        f"Ways out: `dmlbench data get {name}` downloads it, or says what is to be done by hand; "
        f"`dmlbench data get {name} --root DIR` takes what you have; DMLBENCH_DATA=DIR names the "
        f"folder in which {name}/ is; from a program, root=DIR."
    )


def _is_there(base: Path, path: str) -> bool:
    return (base / path).is_dir() if path.endswith("/") else (base / path).is_file()
