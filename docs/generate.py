"""Write the parts of the docs that are made from the code.

    python docs/generate.py          # rewrite them
    python docs/generate.py --check  # exit with 1 if one is out of date

In a page, what stands between ``<!-- help: dmlbench run -->`` and ``<!-- end -->`` is the help of
that command.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from dmlbench.cli import cli

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- help: (?P<words>[^>]*) -->\n).*?(<!-- end -->)", re.DOTALL)


def help_text(words: str) -> str:
    """What ``<words> --help`` prints, 80 columns wide."""
    context = None
    command: click.Command = cli
    for index, name in enumerate(words.split()):
        if index:
            command = command.get_command(context, name)
        # The settings as well: click keeps the help option that a command was first asked for.
        context = click.Context(command, info_name=name, parent=context, max_content_width=80,
                                terminal_width=80, **command.context_settings)
    return command.get_help(context)


def rewritten(page: str) -> str:
    """The page with every block made anew."""

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}```text\n{help_text(match['words'])}\n```\n{match[3]}"

    return _BLOCK.sub(block, page)


def main(check: bool) -> int:
    stale = []
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text("utf-8")
        if rewritten(text) != text:
            stale.append(path)
            if not check:
                path.write_text(rewritten(text), "utf-8")
    for path in stale:
        print(f"{'out of date' if check else 'rewrote'}: {path.relative_to(DOCS.parent)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
