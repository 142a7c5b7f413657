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
from dmlbench.errors import UsageError
from dmlbench.running.executors import confinement as module
from dmlbench.running.executors.confinement import confinement

_HERE = Path(__file__).parent


def _can_unshare(*options: str) -> bool:
    """Whether another program than ours can make namespaces here."""
    command = ["unshare", "--user", "--map-root-user", *options, "true"]
    return (
        shutil.which("unshare") is not None and not subprocess.run(command, check=False).returncode
    )


@pytest.fixture(params=["bwrap", "namespaces"])
def inside_of(request, monkeypatch):
    """Gives what runs Python code confined to some folders, by one way or the other."""
    ways = module._prefixes
    monkeypatch.setattr(
        module, "_prefixes", lambda folders: [w for w in ways(folders) if w[0] == request.param]
    )
    if request.param == "bwrap" and not shutil.which("bwrap"):
        pytest.skip("bwrap is not installed: apt-get install bubblewrap")
    if not _can_unshare("--net", "--ipc", "--mount", "--pid", "--fork", "--mount-proc"):
        pytest.skip("the kernel forbids namespaces to unshare as well")

    def confined_to(folders):
        found = confinement(folders)
        assert found.prefix, found.sentence

        def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
            command = [*found.prefix, sys.executable, "-c", code, *map(str, arguments)]
            return subprocess.run(command, capture_output=True, text=True, timeout=60)

        return run

    return confined_to


@pytest.fixture
def inside(inside_of, tmp_path):
    """Runs Python code confined to ``tmp_path/scratch``."""
    return inside_of([tmp_path / "scratch"])


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


@pytest.mark.parametrize("left", ["a file", "a mount", "the network"])
def test_a_way_that_leaves_something_open_is_not_taken(left, tmp_path, monkeypatch):
    if not _can_unshare("--net", "--mount"):
        pytest.skip("unshare cannot make these namespaces here")
    options = ["--mount"] if left == "the network" else ["--net"]
    way = ("/usr/bin/env", "unshare", "--user", "--map-root-user", *options)
    monkeypatch.setattr(module, "_prefixes", lambda folders: [("half", way)])
    if left == "a mount":
        monkeypatch.setattr(module, "_files_outside", lambda *given: [])
    if left == "the network":
        monkeypatch.setattr(module, "_listening_port", lambda stack: 0)
    found = confinement([tmp_path / "scratch"])
    words = "the network is still there" if left == "the network" else "can still be written"
    assert found.prefix == () and words in found.sentence


@pytest.mark.parametrize("order", [1, -1])
def test_folders_inside_of_each_other_are_confined_to(order, inside_of, tmp_path):
    """Beside the scratch folder there is no file to try to write: the cache is around it."""
    cache, scratch = tmp_path / "a cache", tmp_path / "a cache" / "scratch"
    run = inside_of([cache, scratch][::order])
    write = "import sys; open(sys.argv[1], 'w').write('x')"
    for place in (cache, scratch):
        assert run(write, place / "file").returncode == 0
    assert "Read-only file system" in run(write, tmp_path / "file").stderr


def test_a_folder_that_cannot_be_written_is_left_out_and_nothing_else(inside_of, tmp_path):
    (tmp_path / "file").touch()
    run = inside_of([tmp_path / "scratch", tmp_path / "file" / "cache"])
    assert run("").returncode == 0
    with pytest.raises(UsageError, match="file/cache cannot be written. Give another folder"):
        confinement([tmp_path / "file" / "cache"])


def test_folders_beside_which_nothing_can_be_written_are_confined_to(
    inside_of, tmp_path, monkeypatch
):
    def refuse(**given):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.tempfile, "NamedTemporaryFile", refuse)
    assert inside_of([tmp_path / "scratch"])("").returncode == 0


def test_what_is_trained_again_is_confined(tiny, tmp_path, capsys, monkeypatch):
    if not confinement([tmp_path / "scratch"]).prefix:
        pytest.skip(confinement([tmp_path / "scratch"]).sentence)
    tiny["overrides"]["recipe.epochs"] = 1
    (entry,) = dmlbench.run(["ms"], out=tmp_path, submitter="Ada", **{**tiny, "seeds": 1})
    arguments = ["reproduce", entry.entry_id, "--leaderboards", str(tmp_path), "--name", "Grace"]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--device", "cpu"])
    said = capsys.readouterr().out
    assert stop.value.code == 0 and said.startswith("equal:"), said
    assert "Trained without network" in said
