"""The commands as a user meets them: output, exit codes, errors."""

from __future__ import annotations

import json
import sys

import pytest

from dmlbench.cli import COMMANDS


def test_help_names_every_command(call):
    code, out, _ = call("--help")
    assert code == 0 and all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS, "leaderboard show"])
def test_every_command_has_help(call, command):
    code, out, _ = call(*command.split(), "--help")
    assert code == 0 and out.startswith("Usage: dmlbench ")


@pytest.mark.parametrize("kind", ["losses", "combiners", "datasets", "backbones", "recipes"])
def test_list_as_table_and_as_json(call, kind):
    _, table, _ = call("list", kind)
    _, text, _ = call("list", kind, "--json")
    rows = json.loads(text)
    assert rows and all(row["name"] in table and row["summary"] for row in rows)


def test_a_third_party_loss_is_listed_with_its_distribution_and_version(call, install):
    install(
        "their-losses",
        """
        from dmlbench.hookspecs import LossSpec, hookimpl
        @hookimpl
        def dmlbench_losses():
            return [LossSpec(name="theirs", target="m:Theirs", summary="[red]Text[/red]")]
        """,
        version="3.1",
    )
    code, out, _ = call("list", "losses")
    (line,) = [line for line in out.splitlines() if "theirs" in line]
    assert code == 0 and "their-losses 3.1" in line and "[red]Text[/red]" in line
    code, out, _ = call("list", "losses", "--without", "their-losses")
    assert code == 0 and "theirs" not in out


def test_plugins_shows_the_broken_one_and_exits_with_3(call, install):
    install("bad-dist", "import not_there", version="0.7")
    code, out, _ = call("plugin", "list")
    assert code == 3 and "bad-dist" in out and "0.7" in out and "not_there" in out
    code, out, _ = call("plugin", "list", "--json")
    records = {record["distribution"]: record for record in json.loads(out)}
    assert records["bad-dist"]["status"] == "broken" and records["dmlbench"]["status"] == "ok"
    assert call("plugin", "list", "--without", "bad-dist")[0] == 0
    assert call("list", "losses")[0] == 0


def test_info_shows_paper_and_parameters(call):
    code, out, _ = call("info", "ms")
    assert code == 0 and "CVPR 2019" in out and "epsilon = 0.1" in out
    code, out, _ = call("info", "wedl", "--json")
    assert json.loads(out)["defaults"]["penalty"] == 1e4
    code, out, _ = call("info", "quick", "--json")
    assert json.loads(out)["epochs"] == 25


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["frob"], 2, "There is no command 'frob'. Commands: run, plan"),
        (["list", "frobs"], 2, "is not one of 'losses'"),
        (["info", "tripplet"], 2, "Did you mean triplet"),
        (["plan", "--losses", "tripplet"], 2, "Did you mean triplet"),
        (["plan", "--losses", ""], 2, "at least one loss"),
        (["plan", "--seeds", "many"], 2, "--seeds 'many' must be a number"),
        (["plan", "--seeds", "0"], 2, "at least one"),
        (["plan", "--seeds", "1,1"], 2, "different numbers"),
        (["plan", "--set", "epochs=4"], 2, "only recipe.* and protocol.*"),
        (["plan", "--set", "recipe.epochs"], 2, "not of the form key=value"),
        (["plan", "--set", "protocol.metric=1"], 2, "no protocol.metric to set"),
        (["plan", "--combiner", "none", "--no-singles"], 2, "Nothing to train"),
        (["plan", "--losses", "triplet", "--combiner", "wedl"], 2, "needs at least two losses"),
        (["plan", "--set", "recipe.schedule.warmup_epochs=-5"], 2, "must be between 0 and"),
        (["plan", "--pretrained"], 2, "has no pretrained weights"),
        (["plan", "--without", "nobody"], 3, "no installed distribution of that name"),
        (["info", "0123456789abcdef"], 2, "There is no folder leaderboards"),
        (["leaderboard", "show", "--leaderboards", "/not/there"], 2, "/not/there"),
    ],
)
def test_what_cannot_be_meant_is_said_on_stderr(
    call, tmp_path, monkeypatch, arguments, code, message
):
    # A leaderboards folder of the user's must not matter, nor its absence.
    monkeypatch.chdir(tmp_path)
    given, out, err = call(*arguments)
    assert (given, out) == (code, "") and message in " ".join(err.split())


def test_plan_lists_what_run_would_do(call, tmp_path):
    arguments = [
        "plan",
        "--losses",
        "triplet,ms(alpha=1)",
        "--combiner",
        "learned,sum",
        "--seeds",
        "3,5",
        "--set",
        "recipe.epochs=4",
        "--leaderboards",
        str(tmp_path),
    ]
    code, out, _ = call(*arguments)
    assert code == 0 and "8 trials, 8 of them to train" in out
    assert "recipe quick (epochs=4), 4 epochs" in out
    _, text, _ = call(*arguments, "--json")
    plan = json.loads(text)
    assert [row["configuration"] for row in plan["configurations"]] == [
        "triplet",
        "multi-similarity(alpha=1)",
        "wedl(triplet + multi-similarity(alpha=1))",
        "sum(triplet + multi-similarity(alpha=1))",
    ]
    assert plan["configurations"][0]["seeds"] == {"3": "to do", "5": "to do"}
    assert plan["recipe_overrides"] == {"epochs": 4}


def run_arguments(tiny: dict, out) -> list[str]:
    return [
        "run",
        "--dataset",
        tiny["dataset"],
        "--device",
        "cpu",
        "--jobs",
        "1",
        "--leaderboards",
        str(out),
        *(part for key, value in tiny["overrides"].items() for part in ("--set", f"{key}={value}")),
    ]


def test_run_shows_a_table_and_a_sentence_and_tells_of_each_trial_without_a_terminal(
    call, tiny, tmp_path
):
    arguments = [*run_arguments(tiny, tmp_path), "--losses", "triplet,ms", "--seeds", "2"]
    code, out, err = call(*arguments)
    lines = err.splitlines()
    assert code == 0 and len(lines) >= 6 and lines[-1].startswith("6 of 6 trials done"), err
    assert any("triplet, seed 1 finished: MAP@R" in line for line in lines)
    assert "wedl" in out and "multi-similarity" in out and "best single loss" in out
    code, out, err = call(*arguments, "--json")
    document = json.loads(out)
    assert code == 0 and len(document["rows"]) == 3 and len(document["verdicts"]) == 1
    assert "Nothing to train: all 6 trials are already in" in err
    entry_id = document["rows"][0]["entry_id"]
    code, out, _ = call("info", entry_id[:8], "--leaderboards", str(tmp_path))
    assert code == 0 and entry_id in out
    plot = tmp_path / "curves.png"
    code, _, _ = call("info", entry_id, "--leaderboards", str(tmp_path), "--plot", str(plot))
    assert code == 0 and plot.read_bytes().startswith(b"\x89PNG")
    code, out, _ = call("leaderboard", "show", "--leaderboards", str(tmp_path))
    assert code == 0 and "best single loss" in out


def test_run_with_a_failing_loss_says_why_and_exits_with_1(call, tiny, tmp_path):
    arguments = [*run_arguments(tiny, tmp_path), "--losses", "breaks,ms", "--seeds", "1"]
    code, out, err = call(*arguments, "--combiner", "none")
    assert code == 1
    assert "Failed: breaks, seed 0: breaks is nan at step 3" in err and "--retry-failed" in err
    assert "multi-similarity" in out


def test_a_device_that_is_not_there_is_no_fault_of_the_losses(call, tiny, tmp_path):
    arguments = [*run_arguments(tiny, tmp_path), "--losses", "ms", "--seeds", "1,"]
    code, out, err = call(*arguments, "--device", "tpu")
    assert (code, out) == (2, "") and "Error: --device tpu cannot be used here" in err
    assert "seed 0 is missing" in err.splitlines()[0]


def test_getting_a_dataset_in_vain_leaves_no_folder(call, web, tmp_path):
    (tmp_path / "there").mkdir()
    for root in ("typo/deeper", "there"):
        code, _, err = call(
            "data", "get", "flowers", "--root", str(tmp_path / root), "--url", web.url
        )
        assert code == 1 and "404" in err
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_trial_without_a_result_is_not_advised_to_be_retried(call, tiny, tmp_path):
    """`--retry-failed` is for results that are on file; this one the next run tries anyway."""
    arguments = [*run_arguments(tiny, tmp_path), "--losses", "breaks(how=kill),ms", "--seeds", "1"]
    code, out, err = call(*arguments, "--combiner", "none")
    assert code == 1 and "multi-similarity" in out
    assert "Failed: breaks(how=kill), seed 0: the process that trained it was ended by" in err
    assert "the next run trains it again" in err and "--retry-failed" not in err


def test_trials_that_make_no_entry_are_told_at_the_end_of_a_run(call, tiny, tmp_path):
    tiny["overrides"]["recipe.epochs"] = 1
    arguments = [*run_arguments(tiny, tmp_path), "--losses", "ms", "--seeds"]
    assert call(*arguments, "1")[0] == 0
    (result,) = tmp_path.glob(".trials/*/*/seed-0/result.json")
    changed = json.loads(result.read_text())
    changed["metadata"]["dataset"]["fingerprint"] = "0" * 64
    result.write_text(json.dumps(changed))
    code, _, err = call(*arguments, "2")
    assert code == 1 and "No entry: multi-similarity: the trials of seed 0 and seed 1" in err


def test_ctrl_c_leaves_a_resumable_state_and_says_how_to_go_on(tiny, tmp_path, on_a_terminal):
    """On a terminal: progress is drawn, Ctrl-C ends with 130 and the command that goes on."""
    tiny["overrides"]["recipe.epochs"] = 400
    arguments = [*run_arguments(tiny, tmp_path), "--losses", "ms", "--seeds", "1"]
    shown = on_a_terminal(
        [sys.executable, "-m", "dmlbench", *arguments],
        stop=lambda seen: b"/400" in seen and b" left" in seen,
    )
    text = shown.terminal.decode(errors="replace")
    assert shown.interrupted and shown.code == 130, text[-2000:]
    assert "0 of 1 trials are done" in text and "The same command resumes" in text
    assert "multi-similarity" in text and "Val MAP@R" in text
    assert list(tmp_path.glob(".trials/*/*/seed-0/checkpoint.pt")) and shown.stdout == b""
