"""The devices of this machine: what ``--device`` names, and how a process is left one of them.

A trial has one device. Where several are named, the run hands them out, one trial each; a process
that trains sees its GPU and no other, whatever its code asks for, and calls it ``cuda:0``. What is
recorded of a trial is the kind of its device, so it does not depend on which one it was.
"""

from __future__ import annotations

import os

from dmlbench.errors import UsageError

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus() -> int:
    """How many GPUs this process may use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def found_devices(text: str) -> list[str]:
    """The devices that ``--device`` names here: ``["cpu"]``, ``["cuda:0", "cuda:1"]``.

    text: "auto", every visible GPU or else the CPU; "cuda", every visible GPU; or devices separated
        by commas. One that is named twice takes two trials at once.
    Raises `UsageError` for one that is not there, and for devices of several kinds.
    """
    count = visible_gpus() if text in ("auto", "cuda") else 0
    if count:
        return [f"cuda:{index}" for index in range(count)]
    names = ["cpu"] if text == "auto" else [name.strip() for name in text.split(",")]
    if len({name.partition(":")[0] for name in names}) > 1:
        raise UsageError(
            f"--device {text} names devices of several kinds, whose numbers differ; name one kind."
        )
    for name in dict.fromkeys(names):
        _require(name)
    return names


def found_device(text: str) -> str:
    """The one device of a command that uses one; of several that "auto" or "cuda" mean, the first.

    Raises `UsageError` as `found_devices`, and where several are named.
    """
    if "," in text:
        raise UsageError(f"--device {text} names several devices; this command uses one.")
    return found_devices(text)[0]


def keep_only(device: str, visible: str | None = None) -> str:
    """Leave this process, which has not touched CUDA yet, one GPU; gives its name from then on.

    device: as `found_devices` gives it. Another kind of device is left as it is.
    visible: the GPU as ``CUDA_VISIBLE_DEVICES`` names it, where whoever hands GPUs out has said so.
    """
    kind, _, index = device.partition(":")
    if kind != "cuda" or not index:
        return device
    os.environ[_VISIBLE] = visible_name(device) if visible is None else visible
    return "cuda:0"


def visible_name(device: str) -> str:
    """What the driver calls a GPU: its number or id, where this process calls it ``cuda:1``."""
    index = device.partition(":")[2]
    given = os.environ.get(_VISIBLE)
    return given.split(",")[int(index)].strip() if given else index


def _require(name: str) -> None:
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {name} cannot be used here: {error}. Try cpu.") from error
