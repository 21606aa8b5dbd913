"""The periods of a report in the time zone of a place, daylight saving included. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo

from logger.domain.limits import QUARTER_MS
from logger.domain.times import day_of, midnight_ms, next_day
from logger.domain.timespan import TimeSpan

_HOUR_MS = 3_600_000


class By(StrEnum):
    """How fine a report is. A week begins on Monday and has the number of ISO 8601."""

    QUARTER = "quarter"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of a report, milliseconds UTC; a day may have 23 or 25 hours."""

    label: str
    day: dt.date
    start_ms: int
    end_ms: int


def periods(first: dt.date, last: dt.date, by: By, zone: ZoneInfo) -> list[Period]:
    """Return the periods from the day `first` to the day `last`, both included; weeks, months
    and years are cut to these days."""
    found: list[Period] = []
    day = first
    while day <= last:
        after = min(
            next_day("day" if by in {By.QUARTER, By.HOUR} else by, day), last + dt.timedelta(days=1)
        )
        start, end = midnight_ms(day, zone), midnight_ms(after, zone)
        if by in {By.QUARTER, By.HOUR}:
            step = _HOUR_MS if by is By.HOUR else QUARTER_MS
            found += _hours(day, start, end, zone, step)
        else:
            found.append(Period(_label(day, by), day, start, end))
        day = after
    return found


def touched(span: TimeSpan, by: By, zone: ZoneInfo) -> list[Period]:
    """Return the periods of a span: quarters and hours that it touches, longer ones of the
    days that it touches."""
    start, end = span
    found = periods(day_of(start, zone), day_of(end - 1, zone), by, zone)
    return [period for period in found if period.end_ms > start and period.start_ms < end]


def _label(day: dt.date, by: By) -> str:
    year, week, _ = day.isocalendar()
    return {
        By.WEEK: f"{year}-W{week:02}",
        By.MONTH: f"{day:%Y-%m}",
        By.YEAR: f"{day:%Y}",
    }.get(by, f"{day:%Y-%m-%d}")


def _hours(day: dt.date, start: int, end: int, zone: ZoneInfo, step: int) -> list[Period]:
    found = []
    while start < end:
        local = dt.datetime.fromtimestamp(start / 1000, zone)
        # The offset tells the two hours of the same name apart in autumn.
        label = f"{local:%Y-%m-%d %H:%M%z}"
        # Where the clock moves by half an hour the one after it is cut to the clock's hour.
        after = start + step - local.minute * 60_000 % step
        found.append(Period(label, day, start, min(after, end)))
        start = after
    return found
