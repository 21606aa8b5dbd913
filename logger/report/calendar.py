"""Days, months and hours of a place: where they begin, daylight saving included. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo

_QUARTER_MS, _HOUR_MS = 900_000, 3_600_000


class By(StrEnum):
    """How fine a report is."""

    QUARTER = "quarter"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of a report, milliseconds UTC; a day may have 23 or 25 hours."""

    label: str
    day: dt.date
    start_ms: int
    end_ms: int


def midnight_ms(day: dt.date, zone: ZoneInfo) -> int:
    """Return when `day` begins in `zone`; where midnight is skipped, when it would be."""
    return round(dt.datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def periods(first: dt.date, last: dt.date, by: By, zone: ZoneInfo) -> list[Period]:
    """Return the periods from the day `first` to the day `last`, both included."""
    found: list[Period] = []
    day = first
    while day <= last:
        after = day + dt.timedelta(days=1)
        if by is By.MONTH:
            after = (day.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
            after = min(after, last + dt.timedelta(days=1))
        start, end = midnight_ms(day, zone), midnight_ms(after, zone)
        if by in {By.QUARTER, By.HOUR}:
            step = _HOUR_MS if by is By.HOUR else _QUARTER_MS
            found += _hours(day, start, end, zone, step)
        else:
            label = f"{day:%Y-%m}" if by is By.MONTH else f"{day:%Y-%m-%d}"
            found.append(Period(label, day, start, end))
        day = after
    return found


def _hours(day: dt.date, start: int, end: int, zone: ZoneInfo, step: int) -> list[Period]:
    found = []
    while start < end:
        local = dt.datetime.fromtimestamp(start / 1000, zone)
        # The offset tells the two hours of the same name apart in autumn.
        label = f"{local:%Y-%m-%d %H:%M%z}"
        found.append(Period(label, day, start, min(start + step, end)))
        start += step
    return found


def weeks(first: dt.date, last: dt.date, zone: ZoneInfo) -> list[Period]:
    """Return the weeks, Monday to Sunday, that the days `first` to `last` touch, cut to
    these days."""
    found = []
    day = first
    while day <= last:
        monday = day + dt.timedelta(days=7 - day.weekday())
        after = min(monday, last + dt.timedelta(days=1))
        year, week, _ = day.isocalendar()
        label = f"{year}-W{week:02}"
        found.append(Period(label, day, midnight_ms(day, zone), midnight_ms(after, zone)))
        day = after
    return found


def day_of(stamp_ms: int, zone: ZoneInfo) -> dt.date:
    """Return the day of `zone` that a moment belongs to."""
    return dt.datetime.fromtimestamp(stamp_ms / 1000, zone).date()
