"""The numbers that dmlbench computes are those of the golden file."""

from __future__ import annotations

import pytest
from golden_cases import all_cases
from golden_cases.case import streams
from golden_cases.stored import Numbers, differences, read, same_stream

from dmlbench.version import RESULTS_VERSION

CASES, STORED, STREAMS = all_cases(), read(), streams()
RENEW = "changed on purpose? docs/maintaining.md, then python tests/golden/renew.py"


def test_the_file_is_of_this_results_version():
    assert STORED.results_version == RESULTS_VERSION, RENEW


def test_every_case_is_in_the_file_and_no_other():
    assert STORED.cases.keys() == CASES.keys(), RENEW


@pytest.mark.parametrize("name", CASES)
def test_numbers(name):
    case, stored = CASES[name], STORED.cases[name]
    quantities, draws = case.run()
    assert list(stored.draws) == draws, RENEW
    for library in draws:
        if not same_stream(STORED, STREAMS, library):
            pytest.skip(f"{library} draws other random numbers than where the file was made")
    assert stored.quantities.keys() == quantities.keys(), RENEW
    changed = differences(stored, Numbers(quantities, (), case.tolerance))
    shown = {q: (stored.quantities[q], quantities[q]) for q in changed}
    assert not changed, f"{RENEW}\n{shown}"
