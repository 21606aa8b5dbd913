"""Times and durations of the command line: `logger.domain.times` as options."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from logger.domain import times

if TYPE_CHECKING:
    from logger.domain.timespan import TimeSpan

# Far more than a logger lives: prices that move cut it into quarter hours, all in memory.
_LONGEST_MS = 50 * 366 * 86_400_000
_HELP = "2026-11-01, 2026-11-01T12:30, yesterday, last-month, 30d (ago) ...; local time of the site"

FromOption = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help=f"From here on: {_HELP}.")
]
ToOption = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="TIME", help="Up to here: a day, week, month or year is included."
    ),
]


@contextmanager
def _named(option: str) -> Iterator[None]:
    try:
        yield
    except ValueError as err:
        raise typer.BadParameter(f"{option}: {err}") from None


def now_ms() -> int:
    """Return the time now, milliseconds UTC."""
    return time.time_ns() // 1_000_000


def duration(text: str) -> float:
    """Return a duration in seconds that is not below zero."""
    try:
        return times.seconds(text)
    except ValueError as err:
        raise typer.BadParameter(str(err)) from None


def lasting(text: str) -> float:
    """Return a duration in seconds that is above zero."""
    found = duration(text)
    if not found:
        raise typer.BadParameter(f"{text!r} is no time at all: write 30s, 5m or 2h")
    return found


ForOption = Annotated[
    float | None,
    typer.Option(
        "--for", parser=lasting, metavar="DURATION", help="End by itself after this, such as 30s."
    ),
]


def limits(
    first: str | None, last: str | None, zone: str, now_ms: int
) -> tuple[int | None, int | None]:
    """Return what `--from` and `--to` name, milliseconds UTC: from the first on, before the
    second; None for what was not given."""
    place = ZoneInfo(zone)
    start = end = None
    if first is not None:
        with _named("--from"):
            start = times.start_of(first, place, now_ms)
    if last is not None:
        with _named("--to"):
            end = times.end_of(last, place, now_ms)
    if start is not None and end is not None and start >= end:
        raise typer.BadParameter(f"--from {first} is not before --to {last}")
    return start, end


def moment(text: str, zone: str, now_ms: int, option: str) -> int:
    """Return the moment that an option names, milliseconds UTC: of a day its beginning."""
    with _named(option):
        return times.start_of(text, ZoneInfo(zone), now_ms)


def report_span(first: str | None, last: str | None, zone: str, now_ms: int) -> TimeSpan:
    """Return what a report covers: by default the month so far, up to the end of today."""
    start, end = limits(first, last, zone, now_ms)
    place = ZoneInfo(zone)
    if end is None:
        end = times.end_of("today", place, now_ms)
    if start is None:
        start = times.midnight_ms(times.first_day("month", times.day_of(end - 1, place)), place)
    if start >= end:
        raise typer.BadParameter(f"--from {first} is not before the end of today")
    if end - start > _LONGEST_MS:
        raise typer.BadParameter(
            f"from {shown(start, zone)[:10]} to {shown(end - 1, zone)[:10]}: "
            "a report is of 50 years at most"
        )
    return start, end


def shown(time_ms: int | None, zone: str = "UTC") -> str:
    """Return a time for a person, "-" for none."""
    if time_ms is None:
        return "-"
    stamp = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    return stamp.strftime("%Y-%m-%d %H:%M:%S %Z")
