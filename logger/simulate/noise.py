"""Chance that depends on nothing but a seed and a place: the same on every machine.

No generator with a state is involved, so the order of the questions does not matter.
"""

from __future__ import annotations

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def unit(*parts: int) -> float:
    """Return a number in [0, 1) for the whole numbers `parts`.

    Mixes with the finisher of SplitMix64 (Steele, Lea, Flood 2014).
    """
    state = _GOLDEN
    for part in parts:
        state = (state + _GOLDEN + part) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return (state >> 11) / (1 << 53)


def signed(*parts: int) -> float:
    """Return a number in [-1, 1) for `parts`."""
    return 2.0 * unit(*parts) - 1.0


class Dice:
    """A row of chances for one place and purpose; the same row for the same `place`."""

    def __init__(self, *place: int) -> None:
        self._place = place
        self._count = 0

    def roll(self) -> float:
        """Return a number in [0, 1)."""
        self._count += 1
        return unit(*self._place, self._count)

    def between(self, low: float, high: float) -> float:
        """Return a number from `low` to `high`, in whole hundredths."""
        return round(low + (high - low) * self.roll(), 2)

    def below(self, count: int) -> int:
        """Return a whole number from 0 to `count` - 1."""
        return int(self.roll() * count)

    def chance(self, share: float) -> bool:
        """Tell, true in `share` of the cases."""
        return self.roll() < share
