"""Results of trials are read as strictly as entries, and compared by what both know."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from dmlbench.leaderboard.entries.trial_result import TrialResult
from dmlbench.training.trial_folder import TrialFolder


def result_of(entry) -> TrialResult:
    return TrialResult(metadata=entry.metadata, trial=entry.trials[0])


def test_a_result_is_read_as_it_was_written(make_entry, tmp_path):
    folder = TrialFolder(tmp_path, "0" * 16, "f" * 64, seed=0)
    folder.create()
    folder.write_result(result_of(make_entry()))
    assert folder.read_result() == result_of(make_entry())


def test_a_result_of_0_1_is_read(make_entry, tmp_path):
    folder = TrialFolder(tmp_path, "0" * 16, "f" * 64, seed=0)
    folder.create()
    data = result_of(make_entry()).model_dump()
    data["facts"] = data.pop("metadata")
    folder.result_file.write_text(json.dumps(data))
    assert folder.read_result() == result_of(make_entry())


@pytest.mark.parametrize("change", [{"surprise": 1}, {"seed": "0"}, {"metrics": None}])
def test_what_no_trial_leaves_is_no_result(change, make_entry, tmp_path):
    folder = TrialFolder(tmp_path, "0" * 16, "f" * 64, seed=0)
    folder.create()
    data = result_of(make_entry()).model_dump()
    data["trial"] |= change
    with pytest.raises(ValidationError):
        TrialResult.model_validate(data)
    folder.result_file.write_text(json.dumps(data))
    assert folder.read_result() is None


def test_metadata_differ_only_in_what_both_have(make_entry):
    metadata = make_entry().metadata
    counted = metadata.model_copy(update={"head_parameters": 7})
    assert metadata.differing(counted) == []
    more = counted.model_copy(update={"head_parameters": 8, "embedding_dim": 1})
    assert counted.differing(more) == ["embedding_dim", "head_parameters"]
