"""Options that say what a command may use, and where it trains."""

from __future__ import annotations

from typing import Any

import click

from dmlbench.cli.options import together

jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Trials at once.  [default: one per core, or on each GPU as many as pay and fit]",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda (every visible GPU), cuda:1 or a list such as cuda:0,cuda:2; auto takes CUDA "
    "where it is there.",
)
timeout_option = click.option(
    "--trial-timeout",
    metavar="SECONDS",
    type=click.FloatRange(1),
    help="End a trial that shows no progress for so long; it leaves no result.  [default: never]",
)
deterministic_option = click.option(
    "--deterministic/--no-deterministic",
    default=True,
    show_default=True,
    help="On a GPU: operations that give the same numbers twice, or the fastest. Recorded in the "
    "entry.",
)
#: The options that `read_cluster` reads.
cluster_options = together(
    click.option(
        "--executor",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Train on this machine, or on a cluster of Ray.",
    ),
    click.option(
        "--address",
        metavar="ADDRESS",
        help="With --executor ray: of the cluster.  [default: the one that Ray finds, or a new one "
        "on this machine]",
    ),
    click.option(
        "--gpus-per-trial",
        type=click.FloatRange(0, 1, min_open=True),
        help="With --executor ray: the part of a GPU that a trial takes.  [default: 1]",
    ),
)
#: The options that say what a command may use.
resource_options = together(
    jobs_option,
    click.option(
        "--threads",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="CPU threads of each trial.",
    ),
    device_option,
    deterministic_option,
    cluster_options,
    timeout_option,
)


def read_cluster(executor: str, address: str | None, gpus_per_trial: float | None) -> Any:
    """The `dmlbench.running.jobs.Cluster` that the options name; None for this machine."""
    from dmlbench.errors import UsageError
    from dmlbench.running.jobs import Cluster

    if executor == "local":
        if address is not None or gpus_per_trial is not None:
            raise UsageError("--address and --gpus-per-trial go with --executor ray.")
        return None
    return Cluster(
        address=address, gpus_per_trial=1.0 if gpus_per_trial is None else gpus_per_trial
    )


def read_resources(values: dict[str, Any], **more: Any) -> Any:
    """The `dmlbench.running.jobs.Resources` that `resource_options` spell, taken from `values`."""
    from dmlbench.running.jobs import Resources

    cluster = read_cluster(
        *(values.pop(name) for name in ("executor", "address", "gpus_per_trial"))
    )
    names = ("jobs", "threads", "device", "deterministic", "trial_timeout")
    given = {name: values.pop(name) for name in names}
    return Resources(**given, cluster=cluster, **more)
