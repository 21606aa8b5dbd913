"""Prices of the market: one for each quarter hour of UTC, and which are missing. Pure.

A price of an hour, or of a day, is that of each of its quarter hours. What a supplier makes
of it (markup, levies, VAT) is the formula of the configuration, applied when it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise

from logger.domain.limits import QUARTER_MS
from logger.domain.timespan import TimeSpan, merged


class PriceKind(StrEnum):
    """What is priced: energy that is drawn, or that is fed back."""

    IMPORT = "import"
    EXPORT = "export"

    @property
    def tag(self) -> str:
        """The tag `kind` of measurement `price`: as the keys of `[prices]` are called."""
        return "buy" if self is PriceKind.IMPORT else "sell"


# A kWh, in the currency of the configuration, by the beginning of the quarter, ms UTC.
Spot = Mapping[int, Decimal]
Spots = Mapping[PriceKind, Spot]
NO_SPOTS: Spots = {}


def quarters(span: TimeSpan) -> range:
    """Return the beginnings of the quarter hours of a span that begins and ends with one."""
    return range(span[0], span[1], QUARTER_MS)


def stretches(starts: Iterable[int]) -> list[TimeSpan]:
    """Return quarter hours as spans without a gap."""
    return merged((start, start + QUARTER_MS) for start in starts)


def gaps(spot: Spot) -> list[TimeSpan]:
    """Return the spans between the first and the last price in which there is none."""
    held = stretches(spot)
    return [(before[1], after[0]) for before, after in pairwise(held)]


def runs(spot: Spot) -> list[tuple[TimeSpan, Decimal]]:
    """Return the spans of one price each, by time: no longer than an hour, as markets have
    them, and within an hour of UTC."""
    found: list[tuple[TimeSpan, Decimal]] = []
    for start in sorted(spot):
        price = spot[start]
        if found and found[-1][0][1] == start and start % (4 * QUARTER_MS):
            (begin, _), before = found[-1]
            if before == price:
                found[-1] = ((begin, start + QUARTER_MS), price)
                continue
        found.append(((start, start + QUARTER_MS), price))
    return found
