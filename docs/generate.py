"""Write the parts of the docs that are made from the code.

    python docs/generate.py          # rewrite them
    python docs/generate.py --check  # exit with 1 if one is out of date

In a page, the text between ``<!-- help: dmlbench run -->`` and ``<!-- end -->`` is the help of that
command; between ``<!-- columns -->`` and ``<!-- end -->`` what each column of a table means. The
pages in ``losses/`` and ``combiners/`` are made as a whole, from the specs and the docstrings, and
from ``benchmarks/results/losses.json`` if it exists; the tables against the authors' code also
from ``tests/losses/authors.json`` and ``tests/combiners/authors.json``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import against_authors
import against_combiner_authors
import click
from component_pages import COMPONENTS, component_pages

from dmlbench.cli import cli
from dmlbench.leaderboard.entries.metrics import DEFAULT_METRIC
from dmlbench.leaderboard.views.explain import explanation

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results" / "losses.json"
_BLOCK = re.compile(r"(<!-- help: (?P<words>[^>]*) -->\n).*?(<!-- end -->)", re.DOTALL)
_COLUMNS = re.compile(r"(<!-- columns -->\n).*?(<!-- end -->)", re.DOTALL)


def help_text(words: str) -> str:
    """What ``<words> --help`` prints, 80 columns wide."""
    context = None
    command: click.Command = cli
    for index, name in enumerate(words.split()):
        if index:
            command = command.get_command(context, name)
        # The settings as well: click keeps the help option that a command was first asked for.
        context = click.Context(
            command,
            info_name=name,
            parent=context,
            max_content_width=80,
            terminal_width=80,
            **command.context_settings,
        )
    return command.get_help(context)


def rewritten(page: str) -> str:
    """The page with every block written again."""

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}```text\n{help_text(match['words'])}\n```\n{match[3]}"

    columns = "".join(f"- {line}\n" for line in explanation(DEFAULT_METRIC))
    return _COLUMNS.sub(lambda match: f"{match[1]}{columns}{match[2]}", _BLOCK.sub(block, page))


def wanted_pages() -> dict[Path, str]:
    """Every page by its path as it should be; empty where a component is gone."""
    measured = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else None
    wanted = {DOCS / path: text for path, text in component_pages(measured).items()}
    wanted[DOCS / "losses" / "against-authors.md"] = against_authors.page()
    wanted[DOCS / "combiners" / "against-authors.md"] = against_combiner_authors.page()
    for path in DOCS.rglob("*.md"):
        if path.parent.name in COMPONENTS:
            wanted.setdefault(path, "")
        else:
            wanted[path] = rewritten(path.read_text("utf-8"))
    return wanted


def main(check: bool) -> int:
    wanted = wanted_pages()
    stale = [
        path
        for path, text in sorted(wanted.items())
        if not path.exists() or path.read_text("utf-8") != text
    ]
    for path in stale:
        if not check and wanted[path]:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[path], "utf-8")
        elif not check:
            path.unlink()
        print(f"{'out of date' if check else 'rewrote'}: {path.relative_to(DOCS.parent)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
