"""``dmlbench tune``: choose parameters on validation classes, within a budget of trials."""

from __future__ import annotations

import json
from typing import Any

import click

from dmlbench.cli.options import (
    json_option,
    read_request,
    read_seeds,
    resource_options,
    tuning_options,
)


@click.command("tune")
@tuning_options
@click.option(
    "--combiner",
    "--combiners",
    "combiners",
    metavar="LIST",
    default="none",
    help="Tune these combiners of all the losses instead of each loss alone.",
)
@click.option("--tuned", is_flag=True, help="With --combiner: over the losses as tuned before.")
@click.option(
    "--budget",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Tries of each, the defaults the first.",
)
@click.option(
    "--seeds",
    metavar="N|LIST",
    default="1000,",
    show_default="1000",
    help="Train every try once with each of these seeds.",
)
@resource_options
@json_option
def tune_command(
    as_json: bool, without: tuple[str, ...], budget: int, seeds: str, **options: Any
) -> int:
    """Tune losses on validation classes, each within the same budget of trials.

    Tries are proposed by Optuna out of the space that the plugin names. A try's score is its best
    validation MAP@R; test classes are never looked at. `dmlbench run --tuned` then takes the best,
    and the entries say how it was found. An interrupted tuning goes on from the last finished try.
    """
    from dmlbench.errors import UsageError
    from dmlbench.plan.request import (
        combined_losses,
        ensemble_configurations,
        single_configurations,
    )
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.runner import Resources
    from dmlbench.running.tune import tune
    from dmlbench.running.tuning_records import setting_of

    registry = load_plugins(without)
    resources = Resources(
        jobs=options.pop("jobs"),
        threads=options.pop("threads"),
        device=options.pop("device"),
        clustering=False,  # validation knows MAP@R alone
    )
    filled = {"singles": True, "width": None, "seeds": "1", **options}
    request = read_request({**filled, "combiners": options["combiners"]})
    texts = request.combiners or request.losses
    configurations = single_configurations(request, registry)
    if request.combiners:
        losses = combined_losses(request, configurations)
        if len(losses) < 2:
            raise UsageError("--combiner needs at least two losses: --losses triplet,ms.")
        configurations = ensemble_configurations(request, registry, losses)
    settings = [
        setting_of(configuration, registry, _given(text))
        for configuration, text in zip(configurations, texts, strict=True)
    ]
    for setting in settings:
        if not setting.space:
            click.echo(f"{setting.component.id} has nothing to tune.", err=True)
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
        watch=_report,
    )
    if as_json:
        click.echo(json.dumps([record.model_dump() for record in records], indent=1))
    else:
        _show(settings, records)
    return 0 if all(record.best is not None for record in records) else 1


def _given(text: str) -> set[str]:
    from dmlbench.plan.expressions import parse_call, parse_copies

    return set(parse_call(parse_copies(text)[1])[1])


def _report(setting: Any, trial: Any, number: int) -> None:
    score = trial.validation_map_at_r
    found = f"failed: {trial.reason}" if score is None else f"{100 * score:.2f} %"
    click.echo(f"{_name(setting)} {number}: {_text(trial.params)} -> {found}", err=True)


def _name(setting: Any) -> str:
    """The component with the parameters that were given, which tell two settings apart."""
    from dmlbench.plan.expressions import write_call

    component = setting.component
    return write_call(component.name, {name: component.params[name] for name in setting.given})


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
                "" if best is None else _text(best.params),
            ]
        )
    print_table(["Tuned", "Tries", "Default", "Best", "Parameters of the best"], rows)
    click.echo(
        "Scores are validation MAP@R in percent, on classes held out of training. "
        "`dmlbench run --tuned` with the same options takes the best."
    )


def _text(params: dict[str, Any]) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in params.items())
