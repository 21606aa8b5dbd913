"""InfluxQL for dashboards: conditions on the variables, and the one form for energy. Pure.

Every variable has an explicit format (`:regex`, `:raw`), because Grafana's default one
differs between versions. One statement a query, no trailing semicolon, measurements
unqualified: so the same text runs on InfluxDB 1.8, 2.x and 3.

Energy between two moments is what counters rose by from the last reading before the first
moment to the last one before the second. Each rise stands in the hour in which it was
read, so hours add up to days and years without a rest, and every panel shows the same sum.
A reading that comes within `${settle}` after a moment counts as the one at that moment:
slow jobs are due on whole minutes and end a little later. What was counted while nothing
was read stands in the hour of the next reading. A counter that falls (a reset, another
meter) gives nothing for that hour.

`rises` is the only place that reads counters for energy. The difference is taken over a
subquery: engines that speak InfluxQL differ in what `difference(last(..))` gives.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SITE = '"site" =~ /^${site:regex}$/'
METER = '"meter" =~ /^${meter:regex}$/'
RANGE = "$timeFilter"
ZONE = "tz('${tz:raw}')"
SETTLE = "${settle:raw}"
GRID = "\"role\" = 'grid'"
ALL_PHASES = "\"phase\" = 'total'"
# What is still shown as the newest value, and report of the logger; see `patience.patient`.
LATELY, REPORTED = "time > now() - 5m", "time > now() - 15m"
TOTAL = "\"phase\" = 'total' AND \"tariff\" = 'total'"
EACH = '"meter"'
PHASES = '"phase" =~ /^L[123]$/'
LINES = '"phase" =~ /^L[123]-L[123]$/'
# Powers of a meter of one phase are totals only.
POWERS = '"phase" =~ /^(L[123]|total)$/'

HOUR = "1h"
# So far back a reading is looked for that a sum can begin with: for one sum as far as in the
# reports, for a sum each hour or day less, because there the engine reads all that lies between.
_REACH, _STEP_REACH = "400d", "31d"
# One interval that holds everything. Without one of its own a subquery takes that of the query
# around it.
_EVER = "time(10000w), "
_DAY = "${__to:date:YYYY-MM-DD}"
_TO_NUMBER = "${__to:date:YYYYMMDD}"
_DAY_END = f"'{_DAY} 23:59:59.999'"
# A bar of a day stands at its midnight. Where none lies in the range there is nothing to draw,
# and the panel must get no bar, else it stays white instead of saying so.
_A_DAY_BEGINS = f"({_TO_NUMBER} > ${{__from:date:YYYYMMDD}} OR ${{__from:date:HHmmss}} = 0)"


@dataclass(frozen=True, slots=True)
class Period:
    """From one moment to another, each in InfluxQL; the earliest of `ends` counts.

    `number` is the beginning as a number that can be compared: "ms" since 1970, or
    "date" for YYYYMMDD. Grafana puts both in as text, and the engine compares.
    """

    start: str
    ends: tuple[str, ...]
    number: str
    scale: str

    def until(self, end: str) -> Period:
        """Return the period that ends at `end` at the latest."""
        return Period(self.start, (*self.ends, end), self.number, self.scale)

    def since(self, start: str) -> Period:
        """Return the period that begins at `start`."""
        return Period(start, self.ends, self.number, self.scale)


SHOWN = Period("${__from}ms", ("${__to}ms",), "${__from}", "ms")
# The range of the same length just before the one shown.
BEFORE = Period("${__from}ms - ${__to}ms + ${__from}ms", ("${__from}ms",), "${__from}", "ms")
# Day, month and year in which the range shown ends, until the end of that day: dragging
# within a day changes none of them.
DAY = Period(f"'{_DAY}'", (_DAY_END,), "${__to:date:YYYYMMDD}", "date")
MONTH = Period("'${__to:date:YYYY-MM}-01'", (_DAY_END,), "${__to:date:YYYYMM}01", "date")
YEAR = Period("'${__to:date:YYYY}-01-01'", (_DAY_END,), "${__to:date:YYYY}0101", "date")


def month(number: int) -> Period:
    """Return a month of the year in which the range shown ends."""
    year = "${__to:date:YYYY}"
    end = f"'{year}-{number + 1:02}-01'" if number < 12 else f"'{year}-12-31 23:59:59.999'"
    return Period(f"'{year}-{number:02}-01'", (end,), f"{year}{number:02}01", "date")


def year_before(period: Period) -> list[tuple[str, Period]]:
    """Return a day or a month until the end of the range shown, a year earlier: as a period for
    each length that a year can have, with the condition under which it is the right one.

    A year has 366 days when the last of February lies within: from March of a leap year on,
    until the end of the next February. YYYYMMDD modulo 40000 begins anew with each leap year.
    """
    since, until = (f"{_TO_NUMBER} % 40000 {text}" for text in (">= 301", "<= 10228"))
    before, after = (f"{_TO_NUMBER} % 40000 {text}" for text in ("< 301", "> 10228"))
    return [
        (when, Period(f"{period.start} - {days}d", ends, period.number, period.scale))
        for days, when in ((366, f"{since} AND {until}"), (365, f"({before} OR {after})"))
        for ends in [tuple(f"{end} - {days}d" for end in period.ends)]
    ]


@dataclass(frozen=True, slots=True)
class Part:
    """The rises of one counter, as columns: each a name and what stands before the rise
    (a sign or a factor, such as "-1 * ")."""

    counter: str
    conditions: tuple[str, ...]
    columns: Mapping[str, str] = field(default_factory=lambda: {"d": ""})


def role(name: str) -> str:
    """Return the condition for meters of a role."""
    return f"\"role\" = '{name}'"


def quoted(text: str) -> str:
    """Return a name as InfluxQL writes a text."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def where(*conditions: str) -> str:
    """Return a WHERE clause."""
    return "WHERE " + " AND ".join(conditions)


def rises(part: Part, period: Period, by: str = '"meter"', *, stepped: bool = False) -> str:
    """Return what a counter rose by in each hour of a period, for each meter;
    `stepped` if the query around it has steps of time."""
    begin = f"{period.start} + {SETTLE}"
    ends = [f"time < {end} + {SETTLE}" for end in period.ends]
    inside = where(f"time >= {begin}", *ends, *part.conditions)
    reach, every = (_STEP_REACH, _EVER) if stepped else (_REACH, "")
    back = where(f"time >= {begin} - {reach}", f"time < {begin}", *part.conditions)
    fill = " fill(none)" if stepped else ""

    def one(function: str, condition: str) -> str:
        return (
            f'SELECT {function}("{part.counter}") AS "v" FROM "energy" {condition} '
            f"GROUP BY {every}{by}{fill} {ZONE}"
        )

    # Where nothing was read before, it begins with the first reading; else that one is higher.
    before = (
        f'SELECT min("v") AS "v" FROM ({one("last", back)}), ({one("first", inside)}) '
        f"GROUP BY {every}{by}{fill} {ZONE}"
    )
    within = (
        f'SELECT last("{part.counter}") AS "v" FROM "energy" {inside} '
        f"GROUP BY time({HOUR}, {SETTLE}), {by} fill(none) {ZONE}"
    )
    columns = ", ".join(
        f'{times}non_negative_difference("v") AS "{name}"' for name, times in part.columns.items()
    )
    return f"SELECT {columns} FROM ({before}), ({within}) GROUP BY {by}"


def summed(
    parts: Sequence[Part],
    period: Period = SHOWN,
    *,
    select: str = 'sum("d") AS "kWh"',
    step: str = "",
    by: str = "",
    having: str = "",
) -> str:
    """Return a sum over the rises of all parts: one for the period, or one for each `step`
    (1h, 1d) of the site's own time and each value of the tag `by`.

    `having` keeps the sums for which it holds, a condition on columns of `select`.
    """
    query = added([(part, period) for part in parts], period, select=select, step=step, by=by)
    if not having:
        return query
    limits = [having, *(bounds(period) if step else [])]
    shown = select.split('AS "')[1].split('"')[0]
    each = f"GROUP BY {by} " if by else ""
    return f'SELECT "{shown}" FROM ({query}) {where(*limits)} {each}{ZONE}'


def added(
    parts: Sequence[tuple[Part, Period]],
    period: Period,
    *,
    select: str = 'sum("d") AS "kWh"',
    step: str = "",
    by: str = "",
    fill: str = "none",
    beyond: str = "",
    more: Sequence[str] = (),
) -> str:
    """Return a sum over the rises of parts that each have a period of their own, within
    `period`; with `fill` "0" steps go on until `beyond` its end. `more` are further queries that
    `select` may have columns of."""
    inner = f'"meter", {by}' if by not in ("", EACH) else EACH
    sources = ", ".join(f"({rises(part, own, inner, stepped=bool(step))})" for part, own in parts)
    sources = ", ".join([sources, *(f"({one})" for one in more)])
    groups = [*([f"time({step})"] if step else []), *([by] if by else [])]
    query = f"SELECT {select} FROM {sources}"
    if step:
        query += f" {where(*bounds(period, beyond), *drawable(period, step))}"
    if groups:
        query += f" GROUP BY {', '.join(groups)}" + (f" fill({fill})" if step else "")
    return f"{query} {ZONE}"


def bounds(period: Period, beyond: str = "") -> list[str]:
    """Return the bounds of time for a query with steps over `rises`: they bind the inner
    queries too, which look back for the reading to begin with, and on by `${settle}`."""
    more = f" + {beyond}" if beyond else ""
    ends = (f"time < {end} + {SETTLE}{more}" for end in period.ends)
    return [f"time >= {period.start} + {SETTLE} - {_STEP_REACH}", *ends]


def drawable(period: Period, step: str) -> list[str]:
    """Return the condition under which bars of `step` can be seen in the range shown."""
    return [_A_DAY_BEGINS] if step == "1d" and period == SHOWN else []


def already(counter: str, period: Period, *conditions: str) -> str:
    """Return the last reading of each meter that a sum over the period can begin with, as `v`."""
    begin = f"{period.start} + {SETTLE}"
    back = where(f"time >= {begin} - {_REACH}", f"time < {begin}", *conditions)
    return f'SELECT last("{counter}") AS "v" FROM "energy" {back} GROUP BY {EACH} {ZONE}'


def counted(counter: str, *conditions: str, period: Period = SHOWN) -> str:
    """Return the energy of one counter in a period."""
    return summed([Part(counter, conditions)], period)


def steps(counter: str, step: str, *conditions: str, by: str = "", times: str = "") -> str:
    """Return the energy of one counter in each `step` of the range shown, times `times`."""
    columns = {"d": f"{times} * " if times else ""}
    return summed([Part(counter, conditions, columns)], step=step, by=by)
