"""What energy costs and earns: the one place where energy meets prices. Pure.

    cost    = sum over tariffs and days of import x price                     fixed prices
            = sum over quarter hours of import x formula(imported price)      prices that move
    revenue = sum of export x price, by the day or by the quarter hour
    formula(p) = (p x factor + markup + levies) x (1 + vat)

Import that no tariff counted has the common price. A missing price is no price of 0: its energy
is in no sum, but in `unpriced`. All sums are of decimals, and the same at every resolution.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from logger.config.derive import Price, Prices
from logger.domain.limits import QUARTER_MS
from logger.domain.spot import PriceKind, Spots
from logger.domain.times import day_of, midnight_ms, next_day
from logger.domain.timespan import TimeSpan

_ZERO = Decimal(0)


@dataclass(slots=True)
class Money:
    """Of one cell of energy: what it cost and earned, None without a price; the energy (kWh)
    that has none, and whether an imported price is missing."""

    cost: Decimal | None = None
    revenue: Decimal | None = None
    unpriced: Decimal = _ZERO
    missing: bool = False


class PriceList:
    """The prices of the configuration and those imported, by moment."""

    def __init__(self, prices: Prices, spots: Spots, zone: ZoneInfo) -> None:
        self._zone = zone
        self._valid = sorted(prices.valid, key=lambda price: price.since)
        self._since = [midnight_ms(price.since, zone) for price in self._valid]
        self._spots = {kind: spots.get(kind, {}) for kind in PriceKind}

    def at(self, moment_ms: int) -> Price | None:
        """Return the entry of the configuration that holds, None before the first."""
        place = bisect_right(self._since, moment_ms) - 1
        return self._valid[place] if place >= 0 else None

    def changes(self, span: TimeSpan) -> set[int]:
        """Return the moments inside of a span at which a price may change."""
        first, last = span
        found = {at for at in self._since if first < at < last}
        for place, price in enumerate(self._valid):
            if not price.moving:
                continue
            begin = max(first, self._since[place])
            end = self._since[place + 1] if place + 1 < len(self._since) else last
            found.update(range(begin - begin % QUARTER_MS, min(end, last), QUARTER_MS))
        return {at for at in found if first < at < last}

    def moving(self, span: TimeSpan) -> bool:
        """Whether imported prices are needed for a span."""
        return any(
            price.moving
            and self._since[place] < span[1]
            and (place + 1 == len(self._since) or self._since[place + 1] > span[0])
            for place, price in enumerate(self._valid)
        )

    def money(
        self, at_ms: int, drawn: Decimal, fed: Decimal, tariffs: Mapping[str, Decimal]
    ) -> Money:
        """Return what energy (kWh) of a cell that begins at `at_ms` cost and earned.

        A cell lies within one entry, and within one quarter hour where prices move. `tariffs`
        are the parts of `drawn` that a tariff counted.
        """
        price = self.at(at_ms)
        if price is None:
            return Money(unpriced=drawn + fed)
        found = Money()
        if price.buy_formula is None:
            # The rest may be below zero by the counters' last digits: only a sum without a
            # threshold is the same for every cell size.
            rest = drawn - sum(tariffs.values(), _ZERO)
            found.cost = rest * exact(price.buying("total")) + sum(
                (energy * exact(price.buying(name)) for name, energy in tariffs.items()), _ZERO
            )
        else:
            found.cost = self._moved(found, PriceKind.IMPORT, price, at_ms, drawn)
        if price.sell_formula is None:
            found.revenue = fed * exact(price.sell)
        else:
            found.revenue = self._moved(found, PriceKind.EXPORT, price, at_ms, fed)
        return found

    def _moved(
        self, found: Money, kind: PriceKind, price: Price, at_ms: int, energy: Decimal
    ) -> Decimal | None:
        """Return energy times the imported price by its formula; note what has none."""
        start = at_ms - at_ms % QUARTER_MS
        spot = self._spots[kind].get(start)
        if spot is None:
            found.unpriced += energy
            found.missing |= bool(energy)
            return None
        formula = price.buy_formula if kind is PriceKind.IMPORT else price.sell_formula
        assert formula is not None
        return energy * formula.price(spot)

    def worth(self, at_ms: int, fed: Decimal) -> Decimal | None:
        """Return what energy that was fed back would have cost to buy; None without a price,
        and where it depends on the tariff, which is that of another meter."""
        price = self.at(at_ms)
        if price is None or price.by_tariff:
            return None
        if price.buy_formula is None:
            return fed * exact(price.buying("total"))
        return self._moved(Money(), PriceKind.IMPORT, price, at_ms, fed)

    def standing(self, span: TimeSpan) -> Decimal:
        """Return the standing charges of a span: by day, of a month in equal parts by day, of
        a part of a day by time."""
        found = _ZERO
        day = day_of(span[0], self._zone)
        while (begin := midnight_ms(day, self._zone)) < span[1]:
            after = next_day("day", day)
            end = midnight_ms(after, self._zone)
            if price := self.at(begin):
                month = next_day("month", day) - day.replace(day=1)
                whole = exact(price.standing_day) + exact(price.standing_month) / month.days
                inside = min(end, span[1]) - max(begin, span[0])
                found += whole if inside == end - begin else whole * inside / (end - begin)
            day = after
        return found

    @property
    def charged(self) -> bool:
        """Whether there are standing charges."""
        return any(price.standing_day or price.standing_month for price in self._valid)

    def entries(self, span: TimeSpan) -> list[Price]:
        """Return the entries that hold within a span, by time."""
        first = max(0, bisect_right(self._since, span[0]) - 1)
        return self._valid[first : bisect_left(self._since, span[1])]


def exact(price: float) -> Decimal:
    """Return a price as its digits in the configuration say."""
    return Decimal(str(price))
