"""Reads rows out of a damaged buffer file, page by page, without SQLite.

Nothing in the file is trusted but the rows' own checksums: every leaf page of the
database and of its log is taken apart, in that order, and each row and ledger that
checks out is handed over. Layout: sqlite.org, "Database File Format", sections 1.6 (b-tree
pages), 2.1 (records) and 4.1 (log).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from logger.buffer.database import PAGE
from logger.buffer.ledger import Ledger, checksum
from logger.buffer.medium import FRAME
from logger.buffer.parked import Parked
from logger.buffer.rows import Row, State, as_row
from logger.datamodel import Lane

_TABLE_LEAF = 0x0D
_FILE_HEADER = 100  # bytes before the b-tree of page 1
_WAL_HEADER = 32
_MAX_LOCAL = PAGE - 35
_MIN_LOCAL = (PAGE - 12) * 32 // 255 - 23
_MAX_RECORD = 64 * 1024**2
_INT_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}

# Files that were taken apart, kept open for ever: closing one would give up the locks that
# SQLite holds on it for connections still open in this process (fcntl(2)).
_HELD: list[BinaryIO] = []

Value = int | str | bytes | float | None
Pages = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class SavedRow:
    """An intact row found in a damaged file, in the state it was in."""

    row: Row
    state: State
    changed_ms: int
    counters: bool
    reason: str | None


Saved = SavedRow | Ledger | Parked


def saved(path: Path) -> Iterator[Saved]:
    """Yield all intact rows, ledgers and parked readings of the file and its log; later is newer.

    A row may come more than once, in the states it went through. Raises OSError only if
    the file cannot be read at all.
    """
    log = path.with_name(path.name + "-wal")
    frames = _log_index(log)
    file = path.open("rb")
    _HELD.append(file)

    def from_file(number: int) -> bytes:
        file.seek((number - 1) * PAGE)
        return file.read(PAGE)

    count = (path.stat().st_size + PAGE - 1) // PAGE
    for number in range(1, count + 1):
        yield from _page(_read(from_file, number), number, from_file)
    if not frames:
        return
    with log.open("rb") as tail:

        def from_log(number: int) -> bytes:
            if number not in frames:
                return from_file(number)
            tail.seek(frames[number] + 24)
            return tail.read(PAGE)

        size = log.stat().st_size
        for offset in range(_WAL_HEADER, size - FRAME + 1, FRAME):
            tail.seek(offset)
            frame = tail.read(FRAME)
            number = int.from_bytes(frame[:4], "big")
            yield from _page(frame[24:], number, from_log)


def _log_index(log: Path) -> dict[int, int]:
    """Return the offset of the last frame of each page."""
    found: dict[int, int] = {}
    try:
        with log.open("rb") as file:
            size = log.stat().st_size
            for offset in range(_WAL_HEADER, size - FRAME + 1, FRAME):
                file.seek(offset)
                found[int.from_bytes(file.read(4), "big")] = offset
    except OSError:
        return {}
    return found


def _read(pages: Pages, number: int) -> bytes:
    try:
        return pages(number)
    except OSError:  # a bad block: this page is lost, not the others
        return b""


def _page(page: bytes, number: int, pages: Pages) -> Iterator[Saved]:
    page = page.ljust(PAGE, b"\0")
    start = _FILE_HEADER if number == 1 else 0
    if page[start] != _TABLE_LEAF:
        return
    cells = int.from_bytes(page[start + 3 : start + 5], "big")
    for index in range(min(cells, PAGE // 4)):
        at = start + 8 + 2 * index
        offset = int.from_bytes(page[at : at + 2], "big")
        try:
            rowid, values = _cell(page, offset, pages)
        except (IndexError, ValueError, struct.error, OSError):
            continue
        found = _KINDS.get(len(values), _as_nothing)(rowid, values)
        if found is not None:
            yield found


def _cell(page: bytes, offset: int, pages: Pages) -> tuple[int, list[Value]]:
    size, offset = _varint(page, offset)
    rowid, offset = _varint(page, offset)
    if size > _MAX_RECORD:
        raise ValueError("no record is that long")
    local = size
    if size > _MAX_LOCAL:
        local = _MIN_LOCAL + (size - _MIN_LOCAL) % (PAGE - 4)
        if local > _MAX_LOCAL:
            local = _MIN_LOCAL
    payload = bytearray(page[offset : offset + local])
    follow = int.from_bytes(page[offset + local : offset + local + 4], "big")
    while len(payload) < size:
        overflow = pages(follow) if follow else b""
        if len(overflow) < PAGE:
            raise ValueError("the chain of overflow pages is broken")
        follow = int.from_bytes(overflow[:4], "big")
        payload += overflow[4 : 4 + size - len(payload)]
    return rowid, _record(bytes(payload))


def _record(payload: bytes) -> list[Value]:
    header, at = _varint(payload, 0)
    kinds = []
    while at < header:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    return values


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind in _INT_SIZES:
        end = at + _INT_SIZES[kind]
        return int.from_bytes(payload[at:end], "big", signed=True), end
    if kind in {0, 8, 9}:
        return {0: None, 8: 0, 9: 1}[kind], at
    if kind == 7:
        return struct.unpack(">d", payload[at : at + 8])[0], at + 8
    if kind < 12:
        raise ValueError("no such type")
    end = at + (kind - 12) // 2
    if end > len(payload):
        raise ValueError("the record ends early")
    data = payload[at:end]
    return (data.decode() if kind % 2 else data), end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for index in range(8):
        byte = data[at + index]
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, at + index + 1
    return number << 8 | data[at + 8], at + 9


def _as_ledger(_rowid: int, values: list[Value]) -> Ledger | None:
    _, text, crc = values
    if not isinstance(text, str) or checksum(text) != crc:
        return None
    try:
        return Ledger.loads(text)
    except ValueError:
        return None


def _as_parked(rowid: int, values: list[Value]) -> Parked | None:
    _, boot, moment_ms, crc, body = values
    if not (isinstance(boot, str) and isinstance(moment_ms, int) and isinstance(body, str)):
        return None
    found = Parked(rowid, boot, moment_ms, body)
    return found if found.crc == crc else None


def _as_nothing(_rowid: int, _values: list[Value]) -> None:
    return None


def _as_row(rowid: int, values: list[Value]) -> SavedRow | None:
    _, state, lane, points, first_ms, last_ms, changed_ms, counters, crc, reason, body = values
    if lane not in set(Lane) or state not in set(State) or not isinstance(state, int):
        return None
    row = as_row((rowid, lane, points, first_ms, last_ms, crc, body))
    if not row.intact:
        return None
    changed = changed_ms if isinstance(changed_ms, int) else row.last_ms
    text = reason if isinstance(reason, str) else None
    return SavedRow(row, State(state), changed, counters == 1, text)


# The tables by their number of columns.
_KINDS: Mapping[int, Callable[[int, list[Value]], Saved | None]] = {
    3: _as_ledger,
    5: _as_parked,
    11: _as_row,
}
