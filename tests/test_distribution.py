"""What is released: the wheel and the source archive, and what describes them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def build(kind: str, source: Path, out: Path) -> Path:
    """Build a "wheel" or "sdist" of a folder, as pip does, and return the file."""
    code = (
        "import sys, setuptools.build_meta as backend\n"
        f"print(backend.build_{kind}(sys.argv[1]), file=sys.stderr)"
    )
    out.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (file,) = out.iterdir()
    return file


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of what is built, so nothing is written into the checkout."""
    folder = tmp_path_factory.mktemp("source") / "dmlbench"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    hidden = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "dmlbench", folder / "dmlbench", ignore=hidden)
    return folder


@pytest.mark.slow
def test_the_wheel_has_every_file_also_when_built_from_the_source_archive(source, tmp_path):
    package = source / "dmlbench"
    wanted = {path.relative_to(source).as_posix() for path in package.rglob("*") if path.is_file()}
    # The kinds of files that are no modules, so an empty folder does not pass.
    for part in ("plan/recipes", "plugins/template", "leaderboard/site/templates", "datasets"):
        assert any(name.startswith(f"dmlbench/{part}/") for name in wanted)
    archive = build("sdist", source, tmp_path / "sdist")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    for name, folder in (("direct", source), ("from-archive", unpacked)):
        with zipfile.ZipFile(build("wheel", folder, tmp_path / name)) as opened:
            names = set(opened.namelist())
        assert wanted - names == set(), name
        assert {n.partition("/")[0] for n in names} == {
            "dmlbench",
            f"dmlbench-{PROJECT['version']}.dist-info",
        }


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert str(citation["version"]) == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == [{"name": author["name"]} for author in PROJECT["authors"]]


def test_all_has_every_extra_of_users_except_the_two_that_exclude_each_other():
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    named = everything.removeprefix("dmlbench[").removesuffix("]").split(",")
    assert set(named) == extras.keys() - {"all", "cpu", "gpu", "test", "docs", "dev"}


def test_on_windows_the_import_says_where_it_runs():
    code = "import sys; sys.platform = 'win32'; import dmlbench"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    assert "ImportError" in done.stderr and "WSL" in done.stderr
