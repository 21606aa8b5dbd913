"""Opens a buffer file and keeps it usable: locks, damage, a full disk, a file that is gone."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from logger.domain.errors import (
    BufferCorruptError,
    BufferDiskError,
    BufferFileError,
    BufferSuspectError,
)
from logger.store import check, limits, recover, replaced, schema, wal
from logger.store import journal as journals
from logger.store.commits import Committing
from logger.store.database import PAGE, Database, mapped
from logger.store.ledger import Ledger
from logger.store.medium import Medium
from logger.store.recent import journal_of
from logger.store.state import DAMAGES_KEPT, Damage

log = logging.getLogger(__name__)

_MIB = 1024**2
_GIVEN_BACK = _MIB  # bytes a step
_OFTEN, _OFTEN_MS = 5, 600_000  # rebuilds in that time that are enough
_CHECK_LIMIT = 64 * _MIB  # larger files are not wholly checked after a crash


class BufferFile(Committing):
    """The file of one logger, for one thread. It mends itself; what cannot be mended now
    is a BufferDiskError, and is tried again with the next call."""

    def __init__(self, path: Path, max_size: int) -> None:
        super().__init__(path, max_size)
        self.epoch = 0  # counts the files that lay at `path`
        self.damages: tuple[Damage, ...] = ()  # found since the beginning
        self._rebuilt: list[int] = []  # when, of late
        self._reserve = path.with_name(path.name + ".reserve")
        self._identity: tuple[int, int] | None = None
        self._log: tuple[int, int] | None = None  # the same of the log

    def open(self, now_ms: int) -> None:
        """Open the file, make it, migrate it or mend it. Raises BufferDiskError, and
        BufferFileError for a file that is not this program's."""
        if self._database is not None:
            return
        with mapped(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        recover.finish(self.path, now_ms)
        try:
            self._begin(now_ms)
        except BufferDiskError:
            self.forget()  # what was not checked is not used
            if not self._reserve.exists():
                raise
            with contextlib.suppress(OSError):
                self._reserve.unlink()
            try:
                self._begin(now_ms)
            except BufferDiskError:
                self.forget()
                raise
        if (copy := replaced.kept_copy(self.path)) is not None:
            self._carry_over(copy, now_ms)
        self.keep_reserve()

    def _begin(self, now_ms: int) -> None:
        try:
            self._open(now_ms)
            check.at_start(self, now_ms)
            self._in_use(now_ms)
        except BufferCorruptError as err:
            self._rebuild(err, now_ms)

    def _in_use(self, now_ms: int) -> None:
        """Note in journal and database that they belong together and are in use, so that one
        without the other is known. On a full disk the journal goes on alone."""
        with contextlib.suppress(BufferDiskError):
            if not self.mark(now_ms):
                self.take_in(now_ms)
                self.mark(now_ms)
            self.transact(lambda _, __: 1, now_ms)
            self.move_log()
            self.database().checkpoint(truncate=True)
            self._log = _identity(wal.log_of(self.path))

    def _open(self, now_ms: int) -> None:
        if found := recover.orphaned(self.path):
            raise BufferCorruptError(f"{self.path}: {found}")
        log_file = wal.log_of(self.path)
        with mapped(self.path):
            left = log_file.exists()
            if found := wal.damage(log_file):
                raise BufferCorruptError(f"{self.path}: {found}")
        database = Database.open(self.path, schema.check_owner)
        try:
            schema.migrate(database)
            ledger = schema.load_ledger(database)
            if found := journals.damage(database):
                raise BufferCorruptError(f"{self.path}: {found}")
            lost = journals.missing(database)
            identity = _identity(self.path)
            if left:
                # a torn end would lie behind the commits to come and look like damage
                with contextlib.suppress(BufferDiskError):
                    database.checkpoint(truncate=True)
        except BaseException:
            database.close()
            raise
        if lost:
            text = f"{self.path}: {lost}"
            log.error("buffer: %s", text)
            self.damaged(Damage(now_ms, text, None))
        try:
            self.journal.open(ledger)
        except BaseException:
            database.close()
            raise
        self._database = database
        self._identity = identity
        self._medium = Medium(self.path)
        self.epoch += 1

    def mending(self, attempt: Callable[[], None], now_ms: int) -> None:
        """Run `attempt`; if the file turns out damaged or gone, mend it and run it again."""
        self.open(now_ms)
        if not self.same_file():
            self._replaced(now_ms)
        try:
            attempt()
        except BufferCorruptError as err:
            self._rebuild(err, now_ms)
            attempt()
        except (BufferSuspectError, TypeError, ValueError):
            # a row with a text for a number comes as the error of whoever uses it
            if not (found := check.whole(self.path)):
                raise
            self._rebuild(BufferCorruptError(f"{self.path}: {found}"), now_ms)
            attempt()
        except BufferDiskError:
            try:
                if not self._squeeze(now_ms):
                    raise
                attempt()
            except BufferDiskError:
                self.forget()  # a connection may not recover from an I/O error; a new one does
                raise

    def give_back(self) -> None:
        """Give some unused pages back to the file system, not more than the log can hold."""
        self.keep_log_short()
        self.database().shrink(min(_GIVEN_BACK, self.capacity.log // 4) // PAGE)
        self.count()

    def rebuild(self, err: BufferFileError, now_ms: int) -> None:
        """Mend the file if it is damaged: a reader says so, or suspects it. A large file is not
        wholly checked for a reader that is sure."""
        sure = isinstance(err, BufferCorruptError)
        if not sure or self.size() <= _CHECK_LIMIT:
            if not (found := check.whole(self.path)):
                self.forget()  # a new connection is as good as the reader's
                self.open(now_ms)
                return
            err = err if sure else BufferCorruptError(f"{self.path}: {found}")
        self._rebuild(err, now_ms)

    def _squeeze(self, now_ms: int) -> bool:
        """On a full disk, make room without new blocks: give up the reserve, move the log
        into the database, and let delivered rows go. Return whether to try again."""
        try:
            database = self.database()
            self._reserve.unlink(missing_ok=True)
            database.checkpoint()
            if database.size()[1] < self.capacity.log:
                with contextlib.suppress(BufferDiskError):
                    self.transact(lambda d, _: limits.free_delivered(d), now_ms)
        except (BufferDiskError, BufferCorruptError, OSError):
            return False
        return True

    def keep_reserve(self) -> None:
        """Keep some blocks of the disk for the moment when it is full."""
        if self._reserve.exists():
            return
        with contextlib.suppress(OSError), self._reserve.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.capacity.reserve)

    @property
    def is_open(self) -> bool:
        """True while there is a connection."""
        return self._database is not None

    def same_file(self) -> bool:
        """Return whether the file that is open still lies at `path`."""
        found = _identity(self.path)
        return found is not None and found == self._identity

    def _own(self) -> list[str]:
        """Return by their endings the files beside `path` that belong to the connection:
        others came with the file that lies there now."""
        own = ["-shm"]
        if self._log is not None and _identity(wal.log_of(self.path)) == self._log:
            own.append("-wal")
        if self.journal.present:
            own.append(".journal")
        return own

    def _replaced(self, now_ms: int) -> None:
        """The file was deleted, or another one lies in its place. What the connection still
        sees goes into the file that is there now. Raises BufferDiskError; then the
        connection is kept, for it has the only copy, or the copy lies beside the file."""
        old = self.database()

        def work(_: Database, ledger: Ledger) -> int:
            ledger.clean = True  # the copy needs no journal
            return 1

        self.transact(work, now_ms)
        if not self.path.exists():
            log.error("buffer: %s was deleted; it is written again", self.path)
            replaced.restore_copy(old, self.path, self._own())
            self.forget()
            self.open(now_ms)
            return
        replaced.keep_copy(old, self.path, self._own())
        self.forget()
        self.open(now_ms)

    def _carry_over(self, copy: Path, now_ms: int) -> None:
        """Take what waited in a file that was replaced into the one in its place."""
        old = Database.open(copy, schema.check_owner)
        try:
            self.transact(lambda d, g: replaced.carry_waiting(old, d, g, now_ms), now_ms)
        finally:
            old.close()
        replaced.forget_copy(self.path)
        log.error("buffer: %s was replaced; what waited goes on in the new file", self.path)

    def _rebuild(self, err: BufferFileError, now_ms: int) -> None:
        self._rebuilt = [at for at in self._rebuilt if abs(now_ms - at) < _OFTEN_MS]
        if len(self._rebuilt) >= _OFTEN:  # each one leaves a copy on the disk
            raise BufferDiskError(
                f"{self.path}: damaged {_OFTEN} times in {_OFTEN_MS // 60_000} minutes, and again: "
                f"{err.message.removeprefix(f'{self.path}: ')}",
                "the medium fails: replace it, or set buffer.path to another one",
            )
        self._rebuilt.append(now_ms)
        self.forget()
        log.error("buffer: damaged: %s", err.message)
        result = recover.rebuild(self.path, now_ms)
        self._open(now_ms)
        self._in_use(now_ms)
        done = (
            f"set aside as {result.aside}; carried over {result.waiting} waiting points and "
            f"{result.set_aside} set aside, {result.lost} lost"
        )
        log.error("buffer: %s", done)
        self.damaged(Damage(now_ms, f"{err.message}: {done}", result.lost))

    def damaged(self, found: Damage) -> None:
        """Keep what was found, for status and events."""
        self.damages = (*self.damages[1 - DAMAGES_KEPT :], found)

    def forget(self) -> None:
        """Close the connection; the next call opens the file again."""
        self.journal.close()
        if self._database is not None:
            self._database.close()
            self._database = None

    def used(self) -> int:
        """Return the bytes of the pages in use."""
        size, free = self.database().size()
        return size - free

    def size(self) -> int:
        """Return the bytes that file, log and journal take on the disk."""
        total = 0
        for file in (self.path, wal.log_of(self.path), journal_of(self.path)):
            try:
                total += file.stat().st_size
            except OSError:
                continue
        return total


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a stat, every second
    except OSError:
        return None
    return status.st_dev, status.st_ino
