"""Which jobs have stopped moving, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

#: Without a sign for so long, a job is named; again whenever that time has doubled.
WARN_SECONDS = 600.0


@dataclass
class Movement:
    """When a job last gave a sign, and of what.

    stage: what it does, in words. limit: seconds; None for as long as it takes.
    patient: whether the stage may take long without a sign, so no limit would hold.
    """

    last: float
    stage: str = "starting"
    limit: float | None = None
    patient: bool = False
    next_warning: float = WARN_SECONDS


class Watchdog:
    """Keeps the time since the last sign of every job.

    limit: seconds after which a job without a sign is overdue; None for never.
    clock: () -> seconds.
    """

    def __init__(self, limit: float | None, warn: float, clock: Callable[[], float]) -> None:
        self.limit, self.warn, self.clock = limit, warn, clock
        self._jobs: dict[str, Movement] = {}

    def begin(self, name: str) -> None:
        self._jobs[name] = Movement(self.clock(), next_warning=self.warn)

    def end(self, name: str) -> None:
        self._jobs.pop(name, None)

    def moved(self, name: str, stage: str | None = None, patient: bool | None = None) -> None:
        """Note a sign of a job.

        stage: what it does from now on. patient: whether that may take long without a sign, so
        no limit holds. None for as before.
        """
        job = self._jobs[name]
        job.last, job.next_warning = self.clock(), self.warn
        job.stage = job.stage if stage is None else stage
        if patient is not None:
            job.limit, job.patient = None if patient else self.limit, patient

    def limit_to(self, name: str, seconds: float) -> None:
        """Hold a job to a limit of its own from now on."""
        job = self._jobs[name]
        job.last, job.limit = self.clock(), seconds

    def lacks_limit(self, name: str) -> bool:
        """Whether a limit, had there been one, would hold for what a job does."""
        return self.limit is None and not self._jobs[name].patient

    def seconds_to_wait(self) -> float | None:
        """How long nothing can become due; None where nothing ever does."""
        now = self.clock()
        due = [self._due(job) - (now - job.last) for job in self._jobs.values()]
        return max(0.0, min(due)) if due else None

    def still(self) -> Iterable[tuple[str, float, str, bool]]:
        """Jobs to be spoken of now: name, seconds without a sign, stage, whether overdue."""
        now = self.clock()
        for name, job in list(self._jobs.items()):
            seconds = now - job.last
            if job.limit is not None and seconds >= job.limit:
                yield name, seconds, job.stage, True
            elif seconds >= job.next_warning:
                job.next_warning *= 2
                yield name, seconds, job.stage, False

    def _due(self, job: Movement) -> float:
        return job.next_warning if job.limit is None else min(job.next_warning, job.limit)
