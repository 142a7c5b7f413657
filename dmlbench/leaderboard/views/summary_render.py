"""A summary over datasets as a table, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from dmlbench.leaderboard.comparison.summary import Cell, Summary, SummaryRow
from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.leaderboard.views.columns import NOTHING
from dmlbench.leaderboard.views.export import csv_cell, markdown
from dmlbench.leaderboard.views.terminal import Column, print_columns, say
from dmlbench.plan.protocol import caution
from dmlbench.statistics.intervals import Interval

if TYPE_CHECKING:
    from rich.console import Console


def render_summary(summary: Summary, console: Console, explain: bool = False) -> None:
    """Print the table with its legend; explain: the long one."""
    say(console, _title(summary), style="bold")
    console.print()
    print_columns(
        console,
        [Column(title, cells, text=i < 3) for i, (title, cells) in enumerate(_columns(summary))],
    )
    console.print()
    for note in _cautions(summary):
        say(console, note, style="dim", bullet="! ")
    say(console, _legend(explain), style="dim")


def summary_markdown(summary: Summary, explain: bool = False) -> str:
    """A Markdown table below its title, with its legend; explain: the long one."""
    columns = _columns(summary)
    lines = [
        [markdown(title) for title, _ in columns],
        [":--" if i < 3 else "--:" for i in range(len(columns))],
        *zip(*([markdown(cell) for cell in cells] for _, cells in columns), strict=True),
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "".join(f"- {markdown(note)}\n" for note in _cautions(summary))
    notes = f"{notes}\n" if notes else ""
    return f"### {markdown(_title(summary))}\n\n{table}\n\n{notes}{markdown(_legend(explain))}\n"


def summary_csv(summary: Summary) -> str:
    """One line per configuration; fractions, or the reason why a dataset has none."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    titles = ["losses", "combiner", "setting", *summary.datasets, "mean"]
    writer.writerow(map(csv_cell, titles))
    for row in summary.rows:
        cells = [cell.interval.mean if cell.interval else cell.reason for cell in row.cells]
        texts = [row.losses, row.combiner or "", row.setting, *cells]
        writer.writerow([*map(csv_cell, texts), row.mean.mean if row.mean else ""])
    return file.getvalue()


def summary_json(summary: Summary) -> str:
    """``{"by", "datasets", "rows"}``; a number that is not there is null, with the reason."""
    document = {
        "by": summary.metric,
        "datasets": list(summary.datasets),
        "rows": [
            {
                "losses": row.losses,
                "combiner": row.combiner,
                "setting": row.setting,
                "datasets": {
                    name: _numbers(cell.interval)
                    | {"reason": cell.reason, "submissions": cell.submissions}
                    for name, cell in zip(summary.datasets, row.cells, strict=True)
                },
                "mean": _numbers(row.mean),
            }
            for row in summary.rows
        ],
    }
    return json.dumps(document, indent=1, allow_nan=False)


def _numbers(interval: Interval | None) -> dict[str, Any]:
    return (interval or Interval(None, None, None))._asdict()


def _columns(summary: Summary) -> list[tuple[str, list[str]]]:
    rows = summary.rows
    columns = [
        ("Losses", [row.losses for row in rows]),
        ("Combiner", [row.combiner or NOTHING for row in rows]),
        ("Setting", [row.setting for row in rows]),
    ]
    for i, name in enumerate(summary.datasets):
        columns.append((name, [_cell(row.cells[i]) for row in rows]))
    columns.append(("Mean", [_mean(row) for row in rows]))
    return columns


def _cell(cell: Cell) -> str:
    if not cell.interval:
        return cell.reason
    several = f" ({cell.submissions} submissions)" if cell.submissions > 1 else ""
    return _percent(cell.interval) + several


def _mean(row: SummaryRow) -> str:
    return _percent(row.mean) if row.mean else f"{NOTHING} ({row.num_missing} missing)"


def _percent(interval: Interval) -> str:
    text = f"{100 * interval.mean:.1f}"
    if interval.low is None:
        return text
    return f"{text} ± {50 * (interval.high - interval.low):.1f}"


def _title(summary: Summary) -> str:
    count = len(summary.datasets)
    return f"{metric_title(summary.metric)} over {count} dataset{'s' * (count > 1)}"


def _cautions(summary: Summary) -> list[str]:
    return [note for note in map(caution, summary.protocols) if note]


def _legend(explain: bool) -> str:
    if not explain:
        return "Percent, mean ± half of the 95 % interval. `--explain` says how it is computed."
    return (
        "In percent: mean over trials ± half of the 95 % interval (Student t). A failed trial "
        "counts as 0. A configuration with several submissions shows their mean. Mean is the mean "
        "over datasets, given only if no dataset is missing; its interval is over trials."
    )
