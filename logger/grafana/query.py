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


def wide(step: str) -> str:
    """Return the dashboard's range and one `step` before it, for use in subqueries.

    A difference between neighbouring intervals needs the one before the first. On its
    own the engine reads that one too; in a subquery it does not.
    """
    return f"time >= ${{__from}}ms - {step} AND time <= ${{__to}}ms"


def where(*conditions: str) -> str:
    """Return a WHERE clause."""
    return "WHERE " + " AND ".join(conditions)


def risen(field: str, source: str, *conditions: str, name: str = "d") -> str:
    """Return how much a counter rose between neighbouring points, a fall left out."""
    return (
        f'SELECT non_negative_difference("{field}") AS "{name}" FROM "{source}" '
        f'{where(*conditions)} GROUP BY "meter"'
    )


def counted(field: str, *conditions: str, source: str = "energy", factor: str = "") -> str:
    """Return the sum of all rises of a counter in the panel's range, times `factor`."""
    times = f" * {factor}" if factor else ""
    inner = risen(field, source, RANGE, *conditions)
    return f'SELECT sum("d"){times} AS "sum" FROM ({inner})'


def steps(
    field: str,
    step: str,
    *conditions: str,
    source: str = "energy",
    by: str = "",
    factor: str = "",
) -> str:
    """Return the rise of a counter in each `step` (1h, 1d) of the site's own days, times
    `factor`."""
    times = f"{factor} * " if factor else ""
    group = f"time({step})" + (f", {by}" if by else "")
    return (
        f'SELECT {times}non_negative_difference(last("{field}")) AS "kWh" FROM "{source}" '
        f"{where(RANGE, *conditions)} GROUP BY {group} fill(none) {ZONE}"
    )


def grown(field: str) -> str:
    """Return how much a counter of the site grew: it never falls, so its two ends do, and
    the engine need not read what lies between."""
    return f'last("{field}") - first("{field}")'


def priced(*conditions: str, field: str = "active_import", signs: str = "buy sell") -> str:
    """Return the cost of the panel's range: drawn by tariff, less what was fed back."""
    parts = []
    if "buy" in signs:
        for number in (1, 2, 3, 4):
            tariff = f"\"phase\" = 'total' AND \"tariff\" = 'T{number}'"
            inner = risen(field, "energy", RANGE, *conditions, tariff)
            parts.append(f'SELECT sum("d") * ${{price_t{number}:raw}} AS "c" FROM ({inner})')
    if "sell" in signs:
        inner = risen("active_export", "energy", RANGE, *conditions, TOTAL)
        sign = "-1 * " if "buy" in signs else ""
        parts.append(f'SELECT {sign}sum("d") * ${{price_feed_in:raw}} AS "c" FROM ({inner})')
    return 'SELECT sum("c") AS "sum" FROM ' + ", ".join(f"({part})" for part in parts)
