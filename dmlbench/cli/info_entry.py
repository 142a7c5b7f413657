"""What `dmlbench info` shows of an entry: the entry, its training curves, its classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dmlbench.errors import UsageError

if TYPE_CHECKING:
    from dmlbench.leaderboard.entries.entry import Entry
    from dmlbench.leaderboard.views.classes import ClassNames


@dataclass(frozen=True)
class EntryViews:
    """The options of `info` that entries alone have."""

    plot: str | None
    map: str | None
    classes: bool
    csv: bool

    def given(self) -> list[str]:
        """The options that were given, as typed."""
        options = {
            "--plot": self.plot,
            "--map": self.map,
            "--classes": self.classes,
            "--csv": self.csv,
        }
        return [name for name, value in options.items() if value]


def show_entry_command(
    name: str, leaderboards: Path, views: EntryViews, without: tuple[str, ...], as_json: bool
) -> None:
    """Show one entry as the options ask; raises `UsageError` where they do not fit together."""
    from dmlbench.leaderboard.entries.store import find_entry_file, read_entry

    if views.csv and not views.classes:
        raise UsageError("--csv writes the table of classes; give --classes too.")
    if views.csv and as_json:
        raise UsageError("--csv and --json are both given; take one.")
    path = find_entry_file(leaderboards, name)
    entry = read_entry(path)
    if views.plot:
        from dmlbench.leaderboard.views.plot import plot_entry

        plot_entry(entry, views.plot)
        click.echo(f"Drew {views.plot}.", err=True)
    if views.map:
        _draw_map(entry, path.parent, without, views.map)
    if views.classes:
        _show_classes(entry, path.parent, without, "csv" if views.csv else "json" * as_json)
    elif as_json:
        click.echo(entry.to_text(), nl=False)
    elif not (views.plot or views.map):
        from dmlbench.leaderboard.views.describe import show_entry
        from dmlbench.leaderboard.views.terminal import stdout_console

        show_entry(entry, stdout_console())


def _draw_map(entry: Entry, leaderboard: Path, without: tuple[str, ...], file: str) -> None:
    from dmlbench.leaderboard.views.embedding_map import plot_map

    trial = plot_map(entry, leaderboard, file, _names(entry, without))
    click.echo(f"Drew {file}, of {trial.title}.", err=True)


def _names(entry: Entry, without: tuple[str, ...]) -> ClassNames:
    """Names of the dataset's classes; says on stderr why where there are none."""
    from dmlbench.leaderboard.comparison.class_names import class_names
    from dmlbench.leaderboard.views.classes import ClassNames
    from dmlbench.plugins.loading import load_plugins

    found, reason = class_names(entry, load_plugins(without))
    if reason:
        click.echo(f"Classes are numbered instead of named: {reason}", err=True)
    return ClassNames(found)


def _show_classes(entry: Entry, leaderboard: Path, without: tuple[str, ...], form: str) -> None:
    from dmlbench.leaderboard.comparison.classes import class_table
    from dmlbench.leaderboard.views.classes import classes_csv, classes_json, print_classes
    from dmlbench.leaderboard.views.terminal import stdout_console

    table = class_table(entry, leaderboard)
    names = _names(entry, without)
    if table.missing:
        click.echo(f"No embeddings are stored of {', '.join(table.missing)}: left out.", err=True)
    if form == "csv":
        click.echo(classes_csv(table, names), nl=False)
    elif form == "json":
        click.echo(classes_json(entry, table, names))
    else:
        print_classes(stdout_console(), entry, table, names)
