"""Durations and times as people write them: the one parser of each. Pure.

Whatever takes a duration or a time (options of commands, keys of the configuration) takes
these words, and all of them; docs/times.md has them as a table. Days, weeks, months and years
are those of the site's time zone, so that one of them may have an hour more or less.

Every function raises ValueError with a text for the user: what was given, and what to write.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from logger.domain.timespan import TimeSpan

# Seconds of each unit.
UNITS: Mapping[str, float] = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}
# How many days or months before the current one each word begins, and of what.
WORDS: Mapping[str, tuple[str, int]] = {
    "today": ("day", 0),
    "yesterday": ("day", 1),
    "this-week": ("week", 0),
    "last-week": ("week", 1),
    "this-month": ("month", 0),
    "last-month": ("month", 1),
    "this-year": ("year", 0),
    "last-year": ("year", 1),
}
NOW = "now"
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")
_NUMBER = re.compile(r"\s*-?\d+(?:\.\d+)?\s*")
_LONGEST_S = 100 * 366 * 86400.0  # what is longer is a mistake
_YEARS = range(1970, 2200)


def _pattern() -> str:
    year = "(19[7-9][0-9]|2[01][0-9]{2})"
    fours = "[2468][048]|[13579][26]"
    leap = f"(19(7[26]|8[048]|9[26])|20(0[048]|{fours})|21(0[48]|{fours}))"
    day = (
        f"({year}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|"
        f"(0[13578]|1[02])-31)|{leap}-02-29)"
    )
    clock = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
    moment = f"{day}([T ]{clock}(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?)?"
    part = r"([0-9]{1,%d}(\.[0-9]{1,3})?%s ?)?"
    ago = "".join(
        part % one for one in ((3, "w"), (4, "d"), (4, "h"), (5, "(m|min)"), (6, "s"), (9, "ms"))
    )
    stretches = f"{year}(-(0[1-9]|1[0-2])|-W(0[1-9]|[1-4][0-9]|5[0-2]))?"
    return f"^({'|'.join((NOW, *WORDS, moment, stretches, ago))})$"


# What `stretch` takes, as a regular expression for those who are not asked here (ECMA-262, as in
# JSON Schema): every text that it matches is a time, or empty. `stretch` is laxer: spaces around,
# capitals, week 53, durations in any order, more of ISO 8601.
PATTERN = _pattern()


def seconds(text: str) -> float:
    """Return a duration in seconds: "500ms", "10s", "5m" or "5min", "2h", "2d", "1w", also
    several in a row ("1h 30m"). 0 needs no unit, every other number does."""
    parts = _parts(text)
    if parts is not None:
        found = round(sum(number * UNITS[unit] for number, unit in parts), 6)
        if found > _LONGEST_S:
            raise ValueError(f"{text!r} is longer than a hundred years")
        return found
    number = text.strip()
    if _NUMBER.fullmatch(text):
        if float(number) == 0:
            return 0.0
        if not number.startswith("-"):
            raise ValueError(f"{number} has no unit: write {number}ms, {number}s or {number}min")
    raise ValueError(
        f"{text!r} is not a duration: write a number with a unit (ms, s, m or min, h, d, w), "
        "such as 500ms, 10s, 5m, 2h or 2d"
    )


def _parts(text: str) -> list[tuple[float, str]] | None:
    """Return the numbers and units of a duration; None if it is none."""
    found = [(float(one[1]), one[2]) for one in _PART.finditer(text)]
    known = all(unit in UNITS for _, unit in found)
    return found if found and known and not _PART.sub("", text) else None


def duration_text(value: float) -> str:
    """Return `value` seconds as `seconds` reads it: "500ms", "90s", "2h", "2d"."""
    if value < 1:
        return f"{value * 1000:g}ms"
    for unit in ("d", "h"):
        if value >= UNITS[unit] and value % UNITS[unit] == 0:
            return f"{value / UNITS[unit]:g}{unit}"
    return f"{value:g}s"


def stretch(text: str, zone: ZoneInfo, now_ms: int) -> TimeSpan:
    """Return what a text names, in milliseconds UTC: a day, week, month or year with its
    beginning and end; of a moment both are the same.

    A time without an offset is local time of `zone`: of an hour that comes twice the first,
    in an hour that is left out what the clock shows then (an hour later).
    """
    word = text.strip()
    if word.lower() == NOW:
        return now_ms, now_ms
    if word.lower() in WORDS:
        kind, back = WORDS[word.lower()]
        return _calendar(kind, _before(kind, day_of(now_ms, zone), back), zone)
    try:
        if (parts := _parts(word)) is not None:
            at = _ago(parts, zone, now_ms)
            return at, at
        return _iso(word, zone)
    except (ValueError, OverflowError):
        number = word if word.isdecimal() else "30"
        raise ValueError(
            f"{text!r} is not a time: write 2026-11-01, 2026-11-01T12:30 (with +01:00 or Z for "
            f"another zone), 2026-11, 2026-W45, 2026, {NOW}, {', '.join(WORDS)}, "
            f"or how long ago: {number}d, {number}h, {number}m"
        ) from None


def start_of(text: str, zone: ZoneInfo, now_ms: int) -> int:
    """Return the moment that a `--from` names: the beginning of a day or a longer stretch."""
    return stretch(text, zone, now_ms)[0]


def end_of(text: str, zone: ZoneInfo, now_ms: int) -> int:
    """Return the moment that a `--to` names, itself not included: the end of a day or a
    longer stretch, which is thereby included."""
    return stretch(text, zone, now_ms)[1]


def midnight_ms(day: dt.date, zone: ZoneInfo) -> int:
    """Return when `day` begins in `zone`; where midnight is skipped, when it would be."""
    return round(dt.datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def winter_offset(zone: str) -> dt.timedelta:
    """Return how far the winter time of `zone` is ahead of UTC."""
    moments = [dt.datetime(2026, month, 1, tzinfo=ZoneInfo(zone)) for month in (1, 7)]
    return min(moment.utcoffset() or dt.timedelta() for moment in moments)


def day_of(stamp_ms: int, zone: ZoneInfo) -> dt.date:
    """Return the day of `zone` that a moment belongs to."""
    return dt.datetime.fromtimestamp(stamp_ms / 1000, zone).date()


def hour_of(stamp_ms: int, zone: str) -> int:
    """Return the hour of the day, 0 to 23, that a moment has in the zone of that name."""
    return dt.datetime.fromtimestamp(stamp_ms / 1000, ZoneInfo(zone)).hour


def first_day(kind: str, day: dt.date) -> dt.date:
    """Return the first day of the day, week (from Monday), month or year that holds `day`."""
    match kind:
        case "week":
            return day - dt.timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(month=1, day=1)
        case _:
            return day


def next_day(kind: str, day: dt.date) -> dt.date:
    """Return the first day after the day, week, month or year that holds `day`."""
    longest = {"day": 1, "week": 7, "month": 31, "year": 366}[kind]
    return first_day(kind, first_day(kind, day) + dt.timedelta(days=longest))


def iso_utc(at_ms: int) -> str:
    """Return a moment, milliseconds UTC, as ISO 8601: "2026-11-01T12:30:00.000Z"."""
    moment = dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _before(kind: str, day: dt.date, back: int) -> dt.date:
    for _ in range(back):
        day = first_day(kind, day) - dt.timedelta(days=1)
    return day


def _calendar(kind: str, day: dt.date, zone: ZoneInfo) -> TimeSpan:
    return midnight_ms(first_day(kind, day), zone), midnight_ms(next_day(kind, day), zone)


def _ago(parts: list[tuple[float, str]], zone: ZoneInfo, now_ms: int) -> int:
    """Return the moment so long before now; days and weeks go back to the same local time."""
    days = sum(number * UNITS[unit] / UNITS["d"] for number, unit in parts if unit in "dw")
    rest = sum(number * UNITS[unit] for number, unit in parts if unit not in "dw")
    local = dt.datetime.fromtimestamp(now_ms / 1000, zone) - dt.timedelta(days=days)
    if local.year not in _YEARS:
        raise ValueError
    return round((local.timestamp() - rest) * 1000) if days else now_ms - round(rest * 1000)


def _iso(text: str, zone: ZoneInfo) -> TimeSpan:
    if match := re.fullmatch(r"(\d{4})(?:-(\d\d))?|(\d{4})-?W(\d\d)", text):
        year, month, week_year, week = (int(one) if one else 0 for one in match.groups())
        kind, day = "year", dt.date(year or 2000, month or 1, 1)
        if week_year:
            kind, day = "week", dt.date.fromisocalendar(week_year, week, 1)
        elif month:
            kind = "month"
    else:
        time = dt.datetime.fromisoformat(text)
        kind, day = "day", time.date()
        if len(text) > len("2026-W45-1"):
            at = round((time if time.tzinfo else time.replace(tzinfo=zone)).timestamp() * 1000)
            kind = ""
    # The first week of a year may begin in the year before.
    if (int(match[3]) if match and match[3] else day.year) not in _YEARS:
        raise ValueError
    return _calendar(kind, day, zone) if kind else (at, at)
