"""Checks someone's own line protocol and makes rows of it. Pure but for reading the file."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path

from logger.domain.datamodel import MEASUREMENTS, Lane
from logger.domain.errors import BufferFileError
from logger.domain.field import FieldType
from logger.domain.timespan import EVER
from logger.points.line import FieldValue, Point
from logger.points.parse import decode
from logger.store.rows import NewRow, new_rows
from logger.store.tools import missing_room
from logger.texts import one_line

PRECISIONS = ("s", "ms", "us", "ns")
_TYPES = {
    FieldType.FLOAT: float,
    FieldType.INTEGER: int,
    FieldType.TEXT: str,
    FieldType.BOOLEAN: bool,
}
# What reports are made of needs the tags by which they choose.
_REPORTED = (
    *("energy", "energy_15m", "day_digest"),
    *("quality_voltage", "quality_frequency", "quality_frequency_15m"),
)
_TAGS = frozenset({"site", "meter", "role"})
_GZIP = b"\x1f\x8b"
_MAX_LINE = 65_536  # characters: the longest series key that the server takes


def check_room(path: Path, max_size: int, rows: Sequence[NewRow]) -> None:
    """Raise BufferFileError if a buffer has no room for `rows`: a part of them, or of what
    it holds, would be dropped."""
    if missing := missing_room(path, max_size, rows):
        points = sum(row.points for row in rows)
        raise BufferFileError(
            f"{path}: no room for {points} points: {missing / 1e6:.1f} MB are missing in "
            f"buffer.max_size ({max_size / 1e6:.0f} MB); nothing is imported",
            "raise buffer.max_size",
        )


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be imported: its number in the file, from 1, and why."""

    number: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Import:
    """The rows of a file, its bad lines, and how many lines said again what others did."""

    rows: list[NewRow]
    bad: list[BadLine]
    repeated: int = 0


def read_lines(file: Path, precision: str = "auto") -> Import:
    """Return the rows of a line protocol file, plain or compressed by gzip; `precision` is
    that of its timestamps.

    Raises BufferFileError if the file cannot be read.
    """
    try:
        with file.open("rb") as raw:
            packed = raw.peek(2)[:2] == _GZIP
            # A mark of the byte order at the beginning is no part of the first line.
            with (
                gzip.open(raw) if packed else raw as data,
                TextIOWrapper(data, encoding="utf-8-sig", newline="\n") as lines,
            ):
                return _import(lines, precision)
    except UnicodeDecodeError as err:
        raise BufferFileError(f"{file}: not UTF-8 text: {err}", "is it line protocol?") from err
    except (EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise BufferFileError(f"{file}: damaged gzip data: {err}", "is it complete?") from err
    except OSError as err:
        raise BufferFileError(f"{file}: {err.strerror}", "check the name and permissions") from err


@dataclass(slots=True)
class _Known:
    """A point made of one line or more, and the line that each field came from."""

    point: Point
    lines: dict[str, int]


def _import(lines: Iterable[str], precision: str) -> Import:
    known: dict[tuple[str, tuple[tuple[str, str], ...], int], _Known] = {}
    bad = []
    repeated = 0
    for number, raw in enumerate(lines, start=1):
        text = raw.rstrip("\r\n")
        if not text.strip() or text.startswith("#"):
            continue
        try:
            point = _check(text, precision)
            key = (point.measurement, tuple(sorted(point.tags.items())), point.time_ms)
            there = known.setdefault(key, _Known(replace(point, fields={}), {}))
            fresh = _fresh(there, point)
        except ValueError as err:
            bad.append(BadLine(number, str(err), text[:200]))
            continue
        repeated += not fresh
        there.point = replace(point, fields={**there.point.fields, **fresh})
        there.lines.update(dict.fromkeys(fresh, number))
    good: dict[Lane, list[str]] = {lane: [] for lane in Lane}
    times: dict[Lane, list[int]] = {lane: [] for lane in Lane}
    for one in known.values():
        measurement = MEASUREMENTS.get(one.point.measurement)
        lane = measurement.lane if measurement is not None else Lane.MAIN
        good[lane].append(one.point.line())
        times[lane].append(one.point.time_ms)
    rows = [row for lane in Lane for row in new_rows(lane, good[lane], times[lane])]
    return Import(rows, bad, repeated)


def _fresh(there: _Known, point: Point) -> Mapping[str, FieldValue]:
    """Return the fields of `point` that are not known. Raises ValueError for other values
    at the same time: of two points in one millisecond the server would keep one."""
    for name, value in point.fields.items():
        if name in there.lines and there.point.fields[name] != value:
            raise ValueError(
                f"{name} has another value in line {there.lines[name]}, in the same millisecond"
            )
    return {name: value for name, value in point.fields.items() if name not in there.lines}


def _check(text: str, precision: str) -> Point:
    """Return the point of a line, with its time in milliseconds."""
    if len(text) > _MAX_LINE:
        raise ValueError(f"longer than {_MAX_LINE} characters")
    point = decode(text)
    point = replace(point, time_ms=_milliseconds(point.time_ms, precision))
    known = MEASUREMENTS.get(point.measurement)
    names = set(point.fields) if known is None else {*point.fields, *known.fields}
    for tag in point.tags:
        if tag in names:
            raise ValueError(f"the tag {tag!r} has the name of a field")
    if "time" in {*point.tags, *point.fields}:
        raise ValueError("a tag or field cannot be called 'time': servers drop it")
    if known is not None:
        for name, value in point.fields.items():
            field = known.fields.get(name)
            if field is None:
                continue
            if not _fits(value, field.kind):
                raise ValueError(f"{point.measurement}.{name} has to be {field.kind.value}")
            if not isinstance(value, str) and not field.holds(value):
                raise ValueError(f"{point.measurement}.{name} is {value:g}: expected {field.range}")
    if point.measurement in _REPORTED and (lacking := _TAGS - point.tags.keys()):
        raise ValueError(f"{point.measurement} without {' and '.join(sorted(lacking))}")
    point.line()  # raises for names that line protocol cannot hold
    return point


def _fits(value: FieldValue, kind: FieldType) -> bool:
    return type(value) is _TYPES[kind]


def _milliseconds(stamp: int, precision: str) -> int:
    # Between 2000 and 2100 a number is a time in one unit only.
    for unit in PRECISIONS if precision == "auto" else (precision,):
        time_ms = _scaled(stamp, unit)
        if EVER[0] <= time_ms < EVER[1]:
            return time_ms
    raise ValueError(f"timestamp {stamp} is not between 2000 and 2100 in {precision} precision")


def _scaled(stamp: int, unit: str) -> int:
    """Return a time in milliseconds; what is finer is cut off."""
    return stamp * 1000 if unit == "s" else stamp // {"ms": 1, "us": 1000, "ns": 1_000_000}[unit]


def summary(bad: Iterable[BadLine]) -> Iterator[str]:
    """Yield a line for each bad line."""
    for one in bad:
        yield one_line(f"line {one.number}: {one.reason}: {one.text}")
