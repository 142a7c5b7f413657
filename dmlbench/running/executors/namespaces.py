"""Confine this process by namespaces of Linux, without a tool: network, files, capabilities.

    python -m dmlbench.running.executors.namespaces FOLDER... -- COMMAND...

runs COMMAND so that only FOLDERs can be written; `confinement` tells when it is used.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

#: Device files that a training needs. Others, such as disks, are not there.
_DEVICES = ("null", "zero", "full", "random", "urandom", "kfd", "dri")
_GPU_PATTERN = "nvidia*"
KERNEL_SETTINGS = ("sys", "sysrq-trigger", "irq", "bus")  # in /proc; root may write them
# Numbers are those of linux/*.h.
_NEW_NAMESPACES = 0x00020000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x2, 0x4, 0x8
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_READ_ONLY, _NO_SUID = 0x1, 0x2
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38


def device_files() -> list[Path]:
    """The device files that a confined process has."""
    dev = Path("/dev")
    return [dev / name for name in _DEVICES if (dev / name).exists()] + sorted(
        dev.glob(_GPU_PATTERN)
    )


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
    devices = [(path, os.open(path, os.O_PATH)) for path in device_files()]
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
    for name in KERNEL_SETTINGS:
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
