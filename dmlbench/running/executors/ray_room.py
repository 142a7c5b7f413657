"""How much of a cluster of Ray one trial takes, and how many it has room for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ray

from dmlbench.errors import UsageError

_ROUNDING = 1e-6  # Ray counts resources in units of 1e-4


@dataclass(frozen=True)
class Share:
    """What one trial takes.

    device: "cpu", "cuda", or "auto" for "cuda" where the cluster has a GPU.
    threads: CPUs. gpus: GPUs of a trial with "cuda"; a fraction where several share one.
    """

    device: str
    threads: int
    gpus: float = 1.0

    def on(self, resources: Mapping[str, float]) -> Share:
        """With the device decided, on a cluster of these resources in all.

        Raises `UsageError` for a device that names one machine's GPU.
        """
        device = self.device
        if device == "auto":
            device = "cuda" if resources.get("GPU", 0) > 0 else "cpu"
        if device not in ("cpu", "cuda"):
            raise UsageError(
                f"--device {device} cannot be used with --executor ray, which hands GPUs out "
                f"itself: give cpu, cuda or auto."
            )
        return replace(self, device=device, gpus=self.gpus if device == "cuda" else 0)

    def fits(self, resources: Mapping[str, float]) -> int:
        """How many trials a node of these resources has room for."""
        rooms = [resources.get("CPU", 0) / self.threads]
        if self.gpus:
            rooms.append(resources.get("GPU", 0) / self.gpus)
        return int(min(rooms) + _ROUNDING)

    def text(self) -> str:
        """In words."""
        cpus = f"{self.threads} CPU{'s' * (self.threads > 1)}"
        return f"{cpus} and {self.gpus:g} GPU" if self.gpus else cpus


def room(share: Share) -> int:
    """How many trials run at once where all of the cluster is free."""
    return sum(share.fits(one["Resources"]) for one in _alive())


def nodes_with_room(share: Share) -> dict[str, str]:
    """The names of nodes that at least one trial fits on, by Ray's id."""
    return {
        one["NodeID"]: name_of(one["NodeManagerHostname"], one["NodeID"])
        for one in _alive()
        if share.fits(one["Resources"])
    }


def name_of(host: str, identity: str) -> str:
    """A node's name: that of its machine, with Ray's id, for a machine may have several."""
    return f"{host} ({identity[:8]})"


def _alive() -> list[dict[str, Any]]:
    return [one for one in ray.nodes() if one["Alive"]]
