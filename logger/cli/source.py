"""What the report commands share: where their points come from, and of which meters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from logger.config import Config
    from logger.report.source import Source


_QUERY_PATIENCE = 3  # a query may take so many times influxdb.timeout, which is for writes

BufferOption = Annotated[
    bool,
    typer.Option("--from-buffer", help="Read the buffer although InfluxDB is configured."),
]
MeterOption = Annotated[
    list[str] | None, typer.Option("--meter", help="Only this meter; may be repeated.")
]


def known_meters(path: Path, config: Config, names: Iterable[str] | None, stored: Set[str]) -> None:
    """Check the names given with --meter: a meter is in the configuration, or was, and then
    has points. Raises ConfigError for any other."""
    from logger.config.find import find_meter

    for name in names or ():
        if name not in stored:
            find_meter(path, config, name)


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
