"""Checks someone's own line protocol and makes rows of it. Pure but for reading the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from logger.domain.datamodel import MEASUREMENTS, FieldType, Lane
from logger.domain.errors import BufferFileError
from logger.points.line import FieldValue
from logger.points.parse import decode
from logger.store.rows import NewRow, new_rows
from logger.texts import one_line

PRECISIONS = ("s", "ms", "us", "ns")
_EARLIEST_MS = 946_684_800_000  # 2000; with it, each unit's range of numbers is its own
_LATEST_MS = 4_102_444_800_000  # 2100
_TYPES = {
    FieldType.FLOAT: float,
    FieldType.INTEGER: int,
    FieldType.TEXT: str,
    FieldType.BOOLEAN: bool,
}
_MAX_LINE = 65_536  # characters: the longest series key that the server takes


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be imported: its number in the file, from 1, and why."""

    number: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Import:
    """The rows of a file and its bad lines."""

    rows: list[NewRow]
    bad: list[BadLine]


def read_lines(file: Path, precision: str = "auto") -> Import:
    """Return the rows of a line protocol file; `precision` is that of its timestamps.

    Raises BufferFileError if the file cannot be read.
    """
    try:
        with file.open(encoding="utf-8", newline="\n") as lines:
            return _import(lines, precision)
    except UnicodeDecodeError as err:
        raise BufferFileError(f"{file}: not UTF-8 text: {err}", "is it line protocol?") from err
    except OSError as err:
        raise BufferFileError(f"{file}: {err.strerror}", "check the name and permissions") from err


def _import(lines: Iterable[str], precision: str) -> Import:
    good: dict[Lane, list[str]] = {lane: [] for lane in Lane}
    times: dict[Lane, list[int]] = {lane: [] for lane in Lane}
    bad = []
    for number, raw in enumerate(lines, start=1):
        text = raw.rstrip("\r\n")
        if not text.strip() or text.startswith("#"):
            continue
        try:
            lane, line, time_ms = _check(text, precision)
        except ValueError as err:
            bad.append(BadLine(number, str(err), text[:200]))
            continue
        good[lane].append(line)
        times[lane].append(time_ms)
    return Import([row for lane in Lane for row in new_rows(lane, good[lane], times[lane])], bad)


def _check(text: str, precision: str) -> tuple[Lane, str, int]:
    """Return the lane of a line, the line with its time in milliseconds, and that time."""
    if len(text) > _MAX_LINE:
        raise ValueError(f"longer than {_MAX_LINE} characters")
    point = decode(text)
    time_ms = _milliseconds(point.time_ms, precision)
    measurement = MEASUREMENTS.get(point.measurement)
    if measurement is not None:
        for name, value in point.fields.items():
            field = measurement.fields.get(name)
            if field is not None and not _fits(value, field.kind):
                raise ValueError(f"{point.measurement}.{name} has to be {field.kind.value}")
    lane = measurement.lane if measurement is not None else Lane.MAIN
    head = text.rstrip().rsplit(" ", 1)[0]
    return lane, f"{head} {time_ms}", time_ms


def _fits(value: FieldValue, kind: FieldType) -> bool:
    return type(value) is _TYPES[kind]


def _milliseconds(stamp: int, precision: str) -> int:
    for unit in PRECISIONS if precision == "auto" else (precision,):
        time_ms = _scaled(stamp, unit)
        if _EARLIEST_MS <= time_ms < _LATEST_MS:
            return time_ms
    raise ValueError(f"timestamp {stamp} is not between 2000 and 2100 in {precision} precision")


def _scaled(stamp: int, unit: str) -> int:
    """Return a time in milliseconds; what is finer is cut off."""
    return stamp * 1000 if unit == "s" else stamp // {"ms": 1, "us": 1000, "ns": 1_000_000}[unit]


def summary(bad: Iterable[BadLine]) -> Iterator[str]:
    """Yield a line for each bad line."""
    for one in bad:
        yield one_line(f"line {one.number}: {one.reason}: {one.text}")
