"""Energy by hour of the day and by month, which InfluxQL cannot group by. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from logger.grafana.panels import NO_DAY, Json, panel, target
from logger.grafana.query import (
    METER,
    SHOWN,
    SITE,
    TOTAL,
    ZONE,
    Part,
    added,
    bounds,
    drawable,
    where,
)

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BEYOND = "2d"
_WHEN = bounds(SHOWN, _BEYOND)
# Wider: of steps whose first is stamped before the range around them the engine gives none.
_AROUND = ("time >= ${__from}ms - 40d", "time < ${__to}ms + 5d")
_ANY = '"k" > 0.0000001'  # what is left of a difference of equal sums is nothing
_ENDS, _MINUS = ("first", "last"), "-1 * "


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


def _within(length: str, function: str, series: str, sign: str = "") -> str:
    """Return a function of what `series` has in each `length`."""
    return (
        f'SELECT {sign}{function}("k") AS "k" FROM ({series}) {where(*_WHEN)} '
        f"GROUP BY time({length}) fill(none) {ZONE}"
    )


def _hour(hour: int, zone: str) -> str:
    """Return, for each day, the energy drawn in one hour of it, stamped with the last
    millisecond of that day: Grafana takes the time of a cell as its right edge.

    Of the hours of a stretch the engine can name the first and the last. So an hour is
    found as one of a pair, that as one of two pairs, these as one half of eight hours, and
    those as the first, the last or the rest of a day. All begin at midnight in local time,
    where the engine knows days of 23 and 25 hours. An hour that happens twice is what the
    other one leaves of its pair.

    Every hour has a sum, 0 where nothing was read, or before and after the range shown:
    so the first is the right one, and not the next that has any.
    """
    part = Part("active_import", (SITE, METER, TOTAL))
    hours = added(
        [(part, SHOWN)], SHOWN, select='sum("d") AS "k"', step="1h", fill="0", beyond=_BEYOND
    )
    own, other = _ENDS[hour % 2], _ENDS[1 - hour % 2]
    pairs = [("", "sum"), (_MINUS, other)] if hour in _repeated(zone) else [("", own)]
    third = hour // 8
    days = [("", "sum"), (_MINUS, "first"), (_MINUS, "last")] if third == 1 else [
        ("", _ENDS[third // 2])
    ]  # fmt: skip
    cells = []
    for sign, function in pairs:
        two = _within("2h", function, hours, sign)
        four = _within("4h", _ENDS[hour // 2 % 2], two)
        eight = _within("8h", _ENDS[hour // 4 % 2], four)
        cells += [_within("1d", function, eight, sign) for sign, function in days]
    # Signs are put apart and added here: the engine gives the first and the last of a day of
    # 25 hours different times, and no row that has both.
    whole = ", ".join(f"({cell})" for cell in cells)
    added_up = (
        f'SELECT -1 * sum("k") AS "k" FROM {whole} {where(*_WHEN)} GROUP BY time(1d) fill(none) '
        f"{ZONE}"
    )
    # The engine stamps a day with its beginning, and a rise with where it ends: the rise from the
    # negative energy of a day to a nought at its end. The fall before it is left out.
    ends = (
        f'SELECT 0 * count("{part.counter}") AS "k" FROM "energy" '
        f"{where(*_WHEN, *part.conditions)} GROUP BY time(1d, -1ms) fill(0) {ZONE}"
    )
    # In order of time, which a difference over both at once is not.
    both = f'SELECT "k" FROM ({added_up}), ({ends}) {where(*_AROUND)} {ZONE}'
    stamped = f'SELECT non_negative_difference("k") AS "k" FROM ({both}) {where(*_AROUND)} {ZONE}'
    seen = where(*_AROUND, _ANY, *drawable(SHOWN, "1d"))
    return f'SELECT "k" AS "kWh" FROM ({stamped}) {seen} {ZONE}'


def heatmap(zone: str) -> Json:
    options = {
        "calculate": False,
        "calculation": {},
        "color": {
            "mode": "scheme", "scheme": "Blues", "min": 0, "fill": "dark-blue", "steps": 64,
            "reverse": False, "exponent": 0.5, "scale": "exponential",
        },
        "cellGap": 1,
        "cellValues": {"unit": "suffix:kWh", "decimals": 2},
        "filterValues": {},
        "legend": {"show": True},
        "tooltip": {"yHistogram": False, "mode": "single"},
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
        options=options, unit="suffix:kWh", decimals=2, height=11,
        empty=NO_DAY,
        custom={"scaleDistribution": {"type": "linear"}},
        defaults={"color": {"mode": "thresholds"}},
    )  # fmt: skip
