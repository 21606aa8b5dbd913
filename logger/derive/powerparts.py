"""What the signed power adds up to in each quarter hour, by its sign; see `domain.netting`.

Readings are joined by straight lines, as long as they are near enough to each other.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, field
from typing import Any

from logger.derive.info import finite, whole
from logger.domain.limits import QUARTER_MS
from logger.domain.netting import parts

_RECENT_MS = 60_000  # how far back the recent power reaches, as a time constant


@dataclass(slots=True)
class PowerSum:
    """Energy drawn and fed back by the power, kWh, and the time that it covers."""

    positive: float = 0.0
    negative: float = 0.0
    covered_ms: int = 0

    @classmethod
    def restored(cls, state: list[Any]) -> PowerSum:
        """Return the sums that were kept as `state`; ValueError if it makes no sense."""
        positive, negative, covered_ms = state
        return cls(finite(positive), finite(negative), whole(covered_ms))

    @property
    def coverage(self) -> float:
        """The share of a quarter hour that is covered, 0..1."""
        return min(1.0, self.covered_ms / QUARTER_MS)


@dataclass(slots=True)
class PowerParts:
    """The power of one meter. Readings further apart than `gap_ms` leave a hole."""

    gap_ms: int
    at_ms: int | None = None
    kilowatts: float = 0.0
    recent_kw: float = 0.0  # mean of what is drawn of late
    sums: dict[int, PowerSum] = field(default_factory=dict)

    def feed(self, at_ms: int, kilowatts: float) -> None:
        """Take a reading; one that is not after the last one changes nothing."""
        since, before = self.at_ms, self.kilowatts
        if since is not None and at_ms <= since:
            return
        self.at_ms, self.kilowatts = at_ms, kilowatts
        if since is None or at_ms - since > self.gap_ms:
            self.recent_kw = max(0.0, kilowatts)
            return
        drawn = max(0.0, kilowatts)
        self.recent_kw += (drawn - self.recent_kw) * -math.expm1((since - at_ms) / _RECENT_MS)
        begin, first = since, before
        while begin < at_ms:
            end = min(at_ms, begin - begin % QUARTER_MS + QUARTER_MS)
            last = before + (kilowatts - before) * (end - since) / (at_ms - since)
            own = self.sums.setdefault(begin - begin % QUARTER_MS, PowerSum())
            positive, negative = parts(first, last, end - begin)
            own.positive += positive
            own.negative += negative
            own.covered_ms += end - begin
            begin, first = end, last

    def take(self, start_ms: int) -> PowerSum:
        """Return the sums of the quarter hour at `start_ms`; forget it and those before."""
        found = self.sums.get(start_ms, PowerSum())
        self.sums = {start: own for start, own in self.sums.items() if start > start_ms}
        return found

    def moved(self) -> None:
        """Take note that the clock was moved: nothing joins what was before."""
        self.at_ms = None
        self.sums.clear()

    def state(self) -> list[Any]:
        """Return it as JSON can hold it."""
        sums = {str(start): list(astuple(own)) for start, own in self.sums.items()}
        return [self.at_ms, self.kilowatts, self.recent_kw, sums]

    def restore(self, state: list[Any]) -> None:
        """Take up where `state` was made; ValueError if it makes no sense."""
        at_ms, kilowatts, recent, sums = state
        self.at_ms = None if at_ms is None else whole(at_ms)
        self.kilowatts, self.recent_kw = finite(kilowatts), finite(recent)
        self.sums = {int(start): PowerSum.restored(own) for start, own in sums.items()}
