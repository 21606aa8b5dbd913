"""The buffer as the logger sees it: readings go in at any time, a thread keeps the file."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from logger.buffer.exchange import Exchange
from logger.buffer.incoming import rows_of
from logger.buffer.pending import MEMORY_BYTES, Drops, Pending
from logger.buffer.present import present
from logger.buffer.room import Room
from logger.buffer.writer import Writer
from logger.domain.errors import BufferDiskError, BufferFileError
from logger.points.encode import by_lane
from logger.points.line import Point
from logger.store import parked, scrub
from logger.store.ledger import Books
from logger.store.lock import OwnerLock
from logger.store.parked import Parked
from logger.store.state import BufferState, Lasting, Level

log = logging.getLogger(__name__)

_MAINTAIN_S = 60.0
_MAINTAIN_MORE_S = 0.5  # while there is more than one go can do
_RETRY_S = (0.5, 10.0)  # after a disk fault: first and longest pause


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
        self._room = Room(self._writer, self.exchange)
        self._lock = OwnerLock(path)
        self._level = Level()
        self._lasting = Lasting()
        self._newest_ms: int | None = None
        self._problem = ""
        self._started = self._problem_since = self._not_before = 0.0
        self._maintain_at = self._scrub_at = 0.0  # moments of the monotonic clock, all of them
        self._retry_s = _RETRY_S[0]
        self._working_since: float | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Take the file and start keeping it.

        Raises BufferBusyError if another process has it and BufferFileError if it belongs
        to another program or a newer version. A disk fault raises nothing: `state` tells.
        """
        self._started = time.monotonic()
        self._scrub_at = self._started + scrub.STEP_S
        try:
            self._take()
        except BufferDiskError as err:
            self._fault(err)
        except BaseException:
            self._lock.release()
            raise
        self.restart()

    def restart(self) -> None:
        """Start the keeping thread, also in place of one that has ended."""
        self._working_since = None
        self._thread = threading.Thread(target=self._run, name="buffer", daemon=True)
        self._thread.start()

    def late_s(self) -> float:
        """Return for how many seconds the keeping thread has worked without an end, or
        not begun with what is due; infinity when it has ended."""
        if self._thread is None or self.exchange.stopping:
            return 0.0
        if not self._thread.is_alive():
            return math.inf
        since = self._working_since
        return -self._pause() if since is None else time.monotonic() - since

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
            raise BufferDiskError(self._problem)
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
        return self._thread is not None and self.exchange.flush(timeout_s) and not self._problem

    def close(self, timeout_s: float = 4.0) -> int:
        """Commit everything, give the file back; return how many points the disk refused."""
        self.exchange.stop()
        if self._thread is not None:
            self._thread.join(timeout_s)
        if lost := self.exchange.pending.points.total():
            log.error("buffer: the disk took nothing more; %d points are lost", lost)
        if self._thread is None or not self._thread.is_alive():
            self._thread = None
            self._lock.release()
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
                problem=self._problem,
                newest_ms=self._newest_ms,
                elapsed_s=time.monotonic() - self._started,
                store=self.store,
            )

    # The keeping thread.

    def _run(self) -> None:
        exchange = self.exchange
        while True:
            with exchange.changed:
                while (pause := self._pause()) > 0:
                    exchange.changed.wait(pause)
                stopping, asked = exchange.stopping, exchange.asked
                self._working_since = time.monotonic()
            try:
                self._work(stopping)
                self._healthy()
            except BufferFileError as err:
                self._fault(err)
            except Exception as err:
                log.exception("buffer: unexpected")
                self._fault(BufferFileError(f"{self.path}: {err}"))
            with exchange.changed:
                exchange.flushed = asked
                self._working_since = None
                exchange.changed.notify_all()
            if stopping:
                self._writer.close(self.now_ms())
                return

    def _pause(self) -> float:
        """Return the seconds until there is something to do."""
        now = time.monotonic()
        exchange = self.exchange
        if exchange.stopping or exchange.asked > exchange.flushed:
            return 0.0
        if self._problem:
            return self._not_before - now
        if exchange.corrupt is not None:
            return 0.0
        wanted = (self._room.at, exchange.commit_at, exchange.settle_at)
        moments = [moment for moment in wanted if moment is not None]
        return min(self._maintain_at, self._scrub_at, *moments) - now

    def _take(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        except OSError as err:
            raise BufferDiskError(f"{self.path}: {err.strerror or err}") from err
        self._writer.open(self.now_ms())

    def _work(self, stopping: bool) -> None:
        now_ms = self.now_ms()
        self._take()
        if (err := self.exchange.corrupt) is not None:
            self.exchange.corrupt = None
            self._writer.rebuild(err, now_ms)
        while self._commit(now_ms):
            pass
        if time.monotonic() >= self._maintain_at and not stopping:
            more = self._writer.maintain(self.exchange.busy(), now_ms)
            self._maintain_at = time.monotonic() + (_MAINTAIN_MORE_S if more else _MAINTAIN_S)
        self._room.make(now_ms)
        if time.monotonic() >= self._scrub_at and not stopping:
            self._writer.scrub(self.exchange.busy(), now_ms)
            self._scrub_at = time.monotonic() + scrub.pause_s(self._writer.scrubbed, now_ms)
        state = self.state()
        self._level.refresh(state.full, state.waiting, store=self.store)
        self._lasting.refresh(state.days_left, state.bytes_per_day)

    def _commit(self, now_ms: int) -> bool:
        """Commit a part of what waits; return True if there is more."""
        batch = self.exchange.take()
        if batch.empty:
            return False
        try:
            self._writer.commit(batch, now_ms)
        except BaseException:
            self.exchange.failed(batch)
            raise
        try:
            self._writer.refresh()
        except BufferFileError as err:
            self.exchange.suspect(err)
        finally:  # what is committed stays so, whatever a look meets
            more = self.exchange.committed(batch)
        return more

    def _fault(self, err: BufferFileError) -> None:
        if isinstance(err, BufferDiskError):
            self.exchange.close_readers()
        with self.exchange.changed:
            if not self._problem:
                self._problem_since = time.monotonic()
                self._retry_s = _RETRY_S[0]
                log.error(
                    "buffer: not writable: %s; readings wait in memory, up to %d MiB",
                    err,
                    self.exchange.pending.bound // 1024**2,
                )
            self._problem = str(err)
            self._not_before = time.monotonic() + self._retry_s
            self._retry_s = min(2 * self._retry_s, _RETRY_S[1])

    def _healthy(self) -> None:
        with self.exchange.changed:
            if self._problem:
                self._problem = ""
                seconds = time.monotonic() - self._problem_since
                log.warning("buffer: writing again after %.0f s", seconds)
