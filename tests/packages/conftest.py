"""The packages under plugins/, as if they were installed."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"


@pytest.fixture
def install_package(install, monkeypatch) -> Callable[[Path], str]:
    """Put a package's folder on the path with the metadata that its pyproject.toml gives."""

    def add(folder: Path) -> str:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        ((entry_point, entry),) = project["entry-points"]["dmlbench"].items()
        install(project["name"], "", project["version"], entry, entry_point)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ["PYTHONPATH"]]))
        return project["name"]

    return add


@pytest.fixture
def pml(install_package) -> str:
    """The plugin dmlbench-pml."""
    return install_package(PLUGINS / "dmlbench-pml")
