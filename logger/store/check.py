"""Checks a buffer file when it is opened, and bit by bit while it is in use."""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from logger.domain.errors import BufferCorruptError
from logger.store import journal, schema, scrub
from logger.store.database import Database
from logger.store.ledger import Ledger, Scrub
from logger.store.rows import RowState, points_in
from logger.store.state import Damage

if TYPE_CHECKING:
    from logger.store.file import BufferFile

log = logging.getLogger(__name__)

_MIB = 1024**2
# Larger files are not wholly checked before they are used, but by the scrub.
_AFTER_CRASH, _AFTER_STOP = 64 * _MIB, 16 * _MIB
_FEW_POINTS = 50_000  # that wait: they are recounted whatever the size
_MANY_ROWS = 1000  # a step


def at_start(file: BufferFile, now_ms: int) -> None:
    """Check a file that was just opened: all of it, unless it is large, and the books.

    Raises BufferCorruptError for what only a rebuild can mend.
    """
    database = file.database()
    ledger = schema.load_ledger(database)
    whole = file.size() <= (_AFTER_STOP if ledger.clean else _AFTER_CRASH)
    if whole:
        if found := database.integrity(1):
            raise BufferCorruptError(f"{file.path}: {found[0]}")
        after = 0
        while after := rows(file, after, _MANY_ROWS, (), now_ms).last:
            pass
    waiting = sum(account.waiting for account in ledger.lanes.values())
    if whole or not ledger.clean or waiting <= _FEW_POINTS:
        _recount(database, whole)


def whole(path: Path) -> str:
    """Return what is wrong with a file, "" if nothing is: all of it is checked, and by a
    connection of its own, for another may have damaged pages in its cache as they were.

    Raises BufferDiskError.
    """
    try:
        with closing(Database.open_readonly(path)) as database:
            if found := database.integrity(1):
                return found[0]
            after = 0
            while True:
                step = scrub.step(database, after, _MANY_ROWS)
                if step.damaged:
                    return f"row {step.damaged[0].id} fails its checksum"
                if not (after := step.last):
                    break
            _recount(database, whole=True)
            return journal.damage(database)
    except BufferCorruptError as err:
        return err.message.removeprefix(f"{path}: ")


def rows(
    file: BufferFile, after: int, limit: int, busy: Collection[int], now_ms: int
) -> scrub.Step:
    """Check some rows above number `after` and mend them, but for those that are being
    sent: their reader tells of them. What lies in the file is read, not what the writing
    connection has in its cache. Raises BufferCorruptError as `at_start` does."""
    with closing(Database.open_readonly(file.path)) as look:
        found = scrub.step(look, after, limit)
        if not found.last:
            scrub.small_tables(look)
            if file.size() <= _AFTER_STOP and (wrong := look.integrity(1)):
                raise BufferCorruptError(f"{file.path}: {wrong[0]}")
    found = replace(found, damaged=[row for row in found.damaged if row.id not in busy])
    if found.damaged or found.unsealed:
        file.transact(lambda d, g: scrub.mend(d, g, found, now_ms), now_ms)
    if found.damaged:
        points = sum(row.points for row in found.damaged)
        text = (
            f"{file.path}: {len(found.damaged)} rows from number {found.damaged[0].id} on fail "
            f"their checksum: {points} points are kept aside and not believed"
        )
        log.error("buffer: damaged: %s", text)
        file.damaged(Damage(now_ms, text, points))
    return found


def go_on(file: BufferFile, state: Scrub, busy: Collection[int], now_ms: int) -> Scrub:
    """Take one step of the scrub; return where it is then. Raises as `rows` does."""
    database = file.database()
    total = database.value("SELECT coalesce(max(id) - min(id) + 1, 0) FROM rows")
    found = rows(file, state.after, scrub.step_size(total), busy, now_ms)
    return scrub.advanced(state, found, now_ms)


def _recount(database: Database, whole: bool) -> None:
    """Compare the books with the rows."""
    path = database.path
    ledger: Ledger = schema.load_ledger(database)
    highest = database.value("SELECT coalesce(max(id), 0) FROM rows")
    if highest >= ledger.next_id:
        raise BufferCorruptError(f"{path}: the books would give number {highest} again")
    for lane, account in ledger.lanes.items():
        for state, booked in (
            (RowState.WAITING, account.waiting),
            (RowState.SET_ASIDE, account.set_aside),
        ):
            counted = points_in(database, lane, state)
            if counted != booked:
                raise BufferCorruptError(f"{path}: the books say {booked}, not {counted}")
        if whole and (counted := points_in(database, lane, RowState.DELIVERED)) > account.delivered:
            raise BufferCorruptError(
                f"{path}: the books say {account.delivered} were delivered, not {counted}"
            )
