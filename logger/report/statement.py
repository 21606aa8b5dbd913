"""Statements: what a meter counted in a span, from its opening to its closing reading. Pure.

Energy and money are those of the energy report for this meter alone; what it drew is bought
and what it fed back is sold, whatever its role.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from zoneinfo import ZoneInfo

from logger.config.derive import Prices
from logger.derive.events import EventKind
from logger.domain.limits import BORDER_MS, QUARTER_MS
from logger.domain.spot import NO_SPOTS, Spots
from logger.domain.timespan import EVER, TimeSpan, merged
from logger.report.calendar import Period
from logger.report.charges import Charge, add, charges
from logger.report.counted import Bounds
from logger.report.countervalues import CounterValues, Series
from logger.report.energy import gather, report
from logger.report.energyrow import EnergyRow
from logger.report.events import Event, joined, within
from logger.report.quarters import Owner, QuarterHours, quarter_hours
from logger.report.source import Source

NOTE = (
    "The meter is certified, this record of it is not: it is no bill and no proof of what the "
    "meter shows. What counts is the display of the meter itself."
)
# What a reader of a statement must know; events of all meters concern each.
_NAMED = (
    EventKind.COUNTER_RESET,
    EventKind.METER_SWAPPED,
    EventKind.CLOCK_STEP,
    EventKind.METER_SILENT,
    EventKind.MAINS_OUTAGE,
    EventKind.LOGGER_OUTAGE,
    EventKind.CT_RATIO_CHANGED,
)
_LOOK_BACK_MS = 40 * 86_400_000  # for the serial number, which is told every hour or so


@dataclass(frozen=True, slots=True)
class Register:
    """A counter at the beginning and at the end: the readings (time, kWh) that were taken."""

    name: str
    opening: tuple[int, Decimal]
    closing: tuple[int, Decimal]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A counter when the meter was swapped: the last reading (time, kWh) of the old meter, and
    the first of the new one."""

    name: str
    last: tuple[int, Decimal]
    first: tuple[int, Decimal]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A stretch in which a part of the energy (kWh) is estimated, or nothing is known."""

    span: TimeSpan
    text: str
    drawn: float | None


@dataclass(frozen=True, slots=True)
class Statement:
    """One meter over a span. `serials` are those that it told, each with the first time."""

    meter: str
    role: str
    cost_centre: str | None
    serials: tuple[tuple[int, str], ...]
    registers: tuple[Register, ...]
    rows: tuple[EnergyRow, ...]
    total: EnergyRow
    events: tuple[Event, ...]
    estimates: tuple[Estimate, ...]
    charges: tuple[Charge, ...] = ()
    exchanges: tuple[Exchange, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether nothing broke and nothing was estimated."""
        return self.total.sure and not self.total.divided and not self.estimates


def statement(
    source: Source,
    shown: Sequence[Period],
    meter: str,
    cost_centre: str | None,
    prices: Prices,
    zone: ZoneInfo,
    bounds: Mapping[str, Bounds],
    spots: Spots = NO_SPOTS,
    now_ms: int | None = None,
) -> Statement | None:
    """Return the statement of one meter, None if nothing is known of it in the span.

    What comes after `now_ms` is not missed.

    Standing charges and those on demand are the grid meter's. Raises ReportError when the
    source cannot be asked.
    """
    span = (shown[0].start_ms, shown[-1].end_ms)
    tags = {"meter": (meter,)}
    found, hours = gather(source, shown, prices, zone, tags, bounds)
    if not found.values:
        return None
    role = max(found.values, key=lambda one: found.values[one][-1][0]).role
    own_hours = {Owner(meter, "grid"): _together(hours)} if hours else {}
    grid = role == "grid"
    rows, total = report(_as_grid(found), shown, prices, zone, own_hours, spots, standing=grid)
    if not rows:
        return None
    charged = charges(source, shown, prices, zone, tags, hours) if grid else []
    add([*rows, total], charged)
    events = joined(source.read("event", [EVER], {"kind": _NAMED}, ()))
    own = tuple(one for one in within(events, span) if one.meter in {meter, ""})
    quarters = hours or quarter_hours(source, span, tags)
    return Statement(
        meter,
        role,
        cost_centre,
        _serials(source, span, meter),
        tuple(_registers(found, span)),
        tuple(rows),
        total,
        own,
        tuple(_estimates(tuple(quarters.values()), found, span, now_ms)),
        tuple(charged),
        tuple(_exchanges(found, span)),
    )


def together(statements: Sequence[Statement]) -> EnergyRow:
    """Return what all meters of `statements` counted, and cost."""
    found = EnergyRow("total", 0, 0)
    for one in statements:
        found.add(one.total)
        if one.total.demand_charge is not None:
            found.demand_charge = (found.demand_charge or Decimal(0)) + one.total.demand_charge
    return found


def _as_grid(found: CounterValues) -> CounterValues:
    """Return the values as if the meter were the grid's: all that it counts is bought or sold."""
    values: dict[Series, list[tuple[int, Decimal]]] = {}
    for series, own in found.values.items():
        key = replace(series, role="grid")
        values[key] = sorted({**dict(values.get(key, ())), **dict(own)}.items())
    return CounterValues(values, found.breaks, found.bounds)


def _together(hours: Mapping[Owner, QuarterHours]) -> QuarterHours:
    """Return the quarter hours of a meter, whatever its role was."""
    return {at: quarter for own in hours.values() for at, quarter in own.items()}


def _registers(found: CounterValues, span: TimeSpan) -> Iterable[Register]:
    for series, values in sorted(_as_grid(found).values.items()):
        begin, end = (_reading(values, at) for at in span)
        if begin[0] <= end[0]:
            yield Register(_name(series), begin, end)


def _exchanges(found: CounterValues, span: TimeSpan) -> Iterable[Exchange]:
    counters = sorted(_as_grid(found).values.items())
    for meter, at_ms in sorted({(one.meter, one.at_ms) for one in found.breaks if one.swapped}):
        for series, values in counters:
            place = bisect_left(values, (at_ms, Decimal("-Infinity")))
            inside = series.meter == meter and span[0] <= at_ms < span[1]
            if inside and 0 < place < len(values):
                yield Exchange(_name(series), values[place - 1], values[place])


def _name(series: Series) -> str:
    name = "import" if series.quantity == "active_import" else "export"
    return name if series.tariff == "total" else f"{name}_{series.tariff.lower()}"


def _reading(values: Sequence[tuple[int, Decimal]], at_ms: int) -> tuple[int, Decimal]:
    """Return the reading at a border: the first within 90 s after it, else the last before it,
    else the first of all."""
    place = bisect_left(values, (at_ms, Decimal("-Infinity")))
    if place < len(values) and values[place][0] - at_ms < BORDER_MS:
        return values[place]
    return values[place - 1] if place else values[0]


def _serials(source: Source, span: TimeSpan, meter: str) -> tuple[tuple[int, str], ...]:
    """Return the serial numbers told in a span, and the last one before it."""
    look = (span[0] - _LOOK_BACK_MS, span[1])
    points = sorted(
        source.read("meter", [look], {"meter": (meter,)}, ("serial",)),
        key=lambda point: point.time_ms,
    )
    told = [(point.time_ms, str(point.fields["serial"])) for point in points
            if point.fields.get("serial")]  # fmt: skip
    before = [one for one in told if one[0] < span[0]][-1:]
    inside = [one for one in told if span[0] <= one[0] < span[1]]
    found: list[tuple[int, str]] = []
    for one in [*before, *inside]:
        if not found or found[-1][1] != one[1]:
            found.append(one)
    return tuple(found)


def _estimates(
    hours: Sequence[QuarterHours], found: CounterValues, span: TimeSpan, now_ms: int | None
) -> Iterable[Estimate]:
    """Yield the stretches that are not sure: by the quarter hours, and where counters broke."""
    over = span[1] if now_ms is None else min(span[1], now_ms)
    for own in hours:
        unsure = [at for at, quarter in own.items() if not quarter.sure]
        for begin, end in merged((at, at + QUARTER_MS) for at in unsure):
            inside = [own[at] for at in unsure if begin <= at < end]
            seen = sum(one.coverage for one in inside) / len(inside)
            text = "divided by time, or the power was not read throughout"
            if seen == 0:
                text = "nothing was read: energy is divided by time"
            yield Estimate((begin, end), text, sum(one.drawn for one in inside))
        first, last = min(own), max(own) + QUARTER_MS
        known = set(own)
        lacking = [at for at in range(first, last, QUARTER_MS) if at not in known]
        for gap in merged((at, at + QUARTER_MS) for at in lacking):
            yield Estimate(gap, "no quarter hours are stored", None)
    uncertain = {span for counts in found.counted().values() for span in counts.uncertain}
    for begin, end in merged(uncertain):
        if begin < span[1] and end > span[0]:
            yield Estimate((begin, end), "counters went on from other values: some may lack", None)
    edges = [at for values in found.values.values() for at, _ in (values[0], values[-1])]
    if edges and min(edges) - span[0] >= BORDER_MS:
        yield Estimate((span[0], min(edges)), "no reading before: not counted", None)
    if edges and over - max(edges) >= BORDER_MS:
        yield Estimate((max(edges), over), "no reading since: not counted", None)
