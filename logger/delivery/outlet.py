"""Gives the workers of a running logger their rows, out of its buffer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence

from logger.buffer import Buffer
from logger.domain.datamodel import Lane
from logger.domain.errors import BufferFileError
from logger.store.database import Database
from logger.store.rows import Settlement, StoredRow, waiting

_TRIES = 3  # rows may be packed between reading and claiming them


class BufferOutlet:
    """Reads one lane of a buffer with a connection of its own. For one thread."""

    def __init__(self, buffer: Buffer, lane: Lane) -> None:
        self._buffer = buffer
        self._lane = lane
        self._database: Database | None = None
        self._epoch = -1
        self.using = threading.RLock()  # while the connection is in use

    def newest(self, after: int, lines: int) -> list[StoredRow]:
        """Return waiting rows above number `after`, the newest ones, in order."""
        return self._fetch(after, lines, None, newest=True)[::-1]

    def oldest(self, after: int, lines: int, size: int) -> list[StoredRow]:
        """Return the oldest waiting rows above `after`, up to so many lines and bytes; none
        while very many marks wait for a slow medium: the next commit gives more.

        Reading goes on where the last reader of the lane ended, whoever that was.
        """
        exchange, lane = self._buffer.exchange, self._lane
        if exchange.crowded():
            return []
        with exchange.reading[lane]:
            ahead = exchange.ahead[lane]
            rows = self._fetch(max(after, ahead), lines, size, newest=False)
            if not rows and ahead > after:
                rows = self._fetch(after, lines, size, newest=False)
            exchange.ahead[lane] = rows[-1].id if rows else 0
            return rows

    def settle(self, done: Settlement) -> None:
        """Hand the marks to the thread that keeps the file."""
        self._buffer.exchange.settle(done)

    def release(self, rows: Sequence[StoredRow]) -> None:
        """Rows were not sent after all."""
        self._buffer.exchange.release(rows)

    def waiting(self) -> int:
        """Return how many points of this lane wait."""
        return self._buffer.books().lanes[self._lane].waiting

    def close(self) -> None:
        """Close the connection; the next read opens another one. From any thread."""
        with self.using:
            self._buffer.exchange.readers.discard(self)
            if self._database is not None:
                self._database.close()
                self._database = None

    def _fetch(self, after: int, lines: int, size: int | None, *, newest: bool) -> list[StoredRow]:
        exchange = self._buffer.exchange
        for _ in range(_TRIES):
            read = exchange.unpacked()
            rows = self._read(after, lines, size, newest=newest)
            claimed = exchange.claim(rows, read)
            if claimed or not rows or exchange.unpacked() == read:
                break
        bad = [row for row in claimed if not row.intact]
        if bad:
            exchange.damage(bad)
        return [row for row in claimed if row.intact]

    def _read(self, after: int, lines: int, size: int | None, *, newest: bool) -> list[StoredRow]:
        exchange = self._buffer.exchange
        busy = exchange.busy()
        try:
            with self.using:
                database = self._open()
                now_ms = self._buffer.now_ms()
                found = waiting(database, self._lane, now_ms, after=after, newest=newest)
                with contextlib.closing(found):
                    return batch((row for row in found if row.id not in busy), lines, size)
        except BufferFileError as err:
            self.close()
            exchange.suspect(err)
            raise

    def _open(self) -> Database:
        if self._database is None or self._epoch != self._buffer.epoch:
            self.close()
            self._epoch = self._buffer.epoch
            self._database = Database.open_readonly(self._buffer.path)
            self._buffer.exchange.readers.add(self)
        return self._database


class SecondOutlet(BufferOutlet):
    """The rows of a second worker of a lane: the backlog alone, while `wanted` says so.

    While one worker waits for the server the other one prepares its next batch.
    """

    def __init__(self, buffer: Buffer, lane: Lane, wanted: Callable[[], bool]) -> None:
        super().__init__(buffer, lane)
        self._wanted = wanted

    def newest(self, after: int, lines: int) -> list[StoredRow]:  # noqa: ARG002 - an Outlet
        """Return nothing: live points are the first worker's."""
        return []

    def oldest(self, after: int, lines: int, size: int) -> list[StoredRow]:
        """Return the oldest rows that the first worker is not sending, in half batches:
        two whole ones at a time would cost memory."""
        return super().oldest(after, lines // 2 or 1, size // 2) if self._wanted() else []


def batch(found: Iterable[StoredRow], lines: int, size: int | None) -> list[StoredRow]:
    """Return the first rows, up to so many lines and bytes, but one at least."""
    rows: list[StoredRow] = []
    count = length = 0
    for row in found:
        count += row.points
        length += len(row.body)
        if rows and (count > lines or (size is not None and length > size)):
            break
        rows.append(row)
    return rows
