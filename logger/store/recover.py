"""Puts a damaged file aside and carries over every row that can still be read."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from logger.disk.durable import sync_directory
from logger.domain.datamodel import Lane
from logger.store import frames, parked, recent, seal
from logger.store.database import PAGE, Database, mapped
from logger.store.fold import settle
from logger.store.ledger import Ledger
from logger.store.parked import Parked
from logger.store.rows import COLUMNS, RowState, StoredRow, as_row, points_in
from logger.store.salvage import SavedRow, saved
from logger.store.schema import last_stamp, load_ledger, migrate, save_ledger

_CHUNK = 2000  # rows a transaction
SIDE_FILES = ("-wal", "-shm", ".journal")

# An intact row that was seen before: the newer image wins if its text differs (it was
# thinned), else the state that is further on, so that nothing is booked twice.
_KEEP = """\
INSERT INTO rows (id, state, lane, points, first_ms, last_ms, changed_ms, counters, crc, reason,
  body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
  state=CASE WHEN crc=excluded.crc THEN max(state, excluded.state) ELSE excluded.state END,
  points=excluded.points, changed_ms=max(changed_ms, excluded.changed_ms), crc=excluded.crc,
  reason=coalesce(excluded.reason, reason), body=excluded.body"""
_ALIKE = (
    f"SELECT {COLUMNS} FROM rows WHERE (lane, first_ms, last_ms) IN "  # noqa: S608
    "(SELECT lane, first_ms, last_ms FROM rows WHERE state=2) "
    "ORDER BY lane, first_ms, last_ms, id"
)
_SEAL = f"UPDATE rows SET seal={seal.sql()} WHERE id BETWEEN ? AND ?"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a recovery did: where the damaged file lies, points carried over and lost."""

    aside: Path
    waiting: int
    set_aside: int
    lost: int


def rebuild(path: Path, now_ms: int) -> Recovery:
    """Replace the damaged file `path` by a new one with all that can be read from it.

    The damaged file and its log are kept beside it as NAME.corrupt-TIME. May be broken
    off at any moment: `finish` completes it. Raises BufferDiskError.
    """
    with mapped(path):
        path.touch()  # only its log may be left
        draft = beside(path, ".rebuild-draft")
        remove(draft)
        database = Database.open(draft)
        try:
            migrate(database)
            ledger, lost = _carry_over(database, path)
            database.checkpoint(truncate=True)
        finally:
            database.close()
        draft.replace(beside(path, ".rebuild"))
        sync_directory(path.parent)
    aside = finish(path, now_ms)
    books = ledger.books().total
    return Recovery(aside or path, books.waiting, books.set_aside, lost)


def finish(path: Path, now_ms: int) -> Path | None:
    """Complete a rebuild that was broken off; return where the damaged file went."""
    with mapped(path):
        ready = beside(path, ".rebuild")
        if not ready.exists():
            return None
        aside = None
        if path.exists():
            stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
            aside = beside(path, f".corrupt-{stamp}")
            number = 1
            while aside.exists():
                number += 1
                aside = beside(path, f".corrupt-{stamp}-{number}")
            for side in SIDE_FILES:
                with contextlib.suppress(FileNotFoundError):
                    beside(path, side).replace(beside(aside, side))
            path.replace(aside)
        for side in SIDE_FILES:
            beside(path, side).unlink(missing_ok=True)
        ready.replace(path)
        sync_directory(path.parent)
        return aside


def orphaned(path: Path) -> str:
    """Return what was left alone by a database that is empty or not there, "" if nothing was.

    SQLite would throw its log away, and a new database would overwrite its journal. A journal
    says of itself whether the buffer was closed in order: who removes such a one begins anew.
    """
    log, journal = beside(path, "-wal"), recent.journal_of(path)
    with mapped(path):
        there = path.exists()
        if there and path.stat().st_size:
            return ""
        if log.exists() and log.stat().st_size > PAGE:
            return "empty, but there is a log"
        last = frames.newest(journal.read_bytes()) if journal.exists() else None
    left = last is not None and (there or not last.ledger.clean)
    return "empty, but there is a journal" if left else ""


def _carry_over(database: Database, path: Path) -> tuple[Ledger, int]:
    """Fill the new file from the damaged one and balance its books; return these and the
    points that were lost."""
    old: Ledger | None = None
    chunk: list[SavedRow] = []
    readings: list[Parked] = []
    for found in saved(path):
        if isinstance(found, Ledger):
            if old is None or found.commit >= old.commit:
                old = found
            continue
        if isinstance(found, Parked):
            readings.append(found)
            if len(readings) >= _CHUNK:
                _park(database, readings)
            continue
        chunk.append(found)
        if len(chunk) >= _CHUNK:
            _keep(database, chunk)
    _keep(database, chunk)
    _park(database, readings)
    old = _carry_journal(database, path, old)
    highest = int(database.value("SELECT coalesce(max(id), 0) FROM rows"))
    for first in range(1, highest + 1, _CHUNK):
        with database.transaction():
            database.run(_SEAL, first, first + _CHUNK - 1)
        database.checkpoint()
    _forget_split(database)
    with database.transaction():
        ledger = old or load_ledger(database)
        lost = _balance(database, ledger)
        database.run("DELETE FROM parked WHERE id<=?", ledger.released_id)
        ledger.journal, ledger.folded = load_ledger(database).journal, 0
        ledger.journal_size = 0
        save_ledger(database, ledger)
    return ledger, lost


def _forget_split(database: Database) -> None:
    """Delete what is there twice: a row that was split, because some of its lines were
    refused, is still found where it was, beside its parts."""
    gone: set[int] = set()
    for _, found in groupby(map(as_row, database.stream(_ALIKE)), key=_place):
        alike = list(found)
        for whole in alike:
            lines = Counter(whole.lines)
            parts = [
                row
                for row in alike
                if row.id > whole.id and row.points < whole.points and Counter(row.lines) <= lines
            ]
            if parts and sum(row.points for row in parts) >= whole.points:
                gone.add(whole.id)
            else:  # without some of them the whole row has what is missing
                gone.update(row.id for row in parts)
    with database.transaction():
        database.many("DELETE FROM rows WHERE id=?", ((number,) for number in gone))


def _place(row: StoredRow) -> tuple[Lane, int, int]:
    return row.lane, row.first_ms, row.last_ms


def _carry_journal(database: Database, path: Path, old: Ledger | None) -> Ledger | None:
    """Add what the journal holds beyond the books that were found; return the newest books."""
    journal = recent.journal_of(path)
    data = journal.read_bytes() if journal.exists() else b""
    if old is None:
        if (last := frames.newest(data)) is None:
            return None
        old = last.ledger
    salt = bytes.fromhex(old.journal)
    highest = int(database.value("SELECT coalesce(max(id), 0) FROM rows"))
    for commit in frames.saved(data, salt, old.folded):
        fresh = zip(commit.rows, commit.counters, strict=True)
        # what the tables have a higher number than was taken in after these books
        chunk = [
            SavedRow(row, RowState.WAITING, commit.now_ms, counters, None)
            for row, counters in fresh
            if row.id > highest
        ]
        _keep(database, chunk)
        with database.transaction():
            settle(database, commit.delivered, commit.now_ms)
        _park(database, list(commit.parked))
        if commit.ledger.commit >= old.commit:
            old = commit.ledger
    return old


def _keep(database: Database, chunk: list[SavedRow]) -> None:
    with database.transaction():
        database.many(
            _KEEP,
            (
                (
                    one.row.id,
                    int(one.state),
                    one.row.lane.value,
                    one.row.points,
                    one.row.first_ms,
                    one.row.last_ms,
                    one.changed_ms,
                    int(one.counters),
                    one.row.crc,
                    one.reason,
                    one.row.body if one.row.packed is None else one.row.packed,
                )
                for one in chunk
            ),
        )
    chunk.clear()
    database.checkpoint()


def _park(database: Database, readings: list[Parked]) -> None:
    with database.transaction():
        for one in readings:
            parked.put(database, one)
    readings.clear()


def _balance(database: Database, ledger: Ledger) -> int:
    """Make the books agree with the rows: what they knew of and is not here is booked as
    dropped, "damaged"; return how many points that are."""
    lost = 0
    if ledger.stamped_ms is None:
        ledger.stamped_ms = last_stamp(database)
    highest = int(database.value("SELECT coalesce(max(id), 0) FROM rows"))
    # numbers of rows that were lost must not come again: a server may know them
    ledger.next_id = max(ledger.next_id, highest + 1) + 1000
    highest = int(database.value("SELECT coalesce(max(id), 0) FROM parked"))
    ledger.next_parked = max(ledger.next_parked, highest + 1)
    for lane in Lane:
        account = ledger.lanes[lane]
        count = {state: points_in(database, lane, state) for state in RowState}
        account.waiting = count[RowState.WAITING]
        account.set_aside = count[RowState.SET_ASIDE]
        account.delivered = max(account.delivered, count[RowState.DELIVERED])
        known = account.delivered + account.waiting + account.set_aside + account.drops.total()
        if known > account.read:
            # rows that waited when the books were written were delivered since, or came
            # after them; the books cannot tell, so what is here counts
            account.read = known
        else:
            account.drops["damaged"] += account.read - known
            lost += account.read - known
    return lost


def beside(path: Path, tail: str) -> Path:
    """Return the file beside `path` whose name ends in `tail`."""
    return path.with_name(path.name + tail)


def remove(path: Path) -> None:
    """Remove a buffer file and those that belong to it."""
    for tail in ("", *SIDE_FILES):
        beside(path, tail).unlink(missing_ok=True)
