"""``dmlbench data``: the field's datasets on this machine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from dmlbench.cli.options import json_option
from dmlbench.cli.paths import PathType

root_option = click.option(
    "--root",
    metavar="DIR",
    type=PathType(file_okay=False),
    help="Folder of the dataset, or the one above it.  [default: where `data list` says]",
)


@click.group("data")
def data_command() -> None:
    """Download and verify benchmark datasets, and show where they are stored.

    Each is stored in a folder of its name in $DMLBENCH_DATA, or in `data` in the cache folder,
    unless `data get NAME --root DIR` names another one, which is remembered.
    """


@data_command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the datasets, where each is looked for, and whether it is there."""
    from dmlbench.cli.tables import print_table
    from dmlbench.data.images import DatasetError
    from dmlbench.data.locations import place_of
    from dmlbench.datasets.getting.verify import benchmark, names
    from dmlbench.datasets.published import PUBLISHED

    rows = []
    for name in names():
        place, state, layout = place_of(name), "there", None
        try:
            layout = benchmark(name).find().layout.name
        except DatasetError as error:
            state = "incomplete" if place.is_dir() and any(place.iterdir()) else "not there"
            problem = str(error)
        else:
            problem = None
        rows.append(
            {
                "name": name,
                "images": PUBLISHED[name].images,
                "place": str(place),
                "state": state,
                "layout": layout,
                "problem": problem,
            }
        )
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    print_table(
        ["Name", "Images", "State", "Looked for in"],
        [[r["name"], f"{r['images']:,}", r["state"], r["place"]] for r in rows],
    )


@data_command.command("get")
@click.argument("name")
@root_option
@click.option(
    "--url",
    "urls",
    metavar="[FILE=]URL",
    multiple=True,
    help="Take a file from here instead: an address that ends in the file's name, FILE=URL, or a "
    "folder of all files, with a slash at the end. May be repeated.",
)
@click.option("--keep", is_flag=True, help="Keep downloaded archives after unpacking.")
@json_option
def get_command(
    name: str, root: str | None, urls: tuple[str, ...], keep: bool, as_json: bool
) -> None:
    """Download, check and unpack the dataset NAME, or use it where it is stored.

    Resumes an interrupted download. Files already in the folder are used instead of downloaded.
    If a file must be fetched manually, the command says which and from where.
    """
    from dmlbench.data.locations import place_of
    from dmlbench.datasets.getting.fetch import fetch

    try:
        with _no_empty_folder(place_of(name, root)), _progress() as progress:
            place = fetch(
                name, root, urls, keep, progress, say=lambda line: click.echo(line, err=True)
            )
    except KeyboardInterrupt:
        click.echo("Interrupted. What was downloaded is kept: run again to resume.", err=True)
        raise
    if as_json:
        click.echo(json.dumps({"name": name, "place": str(place)}))
    else:
        click.echo(f"{name} is in {place}. `dmlbench data verify {name}` counts its images.")


@contextlib.contextmanager
def _no_empty_folder(place: Path) -> Iterator[None]:
    """Where getting a set fails, remove the folders that were made for it and hold nothing."""
    made = [folder for folder in (place, *place.parents) if not folder.exists()]
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()
        raise


@data_command.command("verify")
@click.argument("name")
@root_option
@click.option("--decode", is_flag=True, help="Decode every image as well, which takes minutes.")
@json_option
def verify_command(name: str, root: str | None, decode: bool, as_json: bool) -> int:
    """Compare the dataset NAME with the published numbers and name what is missing.

    Exits with 4 where it differs.
    """
    from dmlbench.datasets.getting.verify import verify

    with _progress() as progress:
        found = verify(
            name, root, decode, lambda done, total: progress("images decoded", done, total)
        )
    if as_json:
        values = {
            **vars(found),
            "base": str(found.base),
            "counts": vars(found.counts),
            "published": vars(found.published),
        }
        click.echo(json.dumps(values, indent=1))
    else:
        _show(found)
    return 4 if found.problems else 0


def _show(found) -> None:
    from dmlbench.cli.tables import print_table, print_text

    print_text(f"{found.name} in {found.base}, laid out as {found.layout}")
    print_table(
        ["", "On disk", "Published"],
        [
            [key.replace("_", " "), f"{number:,}", "not known" if wanted is None else f"{wanted:,}"]
            for (key, number), wanted in zip(
                vars(found.counts).items(), vars(found.published).values(), strict=True
            )
            if number or wanted
        ],
    )
    for problem in found.problems:
        print_text(f"DIFFERS  {problem}")
    if not found.problems:
        click.echo("It is the published dataset as far as numbers tell.")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Bars on stderr on a terminal, nothing elsewhere. Yields what to call with the progress."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda what, done, total: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, object] = {}
    with Progress(*columns, console=console, transient=True) as bars:

        def tell(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total, amount="")
            amount = f"{done:,}" + (f" of {total:,}" if total else "")
            bars.update(tasks[what], completed=done, total=total, amount=amount)

        yield tell
