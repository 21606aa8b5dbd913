"""Cost and revenue at the prices that held, in InfluxQL. Pure.

    cost    = sum over tariffs and price periods of import x price
    revenue = sum over price periods of export x price

Import that no tariff counted has the common price, so cost = all import x common price
+ sum over tariffs of their import x (own price - common price): the same sum as in
`report.energy`, and only tariffs with a price of their own are asked for. Energy from
before the first price is in neither. Where a price is an imported one, all is taken from the
costs of quarter hours (`costs`).
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from logger.config.derive import Price
from logger.domain.quantity import TARIFFS
from logger.grafana import costs
from logger.grafana.options import DashboardOptions
from logger.grafana.query import (
    GRID,
    HOUR,
    SETTLE,
    SHOWN,
    SITE,
    TOTAL,
    ZONE,
    Part,
    Period,
    added,
    bounds,
    rises,
    role,
    where,
)  # fmt: skip
from logger.prices.money import exact

_ROSE = '"d" > 0'
# What a kWh costs or earns by an entry of the configuration; None where imported prices tell.
_At = Callable[[Price], Decimal | None]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """From the day `since` on, until the day `until` if it ends, a kWh costs `price`."""

    since: date
    until: date | None
    price: Decimal | None


def cost(
    settings: DashboardOptions, *conditions: str, period: Period = SHOWN, step: str = ""
) -> str:
    """Return what the imported energy cost."""
    if settings.moving:
        return costs.added('sum("cost") AS "money"', *conditions, period=period, step=step)
    return _money([*_buying(settings, conditions, period)], period, step)


def parts_of_cost(
    settings: DashboardOptions, column: str, *conditions: str, period: Period
) -> list[tuple[Part, Period]]:
    """Return what the imported energy cost as parts of a larger sum, in a column `column`."""
    return [
        (Part(part.counter, part.conditions, {column: part.columns["d"]}), own)
        for part, own in _buying(settings, conditions, period)
    ]


def revenue(
    settings: DashboardOptions,
    *conditions: str,
    period: Period = SHOWN,
    step: str = "",
    sign: int = 1,
) -> str:
    """Return what the exported energy earned, times `sign`."""
    if settings.moving:
        select = f'{sign} * sum("revenue") AS "money"'
        return costs.added(select, *conditions, period=period, step=step)
    return _money([*_selling(settings, conditions, period, sign)], period, step)


def net(settings: DashboardOptions, *conditions: str, period: Period = SHOWN) -> str:
    """Return cost less revenue."""
    if settings.moving:
        select = 'sum("cost") - sum("revenue") AS "money"'
        return costs.added(select, *conditions, period=period)
    parts = [
        *_buying(settings, conditions, period),
        *_selling(settings, conditions, period, -1),
    ]
    return _money(parts, period, "")


def saved(settings: DashboardOptions, *, period: Period = SHOWN) -> str:
    """Return what the self-consumed energy would have cost at the tariff that the grid meter
    was in: all of it at the common price, and what fell into a tariff with a price of its
    own at the difference."""
    if settings.moving:
        return costs.saved(period)
    sums = [added([*_staying(settings, period, _common)], period)]
    for number, tariff in enumerate(TARIFFS, start=1):
        if parts := [*_staying(settings, period, _more(tariff))]:
            sums.append(_while_in(number, parts, period))
    parts_of = ", ".join(f"({one})" for one in sums)
    return f'SELECT sum("kWh") AS "money" FROM {parts_of} {ZONE}'


def _staying(settings: DashboardOptions, period: Period, at: _At) -> list[tuple[Part, Period]]:
    """Return PV less export, each times its price."""

    def less(price: Price) -> Decimal | None:
        own = at(price)
        return None if own is None else -own

    return [
        *_parts(settings, "active_export", (SITE, role("pv"), TOTAL), period, at),
        *_parts(settings, "active_export", (SITE, GRID, TOTAL), period, less),
    ]


def _while_in(number: int, parts: list[tuple[Part, Period]], period: Period) -> str:
    """Return the sum over the hours in which the grid meter was in a tariff: that of
    the counter that rose last, since all of it may be exported for hours."""
    hour = f"{HOUR}, {SETTLE}"
    span = where(*bounds(period))
    rose = []
    for each, tariff in enumerate(TARIFFS, start=1):
        part = Part("active_import", (SITE, GRID, _in(tariff)))
        rose.append(
            f'SELECT 0 * "d" + {each} AS "t" FROM ({rises(part, period, stepped=True)}) '
            f"{where(*bounds(period), _ROSE)}"
        )
    tariffs = (
        f'SELECT last("t") AS "t" FROM {", ".join(f"({one})" for one in rose)} {span} '
        f"GROUP BY time({hour}) fill(previous) {ZONE}"
    )
    both = (
        f'SELECT sum("kWh") AS "m", max("t") AS "t" FROM ({added(parts, period, step=hour)}), '
        f"({tariffs}) {span} GROUP BY time({hour}) fill(none) {ZONE}"
    )
    within = where(*bounds(period), f'"t" = {number}')
    return f'SELECT sum("m") AS "kWh" FROM ({both}) {within} {ZONE}'


def _buying(
    settings: DashboardOptions, conditions: tuple[str, ...], period: Period
) -> Iterator[tuple[Part, Period]]:
    yield from _parts(settings, "active_import", (*conditions, TOTAL), period, _common)
    for tariff in TARIFFS:
        own = (*conditions, _in(tariff))
        yield from _parts(settings, "active_import", own, period, _more(tariff))


def _selling(
    settings: DashboardOptions, conditions: tuple[str, ...], period: Period, sign: int
) -> Iterator[tuple[Part, Period]]:

    def earned(price: Price) -> Decimal | None:
        return None if price.sell_formula is not None else sign * exact(price.sell)

    yield from _parts(settings, "active_export", (*conditions, TOTAL), period, earned)


def _in(tariff: str) -> str:
    return f"\"phase\" = 'total' AND \"tariff\" = '{tariff}'"


def _common(price: Price) -> Decimal | None:
    return None if price.buy is None else exact(price.buy)


def _more(tariff: str) -> _At:
    """Return how much more a tariff costs than the common price."""

    def more(price: Price) -> Decimal | None:
        return None if price.buy is None else exact(price.buying(tariff)) - exact(price.buy)

    return more


def _parts(
    settings: DashboardOptions,
    counter: str,
    conditions: tuple[str, ...],
    period: Period,
    at: _At,
) -> Iterator[tuple[Part, Period]]:
    """Yield the energy of each stretch of one price, times that price.

    A stretch begins with the period or with its price, whichever is later. That is not
    known here, so both are written, each with the condition under which it holds; the
    engine reads nothing for the other.
    """
    for stretch in _stretches(settings, at):
        columns = {"d": f"{stretch.price} * "}
        first = _number(stretch.since, settings.zone, period.scale)
        own = period if stretch.until is None else period.until(f"'{stretch.until}'")
        begun = (f"{period.number} >= {first}", *conditions)
        yield Part(counter, begun, columns), own
        later = (f"{period.number} < {first}", *conditions)
        yield Part(counter, later, columns), own.since(f"'{stretch.since}'")


def _stretches(settings: DashboardOptions, at: _At) -> list[_Stretch]:
    """Return the stretches of one fixed price other than 0, by time."""
    found: list[_Stretch] = []
    prices = sorted(settings.prices.valid, key=lambda price: price.since)
    for number, price in enumerate(prices):
        until = prices[number + 1].since if number + 1 < len(prices) else None
        if found and found[-1].until == price.since and found[-1].price == at(price):
            found[-1] = _Stretch(found[-1].since, until, at(price))
        else:
            found.append(_Stretch(price.since, until, at(price)))
    return [each for each in found if each.price]


def _number(day: date, zone: str, scale: str) -> int:
    if scale == "date":
        return int(f"{day:%Y%m%d}")
    return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def _money(parts: list[tuple[Part, Period]], period: Period, step: str) -> str:
    if not parts:  # every price is 0, and so is the sum of what was counted
        parts = [(Part("active_import", (TOTAL,), {"d": "0 * "}), period)]
    return added(parts, period, select='sum("d") AS "money"', step=step)
