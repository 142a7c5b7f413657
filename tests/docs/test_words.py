"""Docs, help, docstrings and comments keep to plain words: these patterns stay out."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
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
    r"\bstands?\b(?! (?:in )?for\b| out\b| behind\b)": "is, appears, is listed",
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


def prose_of_code(source: str) -> Iterator[tuple[int, str]]:
    """Docstrings and comments of a module, each with its line; what runs over lines on one."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node):
            yield node.body[0].lineno, prose(str(ast.get_docstring(node)))
    block: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start != (block[-1].start[0] + 1, block[-1].start[1]):
            yield _joined(block)
            block = []
        block.append(token)
    if block:
        yield _joined(block)


def _joined(block: list[tokenize.TokenInfo]) -> tuple[int, str]:
    return block[0].start[0], " ".join(token.string.lstrip("#: ") for token in block)


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


@pytest.mark.parametrize("folder", ["dmlbench", "plugins"])
def test_docstrings_and_comments_have_no_banned_pattern(folder):
    assert [
        f"{path.relative_to(ROOT)}:{line}: {problem}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in prose_of_code(path.read_text("utf-8"))
        for problem in found(text)
    ] == []


def test_prose_of_code_is_docstrings_and_comments():
    source = (
        '"""A row\nstands."""\n# It lies\n# here.\nname = "stands"  # but for\n'
        "def f():\n    'Goes\\n    on.'\n"
    )
    assert [len(found(text.lower())) for _, text in prose_of_code(source)] == [1, 1, 1, 1]


def test_what_is_banned_is_found():
    text = "Rows stand by their means, one thread a trial. It goes on, so that it ends anew."
    assert len(found(text)) == 5 and not found("There is no file. It may stand in for another.")
