"""Energy by hour of the day and by month, which InfluxQL cannot group by. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608

from __future__ import annotations

from logger.grafana.panels import Json, panel, target
from logger.grafana.query import METER, RANGE, SITE, TOTAL, ZONE, risen, where, wide

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def month(field: str, number: int) -> str:
    """Return the energy of a month of the year shown, in the site's own time."""
    year = "${__to:date:YYYY}"
    start = f"'{year}-{number:02}-01'"
    end = f"'{year}-{number + 1:02}-01'" if number < 12 else f"'{year}-12-31' + 1d"
    span = f"time >= {start} AND time < {end}"
    inner = risen(field, span, SITE, METER, TOTAL, step="1h", zone=f" {ZONE}")
    return f'SELECT sum("d") AS "kWh" FROM ({inner}) {ZONE}'


def _hour(hour: int) -> str:
    """Return, for each day, the energy drawn in one hour of it, stamped with midnight.

    Hours are cut first; then one value a day is taken at that hour; then it is moved to
    the beginning of its day, so that all hours of a day stand above each other.
    """
    span = wide("1d")
    hourly = (
        f'SELECT non_negative_difference(last("active_import")) AS "k" FROM "energy" '
        f"{where(span, SITE, METER, TOTAL)} GROUP BY time(1h) fill(none) {ZONE}"
    )
    daily = (
        f'SELECT first("k") AS "v" FROM ({hourly}) WHERE {span} '
        f"GROUP BY time(1d, {hour}h) fill(none) {ZONE}"
    )
    return (
        f'SELECT mean("v") AS "kWh" FROM ({daily}) WHERE {RANGE} '
        f"GROUP BY time(1d) fill(none) {ZONE}"
    )


def heatmap() -> Json:
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
        "the more. Best with ranges of a week to three months.",
        [target(_hour(hour), f"{hour:02}:00") for hour in range(24)],
        options=options, unit="kwatth", decimals=2, height=11, empty="no whole hour in this range",
        custom={"scaleDistribution": {"type": "linear"}},
        defaults={"color": {"mode": "thresholds"}},
    )  # fmt: skip
