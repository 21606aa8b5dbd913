"""Aligned windows over samples: when one begins, closes, and is no longer to be trusted.

A window belongs to the samples taken in [start, end), both multiples of its length in
UTC. It closes with the first sample after it, or a little later by the clock.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from logger.derive.info import finite, planned, whole
from logger.domain.limits import VALID_SHARE

# Phase and field of what a window adds up.
Series = tuple[str, str]

GRACE_MS = 5000  # a job may be that late on a busy line and still be counted
_AT_ONCE = 50  # windows that are closed together


@dataclass(slots=True)
class Window:
    """One open window; `sums` by phase and field: number of samples, their sum, lowest, highest."""

    start_ms: int
    sums: dict[Series, array[float]] = field(default_factory=dict)
    stepped: bool = False

    def valid(self, samples: int, length_ms: int, interval_ms: int) -> bool:
        """Return whether enough samples came and the clock was not moved inside."""
        due = planned(self.start_ms, self.start_ms + length_ms, interval_ms)
        return not self.stepped and samples > 0 and samples >= VALID_SHARE * due


class Windows:
    """The open window of each meter, all of one length.

    `text` gives what the state file calls a series, `parse` is its inverse.
    """

    def __init__(
        self, length_ms: int, text: Callable[[Series], str], parse: Callable[[str], Series]
    ) -> None:
        self.length_ms = length_ms
        self._text, self._parse = text, parse
        self._open: dict[str, Window] = {}
        self._closed_until: dict[str, int] = {}
        self._stepped: set[str] = set()

    def at(self, meter: str, taken_ms: int) -> tuple[Window | None, Window | None]:
        """Return the window of a sample and the one that it closes, if any.

        A sample that comes too late for its window belongs to none.
        """
        current = self._open.get(meter)
        if current is not None and 0 <= taken_ms - current.start_ms < self.length_ms:
            return current, None
        start = taken_ms - taken_ms % self.length_ms
        if current is None or start < current.start_ms:
            if start < self._closed_until.get(meter, 0):
                return None, None
            if current is not None:  # older than the open one, and not by a moved clock
                return None, None
        self._open[meter] = fresh = Window(start, stepped=meter in self._stepped)
        self._stepped.discard(meter)
        self._closed_until[meter] = start
        return fresh, current

    def late(self, now_ms: int) -> list[tuple[str, Window]]:
        """Close and return windows that no sample can belong to any more, a few at a time:
        the points of many meters at once would take a lot of memory."""
        over = list(
            islice(
                (
                    (meter, window)
                    for meter, window in self._open.items()
                    if window.start_ms + self.length_ms + GRACE_MS <= now_ms
                ),
                _AT_ONCE,
            )
        )
        for meter, window in over:
            del self._open[meter]
            self._closed_until[meter] = window.start_ms + self.length_ms
        return over

    def clock_step(self) -> list[tuple[str, Window]]:
        """Close and return all windows: the clock was moved inside them.

        The window that each meter comes back into is not whole either.
        """
        closed = list(self._open.items())
        for _, window in closed:
            window.stepped = True
        self._stepped.update(self._open, self._closed_until)
        self._open.clear()
        self._closed_until.clear()
        return closed

    def state(self) -> dict[str, Any]:
        """Return the open windows, as JSON can hold them."""
        return {
            meter: [
                window.start_ms,
                {
                    self._text(series): [int(count), *rest]
                    for series, (count, *rest) in window.sums.items()
                },
                window.stepped,
            ]
            for meter, window in self._open.items()
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up where `state` was made."""
        for meter, (start_ms, sums, stepped) in state.items():
            own: dict[Series, array[float]] = {}
            for key, (count, total, low, high) in sums.items():
                own[self._parse(key)] = array(
                    "d", [whole(count), finite(total), finite(low), finite(high)]
                )
                if count < 1 or (total < 0 and low >= 0):
                    raise ValueError(f"not the sums of a window: {sums[key]}")
            start = whole(start_ms)
            self._open[meter] = Window(start, own, bool(stepped))
            self._closed_until[meter] = start
