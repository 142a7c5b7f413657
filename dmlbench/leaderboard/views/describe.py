"""One entry in full on a terminal: configuration, metrics of every seed, weights and costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dmlbench.leaderboard.entries.descriptions import failures, recipe_label
from dmlbench.leaderboard.entries.entry import ComponentRecord, Entry, LossRecord
from dmlbench.leaderboard.entries.labels import Labels, loss_names
from dmlbench.leaderboard.entries.metrics import (
    metric_interval,
    metric_names,
    metric_title,
    metric_value,
    values_by_trial,
)
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import Trial
from dmlbench.leaderboard.entries.tuning import TuningRecord
from dmlbench.leaderboard.views.columns import NOTHING, duration, percent
from dmlbench.leaderboard.views.terminal import Column, least_width, print_columns, say, writable
from dmlbench.plan.protocol import caution, refits
from dmlbench.statistics.intervals import Key

if TYPE_CHECKING:
    from rich.console import Console


def show_entry(entry: Entry, console: Console) -> None:
    """Print an entry: what was trained, then metrics, weights and costs seed by seed."""
    say(console, f"{Labels([entry]).row(entry)} · entry {entry.entry_id}", style="bold")
    if note := caution(entry.protocol.name):
        say(console, note, style="yellow", bullet="! ")
    _grid(console, configuration_rows(entry))
    if entry.completed:
        _heading(console, "Metrics (percent)")
        _metrics(entry, console)
    for line in failures(entry):
        say(console, f"! {line}", style="yellow")
    if any(trial.weights for trial in entry.completed):
        _heading(console, "Weights of the losses, at the tested epoch")
        _weights(entry, console)
    if entry.trials:
        _heading(console, "Costs")
        _costs(entry, console)
        _heading(console, "Environment")
        for line in environment_lines(entry):
            say(console, line)


def configuration_rows(entry: Entry) -> list[tuple[str, str]]:
    """What was trained: a name and a line of text each; no name continues the one above."""
    dataset, backbone = entry.dataset, entry.backbone
    rows = [("loss", _loss(loss)) for loss in entry.losses]
    if entry.combiner is not None:
        rows.append(("combiner", _component(entry.combiner)))
    gallery = f", {dataset.num_gallery_images} in the gallery" * bool(dataset.num_gallery_images)
    rows += [
        *(("tuned", _tuning(record)) for record in entry.tuning),
        ("dataset", _component(dataset)),
        (
            "",
            f"train {dataset.num_train_images} images of {dataset.num_train_classes} classes; "
            f"test {dataset.num_test_images} of {dataset.num_test_classes}{gallery}; "
            f"fingerprint {dataset.fingerprint[:12]}",
        ),
        *(("", plain(line)) for line in dataset.report),
        *(("", line) for line in _random_splits(entry)),
        ("backbone", _component(backbone)),
        ("", f"{backbone.num_parameters:,} parameters, {backbone.num_features} features, "
             + _start(entry)),
        ("embedding", _embedding(entry)),
        ("recipe", recipe_label(entry)),
        *(("", line) for line in _recipe(entry.recipe)),
        ("protocol", f"{plain(entry.protocol.name)}, hash {entry.protocol.sha256[:12]}"),
        *(
            ("", f"{plain(key)}: {plain(_text(value))}")
            for key, value in sorted(entry.protocol.rules.items())
            if key != "name"
        ),
        ("code", f"dmlbench {plain(entry.dmlbench_version)}, commit "
                 f"{plain(entry.dmlbench_commit or 'unknown')}, {_code(entry)}"),
    ]  # fmt: skip
    if entry.submitter:
        rows.append(("submitter", plain(entry.submitter)))
    links = {"date": entry.date, "paper": entry.paper, "code at": entry.code}
    rows += [(name, value) for name, value in links.items() if value]
    return rows


def _random_splits(entry: Entry) -> list[str]:
    """What each random class split holds, and what tuning has seen of them."""
    held = {t.split: t.data for t in entry.trials if t.data is not None}
    lines = [
        f"split {split}: train {data.num_train_images} images of {data.num_train_classes} "
        f"classes; test {data.num_test_images} of {data.num_test_classes}"
        for split, data in sorted(held.items())
    ]
    if held and entry.tuning:
        lines.append("tuned on split 0, whose training classes are test classes of these in part")
    return lines


def _code(entry: Entry) -> str:
    if entry.core_sha256 is not None:
        return f"core {entry.core_sha256[:12]}"
    return f"results version {entry.results_version}"


def _component(record: ComponentRecord) -> str:
    params = ", ".join(
        f"{plain(key)}={plain(_text(value))}" for key, value in sorted(record.params.items())
    )
    origin = plain(f"{record.distribution} {record.version}")
    source = f", source {record.source_sha256[:12]}" if record.source_sha256 else ""
    return f"{plain(record.name)}({params}) from {origin}{source}"


def _loss(record: LossRecord) -> str:
    rate = record.learning_rate
    own = "" if rate is None else f", its parameters at a learning rate of {rate:g}"
    return _component(record) + own


def _tuning(record: TuningRecord) -> str:
    """How values were chosen, on one line."""
    count, best = len(record.trials), record.best
    what = "all together" if record.name is None else plain(record.name)
    text = (
        f"{what}: {count} tuning trial{'s' * (count != 1)} on validation classes "
        f"(seeds {', '.join(map(str, record.seeds))}; {plain(record.sampler)})"
    )
    if best is None:
        return f"{text}, all failed"
    first = record.trials[0].validation_map_at_r
    start = "failed" if first is None else f"{percent(first)} %"
    end = percent(best.validation_map_at_r)
    return f"{text}; MAP@R of the first, where the search started, {start}, of the best {end} %"


def _start(entry: Entry) -> str:
    weights = entry.backbone.weights_sha256
    return f"pretrained weights {weights[:12]}" if weights else "from scratch"


def _embedding(entry: Entry) -> str:
    heads = f", from heads of {', '.join(map(str, entry.head_dims))}" if entry.head_dims else ""
    return f"{entry.embedding_dim} dimensions{heads}"


def _recipe(recipe: Mapping[str, Any]) -> list[str]:
    """The recipe's values, one line for the plain ones and one for each of its tables."""
    single = {k: v for k, v in recipe.items() if not isinstance(v, (dict, list)) and k != "name"}
    lines = [_pairs(single)] if single else []
    for key, value in recipe.items():
        if isinstance(value, dict):
            lines.append(f"{plain(key)}: {_pairs(value)}")
        elif isinstance(value, list):
            lines.append(f"{plain(key)}: {plain(_text(value))}")
    return lines


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{plain(key)}={plain(_text(value))}" for key, value in values.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _metrics(entry: Entry, console: Console) -> None:
    trials = _by_seed(entry.completed)
    several = len(entry.trials) > 1
    first = [
        *_names(entry, trials, ["mean", "±"] * several),
        Column("Epoch", [_number(trial.best_epoch) for trial in trials] + ["", ""] * several),
        Column(
            "Val", [percent(trial.validation_map_at_r) for trial in trials] + ["", ""] * several
        ),
    ]
    columns = list(first)
    for metric in metric_names([entry]):
        if not values_by_trial(entry, metric):
            continue
        texts = [percent(metric_value(trial.metrics, metric)) for trial in trials]
        if several:
            interval = metric_interval(entry, metric)
            texts.append(percent(interval.mean if interval else None))
            texts.append(percent((interval.high - interval.low) / 2 if interval else None))
        column = Column(metric_title(metric, short=True), texts)
        if least_width([*columns, column]) > console.width:
            print_columns(console, columns, closing=2 * several)
            console.print()
            columns = first[:-2]
        columns.append(column)
    print_columns(console, columns, closing=2 * several)
    text = "Val: MAP@R on held-out training classes, by which the epoch was chosen."
    if refits(entry.protocol.rules):
        text += " Then trained again on all training classes for so many epochs."
    if several:
        over = "the means of class splits" if len(entry.splits) > 1 else "trials"
        text += f" ±: half of the 95 % interval over {over}."
    if several and len(entry.completed) < len(entry.trials):
        text += " In the mean a failed trial counts as 0."
    counts = {(t.metrics.num_queries, t.metrics.num_skipped) for t in entry.completed}
    for queries, skipped in sorted(counts):
        text += (
            f" {queries:,} queries; {skipped:,} left out, because nothing of their class can be "
        )
        text += "found."
    say(console, text, style="dim")


def _names(entry: Entry, trials: Sequence[Trial], closing: Sequence[str] = ()) -> list[Column]:
    """The columns that name trials: seeds, behind the class splits where there are others.

    closing: what the last column has in further rows.
    """
    seeds = Column("Seed", [*(str(trial.seed) for trial in trials), *closing])
    if entry.splits in ([], [0]):
        return [seeds]
    return [Column("Split", [*(str(trial.split) for trial in trials), *[""] * len(closing)]), seeds]


def _weights(entry: Entry, console: Console) -> None:
    trials = [
        trial
        for trial in _by_seed(entry.completed)
        if trial.weights and len(trial.weights) == len(entry.losses)
    ]
    columns = [
        Column(name, [f"{trial.weights[i]:.3f}" for trial in trials])
        for i, name in enumerate(loss_names(entry))
    ]
    print_columns(console, [*_names(entry, trials), *columns])


def _costs(entry: Entry, console: Console) -> None:
    trials = _by_seed(entry.trials)
    costs = [trial.cost for trial in trials]
    columns = [
        *_names(entry, trials),
        Column("Status", [trial.status for trial in trials], text=True),
        Column("GPU", [seconds(cost.device_seconds) for cost in costs]),
        Column("CPU", [seconds(cost.process_seconds) for cost in costs]),
        Column("Wall", [seconds(cost.train_seconds) for cost in costs]),
        Column("Test, wall", [seconds(cost.evaluate_seconds) for cost in costs]),
        Column("Peak memory", [memory(cost.peak_memory_bytes) for cost in costs]),
        Column("On device", [memory(cost.peak_device_memory_bytes) for cost in costs]),
    ]
    print_columns(console, columns)


def environment_lines(entry: Entry) -> list[str]:
    """Each different environment once, with its seeds."""
    keys: dict[str, list[Key]] = {}
    for trial in _by_seed(entry.trials):
        parts = {k: _pairs(v) if isinstance(v, dict) else v for k, v in trial.environment.items()}
        text = "; ".join(f"{plain(key)} {plain(_text(value))}" for key, value in parts.items())
        keys.setdefault(text, []).append(trial.key)
    return [f"{_trials_text(found)}: {text}" for text, found in keys.items()]


def _trials_text(keys: Sequence[Key]) -> str:
    """``seeds 0, 1``; ``seeds 0, 1 of splits 0, 1``; or else the number of trials."""
    splits, seeds = (sorted(set(numbers)) for numbers in zip(*keys, strict=True))
    if len(splits) * len(seeds) != len(keys):
        return f"{len(keys)} trials"
    text = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    if splits == [0]:
        return text
    return f"{text} of split{'s' * (len(splits) > 1)} {', '.join(map(str, splits))}"


def _by_seed(trials: Sequence[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda trial: trial.key)


def _number(value: int | None) -> str:
    return NOTHING if value is None else str(value)


def seconds(count: float | None) -> str:
    """A time as tables have it; a dash where it was not recorded."""
    return NOTHING if count is None else duration(count)


def memory(count: int) -> str:
    """``310 MiB``, ``1.2 GiB``; a dash where nothing was used or measured."""
    if count == 0:
        return NOTHING
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"


def _heading(console: Console, text: str) -> None:
    console.print()
    say(console, text, style="bold")


def _grid(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in rows:
        grid.add_row(Text(name, style="dim"), Text(writable(text, console)))
    console.print(grid)
