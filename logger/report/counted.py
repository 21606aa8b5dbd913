"""What a counter counted between its readings, and where that is not known. Pure.

Breaks are told by events, or seen from the values alone, for readings that came from
elsewhere: a counter that passed its maximum, one that restarted at 0, one of another
meter. Values that were read again under an earlier time (the clock went back) count once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from logger.derive.registers import float32_step, passed_maximum
from logger.domain.limits import LAST_DIGITS_KWH
from logger.domain.timespan import TimeSpan

_ZERO = Decimal(0)
_MS_PER_HOUR = 3_600_000
# A value read again lies between two newer ones; a meter that was swapped stays.
_DIP = 3
# Without an event a jump is no energy only above what the amps allow in a day more: the
# times of readings around a step of the clock say little.
_ROOM_MS = 86_400_000
_NOISE = Decimal(str(LAST_DIGITS_KWH))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How fast the counters of a meter can rise, kW, and their highest value, kWh."""

    fastest_kw: Decimal
    maximum: Decimal | None = None

    def most(self, passed_ms: int) -> Decimal:
        """Return the most that is counted in `passed_ms`, with room of 1 kWh."""
        return self.fastest_kw * passed_ms / _MS_PER_HOUR + 1

    def plain(self, before: Decimal, after: Decimal, passed_ms: int) -> bool:
        """Return whether a counter may have gone from `before` to `after` without a break."""
        return -noise(before) <= after - before <= self.most(passed_ms + _ROOM_MS)


@dataclass(frozen=True, slots=True)
class Break:
    """Counters of a meter went on from other values at `at_ms`."""

    meter: str
    at_ms: int
    swapped: bool


@dataclass(slots=True)
class Counted:
    """The sum at each reading of one counter, from 0 on, and the stretches (begin, end) in
    which it broke: what it counted there is not known, or more than was seen."""

    sums: list[Decimal] = field(default_factory=lambda: [_ZERO])
    uncertain: list[TimeSpan] = field(default_factory=list)


def noise(value: Decimal) -> Decimal:
    """Return by how much a counter near `value` may fall by its last digits alone."""
    return max(_NOISE, 2 * float32_step(value))


def counted(
    values: Sequence[tuple[int, Decimal]], broken: Sequence[Break], bounds: Bounds
) -> Counted:
    """Return what the readings `values`, by time, say that the counter counted."""
    found = Counted()
    level = values[0][1]
    for place in range(1, len(values)):
        since, until = values[place - 1][0], values[place][0]
        after = values[place][1]
        between = [each for each in broken if since < each.at_ms <= until]
        coming = [value for _, value in values[place + 1 : place + 1 + _DIP]]
        rise, sure = _rise(level, after, until - since, between, bounds, coming)
        if rise is None:
            rise = _ZERO
        else:
            level = after
        if not sure:
            found.uncertain.append((since, until))
        found.sums.append(found.sums[-1] + rise)
    return found


def _rise(
    level: Decimal,
    after: Decimal,
    passed_ms: int,
    broken: Sequence[Break],
    bounds: Bounds,
    coming: Sequence[Decimal],
) -> tuple[Decimal | None, bool]:
    """Return what a counter surely counted since it showed `level`, None if `after` is an
    older value than that, and whether this is all."""
    if any(each.swapped for each in broken):
        return _ZERO, False  # the new meter's beginning is not known
    most = bounds.most(passed_ms)
    if after >= level:
        odd = after - level > most if broken else not bounds.plain(level, after, passed_ms)
        return (_ZERO if odd else after - level), not odd
    if level - after <= noise(level) and not broken:
        return None, True
    passed = passed_maximum(level, after, most, bounds.maximum)
    if passed is not None:
        return passed, True
    if not broken and after > level / 2 and any(value >= level for value in coming):
        return None, True  # read again under an earlier time: the clock went back
    return (after if after <= most else _ZERO), False  # it restarted from 0, or was swapped
