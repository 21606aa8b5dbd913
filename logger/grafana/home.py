"""The dashboard "Home": now, the day, the month, the year. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Callable

from logger.grafana import balance, costs, money
from logger.grafana import flow as flowing
from logger.grafana.frame import HOME, TARIFFS, dashboard, events, variables
from logger.grafana.frame import PHASES as PHASE_BOARD
from logger.grafana.now import flows, grid
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    CHARGE,
    DISCHARGE,
    LOAD,
    OWN,
    SELL,
    SUN,
    WIDTH,
    Json,
    bars,
    coloured,
    curves,
    link,
    row,
    stat,
    target,
)  # fmt: skip
from logger.grafana.placing import spread
from logger.grafana.query import (
    ALL_PHASES,
    DAY,
    GRID,
    MONTH,
    RANGE,
    SHOWN,
    SITE,
    YEAR,
    Period,
    role,
    where,
)
from logger.grafana.today import today

_UNTIL = "${__to:date:YYYY-MM-DD}"
_PERIODS: tuple[tuple[str, Period], ...] = (
    (f"Day {_UNTIL}", DAY),
    (f"Month until {_UNTIL}", MONTH),
    (f"Year until {_UNTIL}", YEAR),
)
# Grafana 9 and 10 put the range of the dashboard into a query, not that of the panel: the query
# reaches back from there by itself. What then lies before the range of the panel is not drawn.
_LAST = "31d"
_LATELY = SHOWN.since(f"{SHOWN.start} - {_LAST}")
_CALENDAR = "From the first reading of the day, month or year in which the range shown ends"


Energy = Callable[[Period], str]


def _energies(settings: DashboardOptions) -> list[tuple[str, str, Energy]]:
    """Return name, colour and query of each sum that the meters allow."""
    found: list[tuple[str, str, Energy]] = []
    if settings.has("grid"):
        found.append(("Imported", BUY, lambda period: balance.counter(balance.IMPORT, period)))
        found.append(("Exported", SELL, lambda period: balance.counter(balance.EXPORT, period)))
    if settings.has("pv"):
        found.append(("Produced", SUN, lambda period: balance.counter(balance.PRODUCED, period)))
    if settings.has("battery"):
        found.append(("Charged", CHARGE, lambda p: balance.counter(balance.CHARGED, p)))
        found.append(("Discharged", DISCHARGE, lambda p: balance.counter(balance.DISCHARGED, p)))
    if settings.has("grid", "pv"):
        found.append(("Self-consumed", OWN, balance.self_consumed))
    if settings.has("grid") and settings.roles & {"pv", "battery"}:
        found.append(("Consumed", LOAD, balance.consumed))
    if not settings.has("grid") and settings.has("load"):
        found.append(("Measured loads", LOAD, lambda p: balance.counter(balance.LOADS, p)))
    return found


def _sums(settings: DashboardOptions) -> list[Json]:
    energies = _energies(settings)
    found = [
        stat(
            title,
            f"{_CALENDAR}, from the meters' counters: self-consumed = produced - exported, "
            "consumed = imported - exported + produced + discharged - charged.",
            [target(ask(period), name) for name, _, ask in energies],
            unit="suffix:kWh", decimals=1, names=True, rows=True, width=8,
            height=2 + max(3, len(energies)),
            empty="nothing counted yet",
            overrides=[coloured(name, colour) for name, colour, _ in energies],
            links=[link("Energy and tariffs", TARIFFS)],
        )
        for title, period in _PERIODS
    ]  # fmt: skip
    return found + (_money(settings) if settings.priced and settings.has("grid") else [])


def _money(settings: DashboardOptions) -> list[Json]:
    found = []
    for title, period in _PERIODS:
        asked = [target(money.cost(settings, SITE, GRID, period=period), "Cost")]
        if settings.has("pv") or settings.has("battery"):
            asked.append(target(money.revenue(settings, SITE, GRID, period=period), "Feed-in"))
        if settings.has("pv"):
            asked.append(target(money.saved(settings, period=period), "Saved"))
        found.append(
            stat(
                f"Money, {title[0].lower()}{title[1:]}",
                f"{_CALENDAR}. {_moving() if settings.moving else _fixed()}",
                asked,
                unit=settings.money, decimals=2, names=True, rows=True, width=8, height=5,
                empty="nothing counted since the first price",
                overrides=[
                    coloured("Cost", BUY), coloured("Feed-in", SELL), coloured("Saved", OWN),
                ],
            )
        )  # fmt: skip
    return found


def _fixed() -> str:
    return (
        "Cost = imported energy of each tariff x its price. Feed-in = exported energy x its "
        "price. Saved = self-consumed energy x the price of the tariff that the grid meter "
        "counted in last. All at the prices that held at the time ([prices] in the "
        "configuration), without standing charges."
    )


def _moving() -> str:
    return (
        "Cost = imported energy x its price. Feed-in = exported energy x its price. Saved = what "
        "the self-consumed energy would have cost to buy in its quarter hour, except where "
        f"tariffs have prices of their own. {costs.PRICES}"
    )


def _chart(settings: DashboardOptions) -> Json:
    def flow(field: str) -> str:
        return (
            f'SELECT round(mean("{field}")) FROM "site" {where(RANGE, SITE)} '
            "GROUP BY time($__interval) fill(null)"
        )

    def of_role(name: str, sign: str = "") -> str:
        inner = (
            f'SELECT {sign}mean("active_power") AS "p" FROM "power_1m" '
            f"{where(RANGE, SITE, role(name), ALL_PHASES)} "
            'GROUP BY time($__interval), "meter" fill(none)'
        )
        return (
            f'SELECT round(sum("p")) FROM ({inner}) {where(RANGE)} '
            "GROUP BY time($__interval) fill(null)"
        )

    asked = []
    if settings.live("pv"):
        asked.append(target(of_role("pv", "-1 * "), "PV"))
    if settings.live("battery"):
        asked.append(target(of_role("battery"), "Battery"))
    if settings.flow_powers:
        asked.append(target(flow("load_power"), "Load"))
    if settings.live("grid"):
        asked.append(target(of_role("grid"), "Grid"))
    elif settings.live("load"):
        asked.append(target(of_role("load"), "Measured loads"))
    return curves(
        "Power",
        "Means over the range shown. Grid: negative is export. Battery: negative is discharge. "
        + (flowing.load_formula(settings) if settings.flow_powers else ""),
        asked,
        unit="watt", interval="1m", points=720, fill=12, width=12, height=9, legend=(),
        overrides=[
            coloured("PV", SUN), coloured("Load", LOAD), coloured("Grid", BUY),
            coloured("Battery", CHARGE), coloured("Measured loads", LOAD),
        ],
        links=[link("Phases", PHASE_BOARD)],
    )  # fmt: skip


def _days(settings: DashboardOptions) -> Json:
    asked = []
    if settings.has("grid", "pv"):
        asked.append(target(balance.self_consumed(_LATELY, step="1d"), "Self-consumed"))
    elif settings.has("pv"):
        asked.append(target(balance.counter(balance.PRODUCED, _LATELY, step="1d"), "Produced"))
    if settings.has("grid"):
        asked.append(target(balance.counter(balance.IMPORT, _LATELY, step="1d"), "Imported"))
        exported = balance.counter(balance.EXPORT, _LATELY, step="1d", sign="-1 * ")
        asked.append(target(exported, "Exported"))
    elif settings.has("load"):
        asked.append(target(balance.counter(balance.LOADS, _LATELY, step="1d"), "Measured loads"))
    if settings.has("battery"):
        asked.append(target(balance.counter(balance.DISCHARGED, _LATELY, step="1d"), "Discharged"))
        charged = balance.counter(balance.CHARGED, _LATELY, step="1d", sign="-1 * ")
        asked.append(target(charged, "Charged"))
    return bars(
        "Energy by day",
        "The last 31 days, or the range that was chosen by dragging. Exported and charged stand "
        "below the line. A day after an outage holds what was counted meanwhile.",
        asked,
        unit="suffix:kWh", last=_LAST, interval="1d", width=12, height=9, legend=(),
        overrides=[
            coloured("Self-consumed", OWN), coloured("Imported", BUY),
            coloured("Exported", SELL), coloured("Produced", SUN), coloured("Measured loads", LOAD),
            coloured("Charged", CHARGE), coloured("Discharged", DISCHARGE),
        ],
        links=[link("Energy and tariffs", TARIFFS)],
    )  # fmt: skip


def home(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    drawn = flowing.shows(settings)
    now = [*([] if drawn else flows(settings)), *grid(settings)]
    day = today(settings)
    charts = [_days(settings)]
    if drawn:
        picture, curve = flowing.picture(settings), _chart(settings)
        curve["gridPos"]["w"] = WIDTH - picture["gridPos"]["w"]
        now = [picture, curve, *now]
    elif settings.measures("active_power"):
        charts = [_chart(settings), *charts]
    return dashboard(
        HOME,
        "The installation at a glance.",
        [
            *([row("Now")] if now else []),
            *now,
            *([row("The day")] if day else []),
            *day,
            *spread(charts, 2),
            row("Energy and money"),
            *_sums(settings),
        ],
        settings,
        names=variables(settings),
        start="now/d",
        refresh="1m",
        marks=events(shown=False),
    )
