"""The examples in public docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = (
    "dmlbench",
    "dmlbench.api",
    "dmlbench.data.addresses",
    "dmlbench.evaluate.clustering",
    "dmlbench.evaluate.metrics",
    "dmlbench.evaluate.retrieval",
    "dmlbench.hookspecs",
    "dmlbench.plan.writing",
    "dmlbench.statistics.bootstrap",
    "dmlbench.statistics.formatting",
    "dmlbench.statistics.intervals",
    "dmlbench.testing",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_public_module(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted and not found.failed
