"""Reads rows out of a damaged buffer file, page by page, without SQLite.

Nothing in the file is trusted but the rows' own checksums: every leaf page is taken apart,
and each row and ledger that checks out is handed over. First come the frames of the log
that were moved into the database before, then the database, then the other frames.
Layout: sqlite.org, "Database File Format", sections 1.6 (b-tree pages), 2.1 (records) and
4.1 (log).
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from logger.domain.datamodel import Lane
from logger.store import wal
from logger.store.database import PAGE
from logger.store.ledger import Ledger, checksum
from logger.store.parked import Parked
from logger.store.rows import RowState, StoredRow, as_row, has_counters
from logger.store.seal import seal

_TABLE_LEAF = 0x0D
_FILE_HEADER = 100  # bytes before the b-tree of page 1
_MAX_LOCAL = PAGE - 35
_MIN_LOCAL = (PAGE - 12) * 32 // 255 - 23
_MAX_RECORD = 64 * 1024**2
_INT_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}

Value = int | str | bytes | float | None
Pages = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class SavedRow:
    """An intact row found in a damaged file, in the state it was in."""

    row: StoredRow
    state: RowState
    changed_ms: int
    counters: bool
    reason: str | None


Saved = SavedRow | Ledger | Parked


def saved(path: Path) -> Iterator[Saved]:
    """Yield all intact rows, ledgers and parked readings of the file and its log; later is newer.

    A row may come more than once, in the states it went through. Raises OSError only if
    the file cannot be read at all.
    """
    log = wal.log_of(path)
    past, present = _frames(log)
    # Never closed: that would give up the locks that SQLite holds on the file for connections
    # still open in this process (fcntl(2)).
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def from_file(number: int) -> bytes:
        return os.pread(descriptor, PAGE, (number - 1) * PAGE)

    yield from _logged(log, past, from_file)
    count = (path.stat().st_size + PAGE - 1) // PAGE
    for number in range(1, count + 1):
        yield from _page(_read(from_file, number), number, from_file)
    yield from _logged(log, present, from_file)


def _frames(log: Path) -> tuple[list[int], list[int]]:
    """Return where the frames lie that were moved before the log began anew, and where
    those that count."""
    past: list[int] = []
    present: list[int] = []
    with contextlib.suppress(OSError), log.open("rb") as file:
        salt = wal.salt(log)
        for offset in range(wal.HEADER, log.stat().st_size - wal.FRAME + 1, wal.FRAME):
            file.seek(offset + 8)
            (present if wal.alike(file.read(8), salt) else past).append(offset)
    return past, present


def _logged(log: Path, frames: list[int], from_file: Pages) -> Iterator[Saved]:
    """Yield what frames hold; long rows go on in the newest frame of each page."""
    if not frames:
        return
    newest: dict[int, int] = {}
    with log.open("rb") as file:

        def page(offset: int) -> bytes:
            file.seek(offset)
            return file.read(wal.FRAME)[wal.FRAME_HEADER :]

        def from_log(number: int) -> bytes:
            return page(newest[number]) if number in newest else from_file(number)

        numbers = []
        for offset in frames:
            file.seek(offset)
            numbers.append(int.from_bytes(file.read(4), "big"))
            newest[numbers[-1]] = offset
        for number, offset in zip(numbers, frames, strict=True):
            yield from _page(page(offset), number, from_log)


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
    if len(values) not in {11, 12}:  # a row of an older file has no seal until it changes
        return None
    _, state, lane, points, first_ms, last_ms, changed_ms, _, crc, reason, body = values[:11]
    if lane not in set(Lane) or not isinstance(state, int):
        return None
    row = as_row((rowid, lane, points, first_ms, last_ms, crc, body))
    if not row.intact:
        return None
    changed = changed_ms if isinstance(changed_ms, int) else row.last_ms
    sealed = values[11] if len(values) == 12 else None
    if state not in set(RowState) or sealed not in {None, seal(row.crc, state, changed)}:
        # Which state it was in is not known: what waits may be delivered twice, not lost.
        state, changed = RowState.WAITING, row.last_ms
    text = reason if isinstance(reason, str) else None
    return SavedRow(row, RowState(state), changed, has_counters(row.lines), text)


# The tables by their number of columns; a row of an older file has no seal.
_KINDS: Mapping[int, Callable[[int, list[Value]], Saved | None]] = {
    3: _as_ledger,
    5: _as_parked,
    11: _as_row,
    12: _as_row,
}
