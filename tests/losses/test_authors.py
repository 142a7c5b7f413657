"""Our losses against numbers that their authors' code gave (docs/losses/against-authors.md)."""

import re

import against_authors
import pytest

from dmlbench.losses import LOSSES
from dmlbench.plugins.docstrings import paragraphs

RECORDS = against_authors.records()
CASES = [
    pytest.param(record, case, id=f"{record['loss']} {record['params']} {case}")
    for record in RECORDS
    for case in record["equal"]
]
# Their numbers are stored with eight digits; the lifted structure of Roth et al. adds 1e-6.
TOLERANCE = 1e-5


@pytest.mark.parametrize("record, case", CASES)
def test_what_was_found_equal_is_equal(record, case):
    found = against_authors.compared(record, case)
    expected = {"value": found["theirs"], "cosine": 1.0, "ratio": 1.0}
    ours = {"value": found["ours"], "cosine": found["cosine"], "ratio": found["ratio"]}
    for name in record["equal"][case]:
        assert ours[name] == pytest.approx(expected[name], rel=TOLERANCE), name


def test_every_loss_is_compared_with_someone():
    assert {record["loss"] for record in RECORDS} == {spec.name for spec in LOSSES}


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: f"{r['loss']} {r['params']}")
def test_a_verdict_of_equality_is_true_and_none_is_missing(record):
    says = re.match(r"equal(?! up to a factor| value)", record["verdict"]) is not None
    assert says == all(len(equal) == 3 for equal in record["equal"].values())


@pytest.mark.parametrize("spec", LOSSES, ids=lambda spec: spec.name)
def test_every_loss_says_how_it_stands_to_its_authors_code(spec):
    assert any(block.startswith("Authors' code: ") for block in paragraphs(spec.target))


def test_the_stored_batches_are_those_of_the_formula():
    """Theirs were run on these inputs: another formula would compare different batches."""
    raw, labels = against_authors.inputs("unequal")
    assert labels.bincount().tolist() == [9, 6, 5, 4, 3, 2, 1, 1, 1]
    assert raw.shape == (32, 5)
    found = [*raw[0, 1:3].tolist(), *raw[31, 3:].tolist()]
    assert found == pytest.approx([1.233285, -0.7162141, 1.7434265, -1.2313745], abs=2e-7)
