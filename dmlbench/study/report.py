"""The report of a study: answers first, then what they are made of, then the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dmlbench.leaderboard.comparison.groups import tuning_label
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.statistics.formatting import points as in_points
from dmlbench.statistics.intervals import Interval, by_unit, mean_interval
from dmlbench.study.analysis import Answered, Findings
from dmlbench.study.boards import Found
from dmlbench.study.design import Study
from dmlbench.study.order import SHARES, orders, training_course, tuning_budgets, tuning_course
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
        "design_sha256": study.sha256,
        "metric": study.metric,
        "smallest": study.smallest,
        "answers": [
            asdict(one) | {"sentence": answer_sentence(study, one)} for one in findings.answers
        ],
        "decompositions": [asdict(one) for one in findings.decompositions],
        "entries": {
            dataset: {row: [entry.entry_id for entry in of_row] for row, of_row in rows.items()}
            for dataset, rows in found.entries.items()
        },
        "orders": [asdict(one) for one in orders(study.correlations, found.values, found.entries)],
        "notes": list(found.notes),
    }


def _scope(study: Study) -> str:
    scopes = []
    for name, design in study.datasets.items():
        units, trials = study.units(name), len(study.keys(name))
        kind = "replicates" if design.replicates else "class splits"
        over = f"{units} {kind} × {trials // units} seeds" if units > 1 else f"{trials} seeds"
        scopes.append(f"{name} {over}")
    return (
        f"Trials of a row: {', '.join(scopes)}. Tuned rows have {study.budget} tuning trials each "
        f"(on every replicate, where there are any), and what is said holds at this budget. "
        f"Differences are in points of {metric_title(study.metric)}; the smallest that matters is "
        f"{study.smallest:.1f}. Intervals are of 95 % and not corrected. The value of the best of "
        f"several rows is that of the row that is best on the other replicates or splits. "
        f"SHA-256 of the design: {study.sha256}."
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
    for dataset, of_rows in found.entries.items():
        for name, entries in of_rows.items():
            trials = found.values[dataset][name]
            values = [0.0 if value is None else value for value in trials.values()]
            by_key = dict(zip(trials, values, strict=True))
            mean, _, high = mean_interval(by_unit(by_key))
            value = f"{100 * mean:.1f}" + (f" ± {100 * (high - mean):.1f}" if high else "")
            done = f"{sum(v is not None for v in trials.values())}/{len(study.keys(dataset))}"
            tuning = tuning_label(entries[0]) or ""
            ids = entries[0].entry_id + (f" and {len(entries) - 1} more" if entries[1:] else "")
            rows.append([name, dataset, value, done, tuning, _final_weights(entries), ids])
    titles = ["row", "dataset", metric_title(study.metric), "trials", "tuning", "weights", "entry"]
    note = (
        "*weights*: learned weights of the losses at the end of training, mean over trials, their "
        "sum brought to 1. Where they are equal, learning them was not put to a test."
    )
    return f"{_table(titles, rows)}\n\n{note}"


def _final_weights(entries: Sequence[Entry]) -> str:
    learned = [trial.weights for entry in entries for trial in entry.completed if trial.weights]
    if not learned or len({len(weights) for weights in learned}) > 1:
        return ""
    shares = [[w / sum(weights) for w in weights] for weights in learned]
    means = [sum(column) / len(column) for column in zip(*shares, strict=True)]
    return " ".join(f"{mean:.2f}" for mean in means)


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
    budgets = tuning_budgets(study.budget)
    training, tuning = [], []
    for dataset, entries in found.entries.items():
        for name, of_row in entries.items():
            if course := training_course(of_row):
                training.append([name, dataset, *(in_points(value) for value in course)])
            if course := tuning_course(of_row, budgets):
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
