"""The command line: a file per command, each imported only when it is called."""

from __future__ import annotations

import contextlib
import io
import os
import sys

import click

from dmlbench.cli.lazy import LazyGroup
from dmlbench.cli.option_hints import hint_for
from dmlbench.errors import DmlbenchError
from dmlbench.running.executors.descriptors import open_standard_streams

#: Each command with the one line that --help shows, so help imports none of them.
COMMANDS = {
    "run": "Train losses and their combinations, and show the leaderboard.",
    "plan": "Show what run would do, without doing it.",
    "tune": "Tune losses on validation classes, each within the same budget.",
    "list": "List losses, combiners, datasets, backbones or recipes.",
    "info": "Show one loss, combiner, dataset, backbone, recipe or entry.",
    "data": "Download and verify datasets, and show where they are stored.",
    "plugin": "List, create and check plugins.",
    "embed": "Embed a folder of images by a trained model.",
    "export": "Export a trained model as TorchScript or ONNX.",
    "evaluate": "Compute every metric of embeddings in a file.",
    "leaderboard": "Show, compare and check leaderboards, and add to them.",
    "study": "Run and evaluate studies whose design is written before the runs.",
    "reproduce": "Train an entry again, and record whether the results agree.",
    "doctor": "Check the installation.",
}


@click.group(
    cls=LazyGroup,
    package=__name__,
    lazy=COMMANDS,
    renamed={"plugins": "plugin list", "new-plugin": "plugin new", "check": "plugin check"},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="dmlbench")
def cli() -> None:
    """Compare losses for deep metric learning, and ensembles of them, on unseen classes."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    _make_streams_usable()
    try:
        code = cli.main(args=arguments, prog_name="dmlbench", standalone_mode=False)
        # Here, so a full disk is told: at the interpreter's end it would be a traceback.
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption) and (hint := hint_for(error)):
            error.message, error.possibilities = f"{error.message} {hint}", None
        error.message = _plain(error.message)
        error.show()
        code = error.exit_code
    except DmlbenchError as error:
        click.echo(f"Error: {_plain(str(error))}", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone, as with `| head`.
        _drop_stdout()
        code = 0
    except OSError as error:
        # A disk that is full, a folder that cannot be written: nothing that a traceback explains.
        where = f"{error.filename}: " if error.filename is not None else ""
        click.echo(f"Error: {_plain(f'{where}{error.strerror or error}')}.", err=True)
        _drop_stdout()
        code = 1
    except SystemExit as stop:
        # So click and rich end a command whose reader has gone; click leaves this wrapper then.
        gone = isinstance(sys.stdout, click.utils.PacifyFlushWrapper)
        if not gone and not isinstance(stop.__context__, BrokenPipeError):
            raise
        _drop_stdout()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _make_streams_usable() -> None:
    """Replace streams that were closed by the null device, and let the others take any text."""
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names may hold bytes that are not text, and an encoding may lack a letter.
            stream.reconfigure(errors="backslashreplace")


def _plain(message: str) -> str:
    """A message fit for a terminal: entries and plugins put their own text into errors."""
    from dmlbench.leaderboard.entries.sanitize import plain_lines

    return plain_lines(message)


def _drop_stdout() -> None:
    """Let nothing more be written: what is still in the buffer would fail again at the end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
