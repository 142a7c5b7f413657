"""What every test relies on: one thread, a cache of its own, and plugins made on the spot."""

from __future__ import annotations

import contextlib
import http.server
import os
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

# Before torch or NumPy is imported: on a busy machine two threads are slower than one.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["MPLBACKEND"] = "Agg"

import pytest  # noqa: E402


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


TINY = """
    import numpy as np
    from dmlbench.hookspecs import DatasetSpec, LossSpec, hookimpl

    @hookimpl
    def dmlbench_datasets():
        return [DatasetSpec(name="tiny", target="tiny_dataset_plugin:Tiny", summary="Noisy tiles",
                            defaults={"noise": 60.0, "classes": 24})]

    @hookimpl
    def dmlbench_losses():
        return [
            LossSpec(name="breaks", target="tiny_dataset_plugin:Breaks", summary="NaN at a step",
                     defaults={"step": 3, "how": "nan"}),
        ]

    class Tiny:
        '''A class is a random 8 px tile; an instance of it is noisy.'''
        gallery, report = None, ()

        def __init__(self, noise=60.0, classes=24, image_size=16):
            from dmlbench.data.images import ImageSet
            rng = np.random.default_rng(0)
            tiles = rng.integers(0, 256, (classes, 1, 8, 8)).repeat(image_size // 8, 2)
            tiles = tiles.repeat(image_size // 8, 3)
            half = classes // 2

            def images(first, last):
                labels = np.repeat(np.arange(last - first), 8)
                noisy = tiles[first:last][labels] + rng.normal(0, noise, (len(labels), 1, 1, 1))
                noisy = noisy + rng.normal(0, noise, noisy.shape)
                names = tuple(f"c{i:03}" for i in range(first, last))
                return ImageSet(noisy.clip(0, 255).astype(np.uint8), labels, names)

            self.train, self.test = images(0, half), images(half, classes)

    def __getattr__(name):
        if name != "Breaks":
            raise AttributeError(name)
        import os, torch

        class Breaks(torch.nn.Module):
            def __init__(self, step=3, how="nan"):
                super().__init__()
                self.step, self.how, self.calls = step, how, 0

            def forward(self, embeddings, labels):
                self.calls += 1
                value = (embeddings[::2] * embeddings[1::2]).sum()
                if self.calls <= self.step:
                    return value
                if self.how == "kill":
                    os.kill(os.getpid(), 9)
                if self.how == "raise":
                    raise RuntimeError("out of luck")
                return value * float("nan")

        return Breaks
"""


@pytest.fixture
def tiny(install) -> dict:
    """A dataset that trains in a second, and the arguments of a run on it."""
    install("tiny-dataset", TINY)
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


class Web:
    """A server on this machine whose misdeeds a test decides.

    files: content by path. etags, modified: what the server says of a version of a file.
    ranges: whether it knows them. cut: how many bytes of its body each next answer sends, though
    it announces all; None for all. status, kind: of every answer. length: announce it or not.
    pause_seconds: between pieces of a body. asked: the path and the range of each request.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.modified: dict[str, str] = {}
        self.ranges = self.length = True
        self.pause_seconds = 0.0
        self.cut: list[int | None] = []
        self.status: list[int] = []
        self.kind = "application/octet-stream"
        self.asked: list[tuple[str, str | None]] = []

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        name = request.path.partition("?")[0].lstrip("/")
        span = request.headers.get("Range")
        self.asked.append((name, span))
        status = self.status.pop(0) if self.status else 200
        if status != 200 or name not in self.files:
            request.send_error(status if status != 200 else 404)
            return
        body = self.files[name]
        version = self.etags.get(name) or self.modified.get(name)
        wanted = request.headers.get("If-Range")
        start = 0
        if span and self.ranges and (wanted is None or wanted == version):
            start = int(span.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                request.send_error(416)
                return
            request.send_response(206)
            last = f"{start}-{len(body) - 1}/{len(body)}"
            request.send_header("Content-Range", f"bytes {last}")
        else:
            request.send_response(200)
        request.send_header("Content-Type", self.kind)
        if self.length:
            request.send_header("Content-Length", str(len(body) - start))
        if name in self.etags:
            request.send_header("ETag", self.etags[name])
        if name in self.modified:
            request.send_header("Last-Modified", self.modified[name])
        request.end_headers()
        cut = self.cut.pop(0) if self.cut else None
        body = body[start:] if cut is None else body[start : start + cut]
        step = 1 << 14 if self.pause_seconds else len(body) or 1
        with contextlib.suppress(ConnectionError):
            for at in range(0, len(body), step):
                request.wfile.write(body[at : at + step])
                time.sleep(self.pause_seconds)
        request.close_connection = True


@pytest.fixture
def web():
    """A `Web` on 127.0.0.1, gone after the test."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.web.answer(self)

        def log_message(self, *values: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.web = Web(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server.web
        server.shutdown()
        thread.join()
