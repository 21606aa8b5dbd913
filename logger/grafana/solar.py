"""The dashboard "PV self-consumption": what became of the sun's energy. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Callable

from logger.grafana import balance
from logger.grafana import flow as flowing
from logger.grafana.frame import SOLAR, dashboard, variables
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    CHARGE,
    DAILY,
    DISCHARGE,
    LOAD,
    NO_DAY,
    OWN,
    SELL,
    SUN,
    Json,
    bars,
    coloured,
    curves,
    limits,
    row,
    stat,
    target,
)  # fmt: skip
from logger.grafana.pattern import MONTHS
from logger.grafana.query import RANGE, SHOWN, SITE, Period, month, where
from logger.grafana.ranking import monthly

NO_PV = "nothing counted by a PV meter"
_NETTING = (
    "The PRO380 does not net its phases: a house that imports on one phase while it exports on "
    "another counts both, so this is lower than by a netting utility meter."
)
_FORMULA = {
    "Self-consumption": "self-consumed / produced",
    "Self-sufficiency": "(consumed - imported) / consumed",
}
_RATIOS = {
    "Self-consumption": (balance.self_consumption, OWN),
    "Self-sufficiency": (balance.self_sufficiency, SUN),
}
Energy = Callable[[Period], str]


def _of(counter: tuple[str, str]) -> Energy:
    return lambda period: balance.counter(counter, period)


def _months(title: str, energy: Energy, colour: str, text: str) -> Json:
    return monthly(
        title,
        f"{text}, in each month of the year that the range ends in, in local time.",
        [target(energy(month(i)), name) for i, name in enumerate(MONTHS, 1)],
        colour,
        empty=NO_PV,
    )


def _sums(settings: DashboardOptions) -> dict[str, tuple[Energy, str, str]]:
    found: dict[str, tuple[Energy, str, str]] = {
        "Produced": (_of(balance.PRODUCED), SUN, "Energy of all PV meters."),
        "Self-consumed": (balance.self_consumed, OWN, "Produced - exported."),
        "Exported": (_of(balance.EXPORT), SELL, "Fed into the grid, by the grid meter."),
        "Imported": (_of(balance.IMPORT), BUY, "Drawn from the grid, by the grid meter."),
        "Consumed": (balance.consumed, LOAD, "Imported - exported + produced."),
    }
    if settings.has("battery"):
        found |= {
            "Charged": (_of(balance.CHARGED), CHARGE, "What went into the batteries."),
            "Discharged": (_of(balance.DISCHARGED), DISCHARGE, "What came out of them."),
            "Consumed": (
                balance.consumed, LOAD, "Imported - exported + produced + discharged - charged.",
            ),
        }  # fmt: skip
    return found


def _panels(settings: DashboardOptions) -> list[Json]:
    """Return the panels of a site with a grid meter."""
    sums = _sums(settings)
    share = {"unit": "percentunit", "decimals": 1, "empty": NO_PV}
    colours = [coloured(name, colour) for name, (_, colour, _) in sums.items()]
    inside = where(RANGE, SITE)
    flow = f'SELECT round(mean("%s")) FROM "site" {inside} GROUP BY time($__interval) fill(null)'
    battery = [target(flow % "battery_power", "Battery")] if settings.live("battery") else []
    power: list[Json] = [
        row("Power"),
        curves(
            "Power flows",
            "Means of the site's flows. Self-consumption = PV power less what flows into the grid. "
            f"{flowing.load_formula(settings)} Negative grid power is export. For ranges up to "
            "some weeks: longer ones are better told by the energy below.",
            [
                target(flow % "pv_power", "PV"),
                target(flow % "self_consumption_power", "Self-consumption"),
                target(flow % "load_power", "Load"),
                target(flow % "grid_power", "Grid"),
                *battery,
            ],
            unit="watt", interval="1m", points=720, fill=8, height=9, empty=NO_PV,
            overrides=[
                coloured("PV", SUN), coloured("Self-consumption", OWN), coloured("Load", LOAD),
                coloured("Grid", BUY), coloured("Battery", CHARGE),
            ],
        ),
    ]  # fmt: skip
    if not settings.flow_powers:
        power = []
    panels: list[Json] = [row("The range shown")]
    for title, (ratio, colour) in _RATIOS.items():
        panels.append(
            stat(
                title,
                f"{title} = {_FORMULA[title]}, a ratio of sums over the range shown; blank where "
                f"the divisor is 0. {_NETTING}",
                [target(ratio(), title)],
                width=6, height=2 + len(sums), thresholds=limits(base=colour), **share,
            )
        )  # fmt: skip
    panels += [
        stat(
            "Energy in this range",
            " ".join(f"{name}: {text}" for name, (_, _, text) in sums.items()),
            [target(energy(SHOWN), name) for name, (energy, _, _) in sums.items()],
            unit="suffix:kWh", decimals=1, width=12, height=2 + len(sums), names=True, rows=True,
            empty=NO_PV, overrides=colours,
        ),
        *power,
        row("Days"),
        bars(
            "Where the production went",
            "Energy produced each day: self-consumed + exported = produced.",
            [
                target(balance.self_consumed(step="1d"), "Self-consumed"),
                target(balance.counter(balance.EXPORT, step="1d"), "Exported"),
            ],
            unit="suffix:kWh", **DAILY, width=12, interval="1d", empty=NO_DAY, overrides=colours,
        ),
        bars(
            "Where the consumption came from",
            "Energy consumed each day: self-consumed + imported, and what a battery adds.",
            [
                target(balance.self_consumed(step="1d"), "Self-consumed"),
                target(balance.counter(balance.IMPORT, step="1d"), "Imported"),
            ],
            unit="suffix:kWh", **DAILY, width=12, interval="1d", empty=NO_DAY, overrides=colours,
        ),
        curves(
            "Self-consumption and self-sufficiency by day",
            "Self-consumption = self-consumed / produced, self-sufficiency = (consumed - imported) "
            f"/ consumed, ratios of the day's sums; no point where the divisor is 0. {_NETTING}",
            [
                target(ratio(step="1d"), title) for title, (ratio, _) in _RATIOS.items()
            ],
            interval="1d", legend=(),
            overrides=[coloured(title, colour) for title, (_, colour) in _RATIOS.items()],
            axis={
                "drawStyle": "line", "lineInterpolation": "stepAfter", "lineWidth": 2,
                "spanNulls": 180_000_000, "showPoints": "auto",
            },
            defaults={"min": 0, "max": 1}, **{**share, "empty": NO_DAY},
        ),
        row("Months"),
        _months("Produced by month", _of(balance.PRODUCED), SUN, "Energy of all PV meters"),
        _months("Self-consumed by month", balance.self_consumed, OWN, "Production used on site"),
        _months("Exported by month", _of(balance.EXPORT), SELL, "Energy fed into the grid"),
        _months("Imported by month", _of(balance.IMPORT), BUY, "Energy drawn from the grid"),
    ]  # fmt: skip
    return panels


def _production() -> list[Json]:
    """Return the panels of a site without a grid meter: what it used itself is not known."""
    produced = _of(balance.PRODUCED)
    colours = [coloured("Produced", SUN)]
    return [
        row("The range shown"),
        stat(
            "Produced",
            "Energy of all PV meters. Without a meter at the grid nobody knows what of it was "
            "used on site: add one with the role grid.",
            [target(produced(SHOWN), "Produced")],
            unit="suffix:kWh", decimals=1, width=6, height=9, empty=NO_PV,
            thresholds=limits(base=SUN),
        ),
        bars(
            "Produced by day",
            "Energy of all PV meters each day.",
            [target(balance.counter(balance.PRODUCED, step="1d"), "Produced")],
            unit="suffix:kWh", **DAILY, width=18, height=9, interval="1d", empty=NO_DAY,
            overrides=colours,
        ),
        row("Months"),
        {**_months("Produced by month", produced, SUN, "Energy of all PV meters"),
         "gridPos": {"h": 11, "w": 24, "x": 0, "y": 0}},
    ]  # fmt: skip


def solar(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    return dashboard(
        SOLAR,
        "Production and what became of it.",
        _panels(settings) if settings.has("grid") else _production(),
        settings,
        names=variables(settings),
        start="now-30d/d",
        refresh="5m",
    )
