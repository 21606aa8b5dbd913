"""What the report commands share: days, and where their points come from."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from logger.config import Config
    from logger.report.source import Source


_QUERY_PATIENCE = 3  # a query may take so many times influxdb.timeout, which is for writes


def day(text: str) -> dt.date:
    """Return the day that "2026-10-25" names."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day: write 2026-10-25") from None


FromOption = Annotated[
    dt.date | None,
    typer.Option("--from", parser=day, metavar="DAY", help="First day, in the site's time zone."),
]
ToOption = Annotated[
    dt.date | None,
    typer.Option("--to", parser=day, metavar="DAY", help="Last day, itself included."),
]
BufferOption = Annotated[
    bool,
    typer.Option("--from-buffer", help="Read the buffer although InfluxDB is configured."),
]
MeterOption = Annotated[
    list[str] | None, typer.Option("--meter", help="Only this meter; may be repeated.")
]


def days(first: dt.date | None, last: dt.date | None, config: Config) -> tuple[dt.date, dt.date]:
    """Return the days of a report; without any the current month so far."""
    from zoneinfo import ZoneInfo

    today = dt.datetime.now(ZoneInfo(config.site.timezone)).date()
    end = last or today
    begin = first or end.replace(day=1)
    if begin > end:
        raise typer.BadParameter(f"--from {begin} is after --to {end}")
    return begin, end


@contextlib.contextmanager
def source(config: Config, from_buffer: bool) -> Iterator[Source]:
    """Open what holds the points: InfluxDB where configured, else the buffer."""
    from logger.config.token import READ_TOKEN_VARIABLE, from_environment
    from logger.report.influx import InfluxSource
    from logger.report.source import BufferSource
    from logger.store.query import StoredLines

    target = config.influxdb
    if target is not None and not from_buffer:
        token = from_environment(READ_TOKEN_VARIABLE) or target.token()
        patience_s = _QUERY_PATIENCE * target.timeout
        yield InfluxSource(target.url, target.bucket, token, config.site.name, patience_s)
        return
    lines = StoredLines(config.buffer.path)
    try:
        yield BufferSource(lines, config.site.name)
    finally:
        lines.close()
    if lines.damaged:
        typer.echo(f"{lines.damaged} damaged rows were left out", err=True)
