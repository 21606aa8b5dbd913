"""The energy report: what was drawn, fed back, produced and used, and what it cost. Pure.

Money is that of `prices.money`; load, self-consumption and self-sufficiency are those of
`domain.balance`.

Ratios are ratios of sums over the shown period, blank where the divisor is 0. All from
differences of counters; power is never integrated.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

from logger.config.derive import Prices
from logger.domain.limits import QUARTER_MS
from logger.domain.spot import NO_SPOTS, Spots
from logger.domain.times import day_of, midnight_ms, next_day
from logger.domain.timespan import TimeSpan
from logger.prices.money import PriceList
from logger.report.calendar import By, Period, periods
from logger.report.counted import Bounds
from logger.report.countervalues import CounterValues, Series, counter_values
from logger.report.energyrow import EnergyRow
from logger.report.parts import Part, lacking, of_quarters, parts
from logger.report.quarters import NO_QUARTERS, Owner, QuarterHours, quarter_hours
from logger.report.source import Source, Tags

_ZERO = Decimal(0)
_HOUR_MS = 3_600_000


def cuts(shown: Sequence[Period], prices: Prices, zone: ZoneInfo) -> list[int]:
    """Return all moments that part the energy: borders and changes of price, which are those
    of all quarter hours where imported prices hold."""
    span = (shown[0].start_ms, shown[-1].end_ms)
    borders = {period.start_ms for period in shown} | {span[1]}
    return sorted(borders | PriceList(prices, NO_SPOTS, zone).changes(span))


def needed(shown: Sequence[Period], prices: Prices, zone: ZoneInfo) -> list[int]:
    """Return all moments at which counters are read: `cuts` and every midnight, so that a
    break is seen alike in a report of months and of days."""
    return sorted({*cuts(shown, prices, zone), *_midnights(shown, zone)})


def _midnights(shown: Sequence[Period], zone: ZoneInfo) -> list[int]:
    days = periods(shown[0].day, day_of(shown[-1].end_ms - 1, zone), By.DAY, zone)
    return [day.start_ms for day in days]


def report(
    found: CounterValues,
    shown: Sequence[Period],
    prices: Prices,
    zone: ZoneInfo,
    quarters: Mapping[Owner, QuarterHours] = NO_QUARTERS,
    spots: Spots = NO_SPOTS,
    *,
    standing: bool = True,
) -> tuple[list[EnergyRow], EnergyRow]:
    """Return a row for each period with data, and one for all of them.

    `quarters` tell what netting over the phases takes off, and of periods as short as an
    hour, or with imported prices (`spots`), all they know; `found` tells the rest. `standing`:
    with the standing charges, of the days from the first reading to the last one.
    """
    moments = cuts(shown, prices, zone)
    known = PriceList(prices, spots, zone)
    detailed = fine(shown) or known.moving((moments[0], moments[-1]))
    cells = _cells(found, moments, quarters if detailed else {})
    saved = _saved(quarters, shown)
    charged = _known(found, quarters, moments, zone) if standing and known.charged else None
    total = EnergyRow("total", shown[0].start_ms, shown[-1].end_ms)
    rows = []
    for period in shown:
        row = EnergyRow(period.label, period.start_ms, period.end_ms)
        first = bisect_left(moments, period.start_ms)
        for place in range(first, bisect_left(moments, period.end_ms)):
            _count(row, [(series, own[place]) for series, own in cells], known, moments[place])
        if row.grid_import is not None and charged is not None:
            span = (max(charged[0], row.start_ms), min(charged[1], row.end_ms))
            row.standing = known.standing(span) if span[0] < span[1] else _ZERO
        if row.grid_import is not None and (own := saved.get(period.start_ms)) is not None:
            row.saved = own
        if row.grid_import is not None or row.pv is not None:
            rows.append(row)
        total.add(row)
    return rows, total


def fine(shown: Sequence[Period]) -> bool:
    """Return whether periods are so short that quarter hours are read instead of counters."""
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
    span = (shown[0].start_ms, shown[-1].end_ms)
    detailed = fine(shown) or PriceList(prices, NO_SPOTS, zone).moving(span)
    # Of longer periods quarter hours tell no more than what netting at the grid takes off.
    wanted = tags if detailed else {**tags, "role": ("grid",)}
    quarters = quarter_hours(source, span, wanted) if detailed or netted else {}
    if not quarters or not detailed:
        return counter_values(source, needed(shown, prices, zone), tags, bounds), quarters
    moments = cuts(shown, prices, zone)
    at = {*span, *_midnights(shown, zone)}
    for own in quarters.values():
        at |= lacking(own, moments)
    found = counter_values(source, sorted(at), tags, bounds)
    known = {owner.meter for owner in quarters}
    if any(series.meter not in known for series in found.values):
        # Another logger of the site may be of a version that makes no quarter hours.
        found = counter_values(source, needed(shown, prices, zone), tags, bounds)
    return found, quarters


def _known(
    found: CounterValues,
    quarters: Mapping[Owner, QuarterHours],
    moments: Sequence[int],
    zone: ZoneInfo,
) -> TimeSpan | None:
    """Return the days of the grid meters' readings within the report; None without any."""
    times = [
        at
        for series, values in found.values.items()
        if series.role == "grid"
        for at, _ in (values[0], values[-1])
    ]
    for owner, own in quarters.items():
        if owner.role == "grid":
            times += [min(own), max(own) + QUARTER_MS]
    if not times:
        return None
    first, last = max(min(times), moments[0]), min(max(times), moments[-1])
    if first >= last:
        return None
    return midnight_ms(day_of(first, zone), zone), midnight_ms(
        next_day("day", day_of(last - 1, zone)), zone
    )


def _cells(
    found: CounterValues, moments: Sequence[int], quarters: Mapping[Owner, QuarterHours]
) -> list[tuple[Series, list[Part | None]]]:
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
    return [(series, own) for series, own in cells.items() if _counts(series)]


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
                # A difference of floats: its last digits are none of the meter's.
                common = Decimal(repr(round(quarter.common, 9)))
                found[starts[place]] = found.get(starts[place], _ZERO) + common
    return found


def _counts(series: Series) -> bool:
    """Whether a counter is one of those that the report adds up."""
    match series.role, series.quantity, series.tariff:
        case ("grid", "active_import", _) | ("grid" | "pv" | "battery", "active_export", "total"):
            return True
        case "battery", "active_import", "total":
            return True
    return False


def _count(
    row: EnergyRow, cell: Sequence[tuple[Series, Part | None]], known: PriceList, at_ms: int
) -> None:
    """Add the energy of one cell (within one period and one price) to `row`."""
    drawn, fed = _ZERO, _ZERO
    by_tariff: dict[str, Decimal] = {}
    for series, part in cell:
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
            case "grid", _, _:
                row.grid_export = (row.grid_export or _ZERO) + energy
                fed += energy
            case "pv", _, _:
                row.pv = (row.pv or _ZERO) + energy
            case _, "active_import", _:
                row.charge = (row.charge or _ZERO) + energy
            case _:
                row.discharge = (row.discharge or _ZERO) + energy
        row.divided += part.divided
        row.sure &= part.sure
    for tariff, energy in by_tariff.items():
        row.tariffs[tariff] = row.tariffs.get(tariff, _ZERO) + energy
    if row.grid_import is None:
        if known.at(at_ms) is None:
            row.unpriced += drawn + fed
        return
    money = known.money(at_ms, drawn, fed, by_tariff)
    row.unpriced += money.unpriced
    row.missing += money.missing
    if money.cost is not None:
        row.cost = (row.cost or _ZERO) + money.cost
    if money.revenue is not None:
        row.revenue = (row.revenue or _ZERO) + money.revenue
