"""`power_1m`: means, minima and maxima of each aligned minute.

mean = sum of the samples / their number, for every field under its own name.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from logger.derive.info import MeterInfo, SavedState
from logger.derive.windows import Window, Windows
from logger.domain.datamodel import MEASUREMENTS
from logger.domain.records import FieldValue, Minute, Sample

_MINUTE_MS = 60_000
_FIELDS = MEASUREMENTS["power"].fields
_EXTREMES = ("active_power", "voltage", "current")


class Minutes:
    """Collects the samples of all meters and gives a record per meter, phase, minute."""

    def __init__(self, meters: Mapping[str, MeterInfo]) -> None:
        self._meters = meters
        self._windows = Windows(_MINUTE_MS, _text, _series)

    def feed(self, meter: str, taken_ms: int, samples: Mapping[str, Sample]) -> list[Minute]:
        """Take the samples of one fast reading, by phase; return the minute they close."""
        window, closed = self._windows.at(meter, taken_ms)
        if window is not None:
            sums = window.sums
            for phase, sample in samples.items():
                for name, value in sample.values.items():
                    key = (phase, name)
                    own = sums.get(key)
                    number = float(value)
                    if own is None:
                        sums[key] = array("d", [1, number, number, number])
                        continue
                    own[0] += 1
                    own[1] += number
                    if number < own[2]:
                        own[2] = number
                    elif number > own[3]:
                        own[3] = number
        return [] if closed is None else self._minutes(meter, closed)

    def tick(self, now_ms: int) -> list[Minute]:
        """Return the minutes that are over."""
        return [
            minute
            for meter, window in self._windows.late(now_ms)
            for minute in self._minutes(meter, window)
        ]

    def clock_step(self) -> list[Minute]:
        """Return the minutes that a moved clock cut short."""
        return [
            minute
            for meter, window in self._windows.clock_step()
            for minute in self._minutes(meter, window)
        ]

    def _minutes(self, meter: str, window: Window) -> list[Minute]:
        info = self._meters.get(meter)
        if info is None:
            return []
        phases: dict[str, dict[str, FieldValue]] = {}
        counts: dict[str, int] = {}
        for (phase, name), (count, total, low, high) in window.sums.items():
            fields = phases.setdefault(phase, {})
            fields[name] = total / count
            if name in _EXTREMES:
                fields[f"{name}_min"], fields[f"{name}_max"] = low, high
            counts[phase] = max(counts.get(phase, 0), int(count))
        return [
            Minute(info.name, info.role, window.start_ms, phase, fields, counts[phase])
            for phase, fields in phases.items()
        ]

    def state(self) -> SavedState:
        """Return the open minutes, as JSON can hold them."""
        return self._windows.state()

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made."""
        self._windows.restore(state)


def _text(series: tuple[str, str]) -> str:
    """Return phase and field as the state file writes them."""
    return "/".join(series)


def _series(text: str) -> tuple[str, str]:
    phase, _, field = text.rpartition("/")
    if field not in _FIELDS:
        raise ValueError(f"not a measured value: {text!r}")
    return phase, field
