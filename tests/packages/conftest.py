"""The packages under plugins/, as if they were installed."""

from __future__ import annotations

from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"


@pytest.fixture
def pml(install_package) -> str:
    """The plugin dmlbench-pml."""
    return install_package(PLUGINS / "dmlbench-pml")
