"""``dmlbench plan``: what run would do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dmlbench.cli.config_file import config_option, written
from dmlbench.cli.options import json_option
from dmlbench.cli.paths import PathType
from dmlbench.cli.request_options import read_request, request_options

if TYPE_CHECKING:
    from dmlbench.plan.config import Configuration
    from dmlbench.running.planning import Plan


@click.command("plan")
@config_option
@request_options
@click.option(
    "--write",
    metavar="FILE",
    type=PathType(dir_okay=False, path_type=Path),
    help="Write these options down for `dmlbench run --config FILE`.",
)
@json_option
@click.pass_context
def plan_command(
    ctx: click.Context, write: Path | None, as_json: bool, without: tuple[str, ...], **options: Any
) -> int:
    """Show the configurations and trials that run would train, and which are already done."""
    from dmlbench.cli.tables import print_table, print_text
    from dmlbench.plan.labels import label
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.planning import make_plan

    registry = load_plugins(without)
    plan = make_plan(read_request(options), registry)
    warn_unranked(plan)
    hint_dimensions(plan)
    if write is not None:
        from dmlbench.files import write_text

        write_text(write, written(ctx))
        click.echo(f"Written: {write}. `dmlbench run --config {write}` trains it.", err=True)
    rows = [
        {
            "entry_id": configuration.entry_id,
            "configuration": label(configuration, registry),
            "seeds": _statuses(plan, configuration, 0),
            "random_splits": {
                str(split): _statuses(plan, configuration, split)
                for split in sorted({trial.split for trial in plan.trials} - {0})
            },
        }
        for configuration in plan.configurations
    ]
    first = plan.configurations[0]
    shared = {
        "dataset": first.dataset.to_json(),
        "backbone": first.backbone.to_json(),
        "recipe": first.recipe.to_json(),
        "recipe_overrides": first.recipe.overrides(),
        "protocol": plan.configurations[-1].protocol.to_json(),
    }
    if as_json:
        click.echo(json.dumps({**shared, "configurations": rows}, indent=1))
        return 0
    left = sum(1 for _ in plan.pending())
    overrides = ", ".join(f"{k}={v}" for k, v in shared["recipe_overrides"].items())
    print_text(
        f"{first.dataset.id} · {first.backbone.params.get('model') or first.backbone.id} · "
        f"recipe {first.recipe.name}{f' ({overrides})' if overrides else ''}, "
        f"{first.recipe.epochs} epochs · {shared['protocol']['name']}, "
        f"{first.recipe.embedding_dim}-d, dimension budget {shared['protocol']['dim_budget']}"
    )
    print_table(
        ["Entry", "Configuration", "Seeds"],
        [[row["entry_id"], row["configuration"], _by_split(row)] for row in rows],
    )
    print_text(f"{len(plan.trials)} trials, {left} of them to train.")
    return 0


def hint_dimensions(plan: Plan) -> None:
    """Say on stderr that single losses have another dimension than an ensemble beside them."""
    wide = {
        len(c.losses) * c.recipe.embedding_dim
        for c in plan.configurations
        if c.protocol.dim_budget == "per-loss" and not c.recipe.pca_dim
    }
    single = [c for c in plan.configurations if c.combiner is None]
    if not wide or not single:
        return
    dim, most = single[0].recipe.embedding_dim, max(wide)
    click.echo(
        f"Each loss alone has an embedding of {dim} dimensions and a combination up to {most}, so "
        f"they are in different tables. For single losses of that dimension, run them with "
        f"--combiner none --set recipe.embedding_dim={most}.",
        err=True,
    )


def warn_unranked(plan: Plan) -> None:
    """Say on stderr that entries will not be ranked, and which trials they lack for that."""
    from dmlbench.leaderboard.entries.trial import trial_title
    from dmlbench.statistics.intervals import FEWEST_PAIRS
    from dmlbench.statistics.ranking import FEWEST_RANKED

    if not plan.missing:
        splits, trials = plan.fewest
        if splits > 1 and (splits < FEWEST_PAIRS or trials < FEWEST_RANKED):
            click.echo(
                f"These rows will not be ranked: they have {trials} trials on {splits} class "
                f"splits, and a rank needs {FEWEST_RANKED} trials or more, on one class split or "
                f"on {FEWEST_PAIRS} and more. Use --splits {max(splits, FEWEST_PAIRS)} "
                f"--seeds {max(2, -(-trials // splits))}.",
                err=True,
            )
        return
    splits, seeds = plan.complete
    if splits == 1:
        numbers = [seed for _, seed in plan.missing]
        what = f"seeds {_ranges(numbers)} are" if len(numbers) > 1 else f"seed {numbers[0]} is"
        rule, options = "seeds 0 to n - 1", f"--seeds {seeds}"
    else:
        count, first = len(plan.missing), trial_title(*plan.missing[0])
        what = f"{count} trials, {first} among them, are" if count > 1 else f"{first} is"
        rule = "the seeds 0 to n - 1 on every class split, and no random split left out"
        options = f"--splits {splits} --seeds {seeds}"
    click.echo(
        f"These rows will not be ranked: {what} missing (ranked entries need {rule}). "
        f"Use {options} to run them all.",
        err=True,
    )


def _statuses(plan: Plan, configuration: Configuration, split: int) -> dict[str, str]:
    """Seed -> status, of a configuration's trials on a class split."""
    return {
        str(trial.seed): trial.status
        for trial in plan.trials
        if trial.configuration is configuration and trial.split == split
    }


def _by_split(row: Mapping[str, Any]) -> str:
    """``0-2 completed``, and a line for each random split: ``split 1: 0-2 to do``."""
    own = [_by_status(row["seeds"])] if row["seeds"] else []
    random = [f"split {n}: {_by_status(seeds)}" for n, seeds in row["random_splits"].items()]
    return "\n".join([*own, *random])


def _by_status(seeds: Mapping[str, str]) -> str:
    """``0-2 completed; 3, 5-9 to do``."""
    of_status: dict[str, list[int]] = {}
    for seed, status in sorted((int(seed), status) for seed, status in seeds.items()):
        of_status.setdefault(status, []).append(seed)
    return "; ".join(f"{_ranges(numbers)} {status}" for status, numbers in of_status.items())


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers, a run of them as its ends."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)
