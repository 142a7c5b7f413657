"""``dmlbench plan``: what run would do."""

from __future__ import annotations

import json
from typing import Any

import click

from dmlbench.cli.options import json_option, read_request, request_options


@click.command("plan")
@request_options
@json_option
def plan_command(as_json: bool, without: tuple[str, ...], **options: Any) -> int:
    """Show the configurations and trials that run would train, and which are already done."""
    from dmlbench.cli.tables import print_table
    from dmlbench.plan import make_plan
    from dmlbench.plugins import load_plugins

    plan = make_plan(read_request(options), load_plugins(without))
    rows = [
        {
            "entry_id": configuration.entry_id,
            "configuration": configuration.label(),
            "seeds": {
                str(trial.seed): trial.status
                for trial in plan.trials
                if trial.configuration is configuration
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
    click.echo(
        f"{first.dataset.id} · {first.backbone.params.get('model') or first.backbone.id} · "
        f"recipe {first.recipe.name}{f' ({overrides})' if overrides else ''}, "
        f"{first.recipe.epochs} epochs · {shared['protocol']['name']}, "
        f"{first.recipe.embedding_dim}-d, width {shared['protocol']['width']}"
    )
    print_table(
        ["Entry", "Configuration", "Seeds"],
        [
            [
                row["entry_id"],
                row["configuration"],
                ", ".join(f"{seed}: {status}" for seed, status in row["seeds"].items()),
            ]
            for row in rows
        ],
    )
    click.echo(f"{len(plan.trials)} trials, {left} of them to train.")
    return 0
