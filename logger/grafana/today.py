"""What matters of the day: where energy came from and went, against yesterday, demand. Pure.

The day is that in which the range shown ends, until the end of the range for what is compared
with yesterday, else until the end of that day.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Callable

from logger.grafana import balance, money
from logger.grafana.frame import HEALTH, METERS, SOLAR, TARIFFS
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    LOAD,
    MISSING,
    OWN,
    PLAIN,
    SELL,
    SUN,
    Json,
    coloured,
    limits,
    link,
    stat,
    target,
)  # fmt: skip
from logger.grafana.placing import spread
from logger.grafana.query import ALL_PHASES, DAY, GRID, LATELY, MONTH, SITE, Period, role, where
from logger.grafana.ranking import shares

# The day until the end of the range shown, and the day before until the same time.
_SO_FAR = Period(DAY.start, ("${__to}ms",), DAY.number, DAY.scale)
_YESTERDAY = Period(f"{DAY.start} - 1d", ("${__to}ms - 1d",), DAY.number, DAY.scale)
_MONTH_SO_FAR = Period(MONTH.start, ("${__to}ms",), MONTH.number, MONTH.scale)
_WIDER = "time > now() - 25h"
_BASE = 5  # the percentile that is the base load


def _consumed(settings: DashboardOptions) -> tuple[Callable[[Period], str], ...]:
    """Return the queries of what was consumed in a period, and a year before it."""
    if settings.has("grid"):
        return balance.consumed, balance.consumed_a_year_before
    return (
        lambda period: balance.counter(balance.LOADS, period),
        lambda period: balance.counter_a_year_before(balance.LOADS, period),
    )


def _compared(settings: DashboardOptions) -> list[Json]:
    """Return the consumption of the day and of the month so far, each against earlier ones."""
    ask, ask_before = _consumed(settings)
    until = (
        "until the end of the range shown; a year earlier until the same day and time. What was "
        "read of it counts: a line is missing where nothing was, and short where reading began."
    )
    style = {
        "unit": "suffix:kWh", "decimals": 1, "names": True, "rows": True, "height": 5,
        "empty": "nothing counted", "thresholds": limits(base=LOAD),
        "links": [link("Meters and loads", METERS)] if settings.meters > 1 else [],
    }  # fmt: skip
    return [
        stat(
            "Consumed, day so far",
            f"Consumption of the day in which the range shown ends, {until} Yesterday: until the "
            "same time, 24 hours earlier.",
            [
                target(ask(_SO_FAR), "today"),
                target(ask(_YESTERDAY), "yesterday"),
                target(ask_before(_SO_FAR), "a year ago"),
            ],
            **style,
        ),
        stat(
            "Consumed, month so far",
            f"Consumption of the month in which the range shown ends, {until}",
            [
                target(ask(_MONTH_SO_FAR), "this month"),
                target(ask_before(_MONTH_SO_FAR), "a year ago"),
            ],
            **style,
        ),
    ]


def _base(settings: DashboardOptions) -> str:
    last = "time > now() - 24h"
    if settings.flows:
        site = where(last, SITE)
        return f'SELECT round(percentile("load_power", {_BASE})) AS "W" FROM "site" {site}'
    of = GRID if settings.has("grid") else role("load")
    steps = (
        f'SELECT mean("active_power") AS "p" FROM "power_1m" '
        f"{where(last, SITE, of, ALL_PHASES)} "
        'GROUP BY time(5m), "meter" fill(none)'
    )
    whole = f'SELECT sum("p") AS "s" FROM ({steps}) {where(last)} GROUP BY time(5m) fill(none)'
    # The first step is stamped before the range begins, and the engine gives nothing at all where
    # the range around it is no wider.
    return f'SELECT round(percentile("s", {_BASE})) AS "W" FROM ({whole}) {where(_WIDER)}'


def _demand(settings: DashboardOptions) -> Json:
    limit = settings.events.demand_high
    steps = limits(base=LOAD) if limit is None else limits((0.9 * limit, "orange"), (limit, "red"))
    return stat(
        "Demand of this quarter hour",
        "Netted import of the running quarter hour so far, as a mean of 15 minutes, and what it "
        "comes to if the power stays as it is. Neither is known where the quarter hour began "
        "without readings. Limit: [events] demand_high in the configuration.",
        [
            target(
                f'SELECT last("{name}") AS "kW" FROM "site" {where(LATELY, SITE)}',
                alias,
            )
            for name, alias in (("demand", "so far"), ("demand_forecast", "comes to"))
        ],
        unit="suffix:kW", decimals=2, names=True, rows=True, height=5, thresholds=steps,
        empty="not read since the quarter hour began", missing=MISSING,
        links=[link("Logger and meters", HEALTH)],
    )  # fmt: skip


def _tiles(settings: DashboardOptions) -> list[Json]:
    more = [link("Meters and loads", METERS)] if settings.meters > 1 else []
    found = _compared(settings)
    if settings.has("grid", "pv"):
        found.append(
            stat(
                "Self-sufficiency of the day",
                "Self-sufficiency = (consumed - imported) / consumed, of the day in which the "
                "range shown ends. The PRO380 does not net its phases, so it is lower than by a "
                "netting meter.",
                [target(balance.self_sufficiency(DAY), "Self-sufficiency")],
                unit="percentunit", decimals=0, height=5, empty="nothing consumed",
                thresholds=limits(base=SUN),
                links=[link("PV self-consumption", SOLAR)],
            )
        )  # fmt: skip
    if settings.priced and settings.has("grid"):
        found.append(
            stat(
                "Net cost of the day",
                "Import x its price - export x its price, of the day in which the range shown "
                "ends, without standing charges. Below zero: earned.",
                [target(money.net(settings, SITE, GRID, period=DAY), "Net")],
                unit=settings.money, decimals=2, height=5,
                empty="nothing counted since the first price",
                thresholds=limits((0, BUY), base="green"),
                links=[link("Energy and tariffs", TARIFFS)],
            )
        )  # fmt: skip
    whole = settings.live("grid" if settings.has("grid") else "load")
    if settings.flow_powers or (whole and not settings.has("grid", "pv")):
        found.append(
            stat(
                "Base load",
                f"What is always on: the power of the last 24 hours that only {_BASE} % of the "
                "time was lower.",
                [target(_base(settings), "Base load")],
                unit="watt", height=5, empty="no reading for a day",
                thresholds=limits(base=PLAIN), links=more,
            )
        )  # fmt: skip
    if settings.demand and settings.live("grid"):
        found.append(_demand(settings))
    return found


def _split(settings: DashboardOptions) -> list[Json]:
    if not settings.has("grid", "pv"):
        return []
    of_day = "of the day in which the range shown ends, from the meters' counters."
    return [
        shares(
            "What was consumed came from",
            f"Imported, and own = consumed - imported, {of_day}",
            [
                target(balance.counter(balance.IMPORT, DAY, drawn=True), "Grid"),
                target(balance.own(DAY, drawn=True), "Own"),
            ],
            unit="suffix:kWh", decimals=1, height=7, empty="nothing counted yet",
            overrides=[coloured("Grid", BUY), coloured("Own", OWN)],
        ),
        shares(
            "What was produced went to",
            f"Self-consumed = produced - exported, and exported, {of_day}",
            [
                target(balance.self_consumed(DAY, drawn=True), "Own use"),
                target(balance.counter(balance.EXPORT, DAY, drawn=True), "Grid"),
            ],
            unit="suffix:kWh", decimals=1, height=7, empty="nothing produced yet",
            overrides=[coloured("Own use", OWN), coloured("Grid", SELL)],
        ),
    ]  # fmt: skip


def today(settings: DashboardOptions) -> list[Json]:
    """Return the panels of the day, without a heading; none for a site of PV meters only."""
    if not settings.roles & {"grid", "load"}:
        return []
    return [*spread(_tiles(settings), 6), *spread(_split(settings), 2)]
