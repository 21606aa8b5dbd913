"""What the readings, the delivery and the keeping thread hand each other, under one lock."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from logger.buffer.pending import Drops, Pending
from logger.domain.datamodel import Lane
from logger.domain.errors import BufferCorruptError, BufferFileError, BufferSuspectError
from logger.store.parked import LIMIT as PARKED_LIMIT
from logger.store.parked import Parked
from logger.store.rows import NewRow, Settlement, StoredRow

SETTLE_ROWS = 1000  # settled rows that are worth a commit of their own
SETTLE_LAST_ROWS = 100  # the same, at the end of a backlog
SETTLE_S = 10.0  # how long the mark of a delivery may wait for the next commit
ROWS_A_COMMIT = 2000
MOST_SENT = 20_000  # rows that are being sent, or wait for their mark: no more are given out
PACKING_S = 5.0  # readers wait so long for rows that are being packed


class Reader(Protocol):
    """A connection to the file beside that of the keeping thread."""

    using: threading.RLock

    def close(self) -> None:
        """Close the connection; it is opened again when it is needed."""
        ...


@dataclass(slots=True)
class Batch:
    """What one commit puts into the file."""

    rows: list[NewRow]
    drops: Drops
    settled: list[Settlement]
    damaged: list[int]
    parked: list[Parked]
    busy: frozenset[int]

    @property
    def empty(self) -> bool:
        """True if there is nothing to commit."""
        return not (self.rows or self.settled or self.damaged or self.parked or self.drops.total())


@dataclass(slots=True)
class Exchange:
    """Rows on their way into the file, marks of deliveries on theirs, and who waits for
    what. Moments are those of the monotonic clock."""

    pending: Pending
    interval_s: float
    changed: threading.Condition = field(init=False)
    # The same lock, for those who wait for a commit alone: each delivery changes something.
    news: threading.Condition = field(init=False)
    commit_at: float | None = None
    settle_at: float | None = None
    asked: int = 0  # flushes asked for
    flushed: int = 0  # and done
    commits: int = 0
    stopping: bool = False
    corrupt: BufferFileError | None = None
    parking: list[Parked] = field(default_factory=list)  # not in the file yet
    _settled: list[Settlement] = field(default_factory=list)
    _damaged: list[int] = field(default_factory=list)
    _busy: set[int] = field(default_factory=set)
    _packing: bool = False
    _packed: int = 0  # how often rows were packed
    # One reader of a lane's backlog at a time, and how far the last one came.
    reading: dict[Lane, threading.Lock] = field(
        default_factory=lambda: {lane: threading.Lock() for lane in Lane}
    )
    ahead: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    readers: set[Reader] = field(default_factory=set)

    def __post_init__(self) -> None:
        lock = threading.RLock()
        self.changed, self.news = threading.Condition(lock), threading.Condition(lock)

    # For readings.

    def add(self, rows: Iterable[NewRow], drops: Drops) -> None:
        """Hand over rows, and points that cannot become rows."""
        with self.changed:
            self.pending.add(rows)
            self.pending.drops.update(drops)
            if self.commit_at is None:
                self.commit_at = time.monotonic() + self.interval_s
                self.changed.notify_all()

    def park(self, one: Parked) -> bool:
        """Hand over a reading without a time; False if too many wait for the disk."""
        with self.changed:
            if len(self.parking) >= PARKED_LIMIT:
                return False
            self.parking.append(one)
            if self.commit_at is None:
                self.commit_at = time.monotonic() + self.interval_s
                self.changed.notify_all()
            return True

    def flush(self, timeout_s: float) -> bool:
        """Ask for a commit now and wait for the attempt; False if there was none in time."""
        with self.changed:
            self.asked += 1
            wanted = self.asked
            self.changed.notify_all()
            return self.changed.wait_for(lambda: self.flushed >= wanted, timeout_s)

    def stop(self) -> None:
        """Ask the keeping thread to commit and end."""
        with self.changed:
            self.stopping = True
            self.changed.notify_all()

    # For the delivery.

    def unpacked(self) -> int:
        """Return what `claim` wants to know of rows that are read after this. Waits while
        rows are packed."""
        with self.changed:
            self.changed.wait_for(lambda: not self._packing, PACKING_S)
            return -1 if self._packing else self._packed

    def claim(self, rows: Iterable[StoredRow], read: int | None = None) -> list[StoredRow]:
        """Return those rows that nobody is sending, and mark them as being sent; none if
        rows were packed since `read`: their numbers may be gone."""
        with self.changed:
            if read is not None and (self._packing or read != self._packed):
                return []
            free = [row for row in rows if row.id not in self._busy]
            self._busy.update(row.id for row in free)
            return free

    def release(self, rows: Iterable[StoredRow]) -> None:
        """Rows that were claimed are not being sent any more; they wait."""
        with self.changed:
            for row in rows:
                self._busy.discard(row.id)
                self.ahead[row.lane] = 0  # they are to be found again

    def settle(self, done: Settlement) -> None:
        """Note what became of rows; they stay claimed until that is committed."""
        with self.changed:
            self._settled.append(done.light())
            pause = SETTLE_S
            if done.refused or sum(len(each.rows) for each in self._settled) >= SETTLE_ROWS:
                pause = 0.0
            self._settle_in(pause)

    def emptied(self) -> None:
        """Nothing more is to be sent just now: do not let many marks wait for more."""
        with self.changed:
            if sum(len(each.rows) for each in self._settled) >= SETTLE_LAST_ROWS:
                self._settle_in(0.0)

    def crowded(self) -> bool:
        """Return whether so many marks wait for the medium that no more rows are to be sent."""
        with self.changed:
            return len(self._busy) >= MOST_SENT

    def damage(self, rows: Iterable[StoredRow]) -> None:
        """Rows fail their checksum: they are to be set aside."""
        with self.changed:
            self._damaged += [row.id for row in rows]
            self._settle_in(0.0)

    def suspect(self, err: BufferFileError) -> None:
        """A reader could not read the file: if it is damaged it will be mended."""
        if isinstance(err, BufferCorruptError | BufferSuspectError):
            with self.changed:
                self.corrupt = err
                self.changed.notify_all()

    def wait(self, seen: int, timeout_s: float, until: Callable[[], bool]) -> int:
        """Wait for a commit after number `seen`, or for `until`, at most `timeout_s`;
        return the number of the last commit."""
        with self.changed:
            self.news.wait_for(lambda: self.commits != seen or until(), timeout_s)
            return self.commits

    def wake(self) -> None:
        """Make everyone in `wait` look at their `until`."""
        with self.changed:
            self.news.notify_all()

    def _settle_in(self, pause: float) -> None:
        at = time.monotonic() + pause
        self.settle_at = at if self.settle_at is None else min(self.settle_at, at)
        self.changed.notify_all()

    # For the keeping thread.

    def take(self) -> Batch:
        """Take what is to be committed."""
        with self.changed:
            rows, drops = self.pending.take(ROWS_A_COMMIT)
            batch = Batch(
                rows,
                drops,
                self._settled,
                self._damaged,
                list(self.parking),
                frozenset(self._busy),
            )
            self._settled, self._damaged = [], []
            self.commit_at = self.settle_at = None
            return batch

    def committed(self, batch: Batch) -> bool:
        """The batch is in the file; return True if more rows wait."""
        with self.changed:
            self.pending.committed(batch.drops)
            for done in batch.settled:
                self._busy.difference_update(row.id for row in done.rows)
            self._busy.difference_update(batch.damaged)
            del self.parking[: len(batch.parked)]
            self.commits += 1
            self.news.notify_all()
            return bool(self.pending)

    def failed(self, batch: Batch) -> None:
        """The batch is not in the file: all of it waits again."""
        with self.changed:
            self.pending.failed()
            self._settled[:0] = batch.settled
            self._damaged[:0] = batch.damaged

    def close_readers(self) -> None:
        """Close every connection of a reader, all at one moment.

        SQLite shares its locks between the connections of a process: one that could not
        be given back is held until the last of them is closed.
        """
        with contextlib.ExitStack() as stack:
            readers = self.readers.copy()
            for reader in readers:
                stack.enter_context(reader.using)
            for reader in readers:
                reader.close()

    @contextlib.contextmanager
    def sending(self) -> Iterator[Collection[int]]:
        """Give the numbers of the rows that are being sent, while others are packed."""
        with self.changed:
            self._packing, busy = True, frozenset(self._busy)
        try:
            yield busy
        finally:
            with self.changed:
                self._packing = False
                self._packed += 1
                self.changed.notify_all()

    def busy(self) -> frozenset[int]:
        """Return the numbers of the rows that are being sent."""
        with self.changed:
            return frozenset(self._busy)
