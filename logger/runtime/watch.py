"""Whether every thread of a running logger lives and gets on; what ended is started again.

A part says by how many seconds it is late, infinitely when its thread has ended. What has
ended and can be started again is; anything else that is late for too long, or ends again
and again, is a reason to end the process, so that the service manager starts it afresh.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

TOLD_S = 30.0  # late by this is a problem that `status` shows
END_S = 60.0  # late by this ends the process
_REMEMBER_S = 600.0  # how long a new start is a problem
_TOO_OFTEN = 5  # new starts of a part in that time that are too many
# Time that passed between two looks counts up to this: the process may have been stopped.
_BETWEEN_S = 5.0


@dataclass(slots=True)
class Part:
    """A thread, or several that are watched as one, or what they are to get done. `late_s`
    gives the seconds by which it is late, none or less while all is well; `restart` starts
    it again where that can be done; `doing` names what keeps it; `lacks` says what is
    missing when it is late; late by `end_s` is too late."""

    name: str
    late_s: Callable[[], float]
    restart: Callable[[], None] | None = None
    doing: Callable[[], str] = str
    lacks: str = "no sign of life"
    end_s: float = END_S
    _held_s: float = field(default=0.0, repr=False)
    _starts: deque[float] = field(default_factory=deque, repr=False)


class Watch:
    """Looks at all parts. `refresh` is for one thread, `problems` for any; `clock` is
    monotonic, in seconds."""

    def __init__(
        self, parts: Iterable[Part], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._parts = tuple(parts)
        self._clock = clock
        self._looked = clock()

    def begin(self) -> None:
        """From now on the parts are to live."""
        self._looked = self._clock()

    def refresh(self) -> str:
        """Start again what has ended. Return why the process has to end, "" if not."""
        now = self._clock()
        passed = min(now - self._looked, _BETWEEN_S)
        self._looked = now
        for part in self._parts:
            late = part.late_s()
            part._held_s = part._held_s + passed if late > 0 else 0.0
            if late == math.inf:
                if (reason := self._revive(part, now)) is not None:
                    return reason
            elif min(late, part._held_s) >= part.end_s:
                return _silent(part, late)
        return ""

    def _revive(self, part: Part, now: float) -> str | None:
        while part._starts and now - part._starts[0] > _REMEMBER_S:
            part._starts.popleft()
        if part.restart is None:
            return f"{part.name}: ended"
        if len(part._starts) >= _TOO_OFTEN:
            return f"{part.name}: ended {_TOO_OFTEN + 1} times in {_REMEMBER_S / 60:.0f} minutes"
        log.error("%s: ended; it is started again", part.name)
        part._starts.append(now)
        part.restart()
        return None

    def problems(self) -> list[str]:
        """Return a sentence for every part that is not well, or was not of late."""
        now = self._clock()
        found = []
        unseen = now - self._looked
        if unseen > TOLD_S:
            found.append(f"the main thread: no sign of life for {unseen:.0f} s")
        for part in self._parts:
            late = part.late_s()
            starts = [at for at in list(part._starts) if now - at <= _REMEMBER_S]
            if late == math.inf:
                found.append(f"{part.name}: ended")
            elif min(late, part._held_s + unseen) >= min(TOLD_S, part.end_s):
                found.append(_silent(part, late))
            elif starts:
                age = now - starts[-1]
                found.append(f"{part.name}: ended {age:.0f} s ago and was started again")
        return found


def _silent(part: Part, late: float) -> str:
    doing = part.doing()
    return f"{part.name}: {part.lacks} for {late:.0f} s" + (f", in {doing}" if doing else "")
