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
    from logger.report import stored

    def damaged(count: int) -> None:
        rows = "1 damaged row was" if count == 1 else f"{count} damaged rows were"
        typer.echo(f"{rows} left out", err=True)

    with stored.source(config, from_buffer, damaged=damaged) as points:
        yield points
