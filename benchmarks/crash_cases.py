"""The commands of `crash_campaign.py`, and the surroundings in which they run."""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TRAINED = (
    "--dataset glyphs(classes=24,images_per_class=6) --device cpu "
    "--set recipe.epochs=4 --set recipe.batch.classes=6 --set recipe.batch.images=2 "
    "--set recipe.input.size=16 --set recipe.input.resize=16 --set recipe.embedding_dim=8"
).split()


@dataclass(frozen=True)
class Case:
    """A command that writes.

    arguments: the command line, given the round's folder.
    prepare: makes a new folder ready.
    """

    arguments: Callable[[Path], list[str]]
    prepare: Callable[[Path], None] = lambda folder: None


def cases(base: Path, address: str) -> dict[str, Case]:
    """The commands by name. base: the campaign's folder. address: that of `served`."""
    board = base / "board"

    def run(folder: Path) -> list[str]:
        losses = ["--losses", "ms,proxy-anchor", "--seeds", "1", "--jobs", "2"]
        return ["run", *losses, *TRAINED, "--leaderboards", str(folder / "out")]

    def copy_board(folder: Path) -> None:
        shutil.copytree(board, folder / "out")

    def entry(folder: Path) -> str:
        return str(min(folder.glob("out/*/*/*.json")))

    call(run(base / "first"))
    shutil.copytree(base / "first" / "out", board)
    return {
        "run": Case(run),
        "small-disk": Case(run, mount),
        "tune": Case(
            lambda folder: [
                *["tune", "--losses", "ms,triplet", "--combiner", "none", "--budget", "2"],
                *TRAINED,
                *["--jobs", "2", "--leaderboards", str(folder / "out")],
            ]
        ),
        "reproduce": Case(
            lambda folder: ["reproduce", entry(folder), "--device", "cpu"], copy_board
        ),
        "add": Case(
            lambda folder: ["leaderboard", "add", str(board), "--leaderboards", str(folder / "out")]
        ),
        "verify": Case(
            lambda folder: [
                "leaderboard",
                "verify",
                "--leaderboards",
                str(folder / "out"),
                "--name",
                "campaign",
            ],
            copy_board,
        ),
        "site": Case(
            lambda folder: [
                "leaderboard",
                "site",
                str(folder / "out"),
                "--leaderboards",
                str(board),
            ]
        ),
        "data": Case(
            lambda folder: [
                *["data", "get", "inshop", "--root", str(folder / "out"), "--url", address]
            ]
        ),
    }


def command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "dmlbench", *arguments]


def call(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(arguments), capture_output=True, text=True, timeout=900)


def mount(folder: Path) -> None:
    """A file system without room for a checkpoint."""
    (folder / "out").mkdir()
    arguments = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder / "out")]
    subprocess.run(arguments, check=True, timeout=60)


def unmount(folder: Path) -> None:
    if os.path.ismount(folder / "out"):
        subprocess.run(["umount", str(folder / "out")], check=False, timeout=60)


@contextlib.contextmanager
def served(base: Path) -> Any:
    """A small In-Shop, on a server that takes its time; gives its address."""
    files = base / "served"
    files.mkdir()
    rows = []
    with zipfile.ZipFile(files / "img.zip", "w") as archive:
        for number, pixels in enumerate(
            np.random.default_rng(0).integers(0, 256, (240, 24, 24, 3))
        ):
            item = number // 6
            status = "train" if item < 20 else ("query", "gallery")[number % 2]
            path = f"img/WOMEN/Dresses/id_{item:08d}/{number:02d}_1_front.jpg"
            buffer = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG")
            archive.writestr(path, buffer.getvalue())
            rows.append(f"{path} id_{item:08d} {status}")
    text = "\n".join([str(len(rows)), "image_name item_id evaluation_status", *rows]) + "\n"
    (files / "list_eval_partition.txt").write_text(text)

    class Slow(http.server.SimpleHTTPRequestHandler):
        def copyfile(self, source: Any, outputfile: Any) -> None:
            with contextlib.suppress(OSError):
                while data := source.read(8192):
                    outputfile.write(data)
                    time.sleep(0.01)

        def log_message(self, *arguments: Any) -> None:
            pass

    handler = functools.partial(Slow, directory=str(files))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
