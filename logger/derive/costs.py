"""`cost_15m`: what each meter's quarter hour cost and earned, at prices that move. Pure.

    cost, revenue   import x its price, export x its price          `prices.money`
    worth           export x the price of an import: what it would have cost to buy

Only for a configuration with imported prices: where all are fixed, the counters tell more. A
quarter whose price is not there yet says so by `priced_import` and `priced_export`; it is made
anew by `report.costs` once the price is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from logger.domain.quantity import DRAWN_IN
from logger.domain.records import EnergyCost, EnergyQuarter
from logger.prices.money import PriceList

_ZERO = Decimal(0)


def cost_of(
    prices: PriceList,
    quarter: tuple[str, str, int],
    drawn: Decimal,
    fed: Decimal,
    tariffs: Mapping[str, Decimal],
) -> EnergyCost | None:
    """Return what the energy (kWh) of a quarter hour of a meter (name, role, time in ms) cost
    and earned; None before the first price. `tariffs` are parts of `drawn`, by "T1" to "T4"."""
    meter, role, at_ms = quarter
    if prices.at(at_ms) is None:
        return None
    money = prices.money(at_ms, drawn, fed, tariffs)
    return EnergyCost(
        meter=meter,
        role=role,
        at_ms=at_ms,
        cost=money.cost,
        revenue=money.revenue,
        worth=prices.worth(at_ms, fed),
        priced_import=_ZERO if money.cost is None else drawn,
        priced_export=_ZERO if money.revenue is None else fed,
    )


class EnergyCosts:
    """Makes costs of quarter hours, by the prices that it was told last."""

    def __init__(self) -> None:
        self._prices: PriceList | None = None

    def take(self, prices: PriceList) -> None:
        """Go on with these prices."""
        self._prices = prices

    def feed(self, quarter: EnergyQuarter, at_ms: int) -> list[EnergyCost]:
        """Return the cost of a quarter hour that is kept under the time `at_ms`."""
        if self._prices is None:
            return []
        found_in = quarter.tariffs
        tariffs = {one: found_in[name] for one, name in DRAWN_IN.items() if name in found_in}
        own = (quarter.meter, quarter.role, at_ms)
        found = cost_of(self._prices, own, quarter.drawn, quarter.fed, tariffs)
        return [] if found is None else [found]
