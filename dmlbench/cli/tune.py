"""``dmlbench tune``: choose parameters on validation classes, within a budget of trials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from dmlbench.cli.config_file import config_option
from dmlbench.cli.options import json_option, verbosity_options
from dmlbench.cli.request_options import read_request, read_seeds, tuning_options
from dmlbench.cli.resources import read_resources, resource_options
from dmlbench.plan.search_space import BUDGET, TUNING_SEEDS


@click.command("tune")
@config_option
@tuning_options
@click.option(
    "--budget",
    type=click.IntRange(1),
    default=BUDGET,
    show_default=True,
    help="Tuning trials per configuration, the default values first.",
)
@click.option(
    "--seeds",
    metavar="N|LIST",
    default=",".join([*map(str, TUNING_SEEDS), ""]),
    show_default=", ".join(map(str, TUNING_SEEDS)),
    help="Train every tuning trial once with each of these seeds.",
)
@resource_options
@verbosity_options
@json_option
def tune_command(
    as_json: bool,
    without: tuple[str, ...],
    budget: int,
    seeds: str,
    verbosity: int,
    **options: Any,
) -> int:
    """Tune configurations on validation classes, each with the same number of tuning trials.

    Tunes what `dmlbench run` with the same options trains: each loss alone, and each combiner
    together with all the losses. Optuna proposes parameters of losses and combiner and learning
    rates. The score is the best validation MAP@R; test classes are never used. `dmlbench run
    --tuned` then takes the best values, and the entries record how they were found. Run the same
    command again to resume.
    """
    from dmlbench.plan.request import rows_of
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.tune import tune
    from dmlbench.running.tuning_records import setting_of

    registry = load_plugins(without)
    resources = read_resources(options, clustering=False)  # validation knows MAP@R alone
    request = read_request({**options, "seeds": "1", "splits": "1", "tuned": False, "refit": False})
    settings = [
        setting_of(row.configuration, registry, row.fixed) for row in rows_of(request, registry)
    ]
    for setting in settings:
        if not setting.space:
            click.echo(f"{_name(setting)} has nothing to tune.", err=True)
    settings = [setting for setting in settings if setting.space]
    chosen = read_seeds(seeds)
    records = tune(
        settings,
        registry,
        resources,
        request.out,
        budget=budget,
        seeds=list(range(chosen)) if isinstance(chosen, int) else chosen,
        without=without,
        watch=report_trial if verbosity >= 0 else None,
        watch_epochs=report_epoch if verbosity > 0 else None,
    )
    if as_json:
        click.echo(json.dumps([record.model_dump() for record in records], indent=1))
    else:
        _show(settings, records)
    return 0 if all(record.best is not None for record in records) else 1


def report_trial(setting: Any, trial: Any, number: int) -> None:
    """Say on stderr what a tuning trial tried and scored."""
    score = trial.validation_map_at_r
    found = f"failed: {trial.reason}" if score is None else f"{100 * score:.2f} %"
    click.echo(f"{_name(setting)} {number}: {_text(setting, trial.params)} -> {found}", err=True)


def report_epoch(setting: Any, number: int, seed: int, values: Mapping[str, Any]) -> None:
    """Say on stderr what an epoch of a tuning trial gave."""
    from dmlbench.running.progress_lines import epoch_line

    epochs = setting.configuration.recipe.epochs
    click.echo(f"{_name(setting)} {number}, seed {seed}: {epoch_line(values, epochs)}", err=True)


def _name(setting: Any) -> str:
    """The configuration with the parameters that were given, which tell two settings apart."""
    losses, combiner = setting.as_given()
    return losses[0] if combiner is None else f"{combiner} of {' + '.join(losses)}"


def _show(settings: list[Any], records: list[Any]) -> None:
    from dmlbench.cli.tables import print_table

    rows = []
    for setting, record in zip(settings, records, strict=True):
        default, best = record.trials[0].validation_map_at_r, record.best
        rows.append(
            [
                _name(setting),
                str(len(record.trials)),
                "failed" if default is None else f"{100 * default:.2f}",
                "failed" if best is None else f"{100 * best.validation_map_at_r:.2f}",
                "" if best is None else _text(setting, best.params),
            ]
        )
    print_table(["Configuration", "Trials", "Default", "Best", "Values of the best"], rows)
    click.echo(
        "Scores are validation MAP@R in percent, on classes held out of training. "
        "`dmlbench run --tuned` with the same options takes the best."
    )


def _text(setting: Any, params: dict[str, Any]) -> str:
    """Values by short keys, such as margin (of a single loss), triplet.margin or head_lr."""
    losses = [loss.name for loss in setting.configuration.losses]
    shown = []
    for key, value in params.items():
        short = key.removeprefix("recipe.optimizer.").removeprefix("combiner.")
        for index, name in enumerate(losses):
            owner = "" if len(losses) == 1 else f"{name}."
            if losses.count(name) == 1:
                short = short.replace(f"losses[{index}].", owner)
        shown.append(f"{short}={json.dumps(value)}")
    return ", ".join(shown)
