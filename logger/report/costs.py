"""Costs of stored quarter hours, made anew: once a price came late, or was corrected. Pure.

Each point of `energy_15m` gives one of `cost_15m` with its time and tags, which replaces the one
that was there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from logger.derive.costs import cost_of
from logger.domain.quantity import DRAWN_IN
from logger.domain.timespan import TimeSpan
from logger.points.encode import point
from logger.points.line import Point
from logger.prices.money import PriceList
from logger.report.source import Source

_FIELDS = ("import", "export", *DRAWN_IN.values())


def costs(
    sources: Sequence[Source], span: TimeSpan, site: str, prices: PriceList
) -> Iterator[Point]:
    """Yield the costs of all quarter hours within a span, by time; what a later source has
    counts. Raises ReportError when a source cannot be asked."""
    quarters = {
        (one.tags["meter"], one.tags["role"], one.time_ms): one.fields
        for source in sources
        for one in source.read("energy_15m", [span], {}, _FIELDS)
        if {"meter", "role"} <= one.tags.keys() and {"import", "export"} <= one.fields.keys()
    }
    for key in sorted(quarters, key=lambda one: one[2]):
        own = {name: Decimal(repr(float(value))) for name, value in quarters[key].items()
               if name in _FIELDS}  # fmt: skip
        tariffs = {tariff: own[name] for tariff, name in DRAWN_IN.items() if name in own}
        found = cost_of(prices, key, own["import"], own["export"], tariffs)
        if found is not None:
            yield point(found, site)
