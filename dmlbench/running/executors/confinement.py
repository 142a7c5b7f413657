"""Run a command without network and with a read-only file system, where this machine can.

By `bwrap` if it is installed and works, else by namespaces of Linux (`namespaces`). Inside, no
server can be reached, processes outside are out of reach, only the named folders and a private
/dev/shm can be written, and no capability is left to undo this.

Not confined: what may be read, and sockets in the file system that the user may connect to.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from dmlbench.errors import UsageError
from dmlbench.running.executors.namespaces import KERNEL_SETTINGS, device_files

_PROBE_SECONDS = 120.0


@dataclass(frozen=True)
class Confinement:
    """How a command is confined.

    prefix: arguments to put before the command; empty where this machine cannot confine.
    environment: variables for the command.
    sentence: for the report, whether and by what it is confined, or why not.
    """

    prefix: tuple[str, ...]
    environment: Mapping[str, str]
    sentence: str


def confinement(writable: Sequence[Path]) -> Confinement:
    """The first way that is shown to work here, by trying to break out of it.

    writable: folders that can be written within, made if missing; temporary files go to the first.
        Others that this user cannot write are left out.
    Raises `UsageError` where the first cannot be written.
    """
    scratch, *others = (Path(os.path.realpath(folder)) for folder in writable)
    if not _made(scratch):
        raise UsageError(f"{scratch} cannot be written. Give another folder to train in.")
    folders = _outermost([scratch, *filter(_made, others)])
    reason = "it takes Linux"
    if sys.platform == "linux":
        for name, prefix in _prefixes(folders):
            reason = _problem(prefix, scratch, folders)
            if not reason:
                return Confinement(
                    prefix,
                    {"TMPDIR": str(scratch)},
                    f"Trained without network and with a read-only file system, by {name}.",
                )
    return Confinement(
        (),
        {},
        f"Trained with network and a writable file system, because this machine cannot confine a "
        f"process: {reason}.",
    )


def _made(folder: Path) -> bool:
    """Whether a folder is there, made if it was missing, and this user can write in it."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return os.path.isdir(folder) and os.access(folder, os.W_OK)  # false on a read-only mount


def _outermost(folders: Sequence[Path]) -> list[Path]:
    """Without those that are inside of others."""
    return [
        folder for folder in dict.fromkeys(folders) if not any(p in folders for p in folder.parents)
    ]


def _prefixes(folders: Sequence[Path]) -> list[tuple[str, tuple[str, ...]]]:
    names = [str(folder) for folder in folders]
    own = (sys.executable, "-m", "dmlbench.running.executors.namespaces", *names, "--")
    found = [("namespaces", own)]
    bwrap = which("bwrap")
    if bwrap:
        binds = [argument for name in names for argument in ("--bind", name, name)]
        devices = [
            argument
            for path in device_files()
            for argument in ("--dev-bind-try", str(path), str(path))
        ]
        options = (
            "--unshare-user --unshare-net --unshare-pid --unshare-ipc --die-with-parent "
            "--cap-drop ALL --ro-bind / / --dev /dev"
        )
        settings = [
            argument
            for name in KERNEL_SETTINGS
            for argument in ("--ro-bind-try", f"/proc/{name}", f"/proc/{name}")
        ]
        proc = ("--proc", "/proc", *settings)
        arguments = (bwrap, *options.split(), *devices, *proc, *binds, "--")
        found.insert(0, ("bwrap", arguments))
    return found


# Run with python -I: nothing in the current folder is imported. Gives exit code 0 if confined.
_PROBE = """
import json, os, re, socket, sys, tempfile

given = json.loads(sys.argv[1])
try:
    socket.create_connection(("127.0.0.1", given["port"]), timeout=5)
    sys.exit("the network is still there")
except OSError:
    pass
if os.readlink("/proc/self/ns/net") == given["network"]:
    sys.exit("the network is still there")
for path in given["outside"]:
    try:
        open(path, "r+b")
        sys.exit("files can still be written")
    except OSError:
        pass

def is_within(path, folders):
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)

places = ["/proc/" + name for name in given["kernel"]]
for line in open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape"):
    place = re.sub(r"\\\\([0-7]{3})", lambda match: chr(int(match[1], 8)), line.split(" ")[4])
    if not is_within(place, [*given["writable"], "/dev", "/proc"]):
        places.append(place)
for place in places:
    try:
        flags = os.statvfs(place).f_flag
    except OSError:
        continue  # not there, or out of reach
    if not flags & os.ST_RDONLY:
        sys.exit(place + " can still be written")
tempfile.TemporaryFile(dir=given["scratch"]).close()
"""


def _problem(prefix: Sequence[str], scratch: Path, folders: Sequence[Path]) -> str:
    """What keeps a way from confining, seen by trying to break out; "" where it confines.

    folders: those that can be written, none inside of another; one holds `scratch`.
    """
    try:
        with contextlib.ExitStack() as stack:
            given = {
                "port": _listening_port(stack),
                "network": os.readlink("/proc/self/ns/net"),
                "outside": _files_outside(stack, scratch, folders),
                "kernel": KERNEL_SETTINGS,
                "writable": [str(folder) for folder in folders],
                "scratch": str(scratch),
            }
            found = subprocess.run(
                [*prefix, sys.executable, "-I", "-c", _PROBE, json.dumps(given)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PROBE_SECONDS,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return " ".join(str(error).split())
    if found.returncode == 0:
        return ""
    lines = found.stderr.strip().splitlines() or [f"exit code {found.returncode}"]
    return " ".join(lines[-1].split())[:200].rstrip(".")


def _listening_port(stack: contextlib.ExitStack) -> int:
    """A port of this machine that answers until the stack is closed; 0 where none can."""
    try:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    except OSError:
        return 0
    return server.getsockname()[1]


def _files_outside(
    stack: contextlib.ExitStack, scratch: Path, folders: Sequence[Path]
) -> list[str]:
    """Files that this process can write and a confined one must not, removed with the stack.

    There are none where this user can write nowhere else.
    """
    names = []
    for place in (scratch.parent, Path(os.path.realpath(tempfile.gettempdir()))):
        if not {place, *place.parents}.isdisjoint(folders):
            continue
        with contextlib.suppress(OSError):
            file = tempfile.NamedTemporaryFile(prefix="dmlbench-probe-", dir=place)  # noqa: SIM115
            names.append(stack.enter_context(file).name)
    return names
