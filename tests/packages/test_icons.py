"""dmlbench-icons, without the icon packages: what CI can test of it without 63 MB of drawings."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from dmlbench.data.images import DatasetError
from dmlbench.plugins.loading import load_plugins

PLUGIN = Path(__file__).parents[2] / "plugins" / "dmlbench-icons"


@pytest.fixture(autouse=True)
def plugin(install_package) -> str:
    return install_package(PLUGIN)


def test_listing_it_needs_no_icon_package_and_no_renderer(plugin):
    code = (
        "import sys; from dmlbench.plugins.loading import load_plugins; r = load_plugins();"
        f"assert r.resolve('datasets', 'icons').distribution == '{plugin}';"
        "sys.exit(bool({'numpy', 'PIL', 'resvg_py', 'dmlbench_icons.dataset'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_summary_counts_what_the_list_holds():
    classes = importlib.import_module("dmlbench_icons.dataset").read_classes()
    summary = load_plugins().resolve("datasets", "icons").spec.summary
    images = sum(map(len, classes.values()))
    assert f"{len(classes)} meanings" in summary and f"{images:,} drawings" in summary


def test_a_missing_icon_package_is_named(monkeypatch):
    metadata = importlib.import_module("importlib.metadata")

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(DatasetError, match=r"the package [\w-]+ is missing.*pip install '"):
        importlib.import_module("dmlbench_icons.dataset").Icons()


@pytest.mark.slow
def test_its_own_tests_pass():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=PLUGIN,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
