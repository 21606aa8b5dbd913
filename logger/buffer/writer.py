"""Everything that changes a buffer file while a logger runs. One thread calls it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from logger.buffer import limits, recover, rows, schema
from logger.buffer.database import Database, mapped
from logger.buffer.exchange import Batch
from logger.buffer.ledger import Books, Ledger
from logger.buffer.medium import FRAME, Medium
from logger.errors import BufferCorruptError, BufferDiskError

log = logging.getLogger(__name__)

_MIB = 1024**2
_ROW_COST = 120  # bytes a row costs beside its body: columns, index, page headers
_CHECK_LIMIT = 64 * _MIB  # larger files are not wholly checked after a crash
_SHRINK_FREE = 64 * _MIB  # free pages are reused; only more than this is given back
_SHRINK_PAGES = 2560  # a step: 10 MiB


@dataclass(frozen=True, slots=True)
class FileState:
    """What the file was after the last commit; sizes in bytes."""

    books: Books
    used: int = 0
    size: int = 0
    oldest_ms: int | None = None
    newest_ms: int | None = None
    written: int = 0  # bytes to the medium since this writer began


class Writer:
    """Commits rows, settles deliveries, keeps limits, mends the file."""

    def __init__(
        self, path: Path, *, keep_ms: int, max_size: int, max_age_ms: int | None = None
    ) -> None:
        self.path = path
        self.keep_ms = keep_ms
        self.max_size = max_size
        self.max_age_ms = max_age_ms
        self.log_size = min(8 * _MIB, max_size // 4)  # part of max_size kept for the log
        self.reserve_size = min(_MIB, max_size // 16)
        self._reserve = path.with_name(path.name + ".reserve")
        self.epoch = 0  # counts the files that lay at `path`
        self.state = FileState(Ledger().books())
        self._database: Database | None = None
        self._identity: tuple[int, int] | None = None
        self._medium = Medium(path)
        self._total = 0  # bytes written since the beginning
        self._unbooked = 0  # those of them that the ledger does not know yet

    @property
    def room(self) -> int:
        """The bytes that rows may take: max_size without the log and the reserve."""
        return self.max_size - self.log_size - self.reserve_size

    def open(self, now_ms: int) -> None:
        """Open the file, make it, migrate it or mend it. Raises BufferDiskError, and
        BufferFileError for a file that is not this program's."""
        if self._database is not None:
            return
        with mapped(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        recover.finish(self.path, now_ms)
        try:
            self._open()
            self._check()
        except BufferCorruptError as err:
            self._rebuild(err, now_ms)
        self._keep_reserve()
        self._look()

    def _open(self) -> None:
        if recover.orphaned_log(self.path):
            raise BufferCorruptError(f"{self.path}: empty, but there is a log")
        database = Database.open(self.path, schema.check_owner)
        try:
            schema.migrate(database)
            schema.load_ledger(database)
            status = self.path.stat()
        except OSError as err:
            database.close()
            raise BufferDiskError(f"{self.path}: {err.strerror}") from err
        except BaseException:
            database.close()
            raise
        self._database = database
        self._identity = (status.st_dev, status.st_ino)
        self._medium = Medium(self.path)
        self.epoch += 1

    def _check(self) -> None:
        """After a crash, compare the file with its books. Raises BufferCorruptError."""
        database = self._open_database()
        ledger = schema.load_ledger(database)
        if ledger.clean:
            return
        if self._size() <= _CHECK_LIMIT and (found := database.integrity(1)):
            raise BufferCorruptError(f"{self.path}: {found[0]}")
        for lane, account in ledger.lanes.items():
            for state, booked in (
                (rows.State.WAITING, account.waiting),
                (rows.State.SET_ASIDE, account.set_aside),
            ):
                counted = database.value(
                    "SELECT coalesce(sum(points), 0) FROM rows WHERE state=? AND lane=?",
                    int(state),
                    lane.value,
                )
                if counted != booked:
                    raise BufferCorruptError(f"{self.path}: the books say {booked}, not {counted}")

    def commit(self, batch: Batch, now_ms: int) -> None:
        """Put everything into the file in one transaction. Raises BufferDiskError."""

        def work(database: Database, ledger: Ledger) -> int:
            rows.append(database, ledger, batch.rows, now_ms)
            for (lane, reason), points in batch.drops.items():
                ledger.lanes[lane].read += points
                ledger.lanes[lane].drops[reason] += points
            for settlement in batch.settled:
                rows.settle(database, ledger, settlement, now_ms)
            rows.set_aside_damaged(database, ledger, batch.damaged, now_ms)
            return 1

        incoming = sum(len(row.body) + _ROW_COST for row in batch.rows)

        def attempt() -> None:
            self._make_room(incoming, batch.busy, now_ms)
            self._transact(work, now_ms)

        self._mending(attempt, now_ms)
        self._look()

    def maintain(self, busy: Collection[int], now_ms: int) -> None:
        """Let go what is past `keep` and `max_age`, and give unused space back."""

        def attempt() -> None:
            kept = now_ms - self.keep_ms
            while self._transact(lambda d, _: limits.purge_kept(d, kept), now_ms):
                pass
            oldest = now_ms - (self.max_age_ms or 0)
            while self.max_age_ms is not None and self._transact(
                lambda d, g: limits.expire(d, g, oldest, busy), now_ms
            ):
                pass
            self._keep_reserve()
            database = self._open_database()
            size, free = database.size()
            if free > max(_SHRINK_FREE, size // 2):
                database.rows(f"PRAGMA incremental_vacuum({_SHRINK_PAGES})")
                self._count()

        self._mending(attempt, now_ms)
        self._look()

    def close(self, now_ms: int) -> None:
        """Close in order: the log is moved into the file, the books say so."""
        if self._database is None:
            return
        database = self._database
        try:
            if self._same_file():
                self._transact(_closed, now_ms)
                database.checkpoint(truncate=True)
        except (BufferDiskError, BufferCorruptError) as err:
            log.warning("buffer not closed in order: %s", err.message)
        finally:
            self._forget()

    def rebuild(self, err: BufferCorruptError, now_ms: int) -> None:
        """Mend the file if it is damaged: a reader says so. A connection of its own looks,
        because this one may have the damaged pages in its cache as they were."""
        if self._size() <= _CHECK_LIMIT:
            look = Database.open_readonly(self.path)
            found = look.integrity(1)
            look.close()
            if not found:
                return
        self._rebuild(err, now_ms)
        self._look()

    def _mending(self, attempt: Callable[[], None], now_ms: int) -> None:
        """Run `attempt`; if the file turns out damaged or gone, mend it and run it again."""
        self.open(now_ms)
        if not self._same_file():
            self._replaced(now_ms)
        try:
            attempt()
        except BufferCorruptError as err:
            self._rebuild(err, now_ms)
            attempt()
        except BufferDiskError:
            if self._squeeze(now_ms):
                attempt()
            else:
                self._forget()  # a connection may not recover from an I/O error; a new one does
                raise

    def _transact(self, work: Callable[[Database, Ledger], int], now_ms: int) -> int:
        """Run `work` in one transaction; if it touched nothing, nothing is written."""
        database = self._open_database()
        with database.transaction():
            ledger = schema.load_ledger(database)
            ledger.clean = False
            touched = work(database, ledger)
            if not touched:
                return 0
            if self._unbooked:
                ledger.wrote(_day(now_ms), self._unbooked)
            schema.save_ledger(database, ledger)
        self._unbooked = 0
        self._count()
        if self._medium.frames() * FRAME >= self.log_size // 2:
            moved = self._medium.to_move()
            database.checkpoint()
            self._wrote(moved)
        return touched

    def _make_room(self, incoming: int, busy: Collection[int], now_ms: int) -> None:
        limit = self.room
        if self._used() + incoming <= limit:
            return
        while self._used() + incoming > limit * 0.97:
            if not self._transact(lambda d, g: limits.free_some(d, g, busy), now_ms):
                return

    def _squeeze(self, now_ms: int) -> bool:
        """On a full disk, make room without new blocks: give up the reserve, move the log
        into the database, and let delivered rows go. Return whether to try again."""
        try:
            database = self._open_database()
            self._reserve.unlink(missing_ok=True)
            database.checkpoint()
            if database.size()[1] < self.log_size:
                self._transact(lambda d, _: limits.free_delivered(d), now_ms)
        except (BufferDiskError, BufferCorruptError, OSError):
            return False
        return True

    def _keep_reserve(self) -> None:
        """Keep some blocks of the disk for the moment when it is full."""
        if self._reserve.exists():
            return
        with contextlib.suppress(OSError), self._reserve.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.reserve_size)

    def _same_file(self) -> bool:
        try:
            status = os.stat(self.path)  # noqa: PTH116 - a stat, every second
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def _replaced(self, now_ms: int) -> None:
        """The file was deleted, or another one lies in its place: what the connection
        still sees is written back, what is new there is left as it is."""
        database = self._open_database()
        try:
            if not self.path.exists():
                log.error("buffer: %s was deleted; it is written again", self.path)
                recover.restore_copy(database, self.path)
            else:
                log.error("buffer: %s was replaced; going on with the new file", self.path)
        finally:
            self._forget()
        self.open(now_ms)

    def _rebuild(self, err: BufferCorruptError, now_ms: int) -> None:
        self._forget()
        log.error("buffer: damaged: %s", err.message)
        result = recover.rebuild(self.path, now_ms)
        self._open()
        log.error(
            "buffer: set aside as %s; carried over %d waiting points and %d set aside, %d lost",
            result.aside,
            result.waiting,
            result.set_aside,
            result.lost,
        )

    def _forget(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open_database(self) -> Database:
        if self._database is None:
            raise BufferDiskError(f"{self.path}: is not open")
        return self._database

    def _used(self) -> int:
        size, free = self._open_database().size()
        return size - free

    def _size(self) -> int:
        total = 0
        for tail in ("", "-wal"):
            try:
                total += self.path.with_name(self.path.name + tail).stat().st_size
            except OSError:
                continue
        return total

    def _count(self) -> None:
        self._wrote(self._medium.committed())

    def _wrote(self, count: int) -> None:
        self._unbooked += count
        self._total += count

    def _look(self) -> None:
        """Note what the file is now, for those who ask without touching the disk."""
        database = self._open_database()
        times = database.row(
            "SELECT (SELECT first_ms FROM rows WHERE state=0 AND lane='main' "
            "ORDER BY id LIMIT 1), (SELECT first_ms FROM rows WHERE state=0 "
            "AND lane='fast' ORDER BY id LIMIT 1), (SELECT last_ms FROM rows ORDER BY id DESC "
            "LIMIT 1)"
        )
        main, fast, newest = times or (None, None, None)
        oldest = min((time for time in (main, fast) if time is not None), default=None)
        size, free = database.size()
        self.state = FileState(
            schema.load_ledger(database).books(),
            size - free,
            self._size(),
            oldest,
            newest,
            self._total,
        )


def _closed(_: Database, ledger: Ledger) -> int:
    ledger.clean = True
    return 1


def _day(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%d")
