"""Lines out of the buffer file, read beside a running logger."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from logger.buffer.database import Database
from logger.buffer.rows import COLUMNS, State, as_row
from logger.datamodel import Lane
from logger.report.source import Span

_WHERE = "FROM rows WHERE lane = ? AND state <> ? AND last_ms >= ? AND first_ms < ?"
_ROWS = f"SELECT {COLUMNS} {_WHERE}"
_TIMES = f"SELECT id, first_ms, last_ms {_WHERE}"
_ROW = f"SELECT {COLUMNS} FROM rows WHERE id = ?"  # noqa: S608 - constants


class StoredLines:
    """The lines of the main lane in a buffer file, whether delivered already or not.

    Rows that fail their checksum are left out and counted in `damaged`.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises BufferFileError when there is none, or it is damaged."""
        self._database = Database.open_readonly(path)
        self.damaged = 0

    def __call__(self, spans: Sequence[Span]) -> Iterator[str]:
        """Yield the lines of all rows that touch one of `spans`, which are in order."""
        if not spans:
            return
        whole = (Lane.MAIN.value, int(State.SET_ASIDE), spans[0][0], spans[-1][1])
        with self._database.snapshot():
            for values in self._one(whole) if len(spans) == 1 else self._many(whole, spans):
                row = as_row(values)
                if row.intact:
                    yield from row.lines
                else:
                    self.damaged += 1

    def _one(self, whole: tuple[object, ...]) -> Iterator[tuple[Any, ...]]:
        yield from self._database.stream(_ROWS, *whole)

    def _many(self, whole: tuple[object, ...], spans: Sequence[Span]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of many short spans: their texts are fetched one by one."""
        ends = [end for _, end in spans]
        wanted = []
        for number, first_ms, last_ms in self._database.stream(_TIMES, *whole):
            place = bisect_right(ends, first_ms)  # the first span that ends after it
            if place < len(spans) and spans[place][0] <= last_ms:
                wanted.append(number)
        for number in wanted:
            yield from self._database.rows(_ROW, number)

    def close(self) -> None:
        """Close the file."""
        self._database.close()
