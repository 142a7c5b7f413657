"""Our combiners against numbers of their authors' code (docs/combiners/against-authors.md)."""

import re

import against_combiner_authors
import pytest

from dmlbench.combiners import COMBINERS
from dmlbench.plugins.docstrings import paragraphs

RECORDS = against_combiner_authors.records()
CASES = [
    pytest.param(record, case, id=f"{record['combiner']} {record['params']} {number} {case}")
    for number, record in enumerate(RECORDS)
    for case in record["cases"]
]
# Their numbers are stored with eight digits; ours adds up the losses in float32.
TOLERANCE = 1e-5


@pytest.mark.parametrize("record, case", CASES)
def test_what_was_found_equal_is_equal(record, case):
    found = against_combiner_authors.compared(record, case)
    for name in record["equal"][case]:
        if name == "value":
            assert found[name][0] == pytest.approx(found[name][1], rel=TOLERANCE)
        elif name == "weights":
            assert found[name] == pytest.approx(0, abs=TOLERANCE)
        else:
            assert found[name] == pytest.approx((1, 1), rel=TOLERANCE), name


@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_a_verdict_of_equality_is_true_and_none_is_missing(number):
    """An equal one is equal in all that both define, on both batches."""
    record = RECORDS[number]
    found = {case: against_combiner_authors.compared(record, case) for case in record["cases"]}
    says = re.match(r"equal(?! direction)", record["verdict"]) is not None
    assert says == all(set(record["equal"][case]) == set(found[case]) for case in found)


@pytest.mark.parametrize("record, case", CASES)
def test_every_gradient_points_where_theirs_points(record, case):
    found = against_combiner_authors.compared(record, case)
    least = 1 - TOLERANCE if record["verdict"].startswith("equal") else 0.9998
    for name in set(against_combiner_authors.GRADIENTS) & set(found):
        assert found[name][0] > least, name


def test_every_combiner_is_compared_with_someone():
    assert {record["combiner"] for record in RECORDS} == {spec.name for spec in COMBINERS}


@pytest.mark.parametrize(
    "spec", [spec for spec in COMBINERS if spec.reference], ids=lambda s: s.name
)
def test_every_combiner_with_a_paper_says_how_it_stands_to_its_authors_code(spec):
    assert any(block.startswith("Authors' code") for block in paragraphs(spec.target))
