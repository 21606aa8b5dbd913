"""Lines out of the buffer file, read beside a running logger."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from logger.domain.datamodel import Lane
from logger.domain.timespan import TimeSpan
from logger.points.split import stamp_of
from logger.store import recent
from logger.store.database import Database
from logger.store.rows import COLUMNS, RowState, as_row
from logger.store.schema import SELDOM

# Searching the text in SQL spares taking most rows apart. Of the marks each byte stands for
# a cell of time in which a row may begin; a row longer than a cell is always taken.
_ROWS = (
    f"SELECT {COLUMNS} FROM rows WHERE lane = :lane AND state <> :aside "  # noqa: S608
    "AND last_ms >= :start AND first_ms < :end AND (last_ms - first_ms >= :cell "
    "OR substr(:marks, (first_ms - :base) / :cell + 1, 1) = x'01') "
    "AND (typeof(body) = 'blob' OR instr(body, :head) > 0)"
)
_CELL_MS = 900_000
_CELLS = 1_000_000  # at most
_TIMES = "SELECT id, first_ms, last_ms FROM rows WHERE {} AND last_ms >= ? AND first_ms < ?"
_ALL_OF = (
    f"SELECT {COLUMNS} FROM rows WHERE {{}} AND last_ms >= ? AND first_ms < ? "  # noqa: S608
    "AND state <> ? AND (typeof(body) = 'blob' OR instr(body, ?) > 0) ORDER BY id"
)
_CHOSEN = (
    f"SELECT {COLUMNS} FROM rows WHERE id IN (SELECT value FROM json_each(?)) "  # noqa: S608
    "AND state <> ? AND (typeof(body) = 'blob' OR instr(body, ?) > 0) ORDER BY id"
)
_BATCH = 1000


class StoredLines:
    """The lines of the main lane in a buffer file, whether delivered already or not.

    Rows that fail their checksum are left out and counted in `damaged`.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises BufferFileError when there is none, or it is damaged."""
        self._database = Database.open_readonly(path)
        self.damaged = 0

    def __call__(self, measurement: str, spans: Sequence[TimeSpan]) -> Iterator[str]:
        """Yield the lines of all rows with `measurement` that touch one of `spans`, which
        are in order; maybe of others. Those that were stored later come later."""
        if not spans:
            return
        find = self._seldom if measurement in SELDOM else self._often
        head = f"{measurement},"
        ends = [end for _, end in spans]
        with recent.view(self._database) as on_top:
            for values in find(measurement, spans):
                packed = isinstance(values[6], bytes)
                if packed and not _touches(spans, ends, values[3], values[4]):
                    continue
                row = as_row(values)
                if not row.intact:
                    self.damaged += 1
                elif packed:  # most of it is of other times
                    yield from _of(row.lines, head, spans, ends)
                else:
                    yield from row.lines
            for row in on_top.rows(Lane.MAIN):
                if head in row.body and _touches(spans, ends, row.first_ms, row.last_ms):
                    yield from row.lines

    def _often(self, measurement: str, spans: Sequence[TimeSpan]) -> Iterator[tuple[Any, ...]]:
        """Yield rows out of all of the file, read through once."""
        start, end = spans[0][0], spans[-1][1]
        cell = max(_CELL_MS, (end - start) // _CELLS)
        base = start - start % cell - cell
        values = {
            "lane": Lane.MAIN.value,
            "aside": int(RowState.SET_ASIDE),
            "start": start,
            "end": end,
            "cell": cell,
            "base": base,
            "marks": _marks(spans, base, cell),
            "head": f"{measurement},",
        }
        yield from self._database.named(_ROWS, values)

    def _seldom(self, measurement: str, spans: Sequence[TimeSpan]) -> Iterator[tuple[Any, ...]]:
        """Yield rows that an index names; a file of an older version is read through."""
        aside, head = int(RowState.SET_ASIDE), f"{measurement},"
        if len(spans) == 1:
            sql = _ALL_OF.format(SELDOM[measurement])
            yield from self._database.stream(sql, *spans[0], aside, head)
            return
        ends = [end for _, end in spans]
        sql = _TIMES.format(SELDOM[measurement])
        wanted = []
        for number, first_ms, last_ms in self._database.stream(sql, spans[0][0], ends[-1]):
            if _touches(spans, ends, first_ms, last_ms):
                wanted.append(number)
        for numbers in _batches(sorted(wanted)):
            yield from self._database.stream(_CHOSEN, json.dumps(numbers), aside, head)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _marks(spans: Sequence[TimeSpan], base: int, cell: int) -> bytes:
    """Return a byte for each cell from `base` on: 1 if a row that begins there may reach
    one of `spans`, being no longer than a cell."""
    marks = bytearray((spans[-1][1] - base) // cell + 1)
    for start, end in spans:
        first, last = (start - base) // cell - 1, (end - 1 - base) // cell
        marks[first : last + 1] = b"\1" * (last + 1 - first)
    return bytes(marks)


def _touches(spans: Sequence[TimeSpan], ends: Sequence[int], first_ms: int, last_ms: int) -> bool:
    """Return whether something between two times may lie in one of `spans`."""
    place = bisect_right(ends, first_ms)  # the first span that ends after it
    return place < len(spans) and spans[place][0] <= last_ms


def _of(
    lines: Sequence[str], head: str, spans: Sequence[TimeSpan], ends: Sequence[int]
) -> Iterator[str]:
    """Yield the lines that begin with `head` and lie in one of `spans`."""
    for line in lines:
        if line.startswith(head):
            stamp = stamp_of(line)
            if _touches(spans, ends, stamp, stamp):
                yield line


def _batches(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    for start in range(0, len(numbers), _BATCH):
        yield numbers[start : start + _BATCH]
