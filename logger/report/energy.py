"""The energy report: what was drawn, fed back, produced and used, and what it cost. Pure.

    cost    = sum over tariffs and days of import x price
    revenue = sum over days of export x price

Import that no tariff counted has the common price.

Load, self-consumption and self-sufficiency are those of `domain.balance`.

Ratios are ratios of sums over the shown period, blank where the divisor is 0. All from
differences of counters; power is never integrated.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

from logger.config.derive import Price, Prices
from logger.domain import balance
from logger.domain.limits import BORDER_MS
from logger.report.calendar import By, Period, day_of, midnight_ms, periods
from logger.report.counted import Counted
from logger.report.countervalues import CounterValues, Series

_ZERO = Decimal(0)
_IMPORT, _EXPORT = "active_import", "active_export"
_SPLIT_MS = 7_200_000  # dividing a longer gap between two periods is worth a remark


@dataclass(slots=True)
class EnergyRow:
    """Energy in kWh of one period. None where no meter tells."""

    label: str
    start_ms: int
    end_ms: int
    grid_import: Decimal | None = None
    grid_export: Decimal | None = None
    tariffs: dict[str, Decimal] = field(default_factory=dict)
    pv: Decimal | None = None
    charge: Decimal | None = None
    discharge: Decimal | None = None
    cost: Decimal | None = None
    revenue: Decimal | None = None
    # Part of the above that was counted over a gap across the period's border, and is
    # divided by time: the sum is exact, its place is not.
    divided: Decimal = _ZERO
    # Energy drawn and fed back while no price was valid: it is in neither sum of money.
    unpriced: Decimal = _ZERO
    # A counter restarted or was swapped in it: the energy is what was seen, and maybe more.
    sure: bool = True

    @property
    def self_consumed(self) -> Decimal | None:
        """PV energy that stayed on site; below zero when a battery fed back more."""
        if self.pv is None or self.grid_export is None:
            return None
        return balance.self_consumed(self.pv, self.grid_export)

    @property
    def load(self) -> Decimal | None:
        """What the site consumed; without PV that is what it drew."""
        if self.grid_import is None or self.grid_export is None:
            return None
        return balance.load(
            self.grid_import,
            self.grid_export,
            self.pv or _ZERO,
            self.charge or _ZERO,
            self.discharge or _ZERO,
        )

    @property
    def self_consumption(self) -> Decimal | None:
        """Self-consumed over PV."""
        return balance.ratio(self.self_consumed, self.pv)

    @property
    def self_sufficiency(self) -> Decimal | None:
        """What of the load was not drawn from the grid, over the load; None without PV."""
        load, drawn = self.load, self.grid_import
        if self.pv is None or load is None or drawn is None:
            return None
        return balance.ratio(balance.self_supplied(load, drawn), load)


def cuts(shown: Sequence[Period], prices: Prices, zone: ZoneInfo) -> list[int]:
    """Return all moments that part the energy: borders and changes of price."""
    first, last = shown[0].start_ms, shown[-1].end_ms
    changes = (midnight_ms(price.since, zone) for price in prices.valid)
    borders = {period.start_ms for period in shown} | {last}
    return sorted(borders | {at for at in changes if first < at < last})


def needed(shown: Sequence[Period], prices: Prices, zone: ZoneInfo) -> list[int]:
    """Return all moments at which counters are read: `cuts` and every midnight, so that a
    break is seen alike in a report of months and of days."""
    days = periods(shown[0].day, day_of(shown[-1].end_ms - 1, zone), By.DAY, zone)
    return sorted({*cuts(shown, prices, zone), *(day.start_ms for day in days)})


def report(
    found: CounterValues, shown: Sequence[Period], prices: Prices, zone: ZoneInfo
) -> tuple[list[EnergyRow], EnergyRow]:
    """Return a row for each period with data, and one for all of them."""
    moments = cuts(shown, prices, zone)
    parts: dict[Series, list[_Part | None]] = {
        series: _parts([at for at, _ in found.values[series]], counts, moments)
        for series, counts in found.counted().items()
    }
    total = EnergyRow("total", shown[0].start_ms, shown[-1].end_ms)
    rows = []
    for period in shown:
        row = EnergyRow(period.label, period.start_ms, period.end_ms)
        first = bisect_left(moments, period.start_ms)
        for place in range(first, bisect_left(moments, period.end_ms)):
            cell = {series: own[place] for series, own in parts.items()}
            price = prices.on(day_of(moments[place], zone))
            _count(row, cell, price)
            _count(total, cell, price)
        if row.grid_import is not None or row.pv is not None:
            rows.append(row)
    return rows, total


def _count(row: EnergyRow, cell: Mapping[Series, _Part | None], price: Price | None) -> None:
    """Add the energy of one cell (within one period and one price) to `row`."""
    drawn, fed = _ZERO, _ZERO
    by_tariff: dict[str, Decimal] = {}
    for series, part in cell.items():
        if part is None:
            continue
        energy = part.energy
        match series.role, series.quantity, series.tariff:
            case "grid", "active_import", "total":
                row.grid_import = (row.grid_import or _ZERO) + energy
                drawn += energy
            case "grid", "active_import", tariff:
                by_tariff[tariff] = by_tariff.get(tariff, _ZERO) + energy
                continue
            case "grid", "active_export", "total":
                row.grid_export = (row.grid_export or _ZERO) + energy
                fed += energy
            case "pv", "active_export", "total":
                row.pv = (row.pv or _ZERO) + energy
            case "battery", "active_import", "total":
                row.charge = (row.charge or _ZERO) + energy
            case "battery", "active_export", "total":
                row.discharge = (row.discharge or _ZERO) + energy
            case _:
                continue
        row.divided += part.divided
        row.sure &= part.sure
    for tariff, energy in by_tariff.items():
        row.tariffs[tariff] = row.tariffs.get(tariff, _ZERO) + energy
    if price is None:
        row.unpriced += drawn + fed
        return
    if row.grid_import is None:
        return
    # What no tariff counted has the common price. The rest may be below zero by the
    # counters' last digits: only a sum without a threshold is the same for every cell size.
    by_tariff["total"] = drawn - sum(by_tariff.values(), _ZERO)
    cost = sum((e * Decimal(str(price.buying(t))) for t, e in by_tariff.items()), _ZERO)
    row.cost = (row.cost or _ZERO) + cost
    row.revenue = (row.revenue or _ZERO) + fed * Decimal(str(price.sell))


@dataclass(frozen=True, slots=True)
class _Part:
    """Energy of one counter between two moments, kWh, how much of it was divided, and
    whether it is all of it."""

    energy: Decimal
    divided: Decimal
    sure: bool


def _parts(times: Sequence[int], counts: Counted, moments: Sequence[int]) -> list[_Part | None]:
    """Return the energy between each two `moments`; None where there is no reading."""
    at = [_at(times, counts.sums, moment) for moment in moments]
    found: list[_Part | None] = []
    for place in range(len(moments) - 1):
        start, end = at[place], at[place + 1]
        inside = bisect_left(times, moments[place]) < bisect_left(times, moments[place + 1])
        covered = not (start.outside and end.outside) or inside
        if not covered:
            found.append(None)
            continue
        energy = end.value - start.value
        # Within one gap both borders lie in it; the share is then all of the energy.
        divided = energy if not inside and (start.gap or end.gap) else start.after + end.before
        # A reading soon after a border is the one at the border.
        first, last = moments[place] + BORDER_MS, moments[place + 1]
        sure = not any(begin < last and until >= first for begin, until in counts.doubts)
        found.append(_Part(energy, min(divided, energy), sure))
    return found


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
