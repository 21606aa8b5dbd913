"""How long a silent meter is left alone. Pure: time is an argument, monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S, AT_MOST_S = 2.0, 60.0


@dataclass(slots=True)
class Pause:
    """Growing pauses between questions to a meter that does not answer: 2 s to 60 s."""

    until: float = 0.0
    length_s: float = 0.0

    def lasts(self, now: float) -> bool:
        """Return whether the meter is to be left alone at `now`."""
        return self.length_s > 0 and now < self.until

    def silent(self, now: float) -> None:
        """Note that the meter did not answer, and wait twice as long as the last time."""
        self.length_s = min(2 * self.length_s, AT_MOST_S) if self.length_s else FIRST_S
        self.until = now + self.length_s

    def answered(self) -> None:
        """Note that the meter is there."""
        self.length_s = 0.0
