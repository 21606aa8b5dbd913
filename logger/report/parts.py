"""The energy between two moments: from counter values, or from quarter hours. Pure.

Both ways have one rule for the value at a border, so they give the same figures; quarter hours
are fewer. Where one is missing or not sure, the counters tell.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import pairwise

from logger.domain.limits import BORDER_MS, QUARTER_MS
from logger.report.counted import Counted
from logger.report.quarters import QuarterHour, QuarterHours

_ZERO = Decimal(0)
_SPLIT_MS = 7_200_000  # a longer gap that is divided between two periods is told


@dataclass(frozen=True, slots=True)
class Part:
    """Energy of one counter between two moments, kWh, how much of it was divided, and
    whether it is all of it."""

    energy: Decimal
    divided: Decimal
    sure: bool


def parts(
    times: Sequence[int],
    counts: Counted,
    moments: Sequence[int],
    known: Sequence[Part | None] = (),
) -> list[Part | None]:
    """Return the energy between each two `moments`; None where there is no reading. What is
    `known` of a cell is taken as it is."""

    @cache
    def at(moment: int) -> _Border:
        return _at(times, counts.sums, moment)

    found: list[Part | None] = []
    for place in range(len(moments) - 1):
        if known and (own := known[place]) is not None:
            found.append(own)
            continue
        start, end = at(moments[place]), at(moments[place + 1])
        inside = bisect_left(times, moments[place]) < bisect_left(times, moments[place + 1])
        # A first reading at the end of a cell tells nothing of the time before it.
        if not inside and (start.outside or end.outside):
            found.append(None)
            continue
        energy = end.value - start.value
        # Within one gap both borders lie in it; the share is then all of the energy.
        divided = energy if not inside and (start.gap or end.gap) else start.after + end.before
        # A reading soon after a border is the one at the border.
        first, last = moments[place] + BORDER_MS, moments[place + 1]
        sure = not any(begin < last and until >= first for begin, until in counts.uncertain)
        found.append(Part(energy, min(divided, energy), sure))
    return found


def of_quarters(
    quarters: QuarterHours, moments: Sequence[int]
) -> dict[tuple[str, str], list[Part | None]]:
    """Return the energy between each two `moments` by counter (field, tariff), where the
    quarter hours are all there and sure; None elsewhere."""
    cells = [_quarters_of(quarters, *cell) for cell in pairwise(moments)]
    tariffs = sorted({tariff for quarter in quarters.values() for tariff in quarter.tariffs})
    counters = [("active_import", "total"), ("active_export", "total")]
    counters += [("active_import", tariff) for tariff in tariffs]
    return {counter: [_part(cell, *counter) for cell in cells] for counter in counters}


def lacking(quarters: QuarterHours, moments: Sequence[int]) -> set[int]:
    """Return the moments around the cells that quarter hours do not tell."""
    cells = pairwise(moments)
    return {at for cell in cells if not _quarters_of(quarters, *cell) for at in cell}


def _quarters_of(quarters: QuarterHours, begin: int, end: int) -> list[QuarterHour]:
    if begin % QUARTER_MS or end % QUARTER_MS:
        return []
    own = [quarters.get(start) for start in range(begin, end, QUARTER_MS)]
    found = [quarter for quarter in own if quarter is not None and quarter.sure]
    return found if len(found) == len(own) else []


def _part(cell: Sequence[QuarterHour], quantity: str, tariff: str) -> Part | None:
    energy = _ZERO
    for quarter in cell:
        own = quarter.counted(quantity, tariff)
        if own is None:
            return None
        energy += Decimal(repr(own))
    return Part(energy, _ZERO, True) if cell else None


@dataclass(frozen=True, slots=True)
class _Border:
    """The running sum at a border, and the parts of a divided gap on its two sides."""

    value: Decimal
    outside: bool = False
    gap: bool = False
    before: Decimal = _ZERO
    after: Decimal = _ZERO


def _at(times: Sequence[int], counted: Sequence[Decimal], moment: int) -> _Border:
    place = bisect_left(times, moment)
    if place < len(times) and times[place] - moment < BORDER_MS:
        return _Border(counted[place])
    if place == 0 or place == len(times):
        return _Border(counted[min(place, len(times) - 1)], outside=True)
    start, end = times[place - 1], times[place]
    energy = counted[place] - counted[place - 1]
    before = energy * (moment - start) / (end - start)
    value = counted[place - 1] + before
    if end - start <= _SPLIT_MS:
        return _Border(value)
    return _Border(value, gap=True, before=before, after=energy - before)
