"""Energy by hour of the day and by month, which InfluxQL cannot group by. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from logger.grafana.panels import Json, panel, target
from logger.grafana.query import METER, SHOWN, SITE, TOTAL, ZONE, Part, added, bounds, where

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WHEN = bounds(SHOWN)
_ANY = '"k" > 0.0000001'  # what is left of a difference of equal sums is nothing


@cache
def _repeated(zone: str) -> frozenset[int]:
    """Return the hours that happen twice when summer time ends in `zone`."""
    found = set()
    at = datetime(2024, 1, 1, tzinfo=UTC)
    for _ in range(2 * 366 * 24):
        hour = at.astimezone(ZoneInfo(zone)).hour
        at += timedelta(hours=1)
        if at.astimezone(ZoneInfo(zone)).hour == hour:
            found.add(hour)
    return frozenset(found)


def _daily(hours: str, hour: int, sign: str = "") -> str:
    """Return, for each day, the first of `hours` from `hour` on, stamped with that hour.

    Every hour has a sum, 0 where nothing was read, so that the first one is the right one
    and not the next that has any; before the range shown they are 0.
    """
    return (
        f'SELECT {sign}first("k") AS "v" FROM ({hours}) {where(*_WHEN)} '
        f"GROUP BY time(1d, {hour}h) fill(none) {ZONE}"
    )


def _pair(function: str, hours: str, hour: int) -> str:
    """Return a function of each two hours that begin with one like `hour`."""
    length = "2h, 1h" if hour % 2 else "2h"
    return (
        f'SELECT {function}("k") AS "k" FROM ({hours}) {where(*_WHEN)} '
        f"GROUP BY time({length}) fill(none) {ZONE}"
    )


def _hour(hour: int, zone: str) -> str:
    """Return, for each day, the energy drawn in one hour of it, stamped with midnight.

    Of an hour that happens twice the engine has two, and puts the border to the next one
    between them: so it is taken from the pair of it and the next one, all of it less the
    last, and the next one is the last of the pair.
    """
    part = Part("active_import", (SITE, METER, TOTAL))
    hours = added([(part, SHOWN)], SHOWN, select='sum("d") AS "k"', step="1h", fill="0")
    twice = _repeated(zone)
    if hour in twice:
        parts = [
            _daily(_pair("sum", hours, hour), hour),
            _daily(_pair("last", hours, hour), hour, "-1 * "),
        ]
    elif hour - 1 in twice:
        parts = [_daily(_pair("last", hours, hour - 1), hour - 1)]
    else:
        parts = [_daily(hours, hour)]
    sources = ", ".join(f"({part})" for part in parts)
    cells = (
        f'SELECT sum("v") AS "k" FROM {sources} {where(*_WHEN)} GROUP BY time(1d) fill(none) {ZONE}'
    )
    return f'SELECT "k" AS "kWh" FROM ({cells}) {where(*_WHEN, _ANY)} {ZONE}'


def heatmap(zone: str) -> Json:
    options = {
        "calculate": False,
        "calculation": {},
        "color": {
            "mode": "scheme", "scheme": "Blues", "min": 0, "fill": "dark-blue", "steps": 64,
            "reverse": False, "exponent": 0.5, "scale": "exponential",
        },
        "cellGap": 1,
        "cellValues": {"unit": "kwatth", "decimals": 2},
        "filterValues": {},
        "legend": {"show": True},
        "tooltip": {"show": True, "yHistogram": False, "mode": "single"},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "rowsFrame": {"layout": "auto", "value": "kWh"},
        "yAxis": {"axisPlacement": "left", "reverse": True, "unit": "short"},
    }  # fmt: skip
    return panel(
        "heatmap",
        "Hour by day",
        "Import of each hour (rows, local time) of each day (columns): the stronger the colour, "
        "the more; empty where nothing was drawn, or nothing read. Energy counted during an "
        "outage stands in the hour after it. Best with ranges of a week to three months.",
        [target(_hour(hour, zone), f"{hour:02}:00") for hour in range(24)],
        options=options, unit="kwatth", decimals=2, height=11,
        empty="nothing was read in this range: choose a longer one",
        custom={"scaleDistribution": {"type": "linear"}},
        defaults={"color": {"mode": "thresholds"}},
    )  # fmt: skip
