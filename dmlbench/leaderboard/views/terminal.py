"""Text and tables on a terminal whose words may wrap and whose numbers never do.

Everything is printed as it is: no markup is read, for names come from other people.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmlbench.leaderboard.entries.sanitize import visible

if TYPE_CHECKING:
    from rich.console import Console

# Names longer than this wrap.
_NAMES_WIDTH = 20
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

        longest = max(map(cell_len, [self.title, *self.cells]))
        return min(longest, _NAMES_WIDTH) if self.text else longest


def least_width(columns: Sequence[Column]) -> int:
    """How many characters of the terminal a table of these columns needs."""
    return sum(column.least_width for column in columns) + GAP * len(columns)


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
    for column in columns:
        table.add_column(
            Text(column.title),
            justify="left" if column.text else "right",
            no_wrap=not column.text,
            min_width=column.least_width,
            overflow="fold",
        )
    count = len(columns[0].cells)
    for i in range(count):
        table.add_row(
            *(
                Text(writable(column.cells[i], console), style="bold" if i in column.best else "")
                for column in columns
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
