"""Writes points of a buffer as CSV, line protocol or Parquet. The only owner of pyarrow.

CSV and Parquet are one wide table: `time`, `measurement`, a column for each tag and each
field that occurs, in the order of the data model. A field that has the name of a tag
(`tariff`) gets the column `tariff_value`, a tag `time` or `measurement` `time_tag`.
"""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from logger.domain.datamodel import MEASUREMENTS
from logger.domain.errors import ExportError
from logger.points.line import FieldValue, Point
from logger.points.parse import decode

STDOUT = Path("-")
_TAGS_FIRST = ("site", "bus", "meter", "role", "phase", "tariff", "kind")
_OWN = ("time", "measurement")
_GROUP = 20_000  # points a row group of Parquet: what is in memory at once
PARQUET_HINT = "pip install '.[parquet]' in the checkout"

Source = Callable[[], Iterable[str]]  # gives the lines anew each time it is called


def export(source: Source, file: Path, kind: str) -> int:
    """Write the points of `source` to `file` and return how many there were.

    The file is complete or not there: it is written beside and then renamed. `-` is the
    standard output, not for Parquet. Raises ExportError.
    """
    if kind == "parquet":
        if file == STDOUT:
            raise ExportError("Parquet cannot go to the terminal", "name a file with --out")
        require_parquet()
    if file == STDOUT:
        return _write_text(source, sys.stdout, kind)
    draft = file.with_name(file.name + ".part")
    try:
        if kind == "parquet":
            count = _write_parquet(source, draft)
        else:
            with draft.open("w", encoding="utf-8", newline="") as out:
                count = _write_text(source, out, kind)
        draft.replace(file)
    except OSError as err:
        raise ExportError(
            f"{file}: {err.strerror or err}", "check the directory, space and permissions"
        ) from err
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    return count


def require_parquet() -> None:
    """Raise ExportError with the remedy if Parquet cannot be written here."""
    try:
        import pyarrow.parquet  # noqa: F401 - only whether it is there
    except ImportError as err:
        raise ExportError("Parquet needs pyarrow, which is not installed", PARQUET_HINT) from err


def _write_text(source: Source, out: IO[str], kind: str) -> int:
    count = 0
    if kind == "lp":
        for line in source():
            out.write(line + "\n")
            count += 1
        return count
    columns, tags = _columns(map(decode, source()))
    table = csv.writer(out, lineterminator="\n")
    table.writerow(columns)
    for line in source():
        values = _as_row(decode(line), tags)
        table.writerow([_text(values.get(name)) for name in columns])
        count += 1
    return count


def _text(value: object) -> object:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
        case float():
            return repr(value)
        case _:
            return value


def _write_parquet(source: Source, draft: Path) -> int:
    import pyarrow
    import pyarrow.parquet

    columns, tags = _columns(map(decode, source()))
    kinds = {
        bool: pyarrow.bool_(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        str: pyarrow.string(),
        datetime: pyarrow.timestamp("ms", tz="UTC"),
    }
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    count = 0
    with pyarrow.parquet.ParquetWriter(draft, schema, compression="zstd") as writer:
        for group in _groups(map(decode, source())):
            rows = [
                {
                    name: None
                    if value is None
                    else columns[name](value)
                    if columns[name] in {float, str}
                    else value
                    for name, value in _as_row(point, tags).items()
                }
                for point in group
            ]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
            count += len(group)
    return count


def _groups(points: Iterable[Point]) -> Iterator[list[Point]]:
    group: list[Point] = []
    for point in points:
        group.append(point)
        if len(group) == _GROUP:
            yield group
            group = []
    if group:
        yield group


def _columns(points: Iterable[Point]) -> tuple[dict[str, type], Set[str]]:
    """Return the columns that occur, in order, with a type that holds all their values,
    and the names of all tags."""
    tags: set[str] = set()
    fields: dict[str, type] = {}
    for point in points:
        tags.update(point.tags)
        for name, value in point.fields.items():
            kind = type(value)
            fields[name] = _wider(fields.get(name, kind), kind)
    order = _order()
    found: dict[str, type] = {"time": datetime, "measurement": str}
    found.update(dict.fromkeys(map(_tag, _sorted(tags, _TAGS_FIRST)), str))
    for name in _sorted(fields, order):
        column = _column(name, tags)
        # Two names may meet in one column ("a" beside a tag "a", and "a_value").
        found[column] = _wider(found.get(column, fields[name]), fields[name])
    return found, tags


def _wider(one: type, other: type) -> type:
    if one is other:
        return one
    return float if {one, other} == {int, float} else str


def _order() -> list[str]:
    return [name for measurement in MEASUREMENTS.values() for name in measurement.fields]


def _sorted(names: Iterable[str], order: Sequence[str]) -> list[str]:
    rank = {name: position for position, name in reversed(list(enumerate(order)))}
    return sorted(names, key=lambda name: (rank.get(name, len(order)), name))


def _tag(name: str) -> str:
    return f"{name}_tag" if name in _OWN else name


def _column(field: str, tags: Set[str]) -> str:
    taken = {*_OWN, *_TAGS_FIRST, *tags}
    return f"{field}_value" if field in taken else field


def _as_row(point: Point, tags: Set[str]) -> Mapping[str, Any]:
    values: dict[str, FieldValue | datetime] = {
        "time": datetime.fromtimestamp(point.time_ms / 1000, UTC),
        "measurement": point.measurement,
        **{_tag(name): value for name, value in point.tags.items()},
    }
    values.update({_column(name, tags): value for name, value in point.fields.items()})
    return values
