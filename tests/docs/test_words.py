"""The prose of the docs and of the command line keeps to plain words: these patterns stay out."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from generate import help_text

from dmlbench.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "plugins").glob("*/README.md")),
]
#: A pattern, and what to write instead.
BANNED = {
    r"\bstands?\b(?! in for\b)": "is, appears, is listed",
    r"\b(?:lies|they lie|may lie|must lie)\b": "is stored, is in",
    r", so that\b": "so",
    r"\b(?<!there )(?:is|are) no (?:part|whole|plain|regular|entry|dataset)\b": "is not a",
    r"\b(?:goes|going) on\b": "resumes, continues",
    r"\bbut for\b": "except",
    r"\b(?:whence|anew|dearer|cannot be meant|cannot be had|told of)\b": "a current word",
    r"\bdoes not stand\b": "fails verification",
    r"\b(?:thread|option|row|line|file|one|once|loss|losses|seeds?|trials?|images) a "
    r"(?:trial|class|seed|loss|configuration|group|row|core|line|event|step|image)\b": "per",
}


def prose(text: str) -> str:
    """A page without code blocks, on one line."""
    return re.sub(r"\s+", " ", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def found(text: str) -> list[str]:
    return [
        f"...{text[max(0, match.start() - 40) : match.end() + 30]}... (write: {instead})"
        for pattern, instead in BANNED.items()
        for match in re.finditer(pattern, text)
    ]


def commands(group: click.Group, words: str) -> list[str]:
    names = []
    for name in group.list_commands(click.Context(group)):
        names.append(f"{words} {name}")
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            names += commands(command, names[-1])
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_no_banned_pattern(page):
    assert found(prose(page.read_text("utf-8"))) == []


@pytest.mark.parametrize("words", commands(cli, "dmlbench"))
def test_help_has_no_banned_pattern(words):
    assert found(prose(help_text(words))) == []


def test_what_is_banned_is_found():
    text = "Rows stand by their means, one thread a trial. It goes on, so that it ends anew."
    assert len(found(text)) == 5 and not found("There is no file. It may stand in for another.")
