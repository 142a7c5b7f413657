"""Entries and attestations that say what never was: found, or shown to be what no check sees."""

from __future__ import annotations

import json

import hand_made
import pytest

import dmlbench
from dmlbench.leaderboard.entries.attestation import (
    write_attestation,
)
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import read_entry, write_entry
from dmlbench.leaderboard.verification.checks import check_entry
from dmlbench.leaderboard.verification.drawing import drawn_trials, fresh_trials
from dmlbench.leaderboard.verification.tiers import Tiers
from dmlbench.leaderboard.verification.verify import verify

VALUES = [0.50, 0.51, 0.52, 0.50, 0.51]


def fresh_seeds(entry: Entry) -> list[int]:
    return [seed for _, seed in fresh_trials(entry, "salt", 5)]


def test_an_entry_copied_under_another_name_is_a_copy(tmp_path):
    """Somebody else's numbers, as those of a loss of one's own."""
    original = hand_made.make("triplet", VALUES, dataset="x", submitter="Ada")
    mine = hand_made.component("my-loss", distribution="my-losses", version="1.0")
    copied = hand_made.make([mine], VALUES, dataset="x", submitter="Eve")
    assert check_entry(copied) == [], "by itself it holds"
    for entry in (original, copied):
        write_entry(tmp_path, entry)
    for found in verify(tmp_path):  # both, for files do not say which was first
        (failure, *_) = found.failures
        assert failure.check == "copies" and "have the same training" in failure.message


@pytest.mark.parametrize("kind", ["audited", "reproduced", "confirmed"])
@pytest.mark.parametrize("who", ["Eve", " EVE", "\uff25ve", "unnamed"])
def test_attestations_that_an_author_forges_for_himself_count_for_nothing(kind, who, tmp_path):
    entry = hand_made.make(map_at_r=VALUES, dataset="x", submitter="Eve")
    folder = write_entry(tmp_path, entry).parent
    salt = None if kind == "reproduced" else "salt"
    seeds = fresh_seeds(entry) if kind == "confirmed" else range(5)
    forged = hand_made.attestation(
        entry, dict(zip(seeds, VALUES, strict=True)), kind=kind, who=who, salt=salt
    )
    write_attestation(folder, forged)
    assert Tiers(folder).verification(entry).tier == "checked"


@pytest.mark.parametrize("kind", ["audited", "confirmed"])
def test_an_attestation_of_trials_that_its_salt_does_not_draw_counts_for_nothing(kind, tmp_path):
    """The trials are the author's choice: the one that is true, or lucky seeds."""
    entry = hand_made.make(map_at_r=VALUES, dataset="x")
    folder = write_entry(tmp_path, entry).parent
    ((_, drawn),) = drawn_trials(entry, "salt", 1)
    if kind == "audited":
        chosen = {(drawn + 1) % 5: VALUES[(drawn + 1) % 5]}
    else:
        chosen = {seed: 0.52 for seed in (100_000, 100_001, 100_002)}
    write_attestation(folder, hand_made.attestation(entry, chosen, kind=kind, salt="salt"))
    assert Tiers(folder).verification(entry).tier == "checked"


def test_one_forged_for_an_entry_does_not_hold_for_the_entry_as_it_was_changed(tmp_path):
    entry = hand_made.make(map_at_r=VALUES, dataset="x")
    folder = write_entry(tmp_path, entry).parent
    write_attestation(folder, hand_made.attestation(entry, dict(enumerate(VALUES))))
    assert Tiers(folder).verification(entry).tier == "reproduced"
    raised = hand_made.make(map_at_r=[v + 0.05 for v in VALUES], dataset="x")
    assert raised.entry_id == entry.entry_id
    assert Tiers(folder).verification(raised).tier == "checked"


def test_a_plugin_that_is_good_on_known_seeds_alone_is_not_confirmed(tmp_path):
    """It reads the seed, and cheats on 0 to 4: trained again, they are what the entry says."""
    entry = hand_made.make(map_at_r=VALUES, dataset="x")
    folder = write_entry(tmp_path, entry).parent
    write_attestation(folder, hand_made.attestation(entry, dict(enumerate(VALUES))))
    assert Tiers(folder).verification(entry).tier == "reproduced"
    fresh = dict(zip(fresh_seeds(entry), [0.31, 0.30, 0.32, 0.31, 0.3], strict=True))
    write_attestation(
        folder, hand_made.attestation(entry, fresh, kind="confirmed", salt="salt", who="others")
    )
    verification = Tiers(folder).verification(entry)
    assert verification.tier == "checked"
    assert any("fresh seeds" in issue for issue in verification.issues)


def test_class_splits_that_are_renamed_are_found(tiny, tmp_path):
    """Splits 1 to 3 were trained, and the lucky ones 2 and 3 are submitted as 1 and 2."""
    tiny["overrides"]["recipe.epochs"] = 1
    request = {**tiny, "seeds": 1, "clustering": False}
    dmlbench.run(["ms"], out=tmp_path, splits=[1, 2, 3], **request)
    (file,) = (tmp_path / "zsl-v2" / "tiny").glob("*.json")
    data = json.loads(file.read_text())
    picked = data["trials"][1:]
    for trial in picked:
        # Without embeddings, as a proposal comes: their paths would tell as well.
        trial.update(split=trial["split"] - 1, embeddings=None)
    file.write_text(json.dumps({**data, "trials": picked}))
    assert check_entry(read_entry(file)) == [], "by itself it holds"
    (found,) = verify(file.parent, rebuild=True)
    assert {failure.check for failure in found.failures} == {"fingerprint"}


def invented(params: dict[str, float]) -> dict:
    """The record of a tuning that never was, which chose these values."""
    scores = [0.30, 0.35]
    tried = [{"losses[0].margin": 0.5}, params]
    return {
        "kind": "row",
        "setting_sha256": "1" * 64,
        "code_sha256": "2" * 64,
        "budget": 50,
        "seeds": [0],
        "space": {"losses[0].margin": [0.1, 0.5]},
        "sampler": "TPE",
        "trials": [
            {"params": p, "validation_map_at_r": score, "reason": None, "train_seconds": 1.0}
            for p, score in zip(tried, scores, strict=True)
        ],
    }


def test_an_invented_tuning_record_must_at_least_have_chosen_the_values_of_the_row():
    """One that does is not told from a true one: docs/trust.md says so."""
    loss = hand_made.component("triplet", params={"margin": 0.1})
    row = hand_made.make([loss], VALUES, dataset="x", tuning=[invented({"losses[0].margin": 0.1})])
    assert check_entry(row) == []
    other = hand_made.make(
        [loss], VALUES, dataset="x", tuning=[invented({"losses[0].margin": 0.2})]
    )
    (failure,) = check_entry(other)
    assert failure.check == "tuning" and "the best tuning trial has 0.2" in failure.message
