"""What every test relies on: one thread, a cache of its own, no network, and made-up plugins."""

from __future__ import annotations

import os
import sys
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path

# Before torch or NumPy is imported: on a busy machine two threads are slower than one.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["MPLBACKEND"] = "Agg"
# Read when its library is imported: no test asks a server for weights.
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest  # noqa: E402

pytest_plugins = ["forked_workers", "simulated_device", "terminal_session", "web_server", "words"]


# A test that uses one of them trains, or drives another program, for seconds.
_SLOW_FIXTURES = {"browser", "on_a_terminal", "tiny"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory):
    """Datasets rendered by tests stay away from the user's cache."""
    os.environ.setdefault("DMLBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Install a distribution with a dmlbench plugin: ``install("my-dist", "code")``."""

    def add(
        distribution: str,
        code: str,
        version: str = "1.0",
        entry: str | None = None,
        entry_point: str = "plugin",
    ) -> Path:
        site = tmp_path / f"site-{distribution}"
        module = distribution.replace("-", "_") + "_plugin"
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[dmlbench]\n{entry_point} = {entry or module}\n")
        (site / f"{module}.py").write_text(textwrap.dedent(code))
        monkeypatch.syspath_prepend(str(site))
        # Another test's module of the same name must not answer.
        monkeypatch.delitem(sys.modules, module, raising=False)
        # Workers are processes of their own.
        paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
        return site

    return add


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
def tiny(install_package) -> dict:
    """A dataset that trains in a second, and the arguments of a run on it."""
    install_package(Path(__file__).parent / "packages" / "tiny")
    return {
        "dataset": "tiny",
        "seeds": 2,
        "jobs": 2,
        "device": "cpu",
        "overrides": {
            "recipe.epochs": 2,
            "recipe.input.size": 16,
            "recipe.input.resize": 16,
            "recipe.batch.classes": 6,
            "recipe.batch.images": 2,
            "recipe.embedding_dim": 8,
        },
    }
