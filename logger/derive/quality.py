"""Quality windows: voltage over ten minutes, frequency over ten seconds.

    voltage mean   = square root of (sum of the squared samples / their number)
    frequency mean = sum of the samples / their number
    valid          = at least 80 % of the planned samples, and the clock was not moved

Indications, not EN 50160 measurements: the meter's own window is undocumented, samples
have gaps, and the meter is dead when the mains are.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

from logger.derive.info import MeterInfo, SavedState
from logger.derive.minutes import Samples
from logger.derive.windows import Window, Windows
from logger.domain.limits import FREQUENCY_WINDOW_MS, VOLTAGE_WINDOW_MS
from logger.points.line import FieldValue, Point

_FREQUENCY = "frequency"


class Quality:
    """Collects voltages and frequencies of all meters and gives a point per window."""

    def __init__(self, meters: Mapping[str, MeterInfo], site: str) -> None:
        self._meters, self._site = meters, site
        self._voltage = Windows(VOLTAGE_WINDOW_MS)
        self._frequency = Windows(FREQUENCY_WINDOW_MS)

    def feed(self, meter: str, taken_ms: int, samples: Samples) -> list[Point]:
        """Take the samples of one fast reading; return the windows they close."""
        info = self._meters.get(meter)
        if info is None:
            return []
        found: list[Point] = []
        window, closed = self._voltage.at(meter, taken_ms)
        if closed is not None:
            found += self._voltages(meter, closed)
        if window is not None:
            for phase in info.phases:
                value = samples.get(phase, {}).get("voltage")
                if value is not None:
                    _add(window, phase, float(value), square=True)
        window, closed = self._frequency.at(meter, taken_ms)
        if closed is not None:
            found += self._frequencies(meter, closed)
        value = samples.get("total", {}).get("frequency")
        if window is not None and value is not None:
            _add(window, _FREQUENCY, float(value), square=False)
        return found

    def tick(self, now_ms: int) -> list[Point]:
        """Return the windows that are over."""
        return self._all(self._voltage.late(now_ms), self._frequency.late(now_ms))

    def clock_step(self) -> list[Point]:
        """Return the windows in which the clock was moved: none of them is valid."""
        return self._all(self._voltage.clock_step(), self._frequency.clock_step())

    def _all(
        self, voltages: list[tuple[str, Window]], frequencies: list[tuple[str, Window]]
    ) -> list[Point]:
        found = [point for name, window in voltages for point in self._voltages(name, window)]
        for name, window in frequencies:
            found += self._frequencies(name, window)
        return found

    def _voltages(self, meter: str, window: Window) -> list[Point]:
        info = self._meters[meter]
        found = []
        for phase, (count, total, low, high) in window.sums.items():
            fields: dict[str, FieldValue] = {
                "mean": math.sqrt(max(total, 0.0) / count),
                "min": low,
                "max": high,
                "samples": int(count),
                "valid": window.valid(int(count), VOLTAGE_WINDOW_MS, info.fast_ms),
            }
            tags = {"site": self._site, **info.tags, "phase": phase}
            found.append(Point("quality_voltage", tags, fields, window.start_ms))
        return found

    def _frequencies(self, meter: str, window: Window) -> list[Point]:
        info = self._meters[meter]
        if _FREQUENCY not in window.sums:
            return []
        count, total, _, _ = window.sums[_FREQUENCY]
        fields: dict[str, FieldValue] = {
            "mean": total / count,
            "samples": int(count),
            "valid": window.valid(int(count), FREQUENCY_WINDOW_MS, info.fast_ms),
        }
        tags = {"site": self._site, **info.tags}
        return [Point("quality_frequency", tags, fields, window.start_ms)]

    def state(self) -> SavedState:
        """Return the open windows, as JSON can hold them."""
        return {"voltage": self._voltage.state(), "frequency": self._frequency.state()}

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made; windows of meters that are gone are dropped."""
        for windows, saved in (
            (self._voltage, state["voltage"]),
            (self._frequency, state["frequency"]),
        ):
            windows.restore({name: own for name, own in saved.items() if name in self._meters})


def _add(window: Window, key: str, value: float, *, square: bool) -> None:
    own = window.sums.get(key)
    if own is None:
        total = value * value if square else value
        window.sums[key] = array("d", [1, total, value, value])
        return
    own[0] += 1
    own[1] += value * value if square else value
    own[2] = min(own[2], value)
    own[3] = max(own[3], value)
