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


def _at(hour: int, hours: int, sign: str = "") -> str:
    """Return, for each day, the energy of the `hours` hours from `hour` on, stamped with
    that hour: of all stretches of that length, the first of each day that begins there.

    Every stretch has a sum, 0 where nothing was read, so that the first one is the right
    one and not the next that has any; before the range shown they are 0.
    """
    length = f"{hours}h, {hour % hours}h" if hour % hours else f"{hours}h"
    part = Part("active_import", (SITE, METER, TOTAL))
    every = added([(part, SHOWN)], SHOWN, select='sum("d") AS "k"', step=length, fill="0")
    return (
        f'SELECT {sign}first("k") AS "v" FROM ({every}) {where(*_WHEN)} '
        f"GROUP BY time(1d, {hour}h) fill(none) {ZONE}"
    )


def _hour(hour: int, zone: str) -> str:
    """Return, for each day, the energy drawn in one hour of it, stamped with midnight.

    The hour that happens twice when summer time ends is that and the next one, less the
    next one.
    """
    parts = [_at(hour, 1)]
    if hour in _repeated(zone):
        parts = [_at(hour, 2), _at(hour + 1, 1, "-1 * ")]
    sources = ", ".join(f"({part})" for part in parts)
    daily = (
        f'SELECT sum("v") AS "k" FROM {sources} {where(*_WHEN)} GROUP BY time(1d) fill(none) {ZONE}'
    )
    return f'SELECT "k" AS "kWh" FROM ({daily}) {where(*_WHEN, _ANY)} {ZONE}'


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
