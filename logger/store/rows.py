"""The rows of the buffer file: what one is, and every change of state.

Each function works inside the caller's transaction and keeps the ledger true.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping, Sequence

from logger.domain.datamodel import Lane
from logger.store import recent
from logger.store.database import Database
from logger.store.ledger import Ledger
from logger.store.pack import pack
from logger.store.row import (
    COLUMNS,
    NewRow,
    RowState,
    SentRow,
    Settlement,
    StoredRow,
    as_row,
    has_counters,
    new_rows,
    row_checksum,
)
from logger.store.schema import sought_by_text
from logger.store.seal import seal
from logger.store.seal import sql as seal_sql
from logger.texts import one_line

__all__ = [
    "COLUMNS",
    "NewRow",
    "RowState",
    "SentRow",
    "Settlement",
    "StoredRow",
    "as_row",
    "has_counters",
    "new_rows",
    "row_checksum",
]

LEASE_MS = 120_000  # how long a command may keep rows from a running logger
DAMAGED = "the row fails its checksum"
LONG = 128 * 1024  # characters of a body that is packed when it is stored, whatever it is of

_INSERT = (
    "INSERT INTO rows (id, state, lane, points, first_ms, last_ms, changed_ms, counters, crc, "
    "reason, body, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
DELIVERED = f"state=1, changed_ms=?1, seal={seal_sql(state='1', changed_ms='?1')}"


def numbered(
    new: NewRow, number: int, *, packed_from: int | None = None, columns: bool = False
) -> StoredRow:
    """Return a new row with its number, as it is stored: packed if it has as many characters
    as `packed_from`."""
    body = new.body
    if packed_from is not None and len(body) >= packed_from and not sought_by_text(body):
        row = StoredRow(number, new.lane, new.points, new.first_ms, new.last_ms, 0, body)
        return with_body(row, body, columns=columns and new.lane is Lane.FAST)
    crc = row_checksum(number, new.lane, new.points, new.first_ms, new.last_ms, body)
    return StoredRow(number, new.lane, new.points, new.first_ms, new.last_ms, crc, body)


def with_body(
    row: StoredRow,
    body: str,
    *,
    points: int | None = None,
    first_ms: int | None = None,
    last_ms: int | None = None,
    columns: bool = False,
) -> StoredRow:
    """Return a row with another body, packed; what is not given stays."""
    packed = pack(body, columns=columns)
    points = row.points if points is None else points
    first_ms = row.first_ms if first_ms is None else first_ms
    last_ms = row.last_ms if last_ms is None else last_ms
    crc = row_checksum(row.id, row.lane, points, first_ms, last_ms, packed)
    return StoredRow(row.id, row.lane, points, first_ms, last_ms, crc, body, packed)


def put(
    database: Database,
    row: StoredRow,
    state: RowState,
    changed_ms: int,
    *,
    counters: bool,
    reason: str | None = None,
) -> None:
    """Store a row under its number."""
    database.run(
        _INSERT,
        row.id,
        int(state),
        row.lane.value,
        row.points,
        row.first_ms,
        row.last_ms,
        changed_ms,
        int(counters),
        row.crc,
        reason,
        row.body if row.packed is None else row.packed,
        seal(row.crc, state, changed_ms),
    )


def insert(
    database: Database,
    ledger: Ledger,
    new: Iterable[NewRow],
    now_ms: int,
    state: RowState = RowState.WAITING,
    reason: str | None = None,
    *,
    packed_from: int = LONG,
    columns: bool = False,
) -> list[int]:
    """Add rows in order and return their numbers; those of `packed_from` characters or more
    are packed. The ledger's counts are the caller's."""
    numbers = []
    for one in new:
        number = ledger.next_id
        ledger.next_id += 1
        numbers.append(number)
        row = numbered(one, number, packed_from=packed_from, columns=columns)
        put(database, row, state, now_ms, counters=one.counters, reason=reason)
    return numbers


def append(
    database: Database,
    ledger: Ledger,
    new: Iterable[NewRow],
    now_ms: int,
    *,
    packed_from: int = LONG,
    columns: bool = False,
) -> None:
    """Add rows that were read just now and wait for delivery; see `insert`."""
    rows = list(new)
    insert(database, ledger, rows, now_ms, packed_from=packed_from, columns=columns)
    book(ledger, rows)


def book(ledger: Ledger, new: Iterable[NewRow]) -> None:
    """Book rows that were read just now and wait for delivery."""
    for row in new:
        ledger.lanes[row.lane].read += row.points
        ledger.lanes[row.lane].waiting += row.points


def waiting(
    database: Database, lane: Lane, now_ms: int, *, after: int = 0, newest: bool = False
) -> Generator[StoredRow, None, None]:
    """Yield waiting rows of a lane with numbers above `after`, oldest or newest first;
    those that a command is delivering just now are left to it."""
    order = "DESC" if newest else "ASC"
    soon = now_ms + LEASE_MS
    sql = (
        f"SELECT {COLUMNS} FROM rows WHERE state=0 AND lane=? AND id>? AND NOT EXISTS "  # noqa: S608
        "(SELECT 1 FROM leases WHERE leases.lane=rows.lane AND until_ms BETWEEN ? AND ? "
        f"AND rows.id BETWEEN first_id AND last_id) ORDER BY id {order}"
    )
    with recent.view(database) as on_top:
        fresh = [row for row in on_top.rows(lane) if row.id > after]
        if newest:
            yield from (row for row in reversed(fresh) if row.id not in on_top.delivered)
        for values in database.stream(sql, lane.value, after, now_ms, soon):
            if values[0] not in on_top.delivered:
                yield as_row(values)
        if not newest:
            yield from (row for row in fresh if row.id not in on_top.delivered)


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
        if reasons and isinstance(row, StoredRow):
            _split(database, ledger, row, reasons, now_ms)
        else:
            whole.append(number)
            account.waiting -= row.points
            account.delivered += row.points
    if whole:
        database.run(
            f"UPDATE rows SET {DELIVERED} WHERE id IN (SELECT value FROM json_each(?2))",  # noqa: S608
            now_ms,
            json.dumps(whole),
        )


def _settle_all(
    database: Database, ledger: Ledger, sent: Sequence[StoredRow | SentRow], now_ms: int
) -> bool:
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
    database.run(f"UPDATE rows SET {DELIVERED} {where}", now_ms, *span)  # noqa: S608
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


def points_in(database: Database, lane: Lane, state: RowState) -> int:
    """Return how many points lie in the rows of a lane that are in `state`."""
    return int(
        database.value(
            "SELECT coalesce(sum(points), 0) FROM rows WHERE state=? AND lane=?",
            int(state),
            lane.value,
        )
    )
