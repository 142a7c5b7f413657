"""A cluster of Ray whose nodes are processes of this machine, and can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

from crash_campaign import _descendants
from ray.cluster_utils import Cluster

#: That train.
NODES = 3


class Machines:
    """A cluster of nodes on this machine: one that only manages, and `NODES` that train."""

    def __init__(self, base: Path) -> None:
        self.base, self.number = base, 0
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        head = {"num_cpus": 0, "object_store_memory": 80 << 20, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.add() for _ in range(NODES)]

    def add(self, **environment: str) -> Any:
        """Start a node with one CPU and a cache of its own."""
        self.number += 1
        environment["DMLBENCH_CACHE"] = str(self.base / f"cache-{self.number}")
        return self.cluster.add_node(num_cpus=1, object_store_memory=80 << 20, env_vars=environment)

    def end(self, node: Any) -> None:
        """A node is gone, with all that it has started, and no word of it."""
        for pid in self.processes(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)

    def processes(self, node: Any) -> list[int]:
        """The processes of a node: the first one manages it."""
        managers = [p.process.pid for group in node.all_processes.values() for p in group]
        return [pid for one in managers for pid in (one, *_descendants(one))]

    def trains(self, node: Any) -> list[int]:
        """Those of a node's processes that belong to trials."""
        found = []
        for pid in self.processes(node):
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
                if command.startswith(b"ray::") or b"fork_server" in command:
                    found.append(pid)
        return found
