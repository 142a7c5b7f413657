"""Learning-rate schedules: their rates by hand, and against those of torch where it has them."""

from __future__ import annotations

import math

import pytest
import torch
from words import refused

from dmlbench.errors import UsageError
from dmlbench.plan.recipe import load_recipe
from dmlbench.plan.schedule import Schedule, reductions

STEPS, EPOCHS = 5, 8


def rates(schedule, validation=()):
    return [
        schedule.rate(step, STEPS, EPOCHS, validation[: step // STEPS])
        for step in range(STEPS * EPOCHS)
    ]


def of_torch(build):
    """The factors of a scheduler of torch that is stepped once a training step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = build(optimizer)
    factors = []
    for _ in range(STEPS * EPOCHS):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return factors


def test_constant():
    assert rates(Schedule(name="constant")) == [1.0] * (STEPS * EPOCHS)


def test_cosine_is_that_of_torch():
    expected = of_torch(
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=STEPS * EPOCHS)
    )
    assert rates(Schedule(name="cosine")) == pytest.approx(expected)


@pytest.mark.parametrize("power", [1.0, 3.0])
def test_polynomial_from_the_start_is_that_of_torch(power):
    expected = of_torch(
        lambda o: torch.optim.lr_scheduler.PolynomialLR(o, total_iters=STEPS * EPOCHS, power=power)
    )
    assert rates(Schedule(name="polynomial", power=power)) == pytest.approx(expected)


def test_polynomial_is_constant_until_its_decay():
    got = rates(Schedule(name="polynomial", decay_from=0.75))
    assert got[:31] == [1.0] * 31
    assert got[31:] == pytest.approx([1 - i / 10 for i in range(1, 10)])


def test_polynomial_ends_where_it_is_told_to_and_stays_at_its_final_factor():
    got = rates(Schedule(name="polynomial", decay_from=0.25, decay_to=0.75, final=0.2, power=2.0))
    assert got[:11] == [1.0] * 11
    assert got[11:30] == pytest.approx([0.2 + 0.8 * (1 - i / 20) ** 2 for i in range(1, 20)])
    assert got[30:] == [0.2] * 10


def test_a_warm_up_that_outlasts_the_start_of_the_decay_moves_it():
    got = rates(Schedule(name="polynomial", decay_from=0.25, warmup_epochs=4))
    assert got[:20] == pytest.approx([(i + 1) / 21 for i in range(20)])
    assert got[20:] == pytest.approx([1 - i / 20 for i in range(20)])


@pytest.mark.parametrize("name", ["constant", "cosine", "polynomial"])
def test_warm_up_rises_to_the_full_rate(name):
    got = rates(Schedule(name=name, warmup_epochs=2))
    assert got[:11] == pytest.approx([*((i + 1) / 11 for i in range(10)), 1.0])
    assert max(got) == 1.0


def test_step_is_that_of_torch():
    expected = of_torch(
        lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [3 * STEPS, 6 * STEPS], gamma=0.3)
    )
    got = rates(Schedule(name="step", milestones=(3, 6), factor=0.3))
    assert got == pytest.approx(expected)


def test_plateau_is_that_of_torch():
    values = [0.1, 0.3, 0.2, 0.3, 0.25, 0.31, 0.30, 0.30, 0.1, 0.2, 0.1, 0.4, 0.1]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    # torch reduces after more than `patience` epochs without a better one.
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=1, threshold=0.0
    )
    schedule = Schedule(name="plateau", patience=2, factor=0.5)
    for epoch, value in enumerate(values, 1):
        scheduler.step(value)
        got = schedule.rate(epoch * STEPS, STEPS, len(values) + 1, values[:epoch])
        assert got == pytest.approx(optimizer.param_groups[0]["lr"]), epoch


def test_epochs_without_validation_count_towards_the_patience():
    assert reductions([0.5, None, 0.4, None], 2) == 1
    assert reductions([0.5, None, 0.6, None, 0.6], 2) == 1
    assert reductions([None, None, None], 2) == 0
    assert reductions([], 2) == 0


def test_nan_is_no_better_value():
    assert reductions([0.5, math.nan, math.nan], 2) == 1


@pytest.mark.parametrize(
    "values, message",
    [
        ({"warmup_epochs": 25}, r"must be between 0 and recipe.epochs \(20\)"),
        ({"power": 2}, "power has nothing to act on in the schedule cosine.*name=polynomial"),
        ({"milestones": [3]}, "milestones has nothing to act on.*name=step"),
        ({"factor": 0.5}, "factor has nothing to act on"),
        ({"name": "step"}, r"ascending epochs between 1 and 19, such as \[10\], not \[\]"),
        ({"name": "step", "milestones": [5, 5]}, "ascending"),
        ({"name": "step", "milestones": [20]}, "between 1 and 19"),
        ({"name": "step", "milestones": [1.5]}, "must be a list of whole numbers"),
        ({"name": "step", "milestones": 5}, "must be a list of whole numbers"),
        ({"name": "step", "milestones": [5], "factor": 1.0}, "factor must be between 0 and 1"),
        ({"name": "polynomial", "decay_from": 1.0}, "must be ascending shares of the run"),
        ({"name": "polynomial", "decay_to": 1.5}, "must be ascending shares of the run"),
        ({"name": "polynomial", "final": 1.0}, "final must be from 0 to below 1"),
        ({"name": "polynomial", "decay_to": 0.1, "warmup_epochs": 2}, "must end before the decay"),
        ({"name": "polynomial", "power": 0}, "power must be positive"),
        ({"name": "plateau", "patience": 0}, "patience must be at least recipe.validate_every"),
        ({"name": "linear"}, "must be one of constant, cosine, polynomial, step, plateau"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_named(values, message):
    given = {"name": "cosine", "warmup_epochs": 0, **values}
    plain = {"epochs": 20, "validate_every": 1}
    with pytest.raises(UsageError, match=message):
        load_recipe("paper", {**plain, **{f"schedule.{k}": v for k, v in given.items()}})


def test_another_schedule_does_not_inherit_the_values_of_the_one_it_replaces():
    quick = load_recipe("quick").schedule
    assert quick.name == "polynomial" and quick.decay_from > 0
    constant = load_recipe("quick", {"schedule.name": "constant"}).schedule
    assert constant == Schedule(name="constant", warmup_epochs=quick.warmup_epochs)
    same = load_recipe("quick", {"schedule.name": "polynomial", "schedule.power": 2.0}).schedule
    assert (same.decay_from, same.power) == (quick.decay_from, 2.0)
    with refused(UsageError, "decay_from"):
        load_recipe("quick", {"schedule.name": "constant", "schedule.decay_from": 0.3})
