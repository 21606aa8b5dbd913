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
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from logger.domain.datamodel import MEASUREMENTS
from logger.domain.errors import ExportError
from logger.points.line import FieldValue, Point
from logger.points.parse import TRUE
from logger.points.split import LineParser, point_of, special

STDOUT = Path("-")
_TAGS_FIRST = ("site", "bus", "meter", "role", "phase", "tariff", "kind")
_OWN = ("time", "measurement")
_BOOLEANS = {True: "true", False: "false"}
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
    columns, tags = _columns(_kinds(source()))
    table = csv.writer(out, lineterminator="\n")
    table.writerow(columns)
    cells = _Cells(columns, tags)
    for line in source():
        table.writerow(cells.of(line))
        count += 1
    return count


def _kinds(lines: Iterable[str]) -> Iterator[Point]:
    """Yield points that have all tags and all fields of `lines`, with values of their kinds:
    few, for nearly all lines are like one before."""
    parser = LineParser()
    heads: set[str] = set()
    known: set[str] = set()
    for line in lines:
        if special(line):
            yield parser.point(line)
            continue
        head, body, _ = line.split(" ")
        # the last character of a value tells its kind
        found = {part[: part.find("=")] + part[-1] for part in body.split(",")}
        if head in heads and found <= known:
            continue
        heads.add(head)
        known |= found
        yield point_of(line)


class _Cells:
    """Gives the cells of lines, by the columns that there are."""

    def __init__(self, columns: Iterable[str], tags: Set[str]) -> None:
        self._places = {name: place for place, name in enumerate(columns)}
        self._tags = tags
        self._heads: dict[str, list[object]] = {}
        self._fields: dict[str, int] = {}

    def of(self, line: str) -> list[object]:
        """Return the cells of a line. A float is written as `repr` has it."""
        if special(line):
            point = point_of(line)
            cells = self._of_head(point)
            for name, value in point.fields.items():
                cells[self._place(name)] = _BOOLEANS[value] if isinstance(value, bool) else value
            cells[0] = _time_text(point.time_ms)
            return cells
        head, body, stamp = line.split(" ")
        if head not in self._heads:
            self._heads[head] = self._of_head(point_of(line))
        cells = self._heads[head].copy()
        cells[0] = _time_text(int(stamp))
        fields = self._fields
        for part in body.split(","):
            name, _, text = part.partition("=")
            place = fields[name] if name in fields else self._place(name)
            last = text[-1]
            if last.isdigit():
                cells[place] = float(text)
            else:
                cells[place] = text[:-1] if last == "i" else _BOOLEANS[text in TRUE]
        return cells

    def _of_head(self, point: Point) -> list[object]:
        cells: list[object] = [""] * len(self._places)
        cells[1] = point.measurement
        for name, value in point.tags.items():
            cells[self._places[_tag(name)]] = value
        return cells

    def _place(self, name: str) -> int:
        place = self._fields[name] = self._places[_column(name, self._tags)]
        return place


def _time_text(time_ms: int) -> str:
    second, part = divmod(time_ms, 1000)
    return f"{_second_text(second)}.{part:03d}Z"


@lru_cache(1024)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _write_parquet(source: Source, draft: Path) -> int:
    import pyarrow
    import pyarrow.parquet

    columns, tags = _columns(map(LineParser().point, source()))
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
        for group in _groups(map(LineParser().point, source())):
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
