"""What the buffer commands share: the file they work on, a progress bar, tables."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from logger.cli.moments import shown

if TYPE_CHECKING:
    from logger.config import Config, Influx
    from logger.domain.errors import ExportError
    from logger.report.daychain import Checked
    from logger.store.ledger import Books


@dataclass(frozen=True, slots=True)
class Opened:
    """The buffer file of a command, with what the configuration says about it."""

    path: Path
    zone: str
    max_size: int
    config: Config | None

    @property
    def store(self) -> bool:
        """Whether the file is where points stay: there is no database."""
        return self.config is not None and self.config.influxdb is None

    @property
    def max_age_ms(self) -> int | None:
        """The age at which points go, if there is one."""
        age_s = None if self.config is None else self.config.buffer.max_age
        return None if age_s is None else int(age_s * 1000)

    def target(self) -> Influx:
        """Return [influxdb]. Raises ConfigError if there is none, or no token."""
        from logger.domain.errors import ConfigError

        influx = self.config.influxdb if self.config is not None else None
        if influx is None:
            raise ConfigError(
                "the configuration has no [influxdb]: the buffer is the store",
                "buffer export writes its points to a file",
            )
        influx.token()
        return influx

    @staticmethod
    def now_ms() -> int:
        """Return the time now."""
        return time.time_ns() // 1_000_000


def opened(config: Path, file: Path | None) -> Opened:
    """Return the file of a command: `file`, or that of the configuration."""
    from logger.config import load_config

    if file is not None:
        return Opened(file, "UTC", 2 * 1024**3, None)
    loaded = load_config(config)
    return Opened(loaded.buffer.path, loaded.site.timezone, loaded.buffer.max_size, loaded)


def running_buffer(path: Path) -> dict[str, Any] | None:
    """Return what the running logger says about its buffer, None if none can be asked."""
    from logger.domain.errors import StatusError
    from logger.runtime.status import ask

    try:
        buffer: dict[str, Any] = ask(path)["buffer"]
    except StatusError:
        return None
    return buffer


def emit(data: object) -> None:
    """Print JSON."""
    typer.echo(json.dumps(data, indent=2))


@contextmanager
def bar(what: str, as_json: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on the error output, unless a script listens; gives the function
    to call with (done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    hidden = as_json or not console.is_terminal
    with Progress(console=console, disable=hidden, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def nothing_to_export(path: Path, measurements: Sequence[str]) -> ExportError:
    """Say why there is nothing to export; no file is touched."""
    from logger.domain.datamodel import MEASUREMENTS
    from logger.domain.errors import ExportError, nearest

    for name in measurements:
        if name not in MEASUREMENTS and (near := nearest(name, MEASUREMENTS)):
            return ExportError(f"no measurement is called {name!r}", f"did you mean {near!r}?")
    return ExportError(
        "nothing to export: no point of that time, state and measurement is in the buffer",
        f"inepro-logger buffer status shows what {path} holds",
    )


def scrubbed(scrub: dict[str, Any], zone: str) -> str:
    """Return how far the check of the whole file is."""
    if not scrub["done_ms"]:
        last = "not wholly checked yet"
    else:
        damaged = scrub["done_damaged"]
        result = f"{damaged} damaged" if damaged else "none damaged"
        last = f"wholly checked at {shown(scrub['done_ms'], zone)}: "
        last += f"{scrub['done_rows']:,} rows, {result}"
    if not scrub["after"]:
        return last
    return f"{last}; {scrub['rows']:,} rows checked since {shown(scrub['began_ms'], zone)}"


def books_table(found: dict[str, Any], zone: str) -> None:
    """Print what `buffer status` found."""
    from rich.console import Console

    from logger.cli.console import fitting, plain
    from logger.cli.table import Table

    console = Console(highlight=False)
    running = "a logger is running on it" if found["running"] else "no logger is running on it"
    console.print(f"buffer {plain(found['path'])}: {running}", soft_wrap=True)
    kept = "kept" if found["store"] else "waiting"
    table = Table("points", "read", "delivered", kept, "set aside", "dropped")
    for name, books in found["books"].items():
        counts = ("read", "delivered", "waiting", "set_aside", "dropped")
        table.add_row(name, *(f"{books[count]:,}" for count in counts))
    console.print(fitting(table))
    for name, books in found["books"].items():
        if name != "total" and books["drops"]:
            why = ", ".join(f"{reason}: {count:,}" for reason, count in books["drops"].items())
            console.print(f"dropped of {name}: {plain(why)}")
    oldest, newest = (shown(found[name], zone) for name in ("oldest_ms", "newest_ms"))
    console.print(f"oldest {kept} point {oldest}, newest {newest}")
    console.print(
        f"{found['size'] / 1e6:.1f} MB on the disk, {found['full']:.0%} of max_size "
        f"({found['max_size'] / 1e6:.0f} MB) in use"
    )
    if found["room_to_make"]:
        console.print(f"{found['room_to_make'] / 1e6:.1f} MB above its limit: room is to be made")
    if found["store"]:
        text = f"no [influxdb], this file is the store: {until_full_of(found)}"
        console.print(plain(text), soft_wrap=True)
    if found["in_memory"]:
        console.print(f"{found['in_memory']:,} of the {kept} points are still in memory")
    for day, count in found["written"].items():
        console.print(f"written to the medium on {day}: {count / 1e6:.1f} MB")
    console.print(scrubbed(found["scrub"], zone))
    for problem in found["problems"]:
        console.print(f"[red]problem:[/] {plain(problem)}", soft_wrap=True)


def until_full_of(state: dict[str, Any]) -> str:
    """Return how long a store keeps everything, by what was said of it."""
    from logger.store.state import until_full

    return until_full(state["days_left"], state["bytes_per_day"], state["max_size"])


def days(path: Path, books: Books | None) -> Checked:
    """Check the chain of days in a buffer file with these books; nothing where it has none."""
    from logger.domain.timespan import EVER
    from logger.report.daychain import Checked, Kept, check
    from logger.report.source import BufferSource
    from logger.store.query import StoredLines

    if books is None:
        return Checked()
    kept = Kept.SOME if books.total.dropped else Kept.NEWEST
    if not books.total.dropped and not books.total.delivered:
        kept = Kept.ALL
    lines = StoredLines(path)
    try:
        return check(BufferSource(lines), EVER, {}, kept)
    finally:
        lines.close()
