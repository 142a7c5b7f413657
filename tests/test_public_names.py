"""The public names: what tools and users find without running anything."""

from __future__ import annotations

import ast
import importlib
import importlib.resources
import subprocess
import sys
from pathlib import Path

import pytest

import dmlbench
from dmlbench import hookspecs
from dmlbench.plugins.loading import load_plugins


@pytest.mark.parametrize("name", dmlbench.__all__)
def test_every_public_name_is_there_and_listed(name):
    assert name in dir(dmlbench) and getattr(dmlbench, name) is not None


def test_nothing_else_is_listed():
    assert dir(dmlbench) == sorted(dmlbench.__all__)


def test_what_a_type_checker_reads_is_what_is_loaded():
    tree = ast.parse(Path(dmlbench.__file__).read_text("utf-8"))
    blocks = {ast.unparse(n.test): n for n in tree.body if isinstance(n, ast.If)}
    block = blocks["TYPE_CHECKING"]
    declared = {alias.name: node.module for node in block.body for alias in node.names}
    assert sorted(declared) == sorted(dmlbench.__all__)
    # With this function in sight, a checker takes every misspelt name for one that is there.
    assert "__getattr__" not in {getattr(node, "name", "") for node in tree.body}
    for name, module in declared.items():
        if name != "evaluate":
            home = importlib.import_module(module)
            assert getattr(home, name) is getattr(dmlbench, name), name
    assert (importlib.resources.files("dmlbench") / "py.typed").is_file()


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="'evalute'"):
        dmlbench.evalute  # noqa: B018


def test_importing_and_listing_import_neither_torch_nor_pluggy():
    code = "import sys, dmlbench; dir(dmlbench); print({'torch', 'pluggy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_a_plugin_may_take_hookimpl_from_the_package(install):
    install(
        "short",
        """
        from dmlbench import hookimpl
        from dmlbench.hookspecs import LossSpec

        @hookimpl
        def dmlbench_losses():
            return [LossSpec(name="mine", target="mine:Mine", summary="A loss")]
        """,
    )
    assert dmlbench.hookimpl is hookspecs.hookimpl
    assert load_plugins().resolve("losses", "mine").id == "short:mine"
