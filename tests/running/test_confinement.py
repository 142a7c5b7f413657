"""A confined process reaches no network, writes nowhere else, and cannot undo that."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import dmlbench
from dmlbench.cli import main
from dmlbench.running.executors import confinement as module
from dmlbench.running.executors.confinement import confinement

_HERE = Path(__file__).parent


@pytest.fixture(params=["bwrap", "namespaces"])
def inside(request, tmp_path, monkeypatch):
    """Runs Python code confined to ``tmp_path/scratch``, by one way or the other."""
    ways = module._prefixes
    monkeypatch.setattr(
        module, "_prefixes", lambda folders: [w for w in ways(folders) if w[0] == request.param]
    )
    if request.param == "bwrap" and not shutil.which("bwrap"):
        pytest.skip("bwrap is not installed: apt-get install bubblewrap")
    found = confinement([tmp_path / "scratch"])
    if not found.prefix:
        pytest.skip(f"{request.param}: {found.sentence}")

    def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [*found.prefix, sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    return run


def test_a_server_on_this_machine_cannot_be_reached(inside):
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])))"
        port = server.getsockname()[1]
        subprocess.run([sys.executable, "-c", connect, str(port)], check=True)
        found = inside(connect, port)
    assert found.returncode == 1
    assert "ConnectionRefusedError" in found.stderr or "unreachable" in found.stderr


def test_only_scratch_can_be_written(inside, tmp_path):
    write = "import sys; open(sys.argv[1], 'w').write('x')"
    assert inside(write, tmp_path / "scratch" / "file").returncode == 0
    assert (tmp_path / "scratch" / "file").read_text() == "x"
    for outside in (
        tmp_path / "file",
        _HERE / "file",
        Path(tempfile.gettempdir()) / "file-of-test",
    ):
        found = inside(write, outside)
        assert found.returncode == 1 and "Read-only file system" in found.stderr, outside
        assert not outside.exists()
    assert inside(write, "/dev/shm/file").returncode == 0
    assert not Path("/dev/shm/file").exists(), "memory of its own"


def test_kernel_settings_and_disks_are_out_of_reach(inside):
    code = (
        "import os, sys\n"
        "try:\n    open('/proc/sys/kernel/hostname', 'w')\n"
        "except OSError:\n    pass\nelse:\n    sys.exit('sysctl')\n"
        "print(*os.listdir('/dev'))"
    )
    found = inside(code)
    assert found.returncode == 0, found.stderr
    assert not [name for name in found.stdout.split() if name.startswith(("sd", "vd", "nvme"))]


def test_it_cannot_be_undone(inside, tmp_path):
    """Nobody in there has a capability, and none comes back, even to root."""
    found = inside("print(*[line for line in open('/proc/self/status') if 'Cap' in line])")
    values = [line.split()[1] for line in found.stdout.splitlines() if line.strip()]
    assert values and {int(value, 16) for value in values} == {0}
    remount = (
        "import ctypes, sys; libc = ctypes.CDLL(None)\n"
        "sys.exit(libc.mount(None, b'/', None, ctypes.c_ulong(0x1020), None) == 0)"
    )
    assert inside(remount).returncode == 0


def test_processes_outside_are_out_of_reach(inside):
    found = inside("import os, sys; os.kill(int(sys.argv[1]), 0)", os.getpid())
    assert "ProcessLookupError" in found.stderr or "PermissionError" in found.stderr


def test_exit_codes_are_passed_on(inside):
    assert inside("raise SystemExit(7)").returncode == 7


def test_a_killed_confined_process_leaves_nothing(inside, tmp_path):
    sleeper = f"import time; open({str(tmp_path / 'scratch' / 'up')!r}, 'w'); time.sleep(60)"
    found = confinement([tmp_path / "scratch"])
    process = subprocess.Popen([*found.prefix, sys.executable, "-c", sleeper])
    deadline = time.monotonic() + 30
    while not (tmp_path / "scratch" / "up").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    marker = str(tmp_path / "scratch" / "up")
    while _runs(marker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(marker)


def _runs(text: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_bytes().decode(errors="replace"):
                return True
        except OSError:
            continue
    return False


def test_a_machine_that_cannot_says_so(tmp_path, monkeypatch):
    """Both ways of failing: nothing starts, and something starts that confines nothing."""
    ways = [("bwrap", ("/nonexistent/bwrap",)), ("namespaces", ("/usr/bin/env",))]
    monkeypatch.setattr(module, "_prefixes", lambda folders: ways)
    found = confinement([tmp_path / "scratch"])
    assert found.prefix == ()
    assert "cannot confine a process: the network is still" in found.sentence


def test_what_is_trained_again_is_confined(tiny, tmp_path, capsys, monkeypatch):
    if not confinement([tmp_path / "scratch"]).prefix:
        pytest.skip(confinement([tmp_path / "scratch"]).sentence)
    tiny["overrides"]["recipe.epochs"] = 1
    (entry,) = dmlbench.run(["ms"], out=tmp_path, submitter="Ada", **{**tiny, "seeds": 1})
    arguments = ["reproduce", entry.entry_id, "--out", str(tmp_path), "--name", "Grace"]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--device", "cpu"])
    said = capsys.readouterr().out
    assert stop.value.code == 0 and said.startswith("equal:"), said
    assert "Trained without network" in said
