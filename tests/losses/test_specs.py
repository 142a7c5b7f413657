"""What every built-in loss declares, held against what it is."""

import importlib
import inspect
import json
import re
import subprocess
import sys

import pytest

from dmlbench.losses import LOSSES

BY_NAME = pytest.mark.parametrize("spec", LOSSES, ids=lambda spec: spec.name)
SUPPLIED = {"num_classes", "embedding_dim", "num_features", "num_images"}
FAMILIES = {"pair", "triplet", "listwise", "proxy", "classification"}


def signature_of(spec):
    module, _, name = spec.target.partition(":")
    return inspect.signature(getattr(importlib.import_module(module), name))


@BY_NAME
def test_defaults_are_those_of_the_signature(spec):
    parameters = signature_of(spec).parameters
    defaults = {n: p.default for n, p in parameters.items() if n not in SUPPLIED}
    assert inspect.Parameter.empty not in defaults.values()
    assert dict(spec.defaults) == defaults


@BY_NAME
def test_defaults_are_json_values(spec):
    json.dumps(dict(spec.defaults), allow_nan=False)


@BY_NAME
def test_spec_is_complete(spec):
    assert spec.summary and "\n" not in spec.summary
    assert re.search(r"\b(19|20)\d\d\b", spec.reference), "the reference names no year"
    assert spec.family in FAMILIES


@BY_NAME
def test_names_are_lower_case_letters_digits_and_hyphens(spec):
    for name in (spec.name, *spec.aliases):
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)


@BY_NAME
def test_class_is_documented_with_every_parameter(spec):
    module, _, name = spec.target.partition(":")
    text = inspect.getdoc(getattr(importlib.import_module(module), name))
    missing = [parameter for parameter in spec.defaults if parameter not in text]
    assert not missing


def test_names_and_aliases_are_unique():
    names = [name for spec in LOSSES for name in (spec.name, *spec.aliases)]
    assert len(names) == len(set(names))


def test_each_loss_has_a_file_of_its_own():
    modules = [spec.target.partition(":")[0] for spec in LOSSES]
    assert len(modules) == len(set(modules))
    assert [spec.name.replace("-", "_") for spec in LOSSES] == [m.split(".")[-1] for m in modules]


def test_listing_imports_no_torch():
    code = "import sys, dmlbench.losses; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
