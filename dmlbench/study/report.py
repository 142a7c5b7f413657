"""The report of a study: answers first, then what they are made of, then the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dmlbench.leaderboard.comparison.groups import tuning_label
from dmlbench.leaderboard.entries.metrics import metric_interval, metric_title
from dmlbench.statistics.formatting import points as in_points
from dmlbench.statistics.intervals import Interval
from dmlbench.study.analysis import Answered, Findings
from dmlbench.study.boards import Found
from dmlbench.study.design import Study
from dmlbench.study.order import SHARES, orders, training_course, tuning_course
from dmlbench.study.sentences import answer_sentence, decomposition_lines, points


def render_markdown(study: Study, found: Found, findings: Findings) -> str:
    """The whole report as Markdown. The same results give the same text."""
    parts = [f"# {study.title}", " ".join(study.question.split()), _scope(study)]
    for primary, title in ((True, "## Primary questions"), (False, "## Other questions")):
        chosen = [one for one in findings.answers if one.primary is primary]
        if chosen:
            parts += [title, *_answers(study, chosen)]
    parts += _decompositions(study, findings)
    parts += ["## The differences", _differences(study, findings)]
    parts += ["## The rows", _rows(study, found)]
    parts += _orders(study, found) + _budgets(study, found)
    if found.notes:
        parts.append("\n".join(f"- {note}" for note in found.notes))
    return "\n\n".join(parts) + "\n"


def report_json(study: Study, found: Found, findings: Findings) -> dict[str, Any]:
    """The answers with every number, for a program."""
    return {
        "title": study.title,
        "metric": study.metric,
        "smallest": study.smallest,
        "answers": [
            asdict(one) | {"sentence": answer_sentence(study, one)} for one in findings.answers
        ],
        "decompositions": [asdict(one) for one in findings.decompositions],
        "entries": {
            dataset: {row: entry.entry_id for row, entry in rows.items()}
            for dataset, rows in found.entries.items()
        },
        "orders": [asdict(one) for one in orders(study.correlations, found.values, found.entries)],
        "notes": list(found.notes),
    }


def _scope(study: Study) -> str:
    splits, seeds = len(study.splits), study.seeds
    over = f"{splits} class splits × {seeds} seeds" if splits > 1 else f"{seeds} seeds"
    return (
        f"Every row has {over}; tuned rows have {study.budget} tuning trials each. Differences are "
        f"in points of {metric_title(study.metric)}; the smallest that matters is "
        f"{study.smallest:.1f}. Intervals are of 95 %. The value of the best of several rows is "
        f"that of the row that is best on the other {'splits' if splits > 1 else 'trials'}."
    )


def _answers(study: Study, answers: Sequence[Answered]) -> list[str]:
    parts = []
    for name in dict.fromkeys(one.name for one in answers):
        lines = [f"- {answer_sentence(study, one)}" for one in answers if one.name == name]
        parts.append(f"**{study.contrasts[name].question}**\n\n" + "\n".join(lines))
    return parts


def _decompositions(study: Study, findings: Findings) -> list[str]:
    parts = []
    for one in findings.decompositions:
        question = study.decompositions[one.name].question
        if one.whole is None:
            parts.append(f"**{question}** {one.dataset}: rows or trials are missing.")
            continue
        rows = [[what, value] for what, value in decomposition_lines(study, one)]
        table = _table([one.dataset, "points"], rows)
        parts.append(f"**{question}**\n\n{table}")
    return ["## What it is made of", *parts] if parts else []


def _differences(study: Study, findings: Findings) -> str:
    rows = []
    for one in findings.answers:
        found = one.contrast
        design = study.contrasts[one.name]
        if found is None:
            rows.append([one.name, one.dataset, "", "", "", "", one.answer])
            continue
        wide = points(Interval(found.mean, found.wide_low, found.wide_high))
        rows.append(
            [
                one.name,
                one.dataset,
                f"{design.of[found.of]} − {design.over[found.over]}",
                points(Interval(found.mean, found.low, found.high)),
                wide if found.wide_low is not None else "",
                "" if one.p is None else f"{one.p:.4f}",
                one.answer,
            ]
        )
    titles = ["contrast", "dataset", "best rows", "points", "for other classes", "p", "answer"]
    note = (
        "*p* is corrected after Holm, primary contrasts apart from the others. *For other "
        "classes*: the interval widened for splits that share classes (Nadeau and Bengio 2003)."
    )
    return f"{_table(titles, rows)}\n\n{note}"


def _rows(study: Study, found: Found) -> str:
    rows = []
    for dataset, entries in found.entries.items():
        for name, entry in entries.items():
            interval = metric_interval(entry, study.metric)
            value = "" if interval is None else f"{100 * interval.mean:.1f}"
            if interval is not None and interval.high is not None:
                value += f" ± {100 * (interval.high - interval.mean):.1f}"
            done = f"{len(entry.completed)}/{len(entry.trials)}"
            rows.append([name, dataset, value, done, tuning_label(entry) or "", entry.entry_id])
    return _table(["row", "dataset", metric_title(study.metric), "trials", "tuning", "entry"], rows)


def _orders(study: Study, found: Found) -> list[str]:
    agreements = orders(study.correlations, found.values, found.entries)
    if not agreements:
        return []
    rows = [
        [one.what, str(one.rows), "" if one.tau is None else f"{one.tau:.2f}"] for one in agreements
    ]
    return [
        "## Whether losses keep their order",
        _table(["between", "rows", "Kendall's τ"], rows),
    ]


def _budgets(study: Study, found: Found) -> list[str]:
    parts = []
    budgets = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= study.budget]
    training, tuning = [], []
    for dataset, entries in found.entries.items():
        for name, entry in entries.items():
            if course := training_course(entry):
                training.append([name, dataset, *(in_points(value) for value in course)])
            if course := tuning_course(entry, budgets):
                tuning.append([name, dataset, *(in_points(value) for value in course)])
    if training:
        titles = ["row", "dataset", *(f"{share:.0%}" for share in SHARES)]
        parts += [
            "## Validation MAP@R against the share of the epochs",
            _table(titles, training),
        ]
    if tuning:
        titles = ["row", "dataset", *map(str, budgets)]
        parts += ["## Validation MAP@R against the number of tuning trials", _table(titles, tuning)]
    return parts


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(titles)} |", f"|{':--|' * len(titles)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)
