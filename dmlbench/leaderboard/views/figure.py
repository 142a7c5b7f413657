"""What every figure shares: file types, style and text that is never read as mathematics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dmlbench.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE_TYPES = (".png", ".svg", ".pdf")
# Okabe and Ito's palette: told apart by colour-blind readers, and in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#9A8700")
_STYLE = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    # Names come from entries: a dollar sign is a dollar sign.
    "text.parse_math": False,
    "text.usetex": False,
    "pdf.fonttype": 42,
    # Equal results give equal files.
    "svg.hashsalt": "dmlbench",
}


@contextmanager
def figure_for(file: str | Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of `width` by `height` inches, written to `file` on leaving.

    Raises `UsageError` for a file type that is not PNG, SVG or PDF, or a folder that is not there.
    """
    path = checked_file(file)
    # Figure and Agg alone: pyplot would look for a display and keep state between figures.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
        try:
            figure.savefig(path, metadata=dates[path.suffix.lower()])
        except OSError as error:
            raise UsageError(f"The figure {path} cannot be written: {error.strerror}.") from error


def checked_file(file: str | Path) -> Path:
    """The path of a figure; raises `UsageError` for another file type or a missing folder."""
    path = Path(file)
    if path.suffix.lower() not in FILE_TYPES:
        raise UsageError(
            f"A figure cannot be written as {path.name!r}; its name must end in "
            f"{', '.join(FILE_TYPES[:-1])} or {FILE_TYPES[-1]}."
        )
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent} to write the figure {path.name} in.")
    return path
