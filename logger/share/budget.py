"""How much of a line's time others may have. Pure: time is an argument, monotonic seconds."""

from __future__ import annotations

# So much can be saved up, in seconds on the line.
BURST_S = 2.0


class Budget:
    """A `share` of a line's time (0 to 1), of which some can be saved up.

    A question may begin while something is left; what it took is spent afterwards, and paid
    back by those that follow.
    """

    def __init__(self, share: float, now: float) -> None:
        self._share = share
        self._left_s = BURST_S if share > 0 else 0.0
        self._at = now

    def left_s(self, now: float) -> float:
        """Return the seconds that are left, below zero when too much was spent."""
        if self._share > 0:
            self._left_s = min(BURST_S, self._left_s + self._share * max(0.0, now - self._at))
        self._at = now
        return self._left_s

    def spend(self, seconds: float, now: float) -> None:
        """Note that a question took `seconds`."""
        self._left_s = self.left_s(now) - seconds
