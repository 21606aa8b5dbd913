"""The newest values as they come, for any number of pages: server-sent events.

Once a second, while somebody listens, what changed is put into text once for all of them.
Whoever is slow misses changes and gets the whole next: nothing is queued for anybody.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

from logger.latest import SITE, Latest, of_all, of_meter, of_site
from logger.texts import shown
from logger.web.desk import BusyError

_MOST = 80  # listeners at a time
_ALIVE_S = 15.0  # a line is sent at least so often: proxies cut what is silent
_AGAIN_MS = 3000  # a page that lost the connection comes back after this


class Stream:
    """Turns changes of `latest` into text. `tick` and `follow` are for the loop's thread."""

    def __init__(self, latest: Latest) -> None:
        self._latest = latest
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._version = 0
        self._text = ""
        self._next = asyncio.Event()
        self._closed = False
        self.listeners = 0
        latest.listen(self._hear)

    def _hear(self, name: str) -> None:
        with self._lock:
            self._changed.add(name)

    def tick(self) -> None:
        """Tell the listeners what changed; about once a second."""
        with self._lock:
            changed, self._changed = self._changed, set()
        if not changed or not self.listeners:
            return
        found: dict[str, Any] = {
            "meters": [of_meter(self._latest, one) for one in sorted(changed - {SITE})]
        }
        if SITE in changed:
            found["site"] = of_site(self._latest)
        self._text = _event(found)
        self._version += 1
        self._wake()

    def open(self) -> None:
        """Begin; for before the loop runs."""
        self._next, self._closed, self.listeners = asyncio.Event(), False, 0

    def close(self) -> None:
        """Let every listener go."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        before, self._next = self._next, asyncio.Event()
        before.set()

    def enter(self) -> None:
        """Count a listener. Raises BusyError when there are too many."""
        if self.listeners >= _MOST or self._closed:
            raise BusyError
        self.listeners += 1

    async def follow(self) -> AsyncIterator[str]:
        """Yield the whole, then what changes, for who has entered."""
        try:
            yield f"retry: {_AGAIN_MS}\n\n{_event(of_all(self._latest))}"
            seen = self._version
            while not self._closed:
                if seen == self._version:
                    try:
                        await asyncio.wait_for(self._next.wait(), _ALIVE_S)
                    except TimeoutError:
                        yield ": nothing new\n\n"
                    continue
                missed = self._version - seen > 1
                seen = self._version
                yield _event(of_all(self._latest)) if missed else self._text
        finally:
            self.listeners -= 1


def _event(data: dict[str, Any]) -> str:
    text = json.dumps(shown(data), ensure_ascii=False, separators=(",", ":"))
    return f"event: state\ndata: {text}\n\n"
