"""A counter at the borders of quarter hours: found once, whatever comes late or twice. Pure.

The value at a border is that of the first reading within `BORDER_MS` after it; where there is
none, it lies on the straight line between the readings around it. Reports have the same rule.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from logger.derive.info import exact, whole
from logger.domain.limits import BORDER_MS, QUARTER_MS


@dataclass(frozen=True, slots=True)
class Stretch:
    """What lies between two readings: their times and their running totals, kWh."""

    since_ms: int
    since: Decimal
    until_ms: int
    until: Decimal

    def read_at(self, border_ms: int) -> bool:
        """Return whether its end is the reading at a border."""
        return self.until_ms - border_ms < BORDER_MS

    def at(self, border_ms: int) -> Decimal:
        """Return the total at a border in the stretch."""
        if self.read_at(border_ms):
            return self.until
        rise, passed_ms = self.until - self.since, self.until_ms - self.since_ms
        return self.since + rise * (border_ms - self.since_ms) / passed_ms


@dataclass(slots=True)
class CounterTrack:
    """One counter as a running total that goes on over resets and swaps.

    `offset` is what the total adds to the register. `stretches` are those with borders that
    nobody asked for yet.
    """

    at_ms: int
    total: Decimal
    offset: Decimal = Decimal(0)
    stretches: deque[Stretch] = field(default_factory=deque)

    def feed(self, at_ms: int, register: Decimal) -> None:
        """Take a reading; one that is not after the last one changes nothing."""
        if at_ms <= self.at_ms:
            return
        total = register + self.offset
        if at_ms >= (self.at_ms // QUARTER_MS + 1) * QUARTER_MS:
            self.stretches.append(Stretch(self.at_ms, self.total, at_ms, total))
        self.at_ms, self.total = at_ms, total

    def stretch(self, border_ms: int) -> Stretch | None:
        """Return the stretch with a border, None if it is not known yet; borders are asked
        for in their order."""
        while self.stretches and self.stretches[0].until_ms < border_ms:
            self.stretches.popleft()
        found = self.stretches[0] if self.stretches else None
        return found if found is not None and found.since_ms < border_ms else None

    def moved(self, size_ms: int) -> None:
        """Take note that the clock was moved: the last reading has a new time."""
        self.stretches.clear()
        self.at_ms += size_ms

    def state(self) -> list[Any]:
        """Return it as JSON can hold it."""
        return [
            self.at_ms,
            str(self.total),
            str(self.offset),
            [
                [one.since_ms, str(one.since), one.until_ms, str(one.until)]
                for one in self.stretches
            ],
        ]

    @classmethod
    def restored(cls, state: list[Any]) -> CounterTrack:
        """Return the track of which `state` was made; ValueError if it makes no sense."""
        at_ms, total, offset, stretches = state
        found = deque(
            Stretch(whole(since_ms), exact(since), whole(until_ms), exact(until))
            for since_ms, since, until_ms, until in stretches
        )
        if any(one.since_ms >= one.until_ms for one in found):
            raise ValueError(f"not stretches of a counter: {stretches}")
        return cls(whole(at_ms), exact(total), exact(offset), found)
