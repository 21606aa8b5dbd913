"""The connections there are, and which of them have to go: those that ask nothing, never
finish asking, or never take an answer. For the thread of the loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

log = logging.getLogger(__name__)

_MOST = 128  # connections at a time
_REQUEST_S = 15.0  # until a request is there
_TAKE_S = 20.0  # until a part of an answer is taken
_SAY_AGAIN_S = 86_400.0


class Connection(Protocol):
    """What is asked of a connection."""

    @property
    def idle(self) -> bool:
        """Whether no answer is being made."""
        ...

    @property
    def stuck(self) -> bool:
        """Whether the other side does not take what is sent."""
        ...

    def abort(self) -> None:
        """Hang up at once."""
        ...


@dataclass(slots=True)
class _Seen:
    """Since when a connection is idle, and stuck; by the monotonic clock."""

    idle_s: float | None
    stuck_s: float | None = None


class Crowd:
    """Knows all connections; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Connection, _Seen] = {}
        self._said: dict[str, float] = {}

    def came(self, one: Connection) -> None:
        """Let a connection in; where there are too many, the longest idle goes for it."""
        if len(self._seen) >= _MOST:
            idle = next((old for old in self._seen if old.idle), None)
            self._say("more than %d connections: those that ask nothing are closed", _MOST)
            if idle is None:
                one.abort()
            else:
                del self._seen[idle]
                idle.abort()
        self._seen[one] = _Seen(self._clock())

    def went(self, one: Connection) -> None:
        """Forget a connection."""
        self._seen.pop(one, None)

    def look(self) -> None:
        """Close what took too long; called about once a second."""
        now = self._clock()
        for one, seen in list(self._seen.items()):
            seen.idle_s = (seen.idle_s or now) if one.idle else None
            seen.stuck_s = (seen.stuck_s or now) if one.stuck else None
            if seen.idle_s is not None and now - seen.idle_s > _REQUEST_S:
                one.abort()
            elif seen.stuck_s is not None and now - seen.stuck_s > _TAKE_S:
                self._say("a client took nothing for %.0f s: it is cut off", _TAKE_S)
                one.abort()

    def _say(self, text: str, value: float) -> None:
        now = self._clock()
        if now - self._said.get(text, -_SAY_AGAIN_S) >= _SAY_AGAIN_S:
            self._said[text] = now
            log.warning(f"http: {text}", value)  # noqa: G004
