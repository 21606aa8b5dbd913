"""Kept prices as points of measurement `price`, one for each quarter hour. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from zoneinfo import ZoneInfo

from logger.config.derive import Prices
from logger.domain.spot import PriceKind, Spot
from logger.domain.times import day_of
from logger.points.line import FieldValue, Point

Price = Callable[[int, Decimal], Decimal | None]


def final(prices: Prices, kind: PriceKind, zone: ZoneInfo) -> Price:
    """Return what makes of a beginning and a price of the market what a kWh costs or earns
    then by the formula that holds; None where none does."""

    def price(at_ms: int, spot: Decimal) -> Decimal | None:
        held = prices.on(day_of(at_ms, zone))
        if held is None:
            return None
        formula = held.buy_formula if kind is PriceKind.IMPORT else held.sell_formula
        return None if formula is None else formula.price(spot)

    return price


def points(site: str, kind: PriceKind, spot: Spot, price: Price) -> Iterator[Point]:
    """Yield the points of prices."""
    for at_ms in sorted(spot):
        fields: dict[str, FieldValue] = {"spot": float(spot[at_ms])}
        if (own := price(at_ms, spot[at_ms])) is not None:
            fields["price"] = float(own)
        yield Point("price", {"site": site, "kind": kind.tag}, fields, at_ms)
