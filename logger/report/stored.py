"""Lines out of the buffer file, read beside a running logger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from logger.buffer.database import Database
from logger.buffer.rows import COLUMNS, State, as_row
from logger.datamodel import Lane

# Rows come in the order of reading, but a row may be stored late.
_SQL = (
    f"SELECT {COLUMNS} FROM rows WHERE lane = ? AND state <> ? "  # noqa: S608 - constants
    "AND last_ms >= ? AND first_ms < ? AND instr(body, ?) > 0 ORDER BY id"
)


class StoredLines:
    """The lines of the main lane in a buffer file, whether delivered already or not.

    Rows that fail their checksum are left out and counted in `damaged`.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises BufferFileError when there is none, or it is damaged."""
        self._database = Database.open_readonly(path)
        self.damaged = 0

    def __call__(self, start_ms: int, end_ms: int, head: str) -> Iterator[str]:
        """Yield the lines of rows that touch the time from `start_ms` to `end_ms` and hold
        a line that begins with `head`."""
        aside = int(State.SET_ASIDE)
        lane = Lane.MAIN.value
        for values in self._database.stream(_SQL, lane, aside, start_ms, end_ms, head):
            row = as_row(values)
            if not row.intact:
                self.damaged += 1
                continue
            yield from row.lines

    def close(self) -> None:
        """Close the file."""
        self._database.close()
