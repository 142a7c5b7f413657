"""Training an entry again: equal digits here, agreeing intervals elsewhere, and what disagrees."""

from __future__ import annotations

import json

import hand_made
import pytest

import dmlbench
from dmlbench.cli import main
from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.attestation import (
    Attestation,
    read_attestation,
    write_attestation,
)
from dmlbench.leaderboard.entries.code import entry_code
from dmlbench.leaderboard.entries.store import read_entry, write_entry
from dmlbench.leaderboard.verification import tiers
from dmlbench.leaderboard.verification.agreement import agreement
from dmlbench.leaderboard.verification.drawing import drawn_trials, fresh_trials
from dmlbench.leaderboard.verification.tiers import Verification
from dmlbench.leaderboard.verification.verify import Tiers, tier, verify
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.reproduce import plan_again

make = hand_made.make


def attestation(entry, values, seeds=None, **changes) -> Attestation:
    """Trained again with these MAP@R, from seed 0 on where no seeds are given."""
    return hand_made.attestation(
        entry, dict(zip(seeds or range(len(values)), values, strict=True)), **changes
    )


@pytest.mark.parametrize(
    "values, verdict, words",
    [
        ([0.50, 0.51, 0.52], "equal", "3 of 3 trials trained again, every metric equal"),
        ([0.50], "equal", "1 of 3 trials"),
        ([0.502, 0.512, 0.517], "agrees", "within the spread of the entry's trials"),
        ([0.60, 0.61, 0.62], "disagrees", "too large: MAP@R +10.0 points, 3.5 are within"),
        ([0.53], "agrees", "MAP@R +3.0 points, 6.1 are within"),
        ([0.57], "disagrees", "MAP@R +7.0 points, 6.1 are within"),
    ],
)
def test_agreement(values, verdict, words):
    entry = make(map_at_r=[0.50, 0.51, 0.52])
    found = agreement(entry, attestation(entry, values))
    assert found.verdict == verdict and words in found.sentence, found.sentence
    assert found.reproduced == (verdict in ("equal", "agrees"))


def test_the_trials_of_an_attestation_are_limited():
    entry = make()
    again = attestation(entry, [0.5]).trials[0]
    many = [again.model_copy(update={"seed": seed}) for seed in range(1001)]
    assert len(attestation(entry, [0.5], trials=many[:1000]).trials) == 1000
    with pytest.raises(ValueError, match="at most 1000 items"):
        attestation(entry, [0.5], trials=many)


def test_other_data_a_strange_seed_and_a_failed_training_do_not_agree():
    entry = make(map_at_r=[0.50, 0.51, 0.52])
    other = attestation(entry, [0.50, 0.51, 0.52], fingerprint="1" * 64)
    assert agreement(entry, other).verdict == "disagrees"
    strange = attestation(entry, [0.50], seeds=[7])
    assert agreement(entry, strange).verdict == "inconclusive"
    trial = attestation(entry, [0.50]).trials[0]
    nan = trial.model_copy(update={"metrics": None, "reason": "NaN at step 3"})
    found = agreement(entry, attestation(entry, [0.5], trials=[nan]))
    assert found.verdict == "disagrees" and "seed 0 failed there" in found.sentence


def failed(entry, seeds, reason="NaN at step 3", **changes):
    """An attestation in which these seeds failed, beside those of `attestation`."""
    trial = attestation(entry, [0.50]).trials[0]
    nothing = {"metrics": None, "reason": reason}
    trials = [trial.model_copy(update={"seed": seed, **nothing}) for seed in seeds]
    return attestation(entry, [0.5], trials=trials, **changes)


def test_a_failure_must_come_again_on_the_same_kind_of_machine():
    entry = make(map_at_r=[0.50, 0.51, 0.52], failed={3: "NaN at step 3", 4: "NaN at step 9"})
    again = failed(entry, [3])
    found = agreement(entry, again)
    assert (found.verdict, found.sentence) == (
        "equal", "The failed seed 3 failed again, for the same reason."
    )  # fmt: skip
    mixed = again.model_copy(
        update={"trials": [*attestation(entry, [0.5]).trials, *failed(entry, [3, 4]).trials]}
    )
    found = agreement(entry, mixed)
    assert found.verdict == "equal" and found.sentence == (
        "1 of 3 completed trials trained again, every metric equal to the last digit. 2 failed "
        "trials failed again, seed 4 for another reason: NaN at step 3."
    )
    # Which completed there: rounding decides whether a loss becomes NaN, elsewhere but not here.
    lucky = attestation(entry, [0.5], seeds=[3])
    elsewhere = agreement(entry, lucky)
    assert elsewhere.verdict == "inconclusive" and "rounding" in elsewhere.sentence
    there = [
        trial.model_copy(update={"environment": entry.trials[3].environment})
        for trial in lucky.trials
    ]
    code = entry_code(entry)
    here = agreement(entry, lucky.model_copy(update={"trials": there, "code_sha256": code}))
    assert here.verdict == "disagrees"
    assert here.sentence.startswith("seed 3 completed there, and is failed in the entry, with its")


def test_an_audit_draws_of_the_trials_that_completed_and_of_those_that_failed(tmp_path):
    entry = make(map_at_r=[0.50, 0.51, 0.52], failed={3: "NaN", 4: "NaN"}, dataset="x")
    folder = write_entry(tmp_path, entry).parent
    for salt in map(str, range(20)):
        (_, one), (_, other) = drawn_trials(entry, salt, 1)
        assert one < 3 <= other
    assert len(drawn_trials(entry, "0", 3)) == 5
    chosen = {"kind": "audited", "salt": "0"}
    (_, one), (_, other) = drawn_trials(entry, "0", 1)
    value = [0.50, 0.51, 0.52][one]
    # Without the failed one it is not what the salt draws.
    write_attestation(folder, attestation(entry, [value], [one], **chosen))
    assert tier(entry, folder) == "checked"
    both = [*attestation(entry, [value], [one]).trials, *failed(entry, [other], "NaN").trials]
    write_attestation(folder, attestation(entry, [value], trials=both, **chosen))
    assert tier(entry, folder) == "audited"


def test_the_tier_follows_from_the_numbers_and_one_that_disagrees_stands_against_it(tmp_path):
    entry = make(map_at_r=[0.50, 0.51, 0.52], dataset="x")
    folder = write_entry(tmp_path, entry).parent
    write_attestation(folder, attestation(entry, [0.60, 0.61, 0.62]))
    verification = Tiers(folder).verification(entry)
    assert verification.tier == "checked" and "them trained it again" in verification.issues[0]
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


def test_a_row_is_judged_once_however_often_it_is_shown(tmp_path, monkeypatch):
    entry = make(map_at_r=[0.50, 0.51, 0.52], dataset="x")
    folder = write_entry(tmp_path, entry).parent
    write_attestation(folder, attestation(entry, [0.50, 0.51, 0.52]))
    read, readings = tiers.read_attestations, []
    monkeypatch.setattr(
        tiers, "read_attestations", lambda paths: readings.append(paths) or read(paths)
    )
    verification = Tiers(folder).verification
    assert (
        verification(entry) == verification(entry) == Verification("reproduced")
        and len(readings) == 1
    )
    assert verification(make(map_at_r=[0.50, 0.51], dataset="x")).tier == "checked"


def test_two_trials_are_too_few_to_judge_a_difference_by(tmp_path):
    entry = make(map_at_r=[0.50, 0.51])
    found = agreement(entry, attestation(entry, [0.505]))
    assert found.verdict == "inconclusive" and "needs 3 trials" in found.sentence


def test_a_row_is_reproduced_once_all_its_trials_are(tmp_path):
    values = [0.50, 0.51, 0.52, 0.53, 0.54]
    entry = make(map_at_r=values, dataset="x")
    folder = write_entry(tmp_path, entry).parent

    def again(seed: int, entry=entry, **changes) -> None:
        write_attestation(folder, attestation(entry, [values[seed]], [seed], **changes))

    for seed in range(4):
        again(seed)
    again(0, who="others")
    assert Tiers(folder).verification(entry) == Verification("checked")
    (verified,) = verify(folder)
    assert verified.tier == "checked"
    assert "4 of 5 trials reproduced; the tier needs all" in verified.notes
    again(4)
    assert Tiers(folder).verification(entry) == Verification("reproduced")
    assert verify(folder)[0].tier == "reproduced"


@pytest.mark.parametrize("author", ["Ada", "ada ", "\uff21da", "unnamed"])
def test_what_authors_attest_of_their_own_entries_counts_for_nothing(tmp_path, author):
    values = [0.50, 0.51, 0.52]
    entry = make(map_at_r=values, dataset="x", submitter="Ada")
    folder = write_entry(tmp_path, entry).parent
    write_attestation(folder, attestation(entry, values, who=author))
    assert Tiers(folder).verification(entry) == Verification("checked")
    assert any("does not count" in note for note in verify(folder)[0].notes)
    write_attestation(folder, attestation(entry, values, who="Grace"))
    assert tier(entry, folder) == "reproduced"


def test_only_the_trials_that_a_salt_draws_are_an_audit(tmp_path):
    values = [0.50, 0.51, 0.52, 0.53, 0.54]
    entry = make(map_at_r=values, dataset="x")
    folder = write_entry(tmp_path, entry).parent
    ((_, seed),) = drawn_trials(entry, "salt", 1)
    other = (seed + 1) % 5
    chosen = {"kind": "audited", "salt": "salt"}
    write_attestation(folder, attestation(entry, [values[other]], [other], **chosen))
    assert tier(entry, folder) == "checked"
    assert any("not those of its salt" in note for note in verify(folder)[0].notes)
    write_attestation(folder, attestation(entry, [values[seed]], [seed], **chosen))
    assert tier(entry, folder) == verify(folder)[0].tier == "audited"
    drawn = {drawn_trials(entry, f"salt {i}", 1)[0] for i in range(40)}
    assert len(drawn) == 5  # any trial may be drawn


@pytest.mark.parametrize("size", [1000, 1001])
def test_a_forged_confirmation_of_any_size_counts_for_nothing_and_stops_nobody(size, tmp_path):
    entry = make(map_at_r=[0.50, 0.51, 0.52], dataset="x")
    folder = write_entry(tmp_path, entry).parent
    (trial,) = attestation(entry, [0.5]).trials
    trials = [trial.model_copy(update={"seed": seed}) for seed in range(size)]
    forged = attestation(entry, [0.5], kind="confirmed", salt="salt")
    write_attestation(folder, forged.model_copy(update={"trials": trials}))
    assert tier(entry, folder) == verify(folder)[0].tier == "checked"


def test_fresh_seeds_confirm_a_row_or_tell_that_luck_made_it(tmp_path):
    entry = make(map_at_r=[0.50, 0.51, 0.52], dataset="x")
    folder = write_entry(tmp_path, entry).parent
    splits, seeds = zip(*fresh_trials(entry, "salt", 4), strict=True)
    assert set(splits) == {0}
    assert len(set(seeds)) == 4 and min(seeds) >= 100_000
    drawn = {"kind": "confirmed", "salt": "salt"}
    honest = attestation(entry, [0.49, 0.52, 0.50, 0.51], seeds, **drawn)
    assert agreement(entry, honest).verdict == "agrees"
    lucky = attestation(entry, [0.46, 0.47, 0.45, 0.46], seeds, **drawn)
    assert agreement(entry, lucky).verdict == "disagrees"
    write_attestation(folder, attestation(entry, [0.49, 0.52, 0.50], [5, 6, 7], **drawn))
    assert tier(entry, folder) == "checked"  # seeds that somebody chose
    write_attestation(folder, honest)
    assert Tiers(folder).verification(entry) == Verification("confirmed", confirmed_on="seeds")
    write_attestation(folder, attestation(entry, [0.46, 0.47, 0.45, 0.46], seeds, **drawn, who="x"))
    verification = Tiers(folder).verification(entry)
    assert (
        verification.tier == "checked" and "x trained it on fresh trials" in verification.issues[0]
    )


def test_trained_again_on_this_machine_every_digit_is_equal(tiny, tmp_path, capsys):
    tiny["overrides"]["recipe.epochs"] = 1
    (entry,) = dmlbench.run(["ms"], out=tmp_path, submitter="Ada", **{**tiny, "seeds": 1})
    (path,) = tmp_path.glob("zsl-v2/tiny/*.json")

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["reproduce", *map(str, arguments), "--unconfined"])
        captured = capsys.readouterr()
        return stop.value.code, captured.out + captured.err

    code, text = run(entry.entry_id, "--leaderboards", tmp_path, "--name", "me", "--jobs", "1",
                     "--device", "cpu")  # fmt: skip
    assert code == 0
    assert text.startswith("equal: 1 of 1 trials trained again, every metric equal to the last")
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


def audit(capsys, path, *more):
    """Exit code and stdout of an audit of one file."""
    options = ["--jobs", "1", "--device", "cpu", "--name", "me", "--unconfined"]
    with pytest.raises(SystemExit) as stop:
        main(["leaderboard", "audit", str(path), *options, *more])
    return stop.value.code, capsys.readouterr().out


FAILS_ON_SOME_SEEDS = """
    import torch
    from dmlbench.hookspecs import LossSpec, hookimpl

    class Picky(torch.nn.Module):
        calls = 0

        def forward(self, embeddings, labels):
            self.calls += 1
            value = (embeddings[::2] * embeddings[1::2]).sum()
            return value * float("nan") if self.calls == 1 and labels[0] % 2 else value

    @hookimpl
    def dmlbench_losses():
        return [LossSpec(name="picky", target="picky_plugin:Picky", summary="NaN by an image")]
"""


def test_an_honest_row_with_failed_trials_is_audited(tiny, install, tmp_path, capsys):
    install("picky", FAILS_ON_SOME_SEEDS)
    tiny["overrides"]["recipe.epochs"] = 1
    (entry,) = dmlbench.run(["picky"], out=tmp_path, submitter="Ada", **{**tiny, "seeds": 4})
    assert 0 < len(entry.completed) < 4, "another seed for the plugin's coin"
    (path,) = tmp_path.glob("zsl-v2/tiny/*.json")
    code, text = audit(capsys, path)
    assert code == 0 and text.startswith("equal") and "failed again, for the same reason" in text
    assert tier(read_entry(path), path.parent) == "audited"


def test_an_audit_trains_what_it_draws_and_a_forged_number_is_found(tiny, tmp_path, capsys):
    """0.05 added to every metric, in a file of the right name and consistent in itself."""
    tiny["overrides"]["recipe.epochs"] = 1
    (entry,) = dmlbench.run(["ms"], out=tmp_path, submitter="Ada", **{**tiny, "seeds": 3})
    (path,) = tmp_path.glob("zsl-v*/tiny/*.json")

    def audited(*more):
        return audit(capsys, path, *more)

    code, text = audited("--time-limit", "0.000001", "--no-record")
    assert code == 1 and text.startswith("not audited") and "of the time limit are left" in text
    code, text = audited("--trials", "1")
    assert code == 0 and text.startswith("equal"), text
    assert tier(read_entry(path), path.parent) == "audited"
    data = entry.model_dump()
    for trial in data["trials"]:
        for name in ("map_at_r", "r_precision"):
            trial["metrics"][name] = min(1.0, trial["metrics"][name] + 0.05)
    write_entry(tmp_path, entry.model_validate(data))
    assert tier(read_entry(path), path.parent) == "checked"  # what was attested is void
    code, text = audited("--json")
    assert code == 4 and json.loads(text)[0]["verdict"] == "disagrees"


def test_what_cannot_be_trained_again_says_so(tiny, tmp_path):
    registry = load_plugins()
    with pytest.raises(UsageError, match="of protocol zsl-v1, and this dmlbench trains under"):
        plan_again(make(), None, tmp_path, registry)
    entry = make(dataset="tiny", protocol="zsl-v2")
    with pytest.raises(UsageError, match="no dataset named"):
        plan_again(entry, None, tmp_path, registry)
