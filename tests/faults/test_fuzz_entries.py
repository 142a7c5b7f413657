"""Entries with one field changed go through every command that reads boards: no traceback, no hang.

DMLBENCH_FUZZ=3000 tries as many changes as that says.
"""

from __future__ import annotations

import copy
import io
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmlbench.cli import main
from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.entry import parse_entry
from dmlbench.plan.config import sha256_of
from dmlbench.running import reproduce

EXAMPLES = int(os.environ.get("DMLBENCH_FUZZ", "12"))
LONGEST_SECONDS = 60.0  # of all commands on one entry, on a machine that does ten other things
ALLOWED = {0, 1, 2, 3, 4}

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3.5, -0.0, 2**31, 2**53, 2**53 + 1, 2**64, -(2**63), 10**30,
    1e308, -1e308, 5e-324, "", " ", "1", "0", "true", "null", "\x00", "a\x00b", "\x1b]0;pwned\x07",
    "\u202eabc", "\ud800", "x" * 500, "../../x", "/etc/passwd", "sha256:" + "0" * 64, "a\nb\tc",
    "=1+1", "<script>", "$(id)", "%s{0}", [], {}, [None], [[]], {"": 0}, {"a": {"b": [1]}},
    [1] * 500, "nan", "inf", "2024-01-01", "é" * 50,
]  # fmt: skip


def _places(value: Any, above: tuple = ()) -> Iterator[tuple]:
    """Where every field of a JSON value is."""
    if above:
        yield above
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in inner:
            yield from _places(item, (*above, key))


# A real entry of one epoch, so the fields that matter are often drawn. Where the configuration of
# entries changed, make it again:
#   dmlbench run --losses 'triplet(margin=0.1),ms' --combiner wedl --no-singles --seeds 3 --jobs 1
#     --dataset 'glyphs(classes=24, images_per_class=6)' --device cpu --name 'Ada Lovelace'
#     --set recipe.epochs=1 --set recipe.validate_every=1 --set recipe.embedding_dim=8
#     --set recipe.batch.classes=6 --set recipe.batch.images=2
#     --set recipe.input.size=16 --set recipe.input.resize=16 --leaderboards again
SEED_ENTRY = json.loads((Path(__file__).parents[1] / "fixtures" / "trained_entry.json").read_text())
PLACES = list(_places(SEED_ENTRY))


def _changed(place: tuple, how: str, value: Any, consistent: bool) -> dict[str, Any]:
    entry = copy.deepcopy(SEED_ENTRY)
    holder: Any = entry
    for key in place[:-1]:
        holder = holder[key]
    last = place[-1]
    if how == "set":
        holder[last] = value
    elif how == "delete":
        del holder[last]
    elif how == "twice" and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[last]))
    elif isinstance(holder, dict):
        holder[f"{last}x" if how == "rename" else str(value)] = holder.pop(last)
    if consistent:
        _repair(entry)
    return entry


def _repair(entry: dict[str, Any]) -> None:
    """Hashes that hold again, so that the change gets past the first check."""
    try:
        entry["protocol"]["sha256"] = sha256_of(entry["protocol"]["rules"])
    except (KeyError, TypeError, ValueError):
        return
    for _ in range(2):
        try:
            parse_entry(json.dumps(entry), "x")
        except Exception as error:
            if "entry_id" not in str(error):
                return
        try:
            keys = ("distribution", "name", "params")
            parts = {k: entry[k] for k in ("losses", "combiner", "dataset", "backbone")}
            identity = {
                k: [{n: v[n] for n in keys} for v in part]
                if isinstance(part, list)
                else part and {n: part[n] for n in keys}
                for k, part in parts.items()
            }
            identity |= {"recipe": entry["recipe"], "protocol": entry["protocol"]["rules"]}
            if entry["schema_version"] != 1 and "identity" in entry:
                identity = entry["identity"]
            entry["entry_id"] = sha256_of(identity)[:16]
        except (KeyError, TypeError, ValueError):
            return


def _run(*arguments: str | Path) -> str:
    """Run a command in this process; its exit code must be one that is documented."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main([os.fspath(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        pytest.fail(f"{arguments}\n{traceback.format_exc()}")
    text = out.getvalue() + err.getvalue()
    assert code in ALLOWED, (arguments, code, text[-500:])
    if "--json" not in arguments:
        hidden = {c for c in text if ord(c) < 32 and c not in "\n\r\t"} | {*text} & {"\u202e"}
        assert not hidden, (arguments, hidden)
    return text


@pytest.fixture(scope="module", autouse=True)
def _wide() -> Iterator[None]:
    """Room for the column of ids in every table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "160")
        yield


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """`reproduce` plans, and trains nothing."""

    def stop(*arguments: Any, **options: Any) -> None:
        raise UsageError("planned")

    monkeypatch.setattr(reproduce, "execute_plan", stop)


def _try_everything(text: str, entry_id: Any, folder: Path) -> None:
    board = folder / "boards" / "zsl-v2" / "glyphs"
    board.mkdir(parents=True)
    stem = entry_id if isinstance(entry_id, str) and entry_id.isalnum() else "0" * 16
    file = board / f"{stem[:100]}.json"
    file.write_text(text, "utf-8")
    other = board / f"{SEED_ENTRY['entry_id']}.json"
    if other != file:
        other.write_text(json.dumps(SEED_ENTRY), "utf-8")
    boards = folder / "boards"
    began = time.monotonic()
    shown = _run("leaderboard", "show", "--leaderboards", boards)
    if other != file:  # one bad file does not stop the others
        assert SEED_ENTRY["entry_id"][:6] in shown
    for form in ("--json", "--csv", "--markdown", "--latex", "--over-datasets"):
        _run("leaderboard", "show", "--leaderboards", boards, form)
    _run("leaderboard", "verify", "--leaderboards", boards)
    _run("leaderboard", "verify", file)
    for pair in ((file, other), (other, file)):
        _run("leaderboard", "compare", *pair, "--resamples", "100")
    _run("info", file)
    _run("info", file, "--json")
    _run("leaderboard", "site", folder / "site", "--leaderboards", boards)
    _run("leaderboard", "add", file, "--leaderboards", folder / "copy")
    _run("reproduce", file, "--no-record", "--scratch", folder / "again")
    took = time.monotonic() - began
    assert took < LONGEST_SECONDS, took


@pytest.mark.usefixtures("planned")
def test_the_entry_to_change_is_one_that_reproduce_would_train(tmp_path: Path) -> None:
    file = tmp_path / f"{SEED_ENTRY['entry_id']}.json"
    file.write_text(json.dumps(SEED_ENTRY), "utf-8")
    text = _run("reproduce", file, "--no-record", "--scratch", tmp_path / "again")
    assert "Error: planned" in text


@pytest.mark.slow
@pytest.mark.usefixtures("planned")
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="DMLBENCH_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(
    place=st.sampled_from(PLACES),
    how=st.sampled_from(["set"] * 5 + ["delete", "twice", "rename", "rekey"]),
    value=st.sampled_from(VALUES),
    consistent=st.sampled_from([True, True, True, False]),
)
def test_an_entry_with_one_field_changed(tmp_path_factory, place, how, value, consistent) -> None:
    entry = _changed(place, how, value, consistent)
    text = json.dumps(entry)
    _try_everything(text, entry.get("entry_id"), tmp_path_factory.mktemp("fuzz"))


@pytest.mark.slow
@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "1", '"x"', "\x00", "\ufeff{}", "[" * 5000, '{"a":' * 5000,
     '{"schema_version": 99}', '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": ' + "9" * 5000 + "}",
     '{"schema_version": ' + "9" * 5000 + "}"],
    ids=range(15),
)  # fmt: skip
def test_a_file_that_is_no_entry(text: str, tmp_path: Path) -> None:
    _try_everything(text, None, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling", "loop", "device", "latin-1", "out"])
def test_something_else_in_place_of_an_entry(kind: str, tmp_path: Path) -> None:
    board = tmp_path / "boards" / "zsl-v2" / "glyphs"
    board.mkdir(parents=True)
    good = board / f"{SEED_ENTRY['entry_id']}.json"
    good.write_text(json.dumps(SEED_ENTRY), "utf-8")
    bad = board / f"{'a' * 16}.json"
    if kind == "folder":
        bad.mkdir()
    elif kind == "pipe":
        os.mkfifo(bad)
    elif kind == "latin-1":
        bad.write_bytes(b'{"submitter": "\xfc"}')
    else:
        secret = dict.fromkeys([*SEED_ENTRY, "password-of-somebody"], 1) | {"schema_version": 1}
        (tmp_path / "secret").write_text(json.dumps(secret))
        targets = {"dangling": "nowhere", "loop": bad.name, "device": "/dev/zero"}
        bad.symlink_to(targets.get(kind, tmp_path / "secret"))
    for place in (tmp_path / "boards", board):
        for command in ("show", "verify"):
            text = _run("leaderboard", command, "--leaderboards", place)
            assert "password-of-somebody" not in text
            assert SEED_ENTRY["entry_id"][:6] in text and "aaaaaaaaaaaaaaaa.json" in text
        _run("leaderboard", "site", tmp_path / "site", "--leaderboards", place)
    for command in (["info"], ["leaderboard", "verify"], ["reproduce", "--no-record"]):
        text = _run(*command, bad)
        assert "password-of-somebody" not in text
        assert "leads out of" in text or kind != "out"
    _run("leaderboard", "compare", good, bad)
    _run("leaderboard", "add", board, "--leaderboards", tmp_path / "copy")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
