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

# Searching the text in SQL spares taking most rows apart.
_ROWS = (
    f"SELECT {COLUMNS} FROM rows WHERE lane = ? AND state <> ? AND last_ms >= ? "  # noqa: S608
    "AND first_ms < ? AND instr(body, ?) > 0"
)
_TIMES = "SELECT id, first_ms, last_ms FROM rows WHERE lane = ? AND last_ms >= ? AND first_ms < ?"
_ROW = f"SELECT {COLUMNS} FROM rows WHERE id = ? AND state <> ? AND instr(body, ?) > 0"  # noqa: S608


class StoredLines:
    """The lines of the main lane in a buffer file, whether delivered already or not.

    Rows that fail their checksum are left out and counted in `damaged`.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises BufferFileError when there is none, or it is damaged."""
        self._database = Database.open_readonly(path)
        self.damaged = 0

    def __call__(self, measurement: str, spans: Sequence[Span]) -> Iterator[str]:
        """Yield the lines of all rows with `measurement` that touch one of `spans`, which
        are in order."""
        if not spans:
            return
        find = self._one if len(spans) == 1 else self._many
        with self._database.snapshot():
            for values in find(f"{measurement},", spans):
                row = as_row(values)
                if row.intact:
                    yield from row.lines
                else:
                    self.damaged += 1

    def _one(self, head: str, spans: Sequence[Span]) -> Iterator[tuple[Any, ...]]:
        ((start, end),) = spans
        aside = int(State.SET_ASIDE)
        yield from self._database.stream(_ROWS, Lane.MAIN.value, aside, start, end, head)

    def _many(self, head: str, spans: Sequence[Span]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of many short spans: their texts are fetched one by one."""
        ends = [end for _, end in spans]
        wanted = []
        times = (spans[0][0], spans[-1][1])
        for number, first_ms, last_ms in self._database.stream(_TIMES, Lane.MAIN.value, *times):
            place = bisect_right(ends, first_ms)  # the first span that ends after it
            if place < len(spans) and spans[place][0] <= last_ms:
                wanted.append(number)
        for number in wanted:
            yield from self._database.rows(_ROW, number, int(State.SET_ASIDE), head)

    def close(self) -> None:
        """Close the file."""
        self._database.close()
