"""Lines out of the buffer file, read beside a running logger."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

from logger.domain.datamodel import Lane
from logger.domain.timespan import TimeSpan
from logger.store import recent
from logger.store.database import Database
from logger.store.pack import unpack
from logger.store.rows import RowState, row_checksum
from logger.store.schema import SELDOM

_BETWEEN = "last_ms >= :start AND first_ms < :end"
# Of the marks each byte stands for a cell of time: 1 if it touches what is sought. Most rows
# of other times are found out by these, without a look at their text.
_MARKED = (
    f"{_BETWEEN} AND instr(substr(:marks, "
    "(max(first_ms, :start) - :start) / :cell + 1, (last_ms - first_ms) / :cell + 2), x'01') > 0"
)
_CELL_MS = 60_000
_CELLS = 1_000_000  # at most
_COLUMNS = "id, points, first_ms, last_ms, crc, body"
_ROWS = (
    f"SELECT {_COLUMNS} FROM rows WHERE lane = 'main' AND state <> :aside AND {{}} "  # noqa: S608
    "AND (typeof(body) = 'blob' OR instr(body, :head) > 0)"
)
_SOUGHT = "SELECT id FROM rows WHERE {} AND {}"
_CHOSEN = (
    f"SELECT {_COLUMNS} FROM rows WHERE id IN (SELECT value FROM json_each(?)) "  # noqa: S608
    "AND state <> ? AND (typeof(body) = 'blob' OR instr(body, ?) > 0) ORDER BY id"
)
_BATCH = 1000  # rows

# A row as it is read: `_COLUMNS`.
_Row = tuple[int, int, int, int, int, str | bytes]


class StoredLines:
    """The lines of the main lane in a buffer file, whether delivered already or not.

    Rows that fail their checksum are left out and counted in `damaged`.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises BufferFileError when there is none, or it is damaged."""
        self._database = Database.open_readonly(path)
        self._damaged: set[int] = set()

    @property
    def damaged(self) -> int:
        """How many rows failed their checksum; each counts once, however often it was read."""
        return len(self._damaged)

    def __call__(self, measurement: str, spans: Sequence[TimeSpan]) -> Iterator[str]:
        """Yield texts of lines with all of `measurement` that lie in one of `spans`, which
        are in order; maybe others, too. Those that were stored later come later."""
        if not spans:
            return
        head = f"{measurement},"
        ends = [end for _, end in spans]
        lines = re.compile(f"^{re.escape(head)}.*$", re.MULTILINE)
        find = self._seldom if measurement in SELDOM else self._often
        with recent.view(self._database) as on_top:
            for rows in find(measurement, spans):
                texts: list[str] = []
                for number, points, first_ms, last_ms, crc, body in rows:
                    packed = isinstance(body, bytes)
                    if packed and not _touches(spans, ends, first_ms, last_ms):
                        continue
                    if crc != row_checksum(number, Lane.MAIN, points, first_ms, last_ms, body):
                        self._damaged.add(number)
                    elif isinstance(body, str):
                        texts.append(body)
                    elif head in (text := self._unpacked(number, body)):  # as a rule it is not
                        texts += lines.findall(text)
                if texts:
                    yield "\n".join(texts)
            for row in on_top.rows(Lane.MAIN):
                if head in row.body and _touches(spans, ends, row.first_ms, row.last_ms):
                    yield row.body

    def _unpacked(self, number: int, body: bytes) -> str:
        try:
            return unpack(body)
        except ValueError:
            self._damaged.add(number)
            return ""

    def _often(self, measurement: str, spans: Sequence[TimeSpan]) -> Iterator[Sequence[_Row]]:
        """Yield rows out of all of the file, read through once."""
        where, values = _where(spans)
        values |= {"aside": int(RowState.SET_ASIDE), "head": f"{measurement},"}
        yield from self._database.batches(_ROWS.format(where), values, _BATCH)

    def _seldom(self, measurement: str, spans: Sequence[TimeSpan]) -> Iterator[Sequence[_Row]]:
        """Yield rows that an index names; a file of an older version is read through."""
        where, values = _where(spans)
        sought = _SOUGHT.format(SELDOM[measurement], where)
        found = self._database.batches(sought, values, _BATCH)
        wanted = sorted(number for batch in found for (number,) in batch)
        for start in range(0, len(wanted), _BATCH):
            numbers = json.dumps(wanted[start : start + _BATCH])
            yield self._database.rows(_CHOSEN, numbers, int(RowState.SET_ASIDE), f"{measurement},")

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _where(spans: Sequence[TimeSpan]) -> tuple[str, dict[str, object]]:
    """Return the condition on the times of a row that may reach one of `spans`, and its values."""
    start, end = spans[0][0], spans[-1][1]
    if len(spans) == 1:
        return _BETWEEN, {"start": start, "end": end}
    cell = max(_CELL_MS, (end - start) // _CELLS)
    marks = bytearray((end - start) // cell + 1)
    for begin, until in spans:
        first, last = (begin - start) // cell, (until - 1 - start) // cell
        marks[first : last + 1] = b"\1" * (last + 1 - first)
    return _MARKED, {"start": start, "end": end, "cell": cell, "marks": bytes(marks)}


def _touches(spans: Sequence[TimeSpan], ends: Sequence[int], first_ms: int, last_ms: int) -> bool:
    """Return whether something between two times may lie in one of `spans`."""
    place = bisect_right(ends, first_ms)  # the first span that ends after it
    return place < len(spans) and spans[place][0] <= last_ms
