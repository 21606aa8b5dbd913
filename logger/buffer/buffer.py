"""The buffer as the logger sees it: readings go in at any time, a thread keeps the file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from logger.buffer.exchange import Exchange
from logger.buffer.incoming import rows_of
from logger.buffer.keeper import Keeper
from logger.buffer.pending import MEMORY_BYTES, Drops, Pending
from logger.buffer.present import present
from logger.buffer.writer import Writer
from logger.domain.errors import BufferDiskError, BufferFileError
from logger.points.encode import by_lane
from logger.points.line import Point
from logger.store import parked
from logger.store.ledger import Books
from logger.store.parked import Parked
from logger.store.state import BufferState

log = logging.getLogger(__name__)


class Buffer:
    """A file that holds every point until it is delivered, and a while longer.

    Thread-safe. `append` never touches the disk; a thread commits what came, once every
    `commit_interval_s`. While the disk fails, up to 16 MiB of line protocol (about
    100,000 points) wait in memory and are committed when it works again.
    """

    def __init__(
        self,
        path: Path,
        *,
        commit_interval_s: float = 1.0,
        keep_s: float = 172_800.0,
        max_size: int = 2 * 1024**3,
        max_age_s: float | None = None,
        now_ms: Callable[[], int],
        memory_bytes: int = MEMORY_BYTES,
        store: bool = False,
    ) -> None:
        """With `store` the points stay here, as nothing takes them: packed small."""
        self.path = path
        self.store = store
        self.now_ms = now_ms
        self.exchange = Exchange(Pending(memory_bytes), commit_interval_s)
        self._writer = Writer(
            path,
            keep_ms=int(keep_s * 1000),
            max_size=max_size,
            max_age_ms=None if max_age_s is None else int(max_age_s * 1000),
            store=store,
        )
        self._writer.file.sending = self.exchange.sending
        self.keeper = Keeper(self._writer, self.exchange, now_ms, self.state)
        self._newest_ms: int | None = None
        self._started = 0.0  # monotonic

    def open(self) -> None:
        """Take the file and start keeping it.

        Raises BufferBusyError if another process has it and BufferFileError if it belongs
        to another program or a newer version. A disk fault raises nothing: `state` tells.
        """
        self._started = time.monotonic()
        self.keeper.begin()

    def restart(self) -> None:
        """Start the keeping thread, also in place of one that has ended."""
        self.keeper.restart()

    def late_s(self) -> float:
        """Return for how many seconds the keeping thread has worked without an end, or
        not begun with what is due; infinity when it has ended."""
        return self.keeper.late_s()

    def append(self, points: Sequence[Point], released: int = 0) -> None:
        """Take points that belong together. Returns at once and raises for no disk.

        With their commit the parked readings up to number `released` are forgotten.
        """
        rows, invalid = rows_of(points, released)
        if rows:
            self._newest_ms = max(self._newest_ms or 0, *(row.last_ms for row in rows))
        self.exchange.add(rows, invalid)

    def drop(self, points: Sequence[Point], reason: str) -> None:
        """Book points that cannot be kept as read and dropped."""
        drops = Drops()
        for lane, group in by_lane(points).items():
            drops[lane, reason] += len(group)
        self.exchange.add([], drops)

    def park(self, one: Parked) -> bool:
        """Keep a reading that has no time yet; False if too many wait for the disk."""
        return self.exchange.park(one)

    def parked(self, after: int, limit: int) -> list[Parked]:
        """Return readings without a time above number `after`, the oldest `limit`.

        Raises BufferFileError.
        """
        if self.exchange.parking and not self.flush():
            raise BufferDiskError(self.keeper.problem)
        try:
            return parked.load(self.path, after, limit)
        except BufferFileError as err:
            self.exchange.suspect(err)
            raise

    def parked_since(self, boot: str) -> int | None:
        """Return the first moment of a boot from which readings wait, milliseconds since it
        began; None if there is none, or the file cannot be read."""
        try:
            return parked.first_of(self.path, boot)
        except BufferFileError as err:
            log.debug("parked readings: %s", err)
            self.exchange.suspect(err)
            return None

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Commit everything now; return False if the disk did not let it."""
        return self.keeper.running and self.exchange.flush(timeout_s) and not self.keeper.problem

    def close(self, timeout_s: float = 4.0) -> int:
        """Commit everything, give the file back; return how many points the disk refused."""
        self.keeper.stop(timeout_s)
        if lost := self.exchange.pending.points.total():
            log.error("buffer: the disk took nothing more; %d points are lost", lost)
        return lost

    @property
    def epoch(self) -> int:
        """Changes when another file lies at `path`: readers have to open it again."""
        return self._writer.file.epoch

    def books(self) -> Books:
        """Return the books, with what is still in memory."""
        with self.exchange.changed:
            return self.exchange.pending.added_to(self._writer.state.books)

    def state(self) -> BufferState:
        """Return how the buffer is, without touching the disk."""
        with self.exchange.changed:
            return present(
                self._writer,
                self.exchange,
                problem=self.keeper.problem,
                newest_ms=self._newest_ms,
                elapsed_s=time.monotonic() - self._started,
                store=self.store,
            )
