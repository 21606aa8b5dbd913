"""Whether points that could be delivered are. Pure: time is an argument.

A thread that lives need not get on: what it looks for may never come to it. So each lane
is looked at as a whole, too: while points wait in the file, nothing is known to be wrong
and nothing moves, somebody is to be told.
"""

from __future__ import annotations

from collections.abc import Hashable


class Progress:
    """How long a lane has stood still. Moments and durations are seconds, monotonic."""

    def __init__(self) -> None:
        self._seen: Hashable = None
        self._since: float | None = None

    def late_s(self, moved: Hashable, *, can: bool, may_take_s: float, now: float) -> float:
        """Return by how many seconds the lane is late, none or less while all is well.

        `moved` changes with whatever the lane gets done, `can` tells that there is
        something to do and nothing known that keeps it from being done, `may_take_s` is
        how long a step may take.
        """
        if not can or self._since is None or moved != self._seen:
            self._seen, self._since = moved, now if can else None
            return 0.0
        return now - self._since - may_take_s
