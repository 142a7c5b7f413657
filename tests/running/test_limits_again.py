"""What holds when strangers' entries are trained again: whose word counts, and for how much."""

from __future__ import annotations

import json
from types import SimpleNamespace

import hand_made
import pytest

import dmlbench
from dmlbench.cli import main
from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.attestation import Attestation
from dmlbench.leaderboard.entries.store import write_entry
from dmlbench.leaderboard.verification.drawing import check_salt
from dmlbench.plugins.loading import load_plugins
from dmlbench.running import audit as audit_module
from dmlbench.running import reproduce as reproduce_module
from dmlbench.running import runner as runner_module
from dmlbench.running.audit import audit
from dmlbench.running.executors.confinement import Confinement
from dmlbench.running.planning import Plan, PlannedTrial
from dmlbench.running.reproduce import reproduce
from dmlbench.running.runner import RunOutcome

SLOW = """
    import os, time
    from dmlbench.hookspecs import LossSpec, hookimpl
    from dmlbench.losses.triplet import TripletLoss

    @hookimpl
    def dmlbench_losses():
        return [LossSpec(name="slow", target="slow_plugin:Slow", summary="Sleeps on request")]

    class Slow(TripletLoss):
        def forward(self, embeddings, labels):
            while os.path.exists({flag!r}):
                time.sleep(0.1)
            return super().forward(embeddings, labels)
"""


@pytest.fixture
def trained(install, tiny, tmp_path):
    """An entry of one seed, whose loss sleeps for ever while the file ``flag`` is there."""
    install("slow", SLOW.format(flag=str(tmp_path / "flag")))
    tiny["overrides"]["recipe.epochs"] = 1
    (entry,) = dmlbench.run(["slow"], out=tmp_path / "out", **{**tiny, "seeds": 1})
    (path,) = tmp_path.glob("out/zsl-v*/tiny/*.json")
    return entry, path


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """An entry and its file; what would train it again gets a plan without trials."""
    entry = hand_made.make(dataset="x")
    monkeypatch.setattr(reproduce_module, "plan_again", _planned)
    monkeypatch.setattr(audit_module, "plan_trials", _planned)
    return entry, write_entry(tmp_path / "out", entry)


def _planned(entry, keys, scratch, registry, splits=None) -> Plan:
    # As much of a configuration as showing progress takes.
    parts = {"recipe": SimpleNamespace(epochs=1), "protocol": SimpleNamespace(refit=False)}
    shown = SimpleNamespace(entry_id="x", losses=(), **parts)
    return Plan(scratch, (shown,), (PlannedTrial(shown, 0, 0, None, "to do"),))


def exit_code(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    return stop.value.code


@pytest.mark.parametrize("salt", ["", " ", "two words", "caf\u00e9", "tab\t", "\x7f", "x" * 65])
def test_one_rule_says_what_a_salt_is_before_anything_is_trained(salt, tmp_path, capsys):
    entry = hand_made.make(dataset="x")
    path = write_entry(tmp_path, entry)
    with pytest.raises(UsageError):
        check_salt(salt)
    with pytest.raises(ValueError, match="salt"):
        Attestation.model_validate({"salt": salt})
    for command in (["reproduce", path, "--fresh", "3"], ["leaderboard", "audit", path]):
        assert exit_code(*command, "--name", "me", "--salt", salt) == 2
        assert "--salt takes up to 64 letters, digits or signs" in capsys.readouterr().err
    assert check_salt("!~" * 32) == "!~" * 32


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "\udcff"])
@pytest.mark.parametrize("command", ["reproduce", "audit", "verify", "run"])
def test_a_name_that_no_record_can_hold_is_refused_before_anything_is_trained(
    command, name, tmp_path, capsys
):
    path = write_entry(tmp_path, hand_made.make(dataset="x"))
    arguments = {
        "reproduce": ["reproduce", path],
        "audit": ["leaderboard", "audit", path],
        "verify": ["leaderboard", "verify", path],
        "run": ["run", "--leaderboards", tmp_path / "out"],
    }[command]
    assert exit_code(*arguments, "--name", name) == 2
    assert "--name takes 1 to 200 characters of Unicode" in capsys.readouterr().err


def test_plugins_that_are_left_out_are_left_out_where_trials_train(
    install, stored, monkeypatch, capsys
):
    _, path = stored
    install("unwanted", "")
    left_out = []

    def see(plan, registry, resources, without=(), **more):
        left_out.append((list(without), resources.trial_timeout))
        return RunOutcome()

    monkeypatch.setattr(reproduce_module, "execute_plan", see)
    options = ["--name", "me", "--unconfined", "--without", "unwanted", "--trial-timeout", "7"]
    exit_code("reproduce", path, *options)
    exit_code("leaderboard", "audit", path, *options)
    assert left_out == [(["unwanted"], 7.0)] * 2


def test_an_entry_that_claims_to_take_no_time_is_ended_at_the_limit(trained, tmp_path, capsys):
    """The costs are its author's word."""
    entry, path = trained
    data = json.loads(entry.to_text())
    for trial in data["trials"]:
        trial["cost"].update(train_seconds=0.0, evaluate_seconds=0.0)
    path.write_text(type(entry).model_validate(data).to_text())
    (tmp_path / "flag").touch()
    (found,) = audit(
        [path],
        load_plugins(),
        tmp_path / "scratch",
        trials=1,
        salt="salt",
        who="me",
        seconds=2.0,
        device="cpu",
        confine=False,
    )
    said = found.reason or " ".join(found.found.unfinished)
    assert "ended because the time limit had passed" in said
    assert found.found is None or found.found.attestation is None


def test_confinement_is_tried_once_for_all_entries(tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(
        audit_module, "confinement_in", lambda scratch: tried.append(scratch) or NOT_CONFINED
    )
    paths = [write_entry(tmp_path, hand_made.make(dataset=name)) for name in ("x", "y")]
    limits = {"trials": 1, "salt": "salt", "who": "me"}
    assert len(list(audit(paths, load_plugins(), tmp_path / "scratch", **limits))) == 2
    assert tried == [tmp_path / "scratch"]


NOT_CONFINED = Confinement((), {}, "Trained with network, because this machine cannot.")


def test_that_training_is_not_confined_is_said_before_it_starts(
    stored, tmp_path, monkeypatch, caplog
):
    entry, _ = stored
    said = []
    monkeypatch.setattr(runner_module, "configuration_message", lambda *given: {})
    monkeypatch.setattr(runner_module, "prepare", lambda *given: ([], ["cpu"]))

    def train(*given, **more):
        said.append(caplog.text)
        raise InterruptedError

    monkeypatch.setattr(runner_module._Execution, "_pass", train)
    registry = load_plugins()
    plan = _planned(entry, None, tmp_path / "scratch", registry)
    with pytest.raises(InterruptedError):
        reproduce(entry, plan, registry, who="me", confined=NOT_CONFINED)
    assert "Trained with network" in said[0]


@pytest.mark.parametrize("command", ["reproduce", "audit"])
def test_where_no_attestation_can_be_recorded_nothing_is_trained(
    command, stored, monkeypatch, capsys
):
    _, path = stored
    (path.parent / "_attestations").write_text("not a folder")
    monkeypatch.setattr(reproduce_module, "execute_plan", lambda *given, **more: 1 / 0)
    name = [command] if command == "reproduce" else ["leaderboard", command]
    assert exit_code(*name, path, "--name", "me", "--unconfined") == 2
    assert "_attestations cannot be written: Not a directory" in capsys.readouterr().err
