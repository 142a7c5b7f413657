"""What an executor does: it takes jobs, and yields what happens to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dmlbench.running.executors.confinement import Confinement


@dataclass(frozen=True)
class Event:
    """What happened to a job.

    kind: "progress"; "still", after a while without a sign; or one that ends the job: "done",
        "error", "died" and "overdue". Every job ends exactly once.
    place: where the job runs, in words: its device, with the node before it where there are
        several; "" while data and components are made ready.
    """

    job: Any
    kind: str
    values: Mapping[str, Any]
    place: str = ""


class Executor(Protocol):
    """Where jobs run. A context manager: leaving it ends what still runs.

    stray_messages: how many messages of no job came from processes that trained.
    """

    stray_messages: int

    def __enter__(self) -> Executor: ...

    def __exit__(self, *exception: Any) -> None: ...

    def run(self, jobs: Iterable[tuple[Any, Mapping[str, Any]]]) -> Iterator[Event]:
        """Carry out ``(job, message)`` pairs in order, yielding events as they come.

        `jobs` may run empty and go on later: it is asked again after every job that ends.
        """

    def make_room(self, devices: list[str], jobs: int | None, pending: int) -> None:
        """From now on run several jobs at once; until then, one.

        devices: as the job that made data ready found them. jobs: how many at once, None for as
        many as there is room for. pending: how many there will be.
        """

    def confinements(self) -> list[Confinement]:
        """How the processes are confined; several where machines differ, none where not asked."""
