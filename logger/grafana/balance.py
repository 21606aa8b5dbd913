"""Energy of a site from the counters of its meters, by role, as `domain.balance` has it. Pure.

    load          = import - export + PV + discharge - charge
    self-consumed = PV - export

A figure that needs a meter the site has not is left out, never 0: each sum asks whether
the counters that it rests on were read at all. With `drawn` only what is above zero is there:
a ring has no place for less, and writes a text in place of the shares of nothing.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.grafana.query import (
    SHOWN,
    SITE,
    TOTAL,
    ZONE,
    Part,
    Period,
    added,
    role,
    summed,
    where,
    year_before,
)  # fmt: skip

IMPORT, EXPORT = ("active_import", "grid"), ("active_export", "grid")
PRODUCED = ("active_export", "pv")
CHARGED, DISCHARGED = ("active_import", "battery"), ("active_export", "battery")
LOADS = ("active_import", "load")
_MINUS = "-1 * "
DRAWN = '"kWh" > 0'
_OF_GRID, _HAS_GRID = 'sum("d") AS "kWh", sum("g") AS "grid"', '"grid" >= 0'
_HAS_BOTH = '"pv" >= 0 AND "grid" >= 0'


def _part(counter: tuple[str, str], **columns: str) -> Part:
    name, of = counter
    return Part(name, (SITE, role(of), TOTAL), columns)


def counter(
    which: tuple[str, str],
    period: Period = SHOWN,
    *,
    step: str = "",
    sign: str = "",
    drawn: bool = False,
) -> str:
    """Return the energy of all meters of a role in one direction."""
    return summed([_part(which, d=sign)], period, step=step, having=DRAWN if drawn else "")


def _consumed() -> list[Part]:
    return [
        _part(IMPORT, d="", g=""),
        _part(EXPORT, d=_MINUS),
        _part(PRODUCED, d=""),
        _part(DISCHARGED, d=""),
        _part(CHARGED, d=_MINUS),
    ]


def consumed(period: Period = SHOWN, *, step: str = "") -> str:
    """Return what the site consumed; nothing without a grid meter."""
    return summed(_consumed(), period, select=_OF_GRID, step=step, having=_HAS_GRID)


def consumed_a_year_before(period: Period) -> str:
    """Return what the site consumed a year before a day or a month until now."""
    return _earlier(_consumed(), period, _OF_GRID, _HAS_GRID)


def counter_a_year_before(which: tuple[str, str], period: Period) -> str:
    """Return the energy of all meters of a role in one direction, a year before."""
    return _earlier([_part(which, d="")], period, 'sum("d") AS "kWh"', "")


def _earlier(parts: list[Part], period: Period, select: str, having: str) -> str:
    when = year_before(period)
    query = added(
        [
            (Part(part.counter, (length, *part.conditions), part.columns), own)
            for length, own in when
            for part in parts
        ],
        period,
        select=select,
    )
    return f'SELECT "kWh" FROM ({query}) {where(having)} {ZONE}' if having else query


def unmetered(period: Period = SHOWN, *, step: str = "", drawn: bool = False) -> str:
    """Return what the site consumed and no load meter counted; nothing without a grid meter."""
    parts = [*_consumed(), _part(LOADS, d=_MINUS)]
    having = _with(_HAS_GRID, drawn=drawn)
    return summed(parts, period, select=_OF_GRID, step=step, having=having)


def _with(condition: str, *, drawn: bool) -> str:
    return f"{condition} AND {DRAWN}" if drawn else condition


def own(period: Period = SHOWN, *, drawn: bool = False) -> str:
    """Return load - import: what PV and battery gave of it; nothing without grid and PV meter."""
    parts = [
        _part(EXPORT, d=_MINUS, g=""),
        _part(PRODUCED, d="", p=""),
        _part(DISCHARGED, d=""),
        _part(CHARGED, d=_MINUS),
    ]
    select = 'sum("d") AS "kWh", sum("p") AS "pv", sum("g") AS "grid"'
    return summed(parts, period, select=select, having=_with(_HAS_BOTH, drawn=drawn))


def _own() -> list[Part]:
    return [_part(PRODUCED, d="", p=""), _part(EXPORT, d=_MINUS, g="")]


def self_consumed(period: Period = SHOWN, *, step: str = "", drawn: bool = False) -> str:
    """Return what of the PV stayed on site; nothing without a grid and a PV meter."""
    select = 'sum("d") AS "kWh", sum("p") AS "pv", sum("g") AS "grid"'
    having = _with(_HAS_BOTH, drawn=drawn)
    return summed(_own(), period, select=select, step=step, having=having)


def self_consumption(period: Period = SHOWN, *, step: str = "") -> str:
    """Return self-consumed / produced, for sums over the period or each step."""
    select = 'sum("d") / sum("p") AS "share", sum("p") AS "pv", sum("g") AS "grid"'
    return summed(_own(), period, select=select, step=step, having='"pv" > 0 AND "grid" >= 0')


def self_sufficiency(period: Period = SHOWN, *, step: str = "") -> str:
    """Return (load - import) / load; nothing without a grid and a PV meter."""
    parts = [
        _part(IMPORT, l="", g=""),
        _part(EXPORT, a=_MINUS, l=_MINUS),
        _part(PRODUCED, a="", l="", p=""),
        _part(DISCHARGED, a="", l=""),
        _part(CHARGED, a=_MINUS, l=_MINUS),
    ]
    select = (
        'sum("a") / sum("l") AS "share", sum("l") AS "load", sum("p") AS "pv", sum("g") AS "grid"'
    )
    having = '"load" > 0 AND "pv" >= 0 AND "grid" >= 0'
    return summed(parts, period, select=select, step=step, having=having)
