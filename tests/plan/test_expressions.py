"""The command line's small language."""

from __future__ import annotations

import pytest

from dmlbench.errors import UsageError
from dmlbench.plan.expressions import (
    parse_assignment,
    parse_call,
    parse_copies,
    parse_value,
    split_list,
)
from dmlbench.plan.writing import write_copies


def test_lists_split_outside_brackets_and_quotes():
    assert split_list("a(x=1, y=[2, 3]),b, c(z='p,q')") == ["a(x=1, y=[2, 3])", "b", "c(z='p,q')"]
    assert split_list("") == []


@pytest.mark.parametrize(
    "text, value",
    [
        ("1", 1),
        ("1e-3", 1e-3),
        ("true", True),
        ("False", False),
        ("none", None),
        ("semi-hard", "semi-hard"),
        ('"1"', "1"),
        ("[1, 2.5]", [1, 2.5]),
        ('[{name="shift", pixels=2}]', [{"name": "shift", "pixels": 2}]),
        ("/data/my photos", "/data/my photos"),
        ("nan", "nan"),
        ("2020-01-01", "2020-01-01"),
    ],
)
def test_values_are_toml_or_strings(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


def test_a_call_gives_name_and_parameters():
    assert parse_call("triplet") == ("triplet", {})
    assert parse_call("d:triplet(margin=0.1, mining=semi-hard)") == (
        "d:triplet",
        {"margin": 0.1, "mining": "semi-hard"},
    )


def test_copies_are_counted_and_written_as_they_are_read():
    assert parse_copies("3*ms(alpha=2)") == (3, "ms(alpha=2)")
    assert parse_copies(" 12 * d:ms") == (12, "d:ms")
    assert parse_copies("ms") == (1, "ms")
    assert write_copies(["ms", "ms", "triplet", "ms"]) == ["2*ms", "triplet", "ms"]


@pytest.mark.parametrize("text", ["triplet(", "triplet)", "a b", "t(margin)", "t(a=1, a=2)", ""])
def test_what_cannot_be_meant_is_an_error_that_quotes_it(text):
    with pytest.raises(UsageError):
        name, _ = parse_call(split_list(text)[0] if text else text)


def test_an_assignment_needs_key_and_value():
    assert parse_assignment("recipe.epochs=4") == ("recipe.epochs", 4)
    for text in ("recipe.epochs", "=4", "recipe.epochs="):
        with pytest.raises(UsageError, match="key=value"):
            parse_assignment(text)


def test_a_number_too_long_for_python_is_refused_by_its_beginning():
    with pytest.raises(UsageError, match=r"^1{20}\.\.\. has too many digits: 6,000\.$"):
        parse_call(f"triplet(margin={'1' * 6000})")
