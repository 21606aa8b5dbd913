"""Commits into a buffer file: the usual ones into its journal, all others into its tables."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from logger.domain.errors import BufferCorruptError, BufferDiskError
from logger.store import fold, schema, wal
from logger.store.capacity import Capacity
from logger.store.database import Database
from logger.store.frames import Commit
from logger.store.journal import Journal
from logger.store.ledger import Ledger
from logger.store.medium import Medium
from logger.store.recent import Recent

Sending = Callable[[], AbstractContextManager[Collection[int]]]


class Committing:
    """What is open of a buffer file, and how a commit goes into it. For one thread."""

    def __init__(self, path: Path, max_size: int) -> None:
        self.path = path
        self.capacity = Capacity(max_size)
        self.written = 0  # bytes that went to the medium since the beginning
        self.journal = Journal(path, self.capacity.journal)
        # Gives the rows that are being sent: they are not packed. Inside, no other is claimed.
        self.sending: Sending = lambda: nullcontext(())
        self.columns = False  # whether what is packed goes into columns
        self._unbooked = 0  # bytes written that the ledger does not know yet
        self._database: Database | None = None
        self._medium = Medium(path)

    def database(self) -> Database:
        """Return the connection. Raises BufferDiskError if the file is not open."""
        if self._database is None:
            raise BufferDiskError(f"{self.path}: is not open")
        return self._database

    def transact(self, work: Callable[[Database, Ledger], int], now_ms: int) -> int:
        """Run `work` in one transaction; if it touched nothing, nothing is written.

        Whatever it raises, nothing of `work` is in the file: a long log is therefore moved
        before, and never after.
        """
        database = self.database()
        self.keep_log_short()
        taken = False
        sending = self.sending() if self.journal.pending else nullcontext(())
        with sending as busy, database.transaction():
            ledger = schema.load_ledger(database)
            self.journal.taken_in(ledger)
            if pending := self.journal.pending:
                columns = self.columns
                ledger = fold.take_in(database, ledger, pending, busy=busy, columns=columns)
                taken = True
            ledger.clean, ledger.journal_size = False, self.journal.length
            touched = work(database, ledger)
            if touched:
                if self._unbooked:
                    ledger.wrote(_day(now_ms), self._unbooked)
                schema.save_ledger(database, ledger)
        if taken:
            self.journal.taken_in(ledger)
        if touched or taken:
            self.count()
        if touched:
            self._unbooked = 0
        return touched

    def keep_log_short(self) -> None:
        """Move the log into the database if it is long: one commit may bring as much as the
        journal holds, and more."""
        if self._medium.frames() * wal.FRAME >= self.capacity.log // 4:
            self.move_log()

    def move_log(self) -> None:
        """Move the log into the database; pages that were given back leave the disk then."""
        moved = self._medium.to_move()
        self.database().checkpoint()
        self._wrote(moved)

    def take_in(self, now_ms: int) -> None:
        """Take what the journal holds into the database."""
        if self.journal.pending:
            self.transact(lambda _, __: 0, now_ms)

    def mark(self, now_ms: int, *, clean: bool = False) -> bool:
        """Write the books alone into the journal, with `clean` as those of a file that is
        closed in order; False if they do not fit."""

        def work(_: Database, __: Recent, ledger: Ledger) -> Commit:
            ledger.clean = clean
            return Commit(0, now_ms, ledger)

        return self.note(work, now_ms)

    def note(self, work: Callable[[Database, Recent, Ledger], Commit], now_ms: int) -> bool:
        """Write what `work` makes of the books into the journal; False if it does not fit.

        Whatever it raises, nothing of that is in the file.
        """
        database = self.database()
        with database.exclusive():
            ledger = schema.load_ledger(database)
            self.journal.taken_in(ledger)
            pending = self.journal.pending
            if not pending and (row := self._not_free(database, ledger)):
                raise BufferCorruptError(f"{self.path}: the books would give number {row} again")
            known = pending[-1].ledger if pending else ledger
            fresh = known.copy()
            fresh.commit, fresh.clean = known.commit + 1, False
            if self._unbooked:
                fresh.wrote(_day(now_ms), self._unbooked)
            seq = (pending[-1].seq if pending else ledger.folded) + 1
            commit = work(database, self.journal.recent if pending else Recent(ledger), fresh)
            done = self.journal.append(replace(commit, seq=seq))
        if done is None:
            return False
        self._unbooked = 0
        self._wrote(done.size)
        return True

    @staticmethod
    def _not_free(database: Database, ledger: Ledger) -> int:
        """Return the number of a row where the next ones are to go, 0 if there is none."""
        sql = "SELECT coalesce(max(id), 0) FROM rows WHERE id>=?"
        return int(database.value(sql, ledger.next_id))

    def count(self) -> None:
        """Count what went to the medium since the last time."""
        self._wrote(self._medium.committed())

    def _wrote(self, count: int) -> None:
        self._unbooked += count
        self.written += count


def _day(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()
