"""The energy report: what was drawn, fed back, produced and used, and what it cost. Pure.

    cost    = sum over tariffs and days of import x price
    revenue = sum over days of export x price

Import that no tariff counted has the common price.

Load, self-consumption and self-sufficiency are those of `domain.balance`.

Ratios are ratios of sums over the shown period, blank where the divisor is 0. All from
differences of counters; power is never integrated.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

from logger.config.derive import Price, Prices
from logger.domain import balance
from logger.domain.times import day_of, midnight_ms
from logger.report.calendar import By, Period, periods
from logger.report.counted import Bounds
from logger.report.countervalues import CounterValues, Series, counter_values
from logger.report.parts import Part, lacking, of_quarters, parts
from logger.report.quarters import Owner, QuarterHours, quarter_hours
from logger.report.source import Source, Tags

_ZERO = Decimal(0)
_HOUR_MS = 3_600_000
NO_QUARTERS: Mapping[Owner, QuarterHours] = {}


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
    # What netting over the phases takes off import and export alike; None where no quarter
    # hour tells. Where only some do, the rest counts as the meter does.
    saved: Decimal | None = None

    @property
    def import_netted(self) -> Decimal | None:
        """What a meter that nets over the phases would have drawn, about."""
        return _less(self.grid_import, self.saved)

    @property
    def export_netted(self) -> Decimal | None:
        """What a meter that nets over the phases would have fed back, about."""
        return _less(self.grid_export, self.saved)

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


def _less(energy: Decimal | None, saved: Decimal | None) -> Decimal | None:
    return None if energy is None or saved is None else energy - saved


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
    found: CounterValues,
    shown: Sequence[Period],
    prices: Prices,
    zone: ZoneInfo,
    quarters: Mapping[Owner, QuarterHours] = NO_QUARTERS,
) -> tuple[list[EnergyRow], EnergyRow]:
    """Return a row for each period with data, and one for all of them.

    `quarters` tell what netting over the phases takes off, and of periods as short as an
    hour all they know; `found` tells the rest.
    """
    moments = cuts(shown, prices, zone)
    cells = _cells(found, moments, quarters if fine(shown) else {})
    saved = _saved(quarters, shown)
    total = EnergyRow("total", shown[0].start_ms, shown[-1].end_ms)
    rows = []
    for period in shown:
        row = EnergyRow(period.label, period.start_ms, period.end_ms)
        first = bisect_left(moments, period.start_ms)
        for place in range(first, bisect_left(moments, period.end_ms)):
            cell = {series: own[place] for series, own in cells.items()}
            price = prices.on(day_of(moments[place], zone))
            _count(row, cell, price)
            _count(total, cell, price)
        if row.grid_import is not None or row.pv is not None:
            rows.append(row)
        if row.grid_import is not None and (own := saved.get(period.start_ms)) is not None:
            row.saved = own
            total.saved = (total.saved or _ZERO) + own
    return rows, total


def fine(shown: Sequence[Period]) -> bool:
    """Tell whether periods are so short that quarter hours are read instead of counters."""
    return all(period.end_ms - period.start_ms <= _HOUR_MS for period in shown)


def gather(
    source: Source,
    shown: Sequence[Period],
    prices: Prices,
    zone: ZoneInfo,
    tags: Tags,
    bounds: Mapping[str, Bounds] | None = None,
    *,
    netted: bool = False,
) -> tuple[CounterValues, dict[Owner, QuarterHours]]:
    """Return what `report` needs: few counter values where quarter hours tell enough.

    Quarter hours are read for periods as short as an hour, and if `netted`.
    """
    every = needed(shown, prices, zone)
    # Of longer periods quarter hours tell no more than what netting at the grid takes off.
    wanted = tags if fine(shown) else {**tags, "role": ("grid",)}
    span = (every[0], every[-1])
    quarters = quarter_hours(source, span, wanted) if fine(shown) or netted else {}
    if not quarters or not fine(shown):
        return counter_values(source, every, tags, bounds), quarters
    moments = cuts(shown, prices, zone)
    days = periods(shown[0].day, day_of(shown[-1].end_ms - 1, zone), By.DAY, zone)
    at = {shown[0].start_ms, shown[-1].end_ms, *(day.start_ms for day in days)}
    for own in quarters.values():
        at |= lacking(own, moments)
    found = counter_values(source, sorted(at), tags, bounds)
    known = {owner.meter for owner in quarters}
    if any(series.meter not in known for series in found.values):
        # Another logger of the site may be of a version that makes no quarter hours.
        found = counter_values(source, every, tags, bounds)
    return found, quarters


def _cells(
    found: CounterValues, moments: Sequence[int], quarters: Mapping[Owner, QuarterHours]
) -> dict[Series, list[Part | None]]:
    """Return the energy of each counter between each two moments."""
    known: dict[Series, Sequence[Part | None]] = {
        Series(owner.meter, owner.role, quantity, tariff): own
        for owner, hours in quarters.items()
        for (quantity, tariff), own in of_quarters(hours, moments).items()
    }
    cells: dict[Series, list[Part | None]] = {series: list(own) for series, own in known.items()}
    for series, counts in found.counted().items():
        times = [at for at, _ in found.values[series]]
        cells[series] = parts(times, counts, moments, known.get(series, ()))
    return cells


def _saved(quarters: Mapping[Owner, QuarterHours], shown: Sequence[Period]) -> dict[int, Decimal]:
    """Return what netting takes off the grid's import and export, by period's beginning."""
    starts = [period.start_ms for period in shown]
    found: dict[int, Decimal] = {}
    for owner, own in quarters.items():
        if owner.role != "grid":
            continue
        for start, quarter in own.items():
            place = bisect_right(starts, start) - 1
            if place >= 0 and start < shown[place].end_ms:
                common = Decimal(repr(quarter.common))
                found[starts[place]] = found.get(starts[place], _ZERO) + common
    return found


def _count(row: EnergyRow, cell: Mapping[Series, Part | None], price: Price | None) -> None:
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
