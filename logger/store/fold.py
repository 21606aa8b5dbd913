"""Takes the commits of the journal into the database: many rows become one, packed.

Whoever changes the database begins with that, in the same transaction: so the books of the
last commit are those of the database, and nothing is ever changed in two places. Rows that
came together into the journal and share lane, state and kind are stored as one row with the
text of all of them, packed. Such a row is delivered, kept and dropped as a whole. Rows that
are being sent right now stay as they are, and so does what an index finds by its text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from logger.domain.datamodel import Lane
from logger.domain.errors import BufferCorruptError
from logger.store import parked, recent, schema
from logger.store.database import Database
from logger.store.frames import Commit
from logger.store.ledger import Ledger
from logger.store.row import NewRow, RowState, SentRow, Settlement, StoredRow
from logger.store.rows import DELIVERED, put, with_body

PACKED_ABOVE = 128 * 1024  # characters in all
PACKED_FROM = 16 * 1024  # of one kind: fewer are not worth it
PACKED_TO = 256 * 1024
COUNTERS_TO = 32 * 1024  # reports read a few of them, at the turn of each day


@dataclass(frozen=True, slots=True)
class _Taken:
    """A row as it goes into the database."""

    row: StoredRow
    counters: bool
    state: RowState
    changed_ms: int


def begin(database: Database) -> Ledger:
    """Take in what the journal holds, in the caller's transaction; return the books.

    For commands beside a running logger, which may be sending any of it: no row is packed.
    Raises BufferCorruptError if the journal lacks a commit.
    """
    ledger = schema.load_ledger(database)
    commits = recent.above(ledger, recent.commits_of(database))
    return take_in(database, ledger, commits, packed=False)


def take_in(
    database: Database,
    ledger: Ledger,
    commits: Sequence[Commit],
    *,
    busy: Collection[int] = (),
    packed: bool = True,
    columns: bool = False,
) -> Ledger:
    """Take commits in, within the caller's transaction; return the books, which are saved.

    Little text is stored as it is: a part of it is likely to be sent, and changed, alone.
    """
    if not commits:
        return ledger
    if commits[0].seq != ledger.folded + 1:
        raise BufferCorruptError(
            f"{database.path}: the journal lacks what was committed before frame {commits[0].seq}",
            "start the logger: it mends its buffer",
        )
    taken, older = _outcome(commits)
    settle(database, older, commits[-1].now_ms)
    packed = packed and sum(len(one.row.body) for one in taken) >= PACKED_ABOVE
    for group in _groups(taken, busy) if packed else [[one] for one in taken]:
        _store(database, group, columns=columns)
    last = commits[-1].ledger.copy()
    for commit in commits:
        for one in commit.parked:
            parked.put(database, one)
    gone = max(last.released_id, last.next_parked - 1 - parked.LIMIT)
    if gone > ledger.released_id:
        database.run("DELETE FROM parked WHERE id<=?", gone)
    last.folded, last.clean = commits[-1].seq, False
    schema.save_ledger(database, last)
    return last


def together(new: Sequence[NewRow]) -> list[NewRow]:
    """Return new rows with much text as few long ones, as they would become in the end."""
    groups: dict[tuple[Lane, bool], list[NewRow]] = {}
    sizes: dict[tuple[Lane, bool], int] = {}
    done: list[list[NewRow]] = []
    for one in new:
        key = (one.lane, one.counters)
        if schema.sought_by_text(one.body):
            done.append([one])
            continue
        groups.setdefault(key, []).append(one)
        sizes[key] = sizes.get(key, 0) + len(one.body)
        if sizes[key] >= (COUNTERS_TO if one.counters else PACKED_TO):
            done.append(groups.pop(key))
            del sizes[key]
    for key, group in groups.items():
        done += [group] if sizes[key] >= PACKED_FROM else [[one] for one in group]
    return [_joined(group) if len(group) > 1 else group[0] for group in done]


def _joined(group: Sequence[NewRow]) -> NewRow:
    return NewRow(
        group[0].lane,
        sum(one.points for one in group),
        min(one.first_ms for one in group),
        max(one.last_ms for one in group),
        group[0].counters,
        "\n".join(one.body for one in group),
    )


def settle(database: Database, numbers: Collection[int], now_ms: int) -> None:
    """Mark rows of the database that wait as delivered."""
    if numbers:
        database.run(
            f"UPDATE rows SET {DELIVERED} WHERE state=0 "  # noqa: S608
            "AND id IN (SELECT value FROM json_each(?2))",
            now_ms,
            json.dumps(sorted(numbers)),
        )


def still_waiting(
    database: Database, on_top: recent.Recent, done: Iterable[Settlement]
) -> list[StoredRow | SentRow]:
    """Return those of the rows that were sent which wait, unchanged, each once."""
    found: dict[int, StoredRow | SentRow] = {}
    stored: list[StoredRow | SentRow] = []
    for row in (row for one in done for row in one.rows):
        if row.id in on_top.delivered or row.id in found:
            continue
        fresh = on_top.row(row.id)
        if fresh is None:
            stored.append(row)
        elif fresh.crc != row.crc:
            continue
        found[row.id] = row
    if stored:
        numbers = json.dumps([row.id for row in stored])
        where = "FROM rows WHERE state=0 AND id IN (SELECT value FROM json_each(?))"
        sums = database.row(f"SELECT count(*), sum(id), sum(crc) {where}", numbers)
        if sums != (len(stored), sum(r.id for r in stored), sum(r.crc for r in stored)):
            waits = dict(database.rows(f"SELECT id, crc {where}", numbers))
            for row in stored:
                if waits.get(row.id) != row.crc:
                    del found[row.id]
    return list(found.values())


def _outcome(commits: Sequence[Commit]) -> tuple[list[_Taken], set[int]]:
    """Return the new rows as they are in the end, and what was delivered of older ones."""
    marks: dict[int, int] = {}
    for commit in commits:
        for number in commit.delivered:
            marks[number] = commit.now_ms
    taken = []
    for commit in commits:
        for row, counters in zip(commit.rows, commit.counters, strict=True):
            at = marks.pop(row.id, None)
            state = RowState.WAITING if at is None else RowState.DELIVERED
            taken.append(_Taken(row, counters, state, commit.now_ms if at is None else at))
    return taken, set(marks)


def _groups(taken: Iterable[_Taken], busy: Collection[int]) -> list[list[_Taken]]:
    """Return which rows become one; each is as long as `PACKED_TO` allows."""
    groups: dict[tuple[Lane, bool, RowState], list[_Taken]] = {}
    sizes: dict[tuple[Lane, bool, RowState], int] = {}
    done: list[list[_Taken]] = []
    for one in taken:
        key = (one.row.lane, one.counters, one.state)
        if one.row.id in busy or schema.sought_by_text(one.row.body):
            done.append([one])
            continue
        sizes[key] = sizes.get(key, 0) + len(one.row.body)
        group = groups.setdefault(key, [])
        group.append(one)
        if sizes[key] >= (COUNTERS_TO if one.counters else PACKED_TO):
            done.append(groups.pop(key))
            del sizes[key]
    for key, group in groups.items():
        done += [group] if sizes[key] >= PACKED_FROM else [[one] for one in group]
    return sorted(done, key=lambda group: group[-1].row.id)


def _store(database: Database, group: Sequence[_Taken], *, columns: bool) -> None:
    last = group[-1]
    row = last.row  # so the highest number tells up to where the journal was taken in
    if len(group) > 1:
        row = with_body(
            row,
            "\n".join(one.row.body for one in group),
            points=sum(one.row.points for one in group),
            first_ms=min(one.row.first_ms for one in group),
            last_ms=max(one.row.last_ms for one in group),
            columns=columns and row.lane is Lane.FAST,
        )
    changed_ms = max(one.changed_ms for one in group)
    put(database, row, last.state, changed_ms, counters=last.counters)
