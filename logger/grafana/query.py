"""InfluxQL for dashboards: conditions on the variables, ranges, sums of counters. Pure.

Every variable has an explicit format (`:regex`, `:raw`), because Grafana's default one
differs between versions. One statement a query, no trailing semicolon, measurements
unqualified: so the same text runs on InfluxDB 1.8, 2.x and 3.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

SITE = '"site" =~ /^${site:regex}$/'
METER = '"meter" =~ /^${meter:regex}$/'
RANGE = "$timeFilter"
ZONE = "tz('${tz:raw}')"
GRID = "\"role\" = 'grid'"
TOTAL = "\"phase\" = 'total' AND \"tariff\" = 'total'"
PHASES = '"phase" =~ /^L[123]$/'
# Powers of a meter of one phase are totals only.
POWERS = '"phase" =~ /^(L[123]|total)$/'


def wide(step: str) -> str:
    """Return the dashboard's range and one `step` before it, for use in subqueries.

    A difference between neighbouring intervals needs the one before the first. On its
    own the engine reads that one too; in a subquery it does not.
    """
    return f"time >= ${{__from}}ms - {step} AND time <= ${{__to}}ms"


def where(*conditions: str) -> str:
    """Return a WHERE clause."""
    return "WHERE " + " AND ".join(conditions)


# Sums of counters take so many steps over the range: exact to 1/9000 of it, and some ten
# times faster over a year than from point to point.
SUM = {"interval": "1m", "points": 9000}


def risen(field: str, *conditions: str, step: str = "$__interval", zone: str = "") -> str:
    """Return how much a counter rose in each step of a range, a fall left out."""
    return (
        f'SELECT non_negative_difference(last("{field}")) AS "d" FROM "energy" '
        f'{where(*conditions)} GROUP BY time({step}), "meter" fill(none){zone}'
    )


def counted(field: str, *conditions: str, span: str = RANGE) -> str:
    """Return the sum of all rises of a counter in a range."""
    return f'SELECT sum("d") AS "sum" FROM ({risen(field, span, *conditions)})'


def steps(
    field: str,
    step: str,
    *conditions: str,
    by: str = "",
    factor: str = "",
) -> str:
    """Return the rise of a counter in each `step` (1h, 1d) of the site's own days, times
    `factor`."""
    times = f"{factor} * " if factor else ""
    group = f"time({step})" + (f", {by}" if by else "")
    return (
        f'SELECT {times}non_negative_difference(last("{field}")) AS "kWh" FROM "energy" '
        f"{where(RANGE, *conditions)} GROUP BY {group} fill(none) {ZONE}"
    )


def grown(field: str) -> str:
    """Return how much a counter of the site grew: it never falls, so its two ends do, and
    the engine need not read what lies between."""
    return f'last("{field}") - first("{field}")'


def priced(*conditions: str, signs: str = "buy sell") -> str:
    """Return the cost of the panel's range: drawn by tariff, less what was fed back."""
    parts = []
    if "buy" in signs:
        for number in (1, 2, 3, 4):
            tariff = f"\"phase\" = 'total' AND \"tariff\" = 'T{number}'"
            inner = risen("active_import", RANGE, *conditions, tariff)
            parts.append(f'SELECT sum("d") * ${{price_t{number}:raw}} AS "c" FROM ({inner})')
    if "sell" in signs:
        inner = risen("active_export", RANGE, *conditions, TOTAL)
        sign = "-1 * " if "buy" in signs else ""
        parts.append(f'SELECT {sign}sum("d") * ${{price_feed_in:raw}} AS "c" FROM ({inner})')
    return 'SELECT sum("c") AS "sum" FROM ' + ", ".join(f"({part})" for part in parts)
