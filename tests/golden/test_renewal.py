"""When the golden file may be renewed, and that a broken loss is seen."""

from __future__ import annotations

import dataclasses

import pytest
from golden_cases import all_cases, losses
from golden_cases.stored import Golden, Numbers, Refused, differences, read, renewed, write
from words import refused

from dmlbench.losses.contrastive import ContrastiveLoss
from dmlbench.losses.triplet import TripletLoss

STREAMS = {"numpy": [0.25, 0.5], "torch": [0.5, 0.75]}
OLD = Golden(
    results_version=3,
    published=True,
    streams=STREAMS,
    cases={
        "a": Numbers({"value": [1.0, -2.0], "mining": "all"}),
        "b": Numbers({"value": [0.5]}, ("torch",)),
    },
)
FOUND = {name: dataclasses.replace(case, tolerance=1e-6) for name, case in OLD.cases.items()}


def found(**cases):
    """What is computed now: everything as stored, but for these quantities."""
    changed = {
        name: dataclasses.replace(FOUND[name], quantities={**FOUND[name].quantities, **quantities})
        for name, quantities in cases.items()
    }
    return {**FOUND, **changed}


def test_rounding_is_no_change_and_leaves_the_stored_digits():
    golden, report = renewed(OLD, found(a={"value": [1.0, -2.0 - 1e-7]}), 3, STREAMS)
    assert golden == dataclasses.replace(OLD, cases=golden.cases) and report == []
    assert golden.cases["a"].quantities["value"] == [1.0, -2.0]


@pytest.mark.parametrize("value", [[1.0, -2.1], [1.0], [1.0, float("nan")], None])
def test_a_changed_number_needs_a_raise(value):
    with pytest.raises(Refused, match="Raise RESULTS_VERSION"):
        renewed(OLD, found(a={"value": value}), 3, STREAMS)
    golden, report = renewed(OLD, found(a={"value": value}), 4, STREAMS)
    assert golden.results_version == 4 and report == ["1 changed: a: value"]
    assert golden.cases["a"].quantities["value"] == value or value != value
    assert not golden.published


def test_a_changed_word_needs_a_raise():
    with pytest.raises(Refused, match="a: mining"):
        renewed(OLD, found(a={"mining": "hard"}), 3, STREAMS)


def test_a_raise_for_nothing_is_refused():
    with refused(Refused):
        renewed(OLD, FOUND, 4, STREAMS)


def test_a_raise_is_by_one():
    for version in (2, 5):
        with refused(Refused):
            renewed(OLD, found(a={"value": [0.0, 0.0]}), version, STREAMS)


def test_new_cases_and_quantities_need_no_raise():
    more = {**found(a={"more": [7.0]}), "c": Numbers({"value": [3.0]})}
    golden, report = renewed(OLD, more, 3, STREAMS)
    assert report == ["2 new: a: more; c"]
    assert golden.cases["a"].quantities["more"] == [7.0] and golden.published
    fewer, report = renewed(golden, FOUND, 3, STREAMS)
    assert report == ["1 gone: c"] and fewer.cases.keys() == OLD.cases.keys()
    with refused(Refused):
        renewed(OLD, more, 4, STREAMS)


def test_until_they_are_published_numbers_are_renewed_without_a_raise():
    before = dataclasses.replace(OLD, published=False)
    golden, report = renewed(before, found(a={"value": [5.0, 6.0]}), 3, STREAMS)
    assert golden.cases["a"].quantities["value"] == [5.0, 6.0] and report == ["1 changed: a: value"]
    with refused(Refused):
        renewed(before, found(a={"value": [5.0, 6.0]}), 4, STREAMS)


def test_another_random_generator_is_no_change_of_dmlbench():
    elsewhere = {**STREAMS, "torch": [0.1, 0.2]}
    drawn = found(b={"value": [0.75]})
    with pytest.raises(Refused, match="torch"):
        renewed(OLD, drawn, 3, elsewhere)
    golden, report = renewed(OLD, drawn, 3, elsewhere, new_streams=True)
    assert golden.cases["b"].quantities["value"] == [0.75] and golden.streams == elsewhere
    assert report == []
    with pytest.raises(Refused, match="a: value"):
        renewed(OLD, found(a={"value": [0.0, 0.0]}), 3, elsewhere, new_streams=True)


def test_the_file_is_read_as_it_was_written(tmp_path):
    write(read(), tmp_path / "again.json")
    assert read(tmp_path / "again.json") == read()


def test_a_loss_that_is_off_by_a_millionth_is_seen(monkeypatch):
    compare = ContrastiveLoss.compare
    monkeypatch.setattr(ContrastiveLoss, "compare", lambda *a: compare(*a) * (1 + 1e-6))
    changed = _changed("loss contrastive")
    assert {"value, equal classes", "gradient, unequal classes"} <= set(changed)


def test_a_gradient_that_is_off_while_the_value_is_not_is_seen(monkeypatch):
    compare = TripletLoss.compare

    def off(loss, pairs):
        value = compare(loss, pairs)
        return value + 1e-3 * (pairs.similarity - pairs.similarity.detach()).sum()

    monkeypatch.setattr(TripletLoss, "compare", off)
    assert "value, equal classes" not in _changed("loss triplet")
    assert "gradient, equal classes" in _changed("loss triplet")
    assert any(quantity.startswith("change of model") for quantity in _three_steps("triplet"))


def test_every_gradient_reaches_the_numbers():
    """A case that says nothing, such as a loss of zero, holds nothing."""
    for name, case in read().cases.items():
        if name.startswith("loss ") and "three steps" not in name:
            assert all(abs(case.quantities[f"value, {b}"][0]) > 1e-6 for b in losses.BATCHES), name
            lengths = [case.quantities[f"gradient, {b}"][0] for b in losses.BATCHES]
            assert max(lengths) > 1e-6, name


def _changed(name: str) -> list[str]:
    case = all_cases()[name]
    quantities, _ = case.run()
    return differences(read().cases[name], Numbers(quantities, (), case.tolerance))


def _three_steps(loss: str) -> list[str]:
    return _changed(f"loss {loss}, three steps")
