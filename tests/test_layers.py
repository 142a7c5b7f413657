"""Imports go down the list of rooms, never up, and no two modules import each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dmlbench"

#: From the ground up. Rooms of one row may import each other's modules, as long as no cycle forms.
ROOMS = (
    ("errors", "version", "files", "hookspecs"),
    ("statistics", "evaluate"),
    ("data",),
    ("losses", "combiners", "backbones"),
    ("datasets",),
    ("datasets.getting",),
    ("plugins",),
    ("plan",),
    ("leaderboard.entries",),
    ("training",),
    ("conformance",),
    ("leaderboard.verification",),
    ("leaderboard.comparison",),
    ("leaderboard.listing",),
    ("leaderboard.views",),
    ("leaderboard.site",),
    ("running",),
    ("study",),
    ("api", "testing"),
    ("cli",),
)
_FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts).removesuffix("__init__").rstrip(".")] = path
    return found


MODULES = _modules()


def room_of(module: str) -> str | None:
    """The room that a module is in; None for the package itself and its main module."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in _FLOOR), None)


def imports_of(module: str) -> set[str]:
    """The modules of dmlbench that a module imports, those for type checkers included."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("dmlbench")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dmlbench"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner.removeprefix("dmlbench.") in MODULES else node.module)
    return {name.removeprefix("dmlbench").lstrip(".") for name in found} - {""}


GRAPH = {module: imports_of(module) for module in MODULES}


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m)])
def test_a_module_imports_nothing_from_a_room_above_it(module):
    floor = _FLOOR[room_of(module)]
    above = {name for name in GRAPH[module] if _FLOOR[room_of(name)] > floor}
    assert not above, f"dmlbench.{module} imports from above: {', '.join(sorted(above))}"


def test_every_module_is_in_a_room():
    homeless = {m for m in MODULES if room_of(m) is None} - {"", "__main__", "leaderboard"}
    assert not homeless


def test_no_modules_import_each_other_in_a_circle():
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        if module in trail:
            circle = " -> ".join((*trail[trail.index(module) :], module))
            pytest.fail(f"a circle of imports: {circle}")
        if module in done:
            return
        for name in sorted(GRAPH.get(module, ())):
            visit(name, (*trail, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())


def test_the_package_holds_rooms_and_few_files():
    files = [path.name for path in PACKAGE.glob("*.py")]
    assert len(files) <= 8, sorted(files)


def test_modules_stay_small():
    lengths = sorted(
        (len(path.read_text("utf-8").splitlines()), module)
        for module, path in MODULES.items()
        if path.name != "__init__.py" or module == "losses"
    )
    assert lengths[-1][0] <= 350, lengths[-1]
    assert lengths[len(lengths) // 2][0] <= 125, lengths[len(lengths) // 2]
