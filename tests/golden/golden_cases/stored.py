"""The golden file: what it holds, how numbers are compared with it, and when it may be renewed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "golden.json"
_DIGITS = 10
#: Numbers below are zero with another rounding.
_ZERO = 1e-12


class Refused(Exception):
    """A renewal that would hide what changed, or a version that was raised for nothing."""


@dataclass(frozen=True)
class Numbers:
    """What one case computed.

    quantities: JSON values by name. tolerance: see `Case`; not stored.
    draws: the libraries from whose generators dmlbench drew on the way.
    """

    quantities: Mapping[str, Any]
    draws: tuple[str, ...] = ()
    tolerance: float = 0.0


@dataclass(frozen=True)
class Golden:
    """The content of the golden file.

    results_version: the one that the numbers were computed under.
    published: whether results of this version have been published; until then, numbers may be
        renewed without raising the version.
    streams: by library, the first numbers of its generator where the numbers were computed.
    """

    results_version: int
    published: bool = False
    streams: Mapping[str, list[float]] = field(default_factory=dict)
    cases: Mapping[str, Numbers] = field(default_factory=dict)


def read(file: Path = FILE) -> Golden:
    content = json.loads(file.read_text("utf-8"))
    cases = {
        name: Numbers(case["quantities"], tuple(case["draws"]))
        for name, case in content.pop("cases").items()
    }
    return Golden(cases=cases, **content)


def write(golden: Golden, file: Path = FILE) -> None:
    """Write the file, a line for each quantity, so that a diff shows what changed."""
    lines = ["{"]
    lines.append(f' "results_version": {golden.results_version},')
    lines.append(f' "published": {json.dumps(golden.published)},')
    lines.append(' "streams": {')
    lines.append(_joined(f'  "{name}": {_text(v)}' for name, v in sorted(golden.streams.items())))
    lines.append(' },\n "cases": {')
    lines.append(_joined(_case(name, case) for name, case in sorted(golden.cases.items())))
    lines.append(" }\n}")
    file.write_text("\n".join(lines) + "\n", "utf-8")


def differences(stored: Numbers, found: Numbers) -> list[str]:
    """The quantities of both that differ by more than the tolerance."""
    return [
        name
        for name, value in stored.quantities.items()
        if name in found.quantities and not _close(value, found.quantities[name], found.tolerance)
    ]


def same_stream(stored: Golden, streams: Mapping[str, list[float]], library: str) -> bool:
    """Whether a library's generator gives what it gave when the numbers were computed."""
    return library in stored.streams and _close(stored.streams[library], streams[library], 1e-6)


def renewed(
    stored: Golden,
    found: Mapping[str, Numbers],
    results_version: int,
    streams: Mapping[str, list[float]],
    new_streams: bool = False,
) -> tuple[Golden, list[str]]:
    """The file's new content, and what changed in words. Raises `Refused`.

    new_streams: take over the generators of this machine's libraries, and all that is drawn.
    """
    moved = [name for name in streams if not same_stream(stored, streams, name)]
    if moved and stored.cases and not new_streams:
        raise Refused(
            f"The random generator of {' and '.join(moved)} gives other numbers here than where "
            f"the file was made. Renew with the same releases, or add --new-streams."
        )
    cases: dict[str, Numbers] = {}
    changed, added = [], []
    for name, case in found.items():
        old = stored.cases.get(name)
        if old is None:
            added.append(name)
            cases[name] = case
            continue
        redrawn = bool(set(case.draws) & set(moved))
        differing = case.quantities.keys() if redrawn else differences(old, case)
        changed += [f"{name}: {quantity}" for quantity in differing if not redrawn]
        kept = {
            quantity: value
            if quantity in differing or quantity not in old.quantities
            else old.quantities[quantity]
            for quantity, value in case.quantities.items()
        }
        added += [f"{name}: {q}" for q in case.quantities if q not in old.quantities]
        cases[name] = Numbers(kept, case.draws)
    removed = [name for name in stored.cases if name not in found]
    _check_version(stored, results_version, changed)
    report = [
        f"{len(items)} {what}: {'; '.join(items[:8])}{' ...' if len(items) > 8 else ''}"
        for what, items in (("changed", changed), ("new", added), ("gone", removed))
        if items
    ]
    raised = results_version > stored.results_version
    golden = Golden(results_version, stored.published and not raised, dict(streams), cases)
    return golden, report


def _check_version(stored: Golden, results_version: int, changed: list[str]) -> None:
    """Refuse a change without a raise once results are published, and a raise without a change."""
    some = f"{len(changed)} numbers changed ({'; '.join(changed[:5])})"
    if results_version == stored.results_version:
        if changed and stored.published:
            raise Refused(
                f"{some}, and results of version {results_version} are published. Raise "
                f"RESULTS_VERSION in dmlbench/version.py by one, or restore the numbers."
            )
        return
    if results_version != stored.results_version + 1:
        raise Refused(
            f"RESULTS_VERSION is {results_version}, and the file is of {stored.results_version}; "
            f"it is raised by one at a time."
        )
    if not stored.published:
        raise Refused(
            f"RESULTS_VERSION was raised, but no results of version {stored.results_version} are "
            f"published: there is nothing to be told apart from. Leave it."
        )
    if not changed:
        raise Refused(
            "RESULTS_VERSION was raised, but no number changed: every stored trial would be "
            "repeated for nothing. Lower it again. If what changed has no golden number, add a "
            "case for it first, under the old version and with the old code."
        )


def _close(stored: Any, found: Any, tolerance: float) -> bool:
    if type(stored) is float and type(found) is float:
        stored, found = [stored], [found]
    if not _floats(stored) or not _floats(found) or len(stored) != len(found):
        return bool(json.loads(json.dumps(found)) == stored)
    if not all(map(math.isfinite, (*stored, *found))):
        return repr(list(map(float, stored))) == repr(list(map(float, found)))
    allowed = tolerance * max(map(abs, stored), default=0.0) + _ZERO
    return all(abs(a - b) <= allowed for a, b in zip(stored, found, strict=True))


def _floats(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) in (int, float) for item in value)


def _case(name: str, case: Numbers) -> str:
    lines = [
        f"    {json.dumps(quantity)}: {_text(value)}" for quantity, value in case.quantities.items()
    ]
    draws = json.dumps(list(case.draws))
    quantities = "{\n" + _joined(lines) + "\n   }" if lines else "{}"
    return f'  {json.dumps(name)}: {{\n   "draws": {draws},\n   "quantities": {quantities}\n  }}'


def _joined(lines: Any) -> str:
    return ",\n".join(lines)


def _text(value: Any) -> str:
    return json.dumps(_rounded(value), ensure_ascii=False)


def _rounded(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
