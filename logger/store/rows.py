"""The rows of the buffer file: what one is, and every change of state.

Each function works inside the caller's transaction and keeps the ledger true.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from logger.domain.datamodel import Lane
from logger.store.database import Database
from logger.store.ledger import Ledger
from logger.store.seal import seal
from logger.store.seal import sql as seal_sql
from logger.texts import one_line

LEASE_MS = 120_000  # how long a command may keep rows from a running logger
_LINES_A_ROW = 500
DAMAGED = "the row fails its checksum"


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
    """A row of the file."""

    id: int
    lane: Lane
    points: int
    first_ms: int
    last_ms: int
    crc: int
    body: str

    @property
    def intact(self) -> bool:
        """True if the row is what was stored."""
        return self.crc == row_checksum(
            self.id, self.lane, self.points, self.first_ms, self.last_ms, self.body
        )

    @property
    def lines(self) -> list[str]:
        """The lines of the body."""
        return self.body.split("\n")


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of rows that were sent: `rows` as they were sent, and for those with
    refused lines the reason by line number. All other lines were acknowledged."""

    rows: Sequence[StoredRow]
    refused: Mapping[int, Mapping[int, str]] = field(default_factory=dict)


COLUMNS = "id, lane, points, first_ms, last_ms, crc, body"
_INSERT = (
    "INSERT INTO rows (id, state, lane, points, first_ms, last_ms, changed_ms, counters, crc, "
    "reason, body, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_DELIVERED = f"state=1, changed_ms=?1, seal={seal_sql(state='1', changed_ms='?1')}"

_LANES: Mapping[object, Lane] = {lane.value: lane for lane in Lane}


def has_counters(lines: Iterable[str]) -> bool:
    """Return whether one of the lines holds energy counters, or their quarter hours."""
    return any(line.startswith("energy") for line in lines)


def row_checksum(
    number: int, lane: str, points: int, first_ms: int, last_ms: int, body: str
) -> int:
    """Return the checksum of a row: all of it that never changes."""
    head = f"{number}|{lane}|{points}|{first_ms}|{last_ms}|"
    return zlib.crc32(body.encode("utf-8", "surrogateescape"), zlib.crc32(head.encode()))


def as_row(values: Sequence[object]) -> StoredRow:
    """Return a row from `COLUMNS`; a field of a wrong type makes it not intact."""
    number, lane, points, first_ms, last_ms, crc, body = values
    known = _LANES.get(lane)
    good = known is not None and isinstance(body, str)
    return StoredRow(
        number if isinstance(number, int) else int(str(number)),
        known or Lane.MAIN,
        points if isinstance(points, int) else 0,
        first_ms if isinstance(first_ms, int) else 0,
        last_ms if isinstance(last_ms, int) else 0,
        crc if good and isinstance(crc, int) else -1,
        str(body),
    )


def insert(
    database: Database,
    ledger: Ledger,
    new: Iterable[NewRow],
    now_ms: int,
    state: RowState = RowState.WAITING,
    reason: str | None = None,
) -> list[int]:
    """Add rows in order and return their numbers. The ledger's counts are the caller's."""
    numbers = []
    for row in new:
        number = ledger.next_id
        ledger.next_id += 1
        numbers.append(number)
        crc = row_checksum(number, row.lane, row.points, row.first_ms, row.last_ms, row.body)
        database.run(
            _INSERT,
            number,
            int(state),
            row.lane.value,
            row.points,
            row.first_ms,
            row.last_ms,
            now_ms,
            int(row.counters),
            crc,
            reason,
            row.body,
            seal(crc, state, now_ms),
        )
    return numbers


def new_rows(lane: Lane, lines: Sequence[str], times: Sequence[int]) -> list[NewRow]:
    """Return lines as rows, one unless there are very many; `times` has that of each line."""
    found = []
    for start in range(0, len(lines), _LINES_A_ROW):
        part = lines[start : start + _LINES_A_ROW]
        stamps = times[start : start + _LINES_A_ROW]
        counters, body = has_counters(part), "\n".join(part)
        found.append(NewRow(lane, len(part), min(stamps), max(stamps), counters, body))
    return found


def append(database: Database, ledger: Ledger, new: Iterable[NewRow], now_ms: int) -> None:
    """Add rows that were read just now and wait for delivery."""
    rows = list(new)
    insert(database, ledger, rows, now_ms)
    for row in rows:
        ledger.lanes[row.lane].read += row.points
        ledger.lanes[row.lane].waiting += row.points


def waiting(
    database: Database, lane: Lane, now_ms: int, *, after: int = 0, newest: bool = False
) -> Generator[StoredRow, None, None]:
    """Yield waiting rows of a lane with numbers above `after`, oldest or newest first;
    those that a command is delivering just now are left to it."""
    order = "DESC" if newest else "ASC"
    sql = (
        f"SELECT {COLUMNS} FROM rows WHERE state=0 AND lane=? AND id>? AND NOT EXISTS "  # noqa: S608
        "(SELECT 1 FROM leases WHERE leases.lane=rows.lane AND until_ms BETWEEN ? AND ? "
        f"AND rows.id BETWEEN first_id AND last_id) ORDER BY id {order}"
    )
    for values in database.stream(sql, lane.value, after, now_ms, now_ms + LEASE_MS):
        yield as_row(values)


def settle(database: Database, ledger: Ledger, done: Settlement, now_ms: int) -> None:
    """Mark rows delivered, and set refused lines aside.

    Only rows that still wait, unchanged, are touched: settling twice counts once.
    """
    if not done.refused and _settle_all(database, ledger, done.rows, now_ms):
        return
    wanted = {row.id: row for row in done.rows}
    found = database.rows(
        "SELECT id, crc FROM rows WHERE state=0 AND id IN (SELECT value FROM json_each(?))",
        json.dumps(sorted(wanted)),
    )
    whole: list[int] = []
    for number, crc in found:
        row = wanted[number]
        if crc != row.crc:
            continue
        account = ledger.lanes[row.lane]
        reasons = done.refused.get(number, {})
        if reasons:
            _split(database, ledger, row, reasons, now_ms)
        else:
            whole.append(number)
            account.waiting -= row.points
            account.delivered += row.points
    if whole:
        database.run(
            f"UPDATE rows SET {_DELIVERED} WHERE id IN (SELECT value FROM json_each(?2))",  # noqa: S608
            now_ms,
            json.dumps(whole),
        )


def _settle_all(database: Database, ledger: Ledger, sent: Sequence[StoredRow], now_ms: int) -> bool:
    """Mark rows of one lane delivered, at once, if they are all that waits between the
    first and the last of them, unchanged, as nearly always; return whether that was so."""
    lanes = {row.lane for row in sent}
    if len(lanes) != 1:
        return False
    (lane,) = lanes
    numbers = [row.id for row in sent]
    span = (lane.value, min(numbers), max(numbers))
    where = "WHERE state=0 AND lane=?2 AND id BETWEEN ?3 AND ?4"
    # One row of sums: each of a thousand rows would be a wait for the other threads.
    found = database.row(
        f"SELECT count(*), sum(id), sum(crc) FROM rows {where}",  # noqa: S608
        None,
        *span,
    )
    if found != (len(sent), sum(numbers), sum(row.crc for row in sent)):
        return False
    database.run(f"UPDATE rows SET {_DELIVERED} {where}", now_ms, *span)  # noqa: S608
    points = sum(row.points for row in sent)
    ledger.lanes[lane].waiting -= points
    ledger.lanes[lane].delivered += points
    return True


def _split(
    database: Database, ledger: Ledger, row: StoredRow, reasons: Mapping[int, str], now_ms: int
) -> None:
    """Keep the acknowledged lines of a row as delivered and set the others aside."""
    lines = row.lines
    good = [line for number, line in enumerate(lines) if number not in reasons]
    groups: dict[str, list[str]] = {}
    for number, reason in sorted(reasons.items()):
        groups.setdefault(one_line(reason), []).append(lines[number])
    account = ledger.lanes[row.lane]
    database.run("DELETE FROM rows WHERE id=?", row.id)
    account.waiting -= row.points
    if good:
        account.delivered += len(good)
        insert(database, ledger, [_part(row, good)], now_ms, RowState.DELIVERED)
    for reason, bad in groups.items():
        account.set_aside += len(bad)
        insert(database, ledger, [_part(row, bad)], now_ms, RowState.SET_ASIDE, reason)


def _part(row: StoredRow, lines: Sequence[str]) -> NewRow:
    body = "\n".join(lines)
    return NewRow(row.lane, len(lines), row.first_ms, row.last_ms, has_counters(lines), body)


def set_aside_damaged(
    database: Database, ledger: Ledger, numbers: Iterable[int], now_ms: int
) -> None:
    """Set rows aside that fail their checksum: what they say cannot be believed."""
    for number in numbers:
        found = database.row("SELECT lane, points FROM rows WHERE state=0 AND id=?", number)
        if found is not None and found[0] in set(Lane) and isinstance(found[1], int):
            ledger.lanes[Lane(found[0])].waiting -= found[1]
            ledger.lanes[Lane(found[0])].set_aside += found[1]
            database.run(
                "UPDATE rows SET state=2, changed_ms=?1, reason=?2, "  # noqa: S608
                f"seal={seal_sql(state='2', changed_ms='?1')} WHERE id=?3",
                now_ms,
                DAMAGED,
                number,
            )
