"""Work that takes its time, done by one thread, for any number of those who ask: reports, and
what the other parts of the logger say of themselves.

One at a time, so that many pages cost no more of the machine than one; the same question
asked twice is answered once, and kept for a while.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

_MOST_WAITING = 16
_MOST_KEPT = 64


class BusyError(Exception):
    """Too many questions wait already."""


@dataclass(slots=True)
class _Asked:
    answer: asyncio.Future[Any]
    until: float  # kept up to here, by the monotonic clock


class Desk:
    """Answers with what a function returns. `ask` is for the thread of the loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(_MOST_WAITING)
        self._known: dict[Hashable, _Asked] = {}
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the thread. It ends with the process, whatever it does then."""
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """End the thread when it has done what it does."""
        self._stopping.set()
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return

    @property
    def stopping(self) -> bool:
        """Whether what is being done is wanted no more; for the thread."""
        return self._stopping.is_set()

    async def ask(self, key: Hashable, make: Callable[[], Any], keep_s: float) -> Any:
        """Return what `make` returns, or returned for this key in the last `keep_s` seconds.

        Raises what it raises, and BusyError.
        """
        now = time.monotonic()
        known = self._known.get(key)
        if known is None or (known.answer.done() and known.until <= now):
            known = self._begin(key, make, keep_s)
        return await asyncio.shield(known.answer)

    def _begin(self, key: Hashable, make: Callable[[], Any], keep_s: float) -> _Asked:
        loop = asyncio.get_running_loop()
        asked = _Asked(loop.create_future(), 0.0)
        asked.answer.add_done_callback(_looked_at)

        def done(value: Any, error: BaseException | None) -> None:
            asked.until = time.monotonic() + (keep_s if error is None else 0.0)
            if error is None:
                asked.answer.set_result(value)
            else:
                asked.answer.set_exception(error)

        def run() -> None:
            value, error = None, None
            try:
                value = make()
            except Exception as err:  # noqa: BLE001 - it belongs to who asked
                error = err
            try:
                loop.call_soon_threadsafe(done, value, error)
            except RuntimeError:  # the loop has ended
                return

        try:
            self._waiting.put_nowait(run)
        except queue.Full:
            raise BusyError from None
        now = time.monotonic()
        if len(self._known) >= _MOST_KEPT:
            self._known = {
                one: old
                for one, old in self._known.items()
                if not old.answer.done() or old.until > now
            }
        if len(self._known) >= _MOST_KEPT:
            self._known.pop(next(one for one, old in self._known.items() if old.answer.done()))
        self._known[key] = asked
        return asked

    def _work(self) -> None:
        while (run := self._waiting.get()) is not None and not self.stopping:
            run()


def _looked_at(answer: asyncio.Future[Any]) -> None:
    """Keep an error that nobody waits for any more out of the log."""
    if not answer.cancelled():
        answer.exception()
