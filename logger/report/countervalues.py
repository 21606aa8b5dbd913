"""Counter values at the moments that matter: at boundaries and around breaks.

A year holds millions of counter values; a report by day needs 367 of each. Only where
one is missing its neighbours are looked for, wider and wider.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from logger.derive.events import EventKind
from logger.derive.registers import ceiling
from logger.domain.limits import BORDER_MS
from logger.domain.quantity import Quantity
from logger.domain.timespan import TimeSpan, merged
from logger.report.counted import Bounds, Break, Counted, counted
from logger.report.source import Source, Tags

# How far to look for the neighbours of a missing one: 20 min, 2 h, 2 d, 40 d, 400 d.
_REACHES_MS = (1_200_000, 7_200_000, 2 * 86_400_000, 40 * 86_400_000, 400 * 86_400_000)
_FAR_MS = 2 * 86_400_000  # of what is read so far around, only neighbours are kept
_FIELDS = ("active_import", "active_export")
# Of a meter about which nothing is known: as fast as the largest transformers allow.
_ANY = Bounds(ceiling(Quantity("active_import", "total", "total"), None, 1.5, 3_600_000))


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """One counter: its meter, what it counts, its tariff ("total", "T1", ...)."""

    meter: str
    role: str
    quantity: str
    tariff: str


@dataclass(slots=True)
class CounterValues:
    """Values of all counters, each at increasing times, and the breaks among them."""

    values: dict[Series, list[tuple[int, Decimal]]] = field(default_factory=dict)
    breaks: list[Break] = field(default_factory=list)
    bounds: Mapping[str, Bounds] = field(default_factory=dict)

    def bounds_of(self, meter: str) -> Bounds:
        """Return the bounds of a meter's counters."""
        return self.bounds.get(meter, _ANY)

    def counted(self) -> dict[Series, Counted]:
        """Return what each counter counted."""
        return {
            series: counted(
                values,
                [each for each in self.breaks if each.meter == series.meter],
                self.bounds_of(series.meter),
            )
            for series, values in self.values.items()
        }

    def add(self, found: dict[Series, dict[int, Decimal]]) -> None:
        """Take in more values; what is known already stays."""
        for series, values in found.items():
            known = dict(self.values.get(series, ()))
            self.values[series] = sorted((known | values).items())


def breaks(source: Source, span: TimeSpan) -> list[Break]:
    """Return the counter resets and meter swaps in `span`, by time."""
    kinds = {"kind": (EventKind.COUNTER_RESET, EventKind.METER_SWAPPED)}
    found = [
        Break(point.tags["meter"], point.time_ms, point.tags["kind"] == EventKind.METER_SWAPPED)
        for point in source.read("event", [span], kinds, ("text",))
        if "meter" in point.tags
    ]
    return sorted(found, key=lambda found: found.at_ms)


def counter_values(
    source: Source,
    boundaries: Sequence[int],
    tags: Tags,
    bounds: Mapping[str, Bounds] | None = None,
) -> CounterValues:
    """Return the counter values at `boundaries` (ms UTC) and around breaks, as far as
    there are any, for the meters that `tags` choose. `bounds` are those of the meters."""
    margin = _REACHES_MS[1]
    span = (boundaries[0] - margin, boundaries[-1] + margin)
    found = CounterValues(breaks=breaks(source, span), bounds=bounds or {})
    chosen: Tags = {"phase": ("total",), **tags}
    found.add(_read(source, [(at, at + BORDER_MS) for at in boundaries], chosen))
    seen = 0  # how far around a lacking boundary everything is known
    for reach in _REACHES_MS:
        for meter, spans in _lacking(found, boundaries, seen, reach).items():
            own: Tags = {**chosen, "meter": (meter,)} if meter else chosen
            near = None if reach < _FAR_MS else _moments(found, boundaries)
            found.add(_read(source, spans, own, near))
        seen = reach
    for meter, spans in _odd(found, margin).items():
        found.add(_read(source, spans, {**chosen, "meter": (meter,)}))
    return found


def _odd(found: CounterValues, margin: int) -> dict[str, list[TimeSpan]]:
    """Return the spans, by meter, at whose end a counter shows what it cannot have come to:
    only all of the readings between can tell what happened, and when."""
    spans: dict[str, set[TimeSpan]] = {}
    for series, values in found.values.items():
        bounds = found.bounds_of(series.meter)
        for (since, before), (until, after) in pairwise(values):
            if not bounds.plain(before, after, until - since):
                spans.setdefault(series.meter, set()).add((since, until + margin))
    return {meter: merged(own) for meter, own in spans.items()}


def _lacking(
    found: CounterValues, boundaries: Sequence[int], seen: int, reach: int
) -> dict[str, list[TimeSpan]]:
    """Return the spans to read, by meter ("" for all), for what `seen` did not show."""
    if not found.values:
        return {"": merged((at - reach, at + reach) for at in boundaries)}
    spans: dict[str, set[TimeSpan]] = {}
    for series, values in found.values.items():
        own = spans.setdefault(series.meter, set())
        broken = {each.at_ms for each in found.breaks if each.meter == series.meter}
        times = [at for at, _ in values]
        for at in {*boundaries, *broken}:
            place = bisect_left(times, at)
            after = times[place] - at if place < len(times) else None
            exact = after is not None and after < BORDER_MS
            if exact and at not in broken:
                continue
            # The nearest value lies no further away than one that is known.
            if place == 0 or at - times[place - 1] > seen:
                own.add((max(at - reach, times[place - 1] + 1) if place else at - reach, at))
            if not exact and (after is None or after > seen):
                own.add((at, at + reach if after is None else min(at + reach, at + after)))
    return {meter: merged(own) for meter, own in spans.items() if own}


def _moments(found: CounterValues, boundaries: Sequence[int]) -> list[int]:
    return sorted({*boundaries, *(each.at_ms for each in found.breaks)})


def _read(
    source: Source, spans: Iterable[TimeSpan], tags: Tags, near: Sequence[int] | None = None
) -> dict[Series, dict[int, Decimal]]:
    """Return what `source` has; if `near` is given, only the first and the last value of each
    counter between each two of these moments: there may be very many."""
    found: dict[Series, dict[int, Decimal]] = {}
    ends: dict[tuple[Series, int], tuple[int, int]] = {}
    for point in source.read("energy", list(spans), tags, _FIELDS):
        if not {"meter", "role"} <= point.tags.keys():
            continue
        for quantity in _FIELDS:
            value = point.fields.get(quantity)
            if value is None:
                continue
            series = Series(
                point.tags["meter"],
                point.tags["role"],
                quantity,
                point.tags.get("tariff", "total"),
            )
            # A float64 that came from few digits gives them back.
            at, values = point.time_ms, found.setdefault(series, {})
            values[at] = Decimal(repr(float(value)))
            if near is not None:
                place = (series, bisect_right(near, at))
                first, last = ends.get(place, (at, at))
                for other in {first, last} - {min(first, at), max(last, at)}:
                    del values[other]  # it lies between
                if first < at < last:
                    del values[at]
                ends[place] = min(first, at), max(last, at)
    return found
