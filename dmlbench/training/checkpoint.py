"""Checkpoints on disk: whole or not there, and told apart from damaged ones when they are read.

A file is a line with the SHA-256 (hex) of what follows, then what `torch.save` writes. torch looks
at no checksum of its own: weights that a disk changed would be trained on without a word.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch

from dmlbench.files import write_atomically

_MAGIC = b"dmlbench checkpoint "


class DamagedCheckpoint(Exception):
    """A checkpoint whose content is not what was written, or not one of ours."""


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain containers. Raises `OSError` where the disk refuses."""
    # In memory first: torch hides the error of a file that it writes to.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    header = _MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n"

    def write(file: Any) -> None:
        file.write(header)
        file.write(content)

    write_atomically(path, write)


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """What was written, on `device`; None where there is no file. Raises `DamagedCheckpoint`."""
    try:
        with open(path, "rb") as file:
            header = file.readline(len(_MAGIC) + 65)
            content = file.read()
    except FileNotFoundError:
        return None
    if header != _MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n":
        raise DamagedCheckpoint(f"{path} is not what was written there")
    state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return dict(state)


def keep_damaged(path: Path) -> Path:
    """Give a checkpoint that cannot be used another name, in the place of an earlier one."""
    place = path.with_name(f"damaged-{path.name}")
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, place)
    return place
