"""The connection to a cluster of Ray, and what its tasks do."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from dmlbench.errors import UsageError
from dmlbench.running.executors import node
from dmlbench.running.executors.node import Orders, Told
from dmlbench.running.executors.ray_room import name_of

_log = logging.getLogger(__name__)


class NotReady(Exception):
    """A node on which nothing can be trained.

    kind, values: of the event that says so.
    """

    def __init__(self, kind: str, values: Mapping[str, Any]) -> None:
        super().__init__(kind)
        self.kind, self.values = kind, values


def connect(address: str | None) -> None:
    """Make this process a driver of the cluster. Raises `UsageError` where there is none."""
    if address is not None and address.startswith("ray://"):
        raise UsageError(
            f"--address {address} is one of Ray Client. Start this command on a node of the "
            f"cluster and give its address there, such as auto."
        )
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"There is no cluster of Ray at {address or 'an address that it knows'}: "
            f"{first_line(error)}"
        ) from error


def trial_task(message: Mapping[str, Any], files: Any, orders: Orders) -> Iterator[Told]:
    """The task: `dmlbench.running.executors.node.run_trial` on the GPU that Ray has given it."""
    gpus = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    yield from node.run_trial(message, files, _here(orders), gpus[0] if gpus else None)


def readied_nodes(
    nodes: Mapping[str, str], message: Mapping[str, Any], orders: Orders
) -> list[dict[str, Any]]:
    """Have nodes check their packages and carry out a job of kind "prepare"; gives the results.

    nodes: their names, by Ray's id. One that ends meanwhile is left out; its first trial asks it
    again, should it come back. Raises `NotReady` for the first that cannot train, or that holds
    other data than the others, and where none is left.
    """
    task = ray.remote(_make_ready)
    tasks = [
        task.options(
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(identity, soft=False),
        ).remote(message, orders)
        for identity in nodes
    ]
    results: list[dict[str, Any]] = []
    for name, ready in zip(nodes.values(), tasks, strict=True):
        try:
            told = ray.get(ready)
        except RayTaskError as error:
            what = error_text(error.cause)
            raise _failed(f"The node {name} cannot be made ready: {what}") from error
        except RayError as error:
            _log.warning("The node %s ended while it was made ready: %s", name, first_line(error))
            continue
        if told.kind != "done":
            raise NotReady(told.kind, told.values)
        results.append(told.values["result"])
        first, last = results[0], results[-1]
        if first["fingerprint"] != last["fingerprint"]:
            raise _failed(
                f"The nodes {first['node']} and {last['node']} hold different data of this "
                f"dataset: {first['fingerprint'][:12]} and {last['fingerprint'][:12]}."
            )
    if not results:
        raise _failed("Every node of the cluster ended while it was made ready.")
    return results


def _failed(message: str) -> NotReady:
    return NotReady("error", {"message": message, "exit_code": 1})


def _make_ready(message: Mapping[str, Any], orders: Orders) -> Told:
    """The task: `dmlbench.running.executors.node.make_ready`."""
    return node.make_ready(message, _here(orders))


def _here(orders: Orders) -> Orders:
    """Orders for the node that this task runs on."""
    identity = ray.get_runtime_context().get_node_id()
    return replace(orders, node=name_of(socket.gethostname(), identity))


def error_text(error: BaseException) -> str:
    """An error with its kind, on one line."""
    return f"{type(error).__name__}: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """The first line of what an error says: traces of Ray follow it."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:300]
