"""One thing that begins, gets worse and ends: hysteresis and minimum duration. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from logger.derive.info import finite, whole


@dataclass(frozen=True, slots=True)
class Rule:
    """When an episode begins and ends. `bad` and `good` exclude each other; what is
    neither changes nothing (hysteresis). Both need `samples` in a row that last at
    least `min_ms`."""

    bad: Callable[[float], bool]
    good: Callable[[float], bool]
    worst: Callable[[float, float], float]
    samples: int = 1
    min_ms: int = 0


@dataclass(slots=True)
class Episode:
    """The state of one rule for one meter and phase."""

    active_ms: int | None = None  # when it began, None while all is well
    extreme: float = 0.0
    count: int = 0  # samples in a row towards a change
    since_ms: int = 0  # the first of them
    last_ms: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing has begun or is about to."""
        return self.active_ms is None and not self.count

    def judge(self, rule: Rule, value: float, at_ms: int, gap_ms: int) -> str:
        """Take a sample; return "begin", "end" or "".

        Begun at `active_ms`, ended at `since_ms`. Samples further apart than `gap_ms`
        are not in a row.
        """
        if self.count and at_ms - self.last_ms > gap_ms:
            self.count = 0
        self.last_ms = at_ms
        active = self.active_ms is not None
        if not (rule.good(value) if active else rule.bad(value)):
            self.count = 0
            if active:
                self.extreme = rule.worst(self.extreme, value)
            return ""
        if not self.count:
            self.since_ms = at_ms
        if not active:
            self.extreme = rule.worst(self.extreme, value) if self.count else value
        self.count += 1
        if self.count < rule.samples or at_ms - self.since_ms < rule.min_ms:
            return ""
        self.count = 0
        if active:
            self.active_ms = None
            return "end"
        self.active_ms = self.since_ms
        return "begin"

    def state(self) -> list[Any]:
        """Return the state as JSON can hold it."""
        return [self.active_ms, self.extreme, self.count, self.since_ms, self.last_ms]

    @classmethod
    def restored(cls, state: list[Any]) -> Episode:
        """Return the episode of which `state` was made."""
        active, extreme, count, since, last = state
        began = None if active is None else whole(active)
        return cls(began, finite(extreme), whole(count), whole(since), whole(last))
