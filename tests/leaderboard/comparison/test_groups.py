"""Groups: what keeps rows apart, and how their tuning is compared."""

from __future__ import annotations

import pytest

from dmlbench.leaderboard.comparison.groups import group_key, tuning_label
from dmlbench.leaderboard.comparison.summary import summarise
from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.comparison.verdict import verdicts
from dmlbench.leaderboard.entries.trial import Trial

LOW, HIGH = [0.50, 0.51, 0.52, 0.50, 0.51], [0.60, 0.61, 0.62, 0.60, 0.61]


def record(count=5, budget=None, start=None, **space):
    """A record of `count` tuning trials; start: the values that the first had, by key."""
    tried = {"validation_map_at_r": 0.5, "reason": None, "train_seconds": 1.0}
    return {
        "kind": "row", "setting_sha256": "a" * 64, "code_sha256": "b" * 64,
        "budget": count if budget is None else budget, "seeds": [1000], "space": space,
        "sampler": "none", "trials": [tried | {"params": start or {}}] * count,
    }  # fmt: skip


def test_a_single_loss_of_an_ensembles_dimension_is_in_its_group(make_entry):
    wide = {"embedding_dim": 128}
    ensemble = make_entry("ms+triplet", HIGH, combiner="wedl", dim_budget="per-loss", **wide)
    singles = [make_entry(name, LOW, **wide) for name in ("ms", "triplet")]
    assert len({group_key(entry) for entry in (ensemble, *singles)}) == 1
    (verdict,) = verdicts([ensemble, *singles])
    assert verdict.outcome == "better" and verdict.num_singles == 2
    assert group_key(make_entry("ms", LOW)) != group_key(ensemble)


RATE = "recipe.optimizer.head_lr"


def rated(make_entry, rate, **changes):
    return make_entry("ms", LOW, recipe={"optimizer": {"head_lr": rate}}, **changes)


@pytest.mark.parametrize("usual", [0.004, 0.0004], ids=["a default", "a recipe's own"])
def test_a_tuned_row_is_in_the_group_of_the_rates_that_its_tuning_started_from(make_entry, usual):
    untuned = rated(make_entry, usual)
    assert group_key(rated(make_entry, 0.123)) != group_key(untuned)
    tuning = record(start={RATE: usual}, **{RATE: {"low": 1e-4, "high": 1.0, "log": True}})
    assert group_key(rated(make_entry, 0.123, tuning=[tuning])) == group_key(untuned)
    assert group_key(rated(make_entry, 0.321, tuning=[tuning])) == group_key(untuned)
    other = record(start={RATE: 0.01}, **{RATE: {"low": 1e-4, "high": 1.0, "log": True}})
    assert group_key(rated(make_entry, 0.123, tuning=[other])) != group_key(untuned)


@pytest.mark.parametrize("tuning", [
    record(0, 5, **{RATE: {}}),
    record(start={"recipe.optimizer.loss_lr": 0.02}, **{"recipe.optimizer.loss_lr": {}}),
    record(start={RATE: 0.004}),
], ids=["nothing was tried", "another value was searched", "not in the space"])  # fmt: skip
def test_a_record_that_searched_no_rate_excuses_none(make_entry, tuning):
    untuned, other = rated(make_entry, 0.004), rated(make_entry, 0.123, tuning=[tuning])
    assert group_key(other) != group_key(untuned)


def test_what_is_no_learning_rate_separates_whatever_a_record_says(make_entry):
    tuning = record(start={"recipe.epochs": 3}, **{"recipe.epochs": {}})
    longer = make_entry("ms", LOW, epochs=4, tuning=[tuning])
    assert group_key(longer) != group_key(make_entry("ms", LOW))


def test_class_splits_separate_groups(make_entry):
    entry = make_entry("ms", LOW)
    split = [Trial.model_validate(t.model_dump() | {"split": 1}) for t in entry.trials]
    assert group_key(entry.model_copy(update={"trials": entry.trials + split})) != group_key(entry)


@pytest.mark.parametrize("budget, outcome", [(5, "better"), (25, "incomplete")])
def test_a_lead_after_more_tuning_is_no_finding(make_entry, budget, outcome):
    singles = [make_entry(name, LOW, tuning=[record(5)]) for name in ("ms", "triplet")]
    ensemble = make_entry("ms+triplet", HIGH, combiner="wedl", tuning=[record(budget)])
    (verdict,) = verdicts([*singles, ensemble])
    assert verdict.outcome == outcome
    assert ("Tuning differs: 25 tuning trials" in verdict.sentence) == (budget == 25)
    # The losses of a tuned row are those of tuned rows, whatever their parameters became.
    untuned = [make_entry(name, LOW) for name in ("ms", "triplet")]
    (verdict,) = verdicts([*untuned, ensemble])
    assert verdict.best_single is None and verdict.outcome == "inconclusive"
    assert "none of its losses (ms and triplet) was tuned and run alone" in verdict.sentence


def loss(entry, **params):
    """The only loss of an entry, with parameters, as `make_entry` takes it."""
    return [entry.losses[0].model_dump() | {"params": params}]


def margin_record(margin, count=5):
    return record(count, start={"losses[0].margin": margin}, **{"losses[0].margin": {}})


def test_a_tuned_loss_is_told_by_what_was_not_searched(make_entry):
    made = make_entry("ms")
    two = 2 * loss(made, margin=0.1, mining="hard")
    ensemble = make_entry(two, HIGH, combiner="wedl", tuning=[margin_record(0.1)])
    same, other = (
        make_entry(loss(made, mining=mining, margin=0.3), LOW, tuning=[margin_record(0.3)])
        for mining in ("hard", "all")
    )
    (verdict,) = verdicts([ensemble, same, other])
    assert verdict.best_single_id == same.entry_id and verdict.num_singles == 1
    (verdict,) = verdicts([ensemble, other])
    assert verdict.best_single is None


def test_the_title_of_a_group_has_no_rate_of_its_tuned_rows(make_entry):
    tuning = record(start={RATE: 0.004}, **{RATE: {"low": 1e-4, "high": 1.0, "log": True}})
    changed = {"optimizer.head_lr": 0.123, "epochs": 3}
    entries = [
        rated(make_entry, 0.004, overrides={"epochs": 3}),
        rated(make_entry, 0.123, tuning=[tuning], overrides=changed),
    ]
    assert set(leaderboard_frame(entries)["recipe"]) == {"quick(epochs=3)"}


def test_a_loss_that_was_tuned_on_each_dataset_is_one_row_over_datasets(make_entry):
    made = make_entry("ms")
    entries = [
        make_entry(loss(made, margin=margin), LOW, dataset=name,
                   tuning=[margin_record(margin, count)])
        for name, margin, count in (("a", 0.1, 5), ("b", 0.3, 5), ("b", 0.4, 9))
    ]  # fmt: skip
    more, one = sorted(summarise(entries).rows, key=lambda row: row.num_missing, reverse=True)
    assert one.num_missing == 0 and one.losses == "ms" and "tuned with 5 trials" in one.setting
    assert more.num_missing == 1 and "tuned with 9 trials" in more.setting


def test_rows_say_how_their_parameters_were_chosen(make_entry):
    assert tuning_label(make_entry("ms", tuning=[record(50)])) == "50 trials"
    assert tuning_label(make_entry("ms", tuning=[record(3, budget=50)])) == "3 trials"
    assert tuning_label(make_entry("ms", tuning=[record(3), record(4)])) == "7 trials"
    assert tuning_label(make_entry("ms")) is None, "schema 1 does not say what the defaults were"


def test_the_best_of_many_equal_settings_is_marked(tmp_path):
    """Fifty names for one setting: the one that wins by luck has no record of a tuning."""
    from dmlbench.plan.request import Request, configurations_of
    from dmlbench.plugins.loading import load_plugins

    registry = load_plugins()
    losses = ["triplet", "triplet(margin=0.2001)"]
    request = Request(losses=losses, combiners=[], out=tmp_path)
    default, lucky = (c.identity() for c in configurations_of(request, registry))

    class Row:
        tuning: list = []
        recipe_overrides: dict = {}

        def __init__(self, identity):
            self.identity = identity

        def identity_json(self):
            return self.identity

    assert tuning_label(Row(default)) == "defaults"
    assert tuning_label(Row(lucky)) == "untuned parameters"


def test_more_tuning_trials_than_the_budget_are_refused(make_entry):
    with pytest.raises(ValueError, match="50 tuning trials are more than the budget of 5"):
        make_entry("ms", tuning=[record(50, budget=5)])


def test_the_tuning_of_a_group_is_shown(make_entry):
    frame = leaderboard_frame([make_entry("ms", HIGH, tuning=[record(7)]), make_entry("a", LOW)])
    assert list(frame["tuning"]) == ["7 trials", None]
