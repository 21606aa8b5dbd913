"""`power_1m`: means, minima and maxima of each aligned minute.

mean = sum of the samples / their number, for every field under its own name.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from sys import intern

from logger.derive.info import MeterInfo, SavedState
from logger.derive.windows import Window, Windows
from logger.points.line import FieldValue, Point

_MINUTE_MS = 60_000
_EXTREMES = ("active_power", "voltage", "current")

# The samples of one reading: fields of measurement `power` by phase.
Samples = Mapping[str, Mapping[str, FieldValue]]


class Minutes:
    """Collects the samples of all meters and gives a point per meter, phase, minute."""

    def __init__(self, meters: Mapping[str, MeterInfo], site: str) -> None:
        self._meters, self._site = meters, site
        self._windows = Windows(_MINUTE_MS)

    def feed(self, meter: str, taken_ms: int, samples: Samples) -> list[Point]:
        """Take the samples of one fast reading; return the minute they close."""
        window, closed = self._windows.at(meter, taken_ms)
        if window is not None:
            sums = window.sums
            for phase, fields in samples.items():
                for name, value in fields.items():
                    key = f"{phase}/{name}"
                    own = sums.get(key)
                    number = float(value)
                    if own is None:
                        sums[intern(key)] = array("d", [1, number, number, number])
                        continue
                    own[0] += 1
                    own[1] += number
                    if number < own[2]:
                        own[2] = number
                    elif number > own[3]:
                        own[3] = number
        return [] if closed is None else self._points(meter, closed)

    def tick(self, now_ms: int) -> list[Point]:
        """Return the minutes that are over."""
        return [
            point
            for meter, window in self._windows.late(now_ms)
            for point in self._points(meter, window)
        ]

    def clock_step(self) -> list[Point]:
        """Return the minutes that a moved clock cut short."""
        return [
            point
            for meter, window in self._windows.clock_step()
            for point in self._points(meter, window)
        ]

    def _points(self, meter: str, window: Window) -> list[Point]:
        info = self._meters.get(meter)
        if info is None:
            return []
        phases: dict[str, dict[str, FieldValue]] = {}
        counts: dict[str, int] = {}
        for key, (count, total, low, high) in window.sums.items():
            phase, _, name = key.rpartition("/")
            fields = phases.setdefault(phase, {})
            fields[name] = total / count
            if name in _EXTREMES:
                fields[f"{name}_min"], fields[f"{name}_max"] = low, high
            counts[phase] = max(counts.get(phase, 0), int(count))
        return [
            Point(
                "power_1m",
                {"site": self._site, **info.tags, "phase": phase},
                {**fields, "samples": counts[phase]},
                window.start_ms,
            )
            for phase, fields in phases.items()
        ]

    def state(self) -> SavedState:
        """Return the open minutes, as JSON can hold them."""
        return self._windows.state()

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made."""
        self._windows.restore(state)
