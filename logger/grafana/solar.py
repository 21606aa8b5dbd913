"""The dashboard "PV self-consumption": what became of the sun's energy. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.grafana.frame import SOLAR, dashboard, variables
from logger.grafana.home import NO_PV
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    LOAD,
    OWN,
    SELL,
    SUN,
    Json,
    bars,
    coloured,
    curves,
    lengths,
    limits,
    row,
    stat,
    target,
)  # fmt: skip
from logger.grafana.pattern import MONTHS
from logger.grafana.query import RANGE, SITE, ZONE, grown, where, wide

_NETTING = (
    "The PRO380 does not net its phases: a house that imports on one phase while it exports on "
    "another counts both, so this is lower than by a netting utility meter."
)
_RATIOS = {
    "Self-consumption": ("self_consumed", "pv_energy", OWN),
    "Self-sufficiency": ("grid_import", "load_energy", SUN),
}
_FORMULA = {
    "Self-consumption": "self-consumed / produced",
    "Self-sufficiency": "(consumed - imported) / consumed",
}
# What to make of the two sums of `_RATIOS`.
_QUOTIENT = {"self_consumed": '"a" / "b"', "grid_import": '1 - "a" / "b"'}


def _sum(field: str) -> str:
    return f'SELECT {grown(field)} FROM "site" {where(RANGE, SITE)}'


def _ratio(above: str, below: str) -> str:
    inner = f'SELECT {grown(above)} AS "a", {grown(below)} AS "b" FROM "site" {where(RANGE, SITE)}'
    return f'SELECT {_QUOTIENT[above]} FROM ({inner}) WHERE "b" > 0'


def _daily(field: str, sign: str = "") -> str:
    return (
        f'SELECT {sign}difference(last("{field}")) FROM "site" '
        f"{where(RANGE, SITE)} GROUP BY time(1d) fill(none) {ZONE}"
    )


def _daily_ratio(above: str, below: str) -> str:
    inner = (
        f'SELECT difference(last("{above}")) AS "a", '
        f'difference(last("{below}")) AS "b" FROM "site" '
        f"{where(wide('1d'), SITE)} GROUP BY time(1d) fill(none) {ZONE}"
    )
    return f'SELECT {_QUOTIENT[above]} FROM ({inner}) WHERE "b" > 0 AND {wide("1d")} {ZONE}'


def _month(field: str, number: int) -> str:
    year = "${__to:date:YYYY}"
    end = f"'{year}-{number + 1:02}-01'" if number < 12 else f"'{year}-12-31' + 1d"
    span = f"time >= '{year}-{number:02}-01' AND time < {end}"
    return f'SELECT {grown(field)} FROM "site" {where(span, SITE)} {ZONE}'


def _months(title: str, field: str, colour: str, text: str) -> Json:
    return lengths(
        title,
        f"{text}, in each month of the year that the range ends in, in local time.",
        [target(_month(field, i), name) for i, name in enumerate(MONTHS, 1)],
        unit="kwatth", decimals=1, width=12, height=11, thresholds=limits(base=colour), empty="",
        defaults={"color": {"mode": "thresholds"}, "min": 0},
    )  # fmt: skip


def solar(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    sums = {
        "Produced": ("pv_energy", SUN, "Energy of all PV meters."),
        "Self-consumed": ("self_consumed", OWN, "Produced - exported."),
        "Exported": ("grid_export", SELL, "Fed into the grid, by the grid meter."),
        "Imported": ("grid_import", BUY, "Drawn from the grid, by the grid meter."),
        "Consumed": ("load_energy", LOAD, "Imported + produced - exported."),
    }
    share = {"unit": "percentunit", "decimals": 1, "empty": NO_PV}
    colours = [coloured(name, colour) for name, (_, colour, _) in sums.items()]
    flow = (
        f'SELECT mean("%s") FROM "site" {where(RANGE, SITE)} GROUP BY time($__interval) fill(null)'
    )
    panels: list[Json] = [row("The range shown")]
    for title, (above, below, colour) in _RATIOS.items():
        panels.append(
            stat(
                title,
                f"{title} = {_FORMULA[title]}, a ratio of sums over the range shown; blank where "
                f"the divisor is 0. {_NETTING}",
                [target(_ratio(above, below), title)],
                width=6, height=6, thresholds=limits(base=colour), **share,
            )
        )  # fmt: skip
    panels += [
        stat(
            "Energy in this range",
            " ".join(f"{name}: {text}" for name, (_, _, text) in sums.items()),
            [target(_sum(field), name) for name, (field, _, _) in sums.items()],
            unit="kwatth", decimals=1, width=12, height=6, names=True, rows=True, empty=NO_PV,
            overrides=colours,
        ),
        row("Power"),
        curves(
            "Power flows",
            "Means of the site's flows: self-consumption = PV power less what flows into the "
            "grid; load = grid + PV; negative grid power is export. For ranges up to some weeks: "
            "longer ones are better told by the energy below.",
            [
                target(flow % "pv_power", "PV"),
                target(flow % "self_consumption_power", "Self-consumption"),
                target(flow % "load_power", "Load"),
                target(flow % "grid_power", "Grid"),
            ],
            unit="watt", interval="1m", points=720, fill=8, height=9, empty=NO_PV,
            overrides=[
                coloured("PV", SUN), coloured("Self-consumption", OWN), coloured("Load", LOAD),
                coloured("Grid", BUY),
            ],
        ),
        row("Days"),
        bars(
            "Where the production went",
            "Energy produced each day: self-consumed + exported = produced.",
            [
                target(_daily("self_consumed"), "Self-consumed"),
                target(_daily("grid_export"), "Exported"),
            ],
            unit="kwatth", decimals=1, width=12, interval="1d", empty=NO_PV, overrides=colours,
        ),
        bars(
            "Where the consumption came from",
            "Energy consumed each day: self-consumed + imported, and what a battery adds.",
            [
                target(_daily("self_consumed"), "Self-consumed"),
                target(_daily("grid_import"), "Imported"),
            ],
            unit="kwatth", decimals=1, width=12, interval="1d", empty=NO_PV, overrides=colours,
        ),
        curves(
            "Self-consumption and self-sufficiency by day",
            "Self-consumption = self-consumed / produced, self-sufficiency = (consumed - imported) "
            f"/ consumed, ratios of the day's sums; no point where the divisor is 0. {_NETTING}",
            [
                target(_daily_ratio(above, below), title)
                for title, (above, below, _) in _RATIOS.items()
            ],
            interval="1d", legend=(),
            overrides=[coloured(title, colour) for title, (_, _, colour) in _RATIOS.items()],
            axis={
                "drawStyle": "line", "lineInterpolation": "stepAfter", "lineWidth": 2,
                "spanNulls": 180_000_000, "showPoints": "auto",
            },
            defaults={"min": 0, "max": 1}, **share,
        ),
        row("Months"),
        _months("Produced by month", "pv_energy", SUN, "Energy of all PV meters"),
        _months("Self-consumed by month", "self_consumed", OWN, "Production used on site"),
        _months("Exported by month", "grid_export", SELL, "Energy fed into the grid"),
        _months("Imported by month", "grid_import", BUY, "Energy drawn from the grid"),
    ]  # fmt: skip
    return dashboard(
        SOLAR,
        "Production and what became of it. Empty without a grid meter and a PV meter.",
        panels,
        settings,
        names=variables(settings),
        start="now-30d/d",
        refresh="5m",
    )
