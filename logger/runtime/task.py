"""Something to do again and again, and the turns of it that were missed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from logger.models import Job

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Task:
    """Something to do every `interval_s` seconds on the worker called `worker`.

    `run` gets the moment it was due, milliseconds UTC; `meter` and `job` say what it reads, if
    it reads. `missed` counts the turns that had not begun when the next one was due.
    """

    name: str
    worker: str
    interval_s: float
    run: Callable[[int], None]
    meter: str = ""
    job: Job | None = None
    at_start: bool = False
    missed: int = 0
    _last: int | None = field(default=None, repr=False)  # multiples of the interval since 1970

    def waits(self, due: datetime) -> None:
        """Begin to count with the turn at `due`, unless that was done before."""
        if self._last is None:
            self._last = -(-(due - EPOCH) // timedelta(seconds=self.interval_s)) - 1

    def begins(self, due: datetime) -> None:
        """Account for the turn at `due`: those between the last one and it were missed.

        A turn out of turn (at the start, or asked for) stands for the multiple before it.
        """
        turn = (due - EPOCH) // timedelta(seconds=self.interval_s)
        if self._last is not None:
            self.missed += max(0, turn - self._last - 1)
        self._last = turn

    def take(self, due: datetime) -> None:
        """Do the turn at `due`."""
        self.begins(due)
        self.run(round(due.timestamp() * 1000))

    def forget(self) -> None:
        """Start counting afresh, after a step of the clock."""
        self._last = None
