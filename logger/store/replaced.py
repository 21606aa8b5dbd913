"""Keeps what an open connection still sees when its file was deleted or replaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from logger.disk.durable import sync_directory
from logger.store import parked
from logger.store.database import Database, mapped
from logger.store.ledger import Ledger
from logger.store.parked import Parked
from logger.store.recover import beside, remove
from logger.store.rows import COLUMNS, NewRow, RowState, as_row, insert
from logger.store.schema import load_ledger

_KEPT = ".replaced"  # the copy of a file in whose place another one was put


def restore_copy(database: Database, path: Path, own: Sequence[str]) -> None:
    """Write what an open connection still sees to `path`: its file was deleted. The files
    beside `path` with the endings `own` go: they belong to the connection."""
    _copy(database, path, path, own)


def keep_copy(database: Database, path: Path, own: Sequence[str]) -> None:
    """Write what an open connection still sees beside `path`, where another file lies now;
    see `kept_copy` and `restore_copy`."""
    _copy(database, path, beside(path, _KEPT), own)


def kept_copy(path: Path) -> Path | None:
    """Return the copy of a file that was replaced, whose rows are still to be carried over."""
    copy = beside(path, _KEPT)
    with mapped(path):
        return copy if copy.exists() else None


def forget_copy(path: Path) -> None:
    """Remove the copy of a file that was replaced: its rows are in the new one."""
    with mapped(path):
        remove(beside(path, _KEPT))
        sync_directory(path.parent)


def _copy(database: Database, path: Path, target: Path, own: Sequence[str]) -> None:
    with mapped(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = beside(path, ".rebuild-draft")
        remove(draft)
        database.copy_to(draft)
        for side in own:
            beside(path, side).unlink(missing_ok=True)
        draft.replace(target)
        sync_directory(path.parent)


def carry_waiting(old: Database, new: Database, ledger: Ledger, now_ms: int) -> int:
    """Add the rows of an open connection that wait or are set aside to another file, unless
    it has them; return their number. They count as read there."""
    count = 0
    stamps = (ledger.stamped_ms, load_ledger(old).stamped_ms)
    ledger.stamped_ms = max((stamp for stamp in stamps if stamp is not None), default=None)
    sql = f"SELECT state, reason, counters, {COLUMNS} FROM rows WHERE state IN (0, 2) ORDER BY id"  # noqa: S608
    for state, reason, counters, *values in old.stream(sql):
        row = as_row(values)
        if not row.intact or new.value("SELECT 1 FROM rows WHERE id=? AND crc=?", row.id, row.crc):
            continue
        account = ledger.lanes[row.lane]
        fresh = NewRow(row.lane, row.points, row.first_ms, row.last_ms, bool(counters), row.body)
        insert(new, ledger, [fresh], now_ms, RowState(state), reason)
        account.read += row.points
        if state == RowState.WAITING:
            account.waiting += row.points
        else:
            account.set_aside += row.points
        count += 1
    waiting = old.rows("SELECT id, boot, moment_ms, body, crc FROM parked ORDER BY id")
    missing = [
        Parked(*values)
        for *values, crc in waiting
        if Parked(*values).crc == crc
        and not new.value("SELECT 1 FROM parked WHERE id=? AND crc=?", values[0], crc)
    ]
    parked.insert(new, ledger, missing)
    return count + len(missing)
