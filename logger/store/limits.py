"""The order of sacrifice at the buffer's limit, and what leaves it by age.

1. delivered rows, oldest first;
2. waiting fast rows, oldest first, thinned to one point a minute and series;
3. those thinned rows, oldest first;
4. rows set aside, oldest first;
5. other waiting rows without energy counters, oldest first;
6. energy counters, oldest first.

Every point that goes is counted. Rows that are being sent right now (`busy`) stay.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from logger.domain.datamodel import Lane
from logger.points.split import series, stamp_of
from logger.store import seal
from logger.store.database import Database
from logger.store.ledger import Ledger
from logger.store.pack import COLUMNS as COLUMNS_METHOD
from logger.store.pack import pack
from logger.store.rows import COLUMNS, RowState, StoredRow, as_row, row_checksum

CHUNK = 200  # rows a step: what one step writes has to fit into the log
POINTS = 2000  # points a step: a packed row has as many as hundreds of others
_LOOKED_AT = 20 * CHUNK  # rows a step looks at, and perhaps leaves as they are
# The oldest rows in a state. Each lane gives its oldest in the order of the index: one query
# over both would read and sort all rows of the state, for each step.
_OF_LANE = "SELECT * FROM (SELECT id FROM rows WHERE state=?1 AND lane='{}' ORDER BY id LIMIT ?2)"
_OLDEST = f"SELECT id FROM ({' UNION ALL '.join(map(_OF_LANE.format, Lane))}) ORDER BY id LIMIT ?2"  # noqa: S608
_OF_STATE = f"SELECT id, lane, points FROM rows WHERE id IN ({_OLDEST}) ORDER BY id"  # noqa: S608
MINUTE_MS = 60_000


def free_some(database: Database, ledger: Ledger, busy: Collection[int]) -> int:
    """Take the next step in the order of sacrifice; return the rows it touched or looked
    at, 0 when nothing is left to give. A step is short, however large the file is."""
    return (
        free_delivered(database)
        or thin_fast(database, ledger, busy)
        or _drop_waiting(database, ledger, busy, "lane='fast'")
        or _drop_set_aside(database, ledger)
        or _drop_others(database, ledger, busy)
        or _drop_waiting(database, ledger, busy, "lane='main'")
    )


def free_delivered(database: Database) -> int:
    """Delete the oldest delivered rows, `CHUNK` at most."""
    return _delete(database, [number for number, _, _ in _oldest(database, RowState.DELIVERED)])


def anything_kept(database: Database, before_ms: int) -> bool:
    """Return whether the oldest delivered row of a lane was delivered before `before_ms`."""
    first = "SELECT changed_ms FROM rows WHERE state=1 AND lane=? ORDER BY id LIMIT 1"
    found = (database.value(first, lane.value) for lane in Lane)
    return any(changed is not None and changed < before_ms for changed in found)


def anything_older(database: Database, before_ms: int) -> bool:
    """Return whether the oldest waiting row of a lane ends before `before_ms`."""
    first = "SELECT last_ms FROM rows WHERE state=0 AND lane=? ORDER BY id LIMIT 1"
    found = (database.value(first, lane.value) for lane in Lane)
    return any(last is not None and last < before_ms for last in found)


def purge_kept(database: Database, before_ms: int) -> int:
    """Delete rows delivered before `before_ms`, from the oldest on, `CHUNK` at most."""
    gone: list[int] = []
    for lane in Lane:
        for number, changed in database.stream(
            "SELECT id, changed_ms FROM rows WHERE state=1 AND lane=? ORDER BY id", lane.value
        ):
            if changed >= before_ms or len(gone) >= CHUNK:
                break
            gone.append(number)
    return _delete(database, gone)


def expire(database: Database, ledger: Ledger, before_ms: int, busy: Collection[int] = ()) -> int:
    """Drop waiting rows whose newest point is older than `before_ms`; count them."""
    gone: list[int] = []
    for lane in Lane:
        for number, points, last in database.stream(
            "SELECT id, points, last_ms FROM rows WHERE state=0 AND lane=? ORDER BY id", lane.value
        ):
            if last >= before_ms or len(gone) >= CHUNK:
                break
            if number not in busy:
                gone.append(number)
                ledger.lanes[lane].drop("age", points)
    return _delete(database, gone)


def thin_fast(database: Database, ledger: Ledger, busy: Collection[int] = ()) -> int:
    """Thin the oldest fast rows that were not thinned yet, whole minutes at a time, until
    that gained something or many were looked at; return how many that were."""
    looked = 0
    while looked < _LOOKED_AT and (rows := _whole_minutes(database, ledger.thinned_id)):
        looked += len(rows)
        seen: set[tuple[str, int]] = set()
        # a packed row may end in the middle of a minute
        last = f"SELECT {COLUMNS} FROM rows WHERE id=? AND state=0 AND lane='fast'"  # noqa: S608
        for values in database.rows(last, ledger.thinned_id):
            if (before := as_row(values)).packed is not None:
                thinned(before.lines, seen)
        touched = sum(_thin(database, ledger, row, seen) for row in rows if row.id not in busy)
        ledger.thinned_id = rows[-1].id
        if touched:
            return touched
    return looked


def _whole_minutes(database: Database, after: int) -> list[StoredRow]:
    rows: list[StoredRow] = []
    end_ms: int | None = None
    step = 0
    sql = f"SELECT {COLUMNS} FROM rows WHERE state=0 AND lane='fast' AND id>? ORDER BY id"  # noqa: S608
    for values in database.stream(sql, after):
        row = as_row(values)
        if end_ms is not None and row.first_ms >= end_ms:
            break
        rows.append(row)
        step += row.points
        if end_ms is None and (len(rows) >= CHUNK or step >= POINTS):
            end_ms = (row.last_ms // MINUTE_MS + 1) * MINUTE_MS
        if len(rows) >= 4 * CHUNK:  # a minute without end: a clock that stands still
            break
    return rows


def _thin(database: Database, ledger: Ledger, row: StoredRow, seen: set[tuple[str, int]]) -> int:
    """Thin one row; return 1 if it lost points, else 0."""
    kept = thinned(row.lines, seen)
    if len(kept) == row.points or not row.intact:
        return 0
    ledger.lanes[Lane.FAST].drop("limit", row.points - len(kept))
    if not kept:
        return database.run("DELETE FROM rows WHERE id=?", row.id)
    body: str | bytes = "\n".join(kept)
    if row.packed is not None:
        body = pack(str(body), columns=row.packed[:1] == bytes((COLUMNS_METHOD,)))
    crc = row_checksum(row.id, row.lane, len(kept), row.first_ms, row.last_ms, body)
    return database.run(
        f"UPDATE rows SET points=?, crc=?2, body=?, seal={seal.sql(crc='?2')} WHERE id=?",  # noqa: S608
        len(kept),
        crc,
        body,
        row.id,
    )


def thinned(lines: Sequence[str], seen: set[tuple[str, int]]) -> list[str]:
    """Return the lines that are the first of their series in their minute; `seen` holds
    the (series, minute) met so far and grows."""
    kept = []
    for line in lines:
        key = (series(line), stamp_of(line) // MINUTE_MS)
        if key not in seen:
            seen.add(key)
            kept.append(line)
    return kept


def _drop_waiting(database: Database, ledger: Ledger, busy: Collection[int], where: str) -> int:
    gone: list[int] = []
    step = 0
    sql = f"SELECT id, lane, points FROM rows WHERE state=0 AND {where} ORDER BY id"  # noqa: S608
    for number, lane, points in database.stream(sql):
        if number in busy:
            continue
        gone.append(number)
        step += points
        ledger.lanes[Lane(lane)].drop("limit", points)
        if len(gone) >= CHUNK or step >= POINTS:
            break
    return _delete(database, gone)


def _drop_others(database: Database, ledger: Ledger, busy: Collection[int]) -> int:
    """Drop waiting rows of the main lane without counters. Where counters alone are left is
    not looked at again: there may be very many."""
    gone: list[int] = []
    looked = 0
    for number, points, counters in database.stream(
        "SELECT id, points, counters FROM rows WHERE state=0 AND lane='main' AND id>? "
        "ORDER BY id LIMIT ?",
        ledger.counters_id,
        _LOOKED_AT,
    ):
        looked += 1
        ledger.counters_id = number
        if not counters and number not in busy:
            gone.append(number)
            ledger.lanes[Lane.MAIN].drop("limit", points)
            if len(gone) >= CHUNK:
                break
    _delete(database, gone)
    return looked


def _drop_set_aside(database: Database, ledger: Ledger) -> int:
    gone = _oldest(database, RowState.SET_ASIDE)
    for _, lane, points in gone:
        ledger.lanes[Lane(lane)].drop("limit", points, waiting=False)
    return _delete(database, [number for number, _, _ in gone])


def _oldest(database: Database, state: RowState) -> list[tuple[int, str, int]]:
    """Return number, lane and points of the oldest rows in a state, as many as a step takes."""
    found = []
    step = 0
    for number, lane, points in database.stream(_OF_STATE, int(state), CHUNK):
        found.append((number, lane, points))
        step += points
        if step >= POINTS:
            break
    return found


def _delete(database: Database, numbers: Sequence[int]) -> int:
    if numbers:
        database.run(
            "DELETE FROM rows WHERE id IN (SELECT value FROM json_each(?))", json.dumps(numbers)
        )
    return len(numbers)
