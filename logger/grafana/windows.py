"""Queries over windows of voltage and frequency. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.grafana.query import METER, RANGE, SITE, ZONE, where

NO_CLAIM = "Indication, not an EN 50160 measurement."
_VALID = '"valid" = true'


def share(
    source: str,
    low: float,
    high: float,
    group: str = "",
    *more: str,
    local: bool = True,
    digits: int = 4,
) -> str:
    """Return valid windows within [low, high] / all valid windows, rounded down to `digits`: what
    is shown as 100 % is all of them. Groups of time are those of the zone of the dashboard where
    they are `local`, else of UTC.

    Both counts are made floats (times 1.0): sums of integers from different subqueries
    do not meet in one row. All windows count as none within, too: else there would be no share
    where there is none.
    """
    common = (RANGE, SITE, METER, _VALID, *more)
    inside = f'"mean" >= {low:g} AND "mean" <= {high:g}'
    tail = f" GROUP BY {group} fill(none)" if "time" in group else f" GROUP BY {group}"
    tail = tail if group else ""
    zone = f" {ZONE}" if "time" in group and local else ""
    good = f'SELECT 1.0 * count("mean") AS "a" FROM "{source}" {where(*common, inside)}{tail}{zone}'
    every = (
        f'SELECT 1.0 * count("mean") AS "b", 0.0 * count("mean") AS "a" FROM "{source}" '
        f"{where(*common)}{tail}{zone}"
    )
    parts = 10**digits
    return (
        f'SELECT floor({parts} * sum("a") / sum("b")) / {parts} AS "share" '
        f"FROM ({good}), ({every}) WHERE {RANGE}{tail}{zone}"
    )


def window(select: str, source: str, *more: str, by: str = "") -> str:
    group = "time($__interval)" + (f", {by}" if by else "")
    return f'SELECT {select} FROM "{source}" {where(RANGE, SITE, METER, *more)} GROUP BY {group}'
