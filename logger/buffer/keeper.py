"""The thread that keeps the buffer file: when it commits, what it does beside, disk faults."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from logger.buffer.exchange import Exchange
from logger.buffer.room import Room
from logger.buffer.writer import Writer
from logger.domain.errors import BufferDiskError, BufferFileError
from logger.store import scrub
from logger.store.lock import OwnerLock
from logger.store.state import BufferState, Lasting, Level

log = logging.getLogger(__name__)

_MAINTAIN_S = 60.0
_MAINTAIN_MORE_S = 0.5  # while there is more than one go can do
_RETRY_S = (0.5, 10.0)  # after a disk fault: first and longest pause


class Keeper:
    """Moves what comes into `exchange` to the file of `writer`, on a thread of its own.

    `state` returns how the buffer is. `maintain_at` and `scrub_at` are moments of the
    monotonic clock: when old rows are looked for next, and damage.
    """

    def __init__(
        self,
        writer: Writer,
        exchange: Exchange,
        now_ms: Callable[[], int],
        state: Callable[[], BufferState],
    ) -> None:
        self.problem = ""  # why the disk takes nothing
        self.maintain_at = self.scrub_at = 0.0
        self._writer = writer
        self._exchange = exchange
        self._now_ms = now_ms
        self._state = state
        self._room = Room(writer, exchange)
        self._lock = OwnerLock(writer.path)
        self._level = Level()
        self._lasting = Lasting()
        self._problem_since = self._not_before = 0.0
        self._retry_s = _RETRY_S[0]
        self._working_since: float | None = None
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether the thread was started, and not ended by `stop`."""
        return self._thread is not None

    def begin(self) -> None:
        """Take the file and start the thread. Raises like `Buffer.open`."""
        self.scrub_at = time.monotonic() + scrub.STEP_S
        try:
            self._take()
        except BufferDiskError as err:
            self._fault(err)
        except BaseException:
            self._lock.release()
            raise
        self.restart()

    def restart(self) -> None:
        """Start the thread, also in place of one that has ended."""
        self._working_since = None
        self._thread = threading.Thread(target=self._run, name="buffer", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Wait until all is committed; the file is given back if that came to an end."""
        self._exchange.stop()
        if self._thread is not None:
            self._thread.join(timeout_s)
        if self._thread is None or not self._thread.is_alive():
            self._thread = None
            self._lock.release()

    def late_s(self) -> float:
        """Return for how many seconds the thread has worked without an end, or not begun
        with what is due; infinity when it has ended."""
        if self._thread is None or self._exchange.stopping:
            return 0.0
        if not self._thread.is_alive():
            return math.inf
        since = self._working_since
        return -self._pause() if since is None else time.monotonic() - since

    def _run(self) -> None:
        exchange = self._exchange
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
                self._fault(BufferFileError(f"{self._writer.path}: {err}"))
            with exchange.changed:
                exchange.flushed = asked
                self._working_since = None
                exchange.changed.notify_all()
            if stopping:
                self._writer.close(self._now_ms())
                return

    def _pause(self) -> float:
        """Return the seconds until there is something to do."""
        now = time.monotonic()
        exchange = self._exchange
        if exchange.stopping or exchange.asked > exchange.flushed:
            return 0.0
        if self.problem:
            return self._not_before - now
        if exchange.corrupt is not None:
            return 0.0
        wanted = (self._room.at, exchange.commit_at, exchange.settle_at)
        moments = [moment for moment in wanted if moment is not None]
        return min(self.maintain_at, self.scrub_at, *moments) - now

    def _take(self) -> None:
        try:
            self._writer.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        except OSError as err:
            raise BufferDiskError(f"{self._writer.path}: {err.strerror or err}") from err
        self._writer.open(self._now_ms())

    def _work(self, stopping: bool) -> None:
        now_ms = self._now_ms()
        self._take()
        if (err := self._exchange.corrupt) is not None:
            self._exchange.corrupt = None
            self._writer.rebuild(err, now_ms)
        while self._commit(now_ms):
            pass
        if time.monotonic() >= self.maintain_at and not stopping:
            more = self._writer.maintain(self._exchange.busy(), now_ms)
            self.maintain_at = time.monotonic() + (_MAINTAIN_MORE_S if more else _MAINTAIN_S)
        self._room.make(now_ms)
        if time.monotonic() >= self.scrub_at and not stopping:
            self._writer.scrub(self._exchange.busy(), now_ms)
            self.scrub_at = time.monotonic() + scrub.pause_s(self._writer.scrubbed, now_ms)
        state = self._state()
        self._level.refresh(state.full, state.waiting, store=state.store)
        self._lasting.refresh(state.days_left, state.bytes_per_day)

    def _commit(self, now_ms: int) -> bool:
        """Commit a part of what waits; return True if there is more."""
        batch = self._exchange.take()
        if batch.empty:
            return False
        try:
            self._writer.commit(batch, now_ms)
        except BaseException:
            self._exchange.failed(batch)
            raise
        try:
            self._writer.refresh()
        except BufferFileError as err:
            self._exchange.suspect(err)
        finally:  # what is committed stays so, whatever a look meets
            more = self._exchange.committed(batch)
        return more

    def _fault(self, err: BufferFileError) -> None:
        if isinstance(err, BufferDiskError):
            self._exchange.close_readers()
        with self._exchange.changed:
            if not self.problem:
                self._problem_since = time.monotonic()
                self._retry_s = _RETRY_S[0]
                log.error(
                    "buffer: not writable: %s; readings wait in memory, up to %d MiB",
                    err,
                    self._exchange.pending.bound // 1024**2,
                )
            self.problem = str(err)
            self._not_before = time.monotonic() + self._retry_s
            self._retry_s = min(2 * self._retry_s, _RETRY_S[1])

    def _healthy(self) -> None:
        with self._exchange.changed:
            if self.problem:
                self.problem = ""
                seconds = time.monotonic() - self._problem_since
                log.warning("buffer: writing again after %.0f s", seconds)
