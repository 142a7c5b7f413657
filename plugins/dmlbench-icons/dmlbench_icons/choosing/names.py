"""From the names that sets give their drawings to classes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

_HERE = Path(__file__).parent
_DIRECTIONS = frozenset({"up", "down", "left", "right"})


class Names:
    """The tables ``words.txt``, ``merges.txt`` and ``excluded.txt``.

    merges: the names that each class takes in besides its own, as they are in the table.
    excluded: why each name is no class.
    """

    def __init__(self, folder: Path = _HERE) -> None:
        self._words = {
            other: word for word, others in _table(folder / "words.txt").items() for other in others
        }
        # The longest first, so "x-mark" is found before "mark".
        phrases = sorted(self._words, key=len, reverse=True)
        self._phrase = re.compile(rf"(?<![a-z0-9])({'|'.join(phrases)})(?![a-z0-9])")
        self.merges = _table(folder / "merges.txt")
        self.excluded = dict(_sections(folder / "excluded.txt"))
        self._class_of: dict[str, str] = {}
        for name, others in self.merges.items():
            for other in (name, *others):
                key = self.key(other)
                taken = self._class_of.setdefault(key, name)
                if taken != name:
                    raise ValueError(f"merges.txt: {other} is in {taken} and in {name}")
        self._excluded = {self.key(name) for name in self.excluded}
        self.used: set[str] = set()

    def key(self, name: str) -> str:
        """Return what names of the same words have in common.

        The order of words does not matter, except that of directions: "arrow-up-down" is not
        "arrow-down-up".
        """
        owner, _, bare = name.lower().rpartition("/")
        words = self._phrase.sub(lambda match: self._words[match[0]], bare).split("-")
        directions = [word for word in words if word in _DIRECTIONS]
        others = sorted(word for word in words if word not in _DIRECTIONS)
        return "-".join(filter(None, [f"{owner}/" if owner else "", *others, *directions]))

    def classes(self, drawings: Iterable[str]) -> dict[str, list[str]]:
        """Return the drawings ("set/style/name") of each class; the excluded are left out.

        A class that is not in ``merges.txt`` has the name that most sets give it.
        """
        found, given = defaultdict(list), defaultdict(Counter)
        for drawing in drawings:
            owner, _, name = drawing.split("/")
            if owner == "lineicons":  # "alarm-1", "alarm-2": drawings of one thing
                name = re.sub(r"-\d+$", "", name)
            in_set, anywhere = self.key(f"{owner}/{name}"), self.key(name)
            self.used |= {in_set, anywhere}
            if in_set in self._excluded:
                continue
            key = self._class_of.get(in_set) or self._class_of.get(anywhere) or f"={anywhere}"
            if key.startswith("=") and anywhere in self._excluded:
                continue
            found[key].append(drawing)
            given[key][name, owner] = 1
        return {_name_of(key, given[key]): members for key, members in sorted(found.items())}

    def unused(self) -> list[str]:
        """Return the names in the tables that no drawing had, after `classes`."""
        names = [n for name, others in self.merges.items() for n in others]
        return [name for name in [*names, *self.excluded] if self.key(name) not in self.used]


def _name_of(key: str, given: Mapping[tuple[str, str], int]) -> str:
    if not key.startswith("="):
        return key
    counts = Counter(name for name, _ in given)
    return min(counts, key=lambda name: (-counts[name], name))


def _lines(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _table(path: Path) -> dict[str, tuple[str, ...]]:
    rows = [line.partition(":") for line in _lines(path)]
    return {name.strip(): tuple(others.split()) for name, _, others in rows}


def _sections(path: Path) -> list[tuple[str, str]]:
    found, reason = [], ""
    for line in _lines(path):
        if line.startswith("["):
            reason = line.strip("[]")
        else:
            found += [(name, reason) for name in line.split()]
    return found
