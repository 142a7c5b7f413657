"""Run a command without network and with a read-only file system, where this machine can.

By `bwrap` if it is installed and works, else by namespaces of Linux that this module sets up
itself (`python -m dmlbench.running.executors.confinement FOLDER... -- COMMAND...`). Inside, no
server can be reached, processes outside are out of reach, only the named folders and a private
/dev/shm can be written, and no capability is left to undo this.

Not confined: what may be read, and sockets in the file system that the user may connect to.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from dmlbench.errors import UsageError

#: Device files that a training needs. Others, such as disks, are not there.
_DEVICES = ("null", "zero", "full", "random", "urandom", "kfd", "dri")
_GPU_PATTERN = "nvidia*"
_KERNEL_SETTINGS = ("sys", "sysrq-trigger", "irq", "bus")  # in /proc; root may write them
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
    own = (sys.executable, "-m", "dmlbench.running.executors.confinement", *names, "--")
    found = [("namespaces", own)]
    bwrap = which("bwrap")
    if bwrap:
        binds = [argument for name in names for argument in ("--bind", name, name)]
        devices = [
            argument for path in _devices() for argument in ("--dev-bind-try", str(path), str(path))
        ]
        options = (
            "--unshare-user --unshare-net --unshare-pid --unshare-ipc --die-with-parent "
            "--cap-drop ALL --ro-bind / / --dev /dev"
        )
        settings = [
            argument
            for name in _KERNEL_SETTINGS
            for argument in ("--ro-bind-try", f"/proc/{name}", f"/proc/{name}")
        ]
        proc = ("--proc", "/proc", *settings)
        arguments = (bwrap, *options.split(), *devices, *proc, *binds, "--")
        found.insert(0, ("bwrap", arguments))
    return found


def _devices() -> list[Path]:
    dev = Path("/dev")
    return [dev / name for name in _DEVICES if (dev / name).exists()] + sorted(
        dev.glob(_GPU_PATTERN)
    )


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
                "kernel": _KERNEL_SETTINGS,
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


# What follows is in the process that confines itself. Numbers are those of linux/*.h.
_NEW_NAMESPACES = 0x00020000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x2, 0x4, 0x8
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_READ_ONLY, _NO_SUID = 0x1, 0x2
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38


class _Attributes(ctypes.Structure):
    """struct mount_attr."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def main() -> None:
    """Confine this process and become the command; its exit code is passed on."""
    split = sys.argv.index("--")
    folders, command = sys.argv[1:split], sys.argv[split + 1 :]
    try:
        _enter_namespaces()
    except OSError as error:
        sys.exit(f"{error.strerror or error} (while making namespaces)")
    child = os.fork()  # the first in its namespace of processes: its end ends all others
    if child:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            os.kill(os.getpid(), -code)
        os._exit(code & 0xFF)
    try:
        _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _limit_mounts(folders)
        os.chdir(os.getcwd())  # the folder as it is mounted now
        _drop_capabilities()
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{error.strerror or error} (while confining)", file=sys.stderr, flush=True)
    os._exit(1)


def _enter_namespaces() -> None:
    user, group = os.geteuid(), os.getegid()
    _call("unshare", _NEW_NAMESPACES)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text)


def _limit_mounts(folders: Sequence[str]) -> None:
    devices = [(path, os.open(path, os.O_PATH)) for path in _devices()]
    _mount(None, "/", _MS_REC | _MS_PRIVATE)
    for folder in folders:
        _mount(folder, folder, _MS_BIND | _MS_REC)
    _set_attributes("/", _AT_RECURSIVE, _Attributes(set=_READ_ONLY | _NO_SUID))
    for folder in folders:
        _set_attributes(folder, 0, _Attributes(clear=_READ_ONLY))
    _mount("tmpfs", "/dev", _MS_NOSUID, "tmpfs")
    for path, descriptor in devices:
        if path.is_dir() or os.path.isdir(f"/proc/self/fd/{descriptor}"):
            path.mkdir()
        else:
            path.touch()
        _mount(f"/proc/self/fd/{descriptor}", str(path), _MS_BIND | _MS_REC)
        os.close(descriptor)
    os.symlink("/proc/self/fd", "/dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"/dev/{name}")
    os.mkdir("/dev/shm")
    _mount("tmpfs", "/dev/shm", _MS_NOSUID | _MS_NODEV, "tmpfs")
    _mount("proc", "/proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "proc")
    for name in _KERNEL_SETTINGS:
        if os.path.exists(f"/proc/{name}"):
            _mount(f"/proc/{name}", f"/proc/{name}", _MS_BIND)
            _set_attributes(f"/proc/{name}", 0, _Attributes(set=_READ_ONLY))


def _drop_capabilities() -> None:
    """Leave none for the program that follows, even where this one is root's."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        _call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _mount(source: str | None, target: str, flags: int, kind: str | None = None) -> None:
    names = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _call("mount", *names, ctypes.c_ulong(flags), None)


def _set_attributes(path: str, flags: int, attributes: _Attributes) -> None:
    _call(
        "syscall",
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        _AT_FDCWD,
        os.fsencode(path),
        ctypes.c_uint(flags),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library. Raises `OSError` where it fails."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
