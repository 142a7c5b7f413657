"""What ``benchmarks/losses.py`` measured, as tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from dmlbench.losses import LOSSES

_SIZE = "B × D × per class"
#: What both sides are given instead of the defaults, as in `benchmarks/twins.py`.
_GIVEN = {"cross-batch-memory": "`memory_size=1024`, `start=0`"}
_NOT_MEASURED = "## Speed\n\nNot measured here; `python benchmarks/losses.py` does."


def speed_section(name: str, measured: Mapping[str, Any] | None) -> str:
    """Forward and backward of one loss, whatever its parameters, at every size."""
    rows = [row for row in _rows(measured) if row["loss"].partition("(")[0] == name]
    if not rows:
        return _NOT_MEASURED
    head = ["loss", _SIZE, "time", "PML", "PML / ours", "ours / floor", "peak", "PML's peak"]
    body = [
        [
            f"`{row['loss']}`",
            _size(row),
            *(_number(row.get(key), " ms") for key in ("ours_ms", "pml_ms")),
            *_ratios(row),
            *(_number(row.get(key), " MB") for key in ("ours_peak_mb", "pml_peak_mb")),
        ]
        for row in rows
    ]
    notes = [f"- `{loss}` is timed with {given}." for loss, given in _GIVEN.items() if loss == name]
    notes += [f"- `{row['loss']}`, {_size(row)}: {row['note']}." for row in rows if row.get("note")]
    parts = ["## Speed", _how(measured), table(head, body), "\n".join(notes)]
    return "\n\n".join(filter(None, parts))


def ratio_section(measured: Mapping[str, Any] | None) -> str:
    """The ratios of all losses, a line each."""
    rows = _rows(measured)
    if not rows:
        return _NOT_MEASURED
    sizes = dict.fromkeys(map(_size, rows))
    by_loss: dict[str, dict[str, str]] = {}
    for row in rows:
        by_loss.setdefault(row["loss"], {})[_size(row)] = ", ".join(_ratios(row))
    body = [
        [f"`{loss}`", *(cells.get(size, "–") for size in sizes)] for loss, cells in by_loss.items()
    ]
    given = "".join(f" `{loss}` is timed with {it}." for loss, it in _GIVEN.items())
    cells = f"Each cell: PML's time over ours, ours over the floor's, at {_SIZE}.{given}"
    return f"## Speed\n\n{_how(measured)}\n\n{cells}\n\n{table(['loss', *sizes], body)}"


def _rows(measured: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """In the order of the built-in losses, several losses at once last."""
    places = {spec.name: place for place, spec in enumerate(LOSSES)}
    rows = (measured or {}).get("rows", ())
    return sorted(rows, key=lambda row: places.get(row["loss"].partition("(")[0], len(places)))


def _how(measured: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    text = (
        "Forward and backward, medians of turns on the same input. The floor is one B × B × D "
        "product, forward and backward; PML is pytorch-metric-learning. "
        f"Measured by `benchmarks/losses.py` on {measured['date']}: {measured['machine']}; "
        f"{versions}."
    )
    return textwrap.fill(text, 100, break_on_hyphens=False)


def _size(row: Mapping[str, Any]) -> str:
    return f"{row['batch']} × {row['dim']} × {row['per_class']}"


def _ratios(row: Mapping[str, Any]) -> list[str]:
    """PML's time over ours, and ours over the floor's."""
    ours, pml = row["ours_ms"], row["pml_ms"]
    ratio = None if pml is None else pml / ours
    return [_number(ratio, " ×"), _number(ours / row["floor_ms"], " ×")]


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}{unit}" if value >= 100 else f"{value:.3g}{unit}"


def table(head: list[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
