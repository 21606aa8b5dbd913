"""What a row of the buffer file is, in memory. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from logger.domain.datamodel import Lane
from logger.store.pack import unpack

_LINES_A_ROW = 500


class RowState(IntEnum):
    """Where a row is."""

    WAITING = 0
    DELIVERED = 1
    SET_ASIDE = 2


@dataclass(frozen=True, slots=True)
class NewRow:
    """Lines that belong together, not yet in the file; times in milliseconds UTC."""

    lane: Lane
    points: int
    first_ms: int
    last_ms: int
    counters: bool
    body: str
    joined: bool = False  # to be committed with the row before
    released: int = 0  # with it the parked readings up to this number are done


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of the file; `packed` is what is stored of a body that is not stored as text."""

    id: int
    lane: Lane
    points: int
    first_ms: int
    last_ms: int
    crc: int
    body: str
    packed: bytes | None = None

    @property
    def intact(self) -> bool:
        """True if the row is what was stored."""
        body = self.body if self.packed is None else self.packed
        return self.crc == row_checksum(
            self.id, self.lane, self.points, self.first_ms, self.last_ms, body
        )

    @property
    def lines(self) -> list[str]:
        """The lines of the body."""
        return self.body.split("\n")


@dataclass(frozen=True, slots=True)
class SentRow:
    """What the mark of a delivery has to know of a row: not its text."""

    id: int
    lane: Lane
    points: int
    crc: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of rows that were sent: `rows` as they were sent, and for those with
    refused lines the reason by line number. All other lines were acknowledged."""

    rows: Sequence[StoredRow | SentRow]
    refused: Mapping[int, Mapping[int, str]] = field(default_factory=dict)

    def light(self) -> Settlement:
        """Return the same without the text of rows that were acknowledged whole: a slow medium
        may keep very many marks waiting."""
        rows = [
            row if row.id in self.refused else SentRow(row.id, row.lane, row.points, row.crc)
            for row in self.rows
        ]
        return Settlement(rows, self.refused)


@dataclass(frozen=True, slots=True)
class Parked:
    """A reading in the file: its number, in which boot and when it was read (milliseconds
    since that boot began), and what it says."""

    id: int
    boot: str
    moment_ms: int
    body: str

    @property
    def crc(self) -> int:
        """The checksum that belongs to it."""
        text = f"{self.id}|{self.boot}|{self.moment_ms}|{self.body}"
        return zlib.crc32(text.encode("utf-8", "surrogateescape"))


COLUMNS = "id, lane, points, first_ms, last_ms, crc, body"
_LANES: Mapping[object, Lane] = {lane.value: lane for lane in Lane}


def has_counters(lines: Iterable[str]) -> bool:
    """Return whether one of the lines holds energy counters, or their quarter hours."""
    return any(line.startswith("energy") for line in lines)


def row_checksum(
    number: int, lane: str, points: int, first_ms: int, last_ms: int, body: str | bytes
) -> int:
    """Return the checksum of a row: all of it that never changes, its body as it is stored."""
    head = f"{number}|{lane}|{points}|{first_ms}|{last_ms}|"
    data = body if isinstance(body, bytes) else body.encode("utf-8", "surrogateescape")
    return zlib.crc32(data, zlib.crc32(head.encode()))


def as_row(values: Sequence[object]) -> StoredRow:
    """Return a row from `COLUMNS`; a field of a wrong type makes it not intact."""
    number, lane, points, first_ms, last_ms, crc, body = values
    known = _LANES.get(lane)
    packed = body if isinstance(body, bytes) else None
    good = known is not None and isinstance(body, (str, bytes))
    row = StoredRow(
        number if isinstance(number, int) else int(str(number)),
        known or Lane.MAIN,
        points if isinstance(points, int) else 0,
        first_ms if isinstance(first_ms, int) else 0,
        last_ms if isinstance(last_ms, int) else 0,
        crc if good and isinstance(crc, int) else -1,
        str(body) if packed is None else "",
        packed,
    )
    return row if packed is None or not row.intact else _unpacked(row, packed)


def new_rows(
    lane: Lane, lines: Sequence[str], times: Sequence[int], *, joined: bool = False
) -> list[NewRow]:
    """Return lines as rows, one unless there are very many; `times` has that of each line.

    With `joined` they are to be committed with the row before.
    """
    found = []
    for start in range(0, len(lines), _LINES_A_ROW):
        part = lines[start : start + _LINES_A_ROW]
        stamps = times[start : start + _LINES_A_ROW]
        counters, body = has_counters(part), "\n".join(part)
        row = NewRow(lane, len(part), min(stamps), max(stamps), counters, body, joined)
        found.append(row)
    return found


def _unpacked(row: StoredRow, packed: bytes) -> StoredRow:
    crc, body = row.crc, ""
    try:
        body = unpack(packed)
    except ValueError:
        crc = -1
    return StoredRow(row.id, row.lane, row.points, row.first_ms, row.last_ms, crc, body, packed)
