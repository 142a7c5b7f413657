"""Make ``classes.txt`` and ``copies.txt``: ``python -m dmlbench_icons.choosing``."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from dmlbench_icons.choosing.copies import close_pairs, edges
from dmlbench_icons.choosing.names import Names
from dmlbench_icons.render import render
from dmlbench_icons.sets import read_all

LEAST_SETS = 4
"""A class has drawings of at least so many sets."""

COPY = 0.12
"""Drawings of one class whose edges differ by less are copies: the first one stays."""

SAME = 0.01
"""Drawings of two classes whose edges differ by less are one picture, which tells no class."""

_SIZE = 64
_HERE = Path(__file__).parent


def main() -> None:
    """Write both files, and print what the tables name for nothing."""
    drawings = read_all()
    names = Names()
    classes = _of_many_sets(names.classes(drawings))
    for name in names.unused():
        print(f"no drawing is called {name}", file=sys.stderr)
    members = [(name, drawing) for name, owned in classes.items() for drawing in owned]
    images = np.stack([edges(render(drawings[drawing], _SIZE)) for _, drawing in members])
    copies, same = _left_out(members, close_pairs(images, COPY))
    gone = set(copies) | set(same)
    kept = {name: [d for d in owned if d not in gone] for name, owned in classes.items()}
    kept = _of_many_sets(kept)
    _write(_HERE.parent / "classes.txt", _CLASSES, kept)
    by_original = defaultdict(list)
    for drawing, original in {**copies, **same}.items():
        by_original[original].append(drawing)
    _write(_HERE / "copies.txt", _COPIES, dict(sorted(by_original.items())))
    print(
        f"{len(kept)} classes, {sum(map(len, kept.values()))} drawings; left out: "
        f"{len(copies)} copies in a class, {len(same)} in two classes"
    )


def _of_many_sets(classes: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The classes with enough drawings, of enough sets."""
    return {
        name: owned
        for name, owned in sorted(classes.items())
        if len({drawing.split("/")[0] for drawing in owned}) >= LEAST_SETS
    }


def _left_out(
    members: list[tuple[str, str]], pairs: Iterable[tuple[int, int, float]]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return what is left out, each with the drawing that it looks like.

    members: class and drawing. pairs: of `close_pairs`, in order of the members.
    Of copies in one class the first stays. What looks the same in two classes goes from both.
    """
    copies: dict[str, str] = {}
    same: dict[str, str] = {}
    for i, j, apart in pairs:
        (one_class, one), (other_class, other) = members[i], members[j]
        if one_class == other_class:
            if one not in copies:
                copies.setdefault(other, one)
        elif apart < SAME:
            same.setdefault(one, other)
            same.setdefault(other, one)
    return copies, same


_CLASSES = """\
# Made by "python -m dmlbench_icons.choosing": every class with its drawings, as set/style/name.
"""
_COPIES = """\
# Made by "python -m dmlbench_icons.choosing": a drawing, and those that were left out because they
# look the same. Those of one class are copies, of which the first stays; where two names have the
# same picture, it is left out under both.
"""


def _write(path: Path, head: str, table: Mapping[str, list[str]]) -> None:
    rows = (f"{name}: {' '.join(drawings)}\n" for name, drawings in table.items())
    path.write_text(head + "".join(rows), "utf-8")


if __name__ == "__main__":
    main()
