"""Text and tables on a terminal whose words may wrap and whose numbers never do.

Everything is printed as it is: no markup is read, for names come from other people.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dmlbench.leaderboard.entries.sanitize import visible

if TYPE_CHECKING:
    from rich.console import Console

# What cannot be broken and is longer, such as a path, is broken all the same.
_LONGEST_PIECE = 40
# Names longer than this wrap before other columns are left out.
_NAMES_WIDTH = 36
# One space of padding and one for the line between columns.
GAP = 2
_ASCII = str.maketrans({"±": "+/-", "–": "-", "·": "|", "×": "x", "…": "..."})


@dataclass(frozen=True)
class Column:
    """A column of a table: `text` wraps at spaces; numbers are right-aligned and never broken.

    best: positions of the cells to print bold. always: stays however narrow the terminal is.
    """

    title: str
    cells: Sequence[str]
    best: frozenset[int] = frozenset()
    text: bool = False
    always: bool = False

    @property
    def least_width(self) -> int:
        """How many characters of the terminal the column needs."""
        from rich.cells import cell_len

        if not self.text:
            return self.natural_width
        pieces = (piece for cell in self.cells for piece, _ in _pieces(cell))
        longest = max(map(cell_len, pieces), default=0)
        return max(cell_len(self.title), min(longest, _LONGEST_PIECE))

    @property
    def natural_width(self) -> int:
        """How many characters the column needs if nothing wraps."""
        from rich.cells import cell_len

        return max(map(cell_len, [self.title, *self.cells]))

    def wrapped(self, width: int) -> list[str]:
        """The cells in lines of at most `width` characters, broken between pieces alone."""
        return [wrap_name(cell, width) for cell in self.cells] if self.text else list(self.cells)


def comfortable_width(columns: Sequence[Column]) -> int:
    """How many characters a table needs in which names wrap rarely."""
    widths = (max(c.least_width, min(c.natural_width, _NAMES_WIDTH)) for c in columns)
    return sum(widths) + GAP * len(columns)


def least_width(columns: Sequence[Column]) -> int:
    """How many characters of the terminal a table of these columns needs."""
    return sum(column.least_width for column in columns) + GAP * len(columns)


def _pieces(text: str) -> list[tuple[str, str]]:
    """Parts that are never broken, each with what is between it and the next in one line.

    A name with parameters may be broken behind its opening bracket and behind commas.
    """
    parts = re.split(r"( +|(?<=\()(?=.)|(?<=,)(?=[^ ]))", text)
    return list(zip(parts[::2], [*parts[1::2], ""], strict=True))


def wrap_name(text: str, width: int) -> str:
    """A name in lines of at most `width` characters, broken between words and parameters alone."""
    from rich.cells import cell_len

    lines, line, gap = [], "", ""
    for piece, after in _pieces(text):
        while cell_len(piece) > width > 1:  # such as a path
            lines += [line] * bool(line)
            line, gap, lines, piece = "", "", [*lines, piece[:width]], piece[width:]
        if line and cell_len(line + gap + piece) > width:
            lines.append(line)
            # What continues is indented, so it is not taken for a row of its own.
            line = " " * (cell_len(piece) < width) + piece
        else:
            line += gap + piece
        gap = after
    return "\n".join([*lines, line])


def _widths(columns: Sequence[Column], available: int) -> list[int]:
    """The width of each column: where room is short, the widest that wrap give way first."""
    least = [column.least_width for column in columns]
    wanted = [c.natural_width if c.text else w for c, w in zip(columns, least, strict=True)]
    room = available - GAP * len(columns)
    most = max(wanted)
    while most > 1 and sum(_at_most(most, least, wanted)) > room:
        most -= 1
    return _at_most(most, least, wanted)


def _at_most(most: int, least: Sequence[int], wanted: Sequence[int]) -> list[int]:
    return [max(low, min(want, most)) for low, want in zip(least, wanted, strict=True)]


def print_columns(console: Console, columns: Sequence[Column], closing: int = 0) -> None:
    """Print a table; its last `closing` rows are set apart by a line."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    ascii_only = console.options.ascii_only
    table = Table(
        box=box.ASCII if ascii_only else box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    columns = [replace(c, cells=[writable(cell, console) for cell in c.cells]) for c in columns]
    widths = _widths(columns, console.width)
    filled = [column.wrapped(width) for column, width in zip(columns, widths, strict=True)]
    for column, width in zip(columns, widths, strict=True):
        table.add_column(
            Text(column.title),
            justify="left" if column.text else "right",
            no_wrap=True,  # cells are in lines that fit
            min_width=width,
            overflow="fold",
        )
    count = len(columns[0].cells)
    for i in range(count):
        table.add_row(
            *(
                Text(cells[i], style="bold" if i in column.best else "")
                for column, cells in zip(columns, filled, strict=True)
            ),
            end_section=closing > 0 and i == count - closing - 1,
        )
    # Wider than the terminal rather than with numbers cut off.
    console.print(table, crop=False)


def say(console: Console, text: str, style: str = "", bullet: str = "") -> None:
    """Print wrapped text, with a hanging indent after the bullet."""
    from rich.text import Text

    lines = textwrap.wrap(
        writable(text, console),
        max(20, console.width),
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_on_hyphens=False,
    )
    for line in lines:
        console.print(Text(line, style=style), soft_wrap=True)


def writable(text: str, console: Console) -> str:
    """Text that the console's encoding can show, without what would steer a terminal."""
    text = visible(text)
    if not console.options.ascii_only:
        return text
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def stdout_console() -> Console:
    """A console on stdout; what is piped is wrapped at 120 columns, unless COLUMNS says else."""
    from rich.console import Console

    console = Console()
    if (console.is_terminal or os.environ.get("COLUMNS")) and console.width > 0:
        return console
    return Console(width=120)
