"""Training an entry again: equal digits here, agreeing intervals elsewhere, and what disagrees."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

import dmlbench
from dmlbench.cli import main
from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.attestation import (
    Attestation,
    AttestedTrial,
    read_attestation,
    write_attestation,
)
from dmlbench.leaderboard.entries.store import read_entry, write_entry
from dmlbench.leaderboard.verification.agreement import agreement
from dmlbench.leaderboard.verification.tiers import Standing
from dmlbench.leaderboard.verification.verify import Tiers, tier, verify
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.reproduce import plan_again

spec = importlib.util.spec_from_file_location(
    "hand_made", Path(__file__).parents[1] / "leaderboard" / "conftest.py"
)
hand_made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hand_made)
make = hand_made.make


def attestation(entry, values, seeds=None, **changes) -> Attestation:
    """Trained again with these MAP@R and Recall@1 20 points above, as in hand-made entries."""
    again = make(map_at_r=values, seeds=seeds or list(range(len(values))))
    trials = [
        AttestedTrial(
            seed=trial.seed, metrics=trial.metrics, reason=None, embeddings_sha256=None,
            environment={},
        )
        for trial in again.trials
    ]  # fmt: skip
    fields = {
        "schema_version": 1, "kind": "reproduced", "entry_id": entry.entry_id,
        "entry_sha256": entry.content_sha256(), "who": "them", "made": "2026-01-02T03:04:05Z",
        "dmlbench_version": "0.1.0", "code_sha256": "0" * 64, "fingerprint": None,
        "trials": trials,
    }  # fmt: skip
    return Attestation(**(fields | changes))


@pytest.mark.parametrize(
    "values, verdict, words",
    [
        ([0.50, 0.51, 0.52], "equal", "3 of 3 seeds trained again, every metric equal"),
        ([0.50], "equal", "1 of 3 seeds"),
        ([0.502, 0.512, 0.517], "agrees", "no difference shows: MAP@R"),
        ([0.60, 0.61, 0.62], "disagrees", "the difference shows: MAP@R +10.0 points"),
        ([0.502, 0.512], "undecided", "intervals need 3 seeds"),
    ],
)
def test_agreement(values, verdict, words):
    entry = make(map_at_r=[0.50, 0.51, 0.52])
    found = agreement(entry, attestation(entry, values))
    assert found.verdict == verdict and words in found.sentence
    assert found.reproduced == (verdict in ("equal", "agrees"))


def test_other_data_a_strange_seed_and_a_failed_training_do_not_agree():
    entry = make(map_at_r=[0.50, 0.51, 0.52])
    other = attestation(entry, [0.50, 0.51, 0.52], fingerprint="1" * 64)
    assert agreement(entry, other).verdict == "disagrees"
    strange = attestation(entry, [0.50], seeds=[7])
    assert agreement(entry, strange).verdict == "undecided"
    trial = attestation(entry, [0.50]).trials[0]
    nan = trial.model_copy(update={"metrics": None, "reason": "NaN at step 3"})
    found = agreement(entry, attestation(entry, [0.5], trials=[nan]))
    assert found.verdict == "disagrees" and "seed 0 failed there" in found.sentence


def test_the_tier_follows_from_the_numbers_and_one_that_disagrees_stands_against_it(tmp_path):
    entry = make(map_at_r=[0.50, 0.51, 0.52], dataset="x")
    folder = write_entry(tmp_path, entry).parent
    write_attestation(folder, attestation(entry, [0.60, 0.61, 0.62]))
    standing = Tiers(folder).standing(entry)
    assert standing.tier == "checked" and "them trained it again" in standing.concerns[0]
    write_attestation(folder, attestation(entry, [0.50, 0.51, 0.52], who="others"))
    assert tier(entry, folder) == "checked"
    for path in folder.glob("_attestations/*.json"):
        if json.loads(path.read_text())["who"] == "them":
            path.unlink()
    assert tier(entry, folder) == "reproduced"
    assert verify(folder)[0].tier == "reproduced"
    more = make(map_at_r=[0.50, 0.51, 0.52, 0.9], dataset="x")
    write_entry(tmp_path, more)
    assert more.entry_id == entry.entry_id and tier(more, folder) == "checked"


def test_a_row_is_reproduced_once_three_seeds_are_or_all_there_are(tmp_path):
    values = [0.50, 0.51, 0.52, 0.53, 0.54]
    entry = make(map_at_r=values, dataset="x")
    folder = write_entry(tmp_path, entry).parent

    def again(seed: int, entry=entry, **changes) -> None:
        write_attestation(folder, attestation(entry, [values[seed]], [seed], **changes))

    again(0)
    again(0, who="others")
    again(3)
    standing = Tiers(folder).standing(entry)
    assert standing.tier == "checked"
    assert standing.concerns == ("2 of 5 seeds reproduced; 3 make the row reproduced",)
    (verified,) = verify(folder)
    assert verified.tier == "checked" and standing.concerns[0] in verified.notes
    again(4)
    assert Tiers(folder).standing(entry) == Standing("reproduced")
    assert verify(folder)[0].tier == "reproduced"
    short = make("ms", map_at_r=values[:2], dataset="x")
    write_entry(tmp_path, short)
    again(0, short)
    assert tier(short, folder) == "checked"
    again(1, short)
    assert tier(short, folder) == "reproduced"


def test_trained_again_on_this_machine_every_digit_is_equal(tiny, tmp_path, capsys):
    tiny["overrides"]["recipe.epochs"] = 1
    (entry,) = dmlbench.run(["ms"], out=tmp_path, submitter="Ada", **{**tiny, "seeds": 1})
    (path,) = tmp_path.glob("zsl-v1/tiny/*.json")

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["reproduce", *map(str, arguments)])
        captured = capsys.readouterr()
        return stop.value.code, captured.out + captured.err

    code, text = run(entry.entry_id, "--out", tmp_path, "--who", "me", "--jobs", "1",
                     "--device", "cpu")  # fmt: skip
    assert code == 0
    assert text.startswith("equal: 1 of 1 seeds trained again, every metric equal to the last")
    assert "equal digits are expected" in text
    assert "; the row is reproduced" in text
    assert tier(read_entry(path), path.parent) == "reproduced"
    frame = dmlbench.read_leaderboard(path.parent)
    assert list(frame["tier"]) == ["reproduced"]
    assert not list(tmp_path.glob(".trials/reproductions/*"))
    # A run that has nothing to do leaves the entry, and so what was attested of it.
    dmlbench.run(["ms"], out=tmp_path, **{**tiny, "seeds": 1})
    assert tier(read_entry(path), path.parent) == "reproduced"
    # Had the entry held a number that was never measured, it would not have come out again.
    (file,) = path.parent.glob("_attestations/*.json")
    data = entry.model_dump()
    data["trials"][0]["metrics"]["map_at_r"] *= 0.9
    forged = entry.model_validate(data)
    found = agreement(forged, read_attestation(file))
    assert found.verdict == "disagrees" and "every digit should be equal" in found.sentence


def test_what_cannot_be_trained_again_says_so(tiny, tmp_path):
    registry = load_plugins()
    entry = make(dataset="tiny")
    with pytest.raises(UsageError, match="no dataset named"):
        plan_again(entry, None, tmp_path, registry)
