"""The docs say what the code does: every command and hook has its page, and help is current."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from dmlbench.cli import COMMANDS
from dmlbench.hookspecs import Hooks

DOCS = Path(__file__).parents[1] / "docs"

spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_with_its_help(command):
    page = (DOCS / "commands" / f"{command}.md").read_text("utf-8")
    assert f"<!-- help: dmlbench {command} -->" in page
    assert generate.help_text(f"dmlbench {command}").splitlines()[0] in page


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda path: path.name)
def test_what_is_made_from_the_code_is_current(page):
    text = page.read_text("utf-8")
    assert generate.rewritten(text) == text, "run python docs/generate.py"


def test_every_option_of_every_command_is_in_its_help():
    text = generate.help_text("dmlbench run")
    for option in ("--losses", "--combiner", "--seeds", "--threads", "--jobs", "--set", "--out"):
        assert option in text


@pytest.mark.parametrize("hook", [n for n in dir(Hooks) if n.startswith("dmlbench_")])
def test_every_hook_is_documented(hook):
    assert hook in (DOCS / "plugins.md").read_text("utf-8")
