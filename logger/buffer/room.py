"""Makes room in a file beside the commits: a moment at a time, and never when one is due."""

from __future__ import annotations

import time

from logger.buffer.exchange import Exchange
from logger.buffer.writer import Writer

_WORK_S = 0.25  # how long room is made at a time, and the pause after that
_PAUSE_S = 0.05


class Room:
    """When room is to be made; `at` is the moment of the monotonic clock, None if not."""

    def __init__(self, writer: Writer, exchange: Exchange) -> None:
        self.at: float | None = None
        self._writer = writer
        self._exchange = exchange
        self._until = 0.0

    def make(self, now_ms: int) -> None:
        """Make room for a moment, if it is wanted and no commit is due. Raises BufferFileError."""
        now = time.monotonic()
        self._until = now + _WORK_S
        if self.at is None and self._writer.wants_room:
            self.at = now
        if self.at is not None and self.at <= now and self._going_on():
            more = self._writer.make_room(self._exchange.busy(), now_ms, self._going_on)
            self.at = time.monotonic() + _PAUSE_S if more else None

    def _going_on(self) -> bool:
        exchange, now = self._exchange, time.monotonic()
        due = exchange.commit_at is not None and exchange.commit_at <= now
        asked = exchange.asked > exchange.flushed or exchange.stopping
        return now < self._until and not due and not asked
