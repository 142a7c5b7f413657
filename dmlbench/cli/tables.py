"""Text and aligned columns on stdout, in what its encoding can show and without trailing blanks."""

from __future__ import annotations

from collections.abc import Sequence

import click


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print text rows under `columns`; whatever they hold stays text."""
    from dmlbench.leaderboard.views.terminal import Column, print_columns, stdout_console

    console = stdout_console()
    with console.capture() as captured:
        print_columns(
            console,
            [
                Column(title, [row[index] for row in rows], text=True)
                for index, title in enumerate(columns)
            ],
        )
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_text(text: str, indent: str = "") -> None:
    """Print a line, or with `indent` a paragraph that is wrapped behind it."""
    from dmlbench.leaderboard.views.terminal import say, stdout_console, writable

    console = stdout_console()
    if indent:
        say(console, text, bullet=indent)
    else:
        click.echo(writable(text, console))
