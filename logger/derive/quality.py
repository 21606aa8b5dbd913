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
from logger.derive.windows import Series, Window, Windows
from logger.domain.limits import FREQUENCY_WINDOW_MS, VOLTAGE_WINDOW_MS
from logger.domain.records import FrequencyWindow, Sample, VoltageWindow

QualityWindow = VoltageWindow | FrequencyWindow

_FREQUENCY = ("total", "frequency")


class Quality:
    """Collects voltages and frequencies of all meters and gives a record per window."""

    def __init__(self, meters: Mapping[str, MeterInfo]) -> None:
        self._meters = meters
        self._voltage = Windows(
            VOLTAGE_WINDOW_MS, lambda series: series[0], lambda text: (text, "voltage")
        )
        self._frequency = Windows(
            FREQUENCY_WINDOW_MS, lambda series: series[1], lambda text: ("total", text)
        )

    def feed(self, meter: str, taken_ms: int, samples: Mapping[str, Sample]) -> list[QualityWindow]:
        """Take the samples of one fast reading, by phase; return the windows they close."""
        info = self._meters.get(meter)
        if info is None:
            return []
        found: list[QualityWindow] = []
        window, closed = self._voltage.at(meter, taken_ms)
        if closed is not None:
            found += self._voltages(meter, closed)
        if window is not None:
            for phase in info.phases:
                sample = samples.get(phase)
                value = sample.values.get("voltage") if sample is not None else None
                if value is not None:
                    _add(window, (phase, "voltage"), float(value), square=True)
        window, closed = self._frequency.at(meter, taken_ms)
        if closed is not None:
            found += self._frequencies(meter, closed)
        total = samples.get("total")
        value = total.values.get("frequency") if total is not None else None
        if window is not None and value is not None:
            _add(window, _FREQUENCY, float(value), square=False)
        return found

    def tick(self, now_ms: int) -> list[QualityWindow]:
        """Return the windows that are over."""
        return self._all(self._voltage.late(now_ms), self._frequency.late(now_ms))

    def clock_step(self) -> list[QualityWindow]:
        """Return the windows in which the clock was moved: none of them is valid."""
        return self._all(self._voltage.clock_step(), self._frequency.clock_step())

    def _all(
        self, voltages: list[tuple[str, Window]], frequencies: list[tuple[str, Window]]
    ) -> list[QualityWindow]:
        found: list[QualityWindow] = []
        for name, window in voltages:
            found += self._voltages(name, window)
        for name, window in frequencies:
            found += self._frequencies(name, window)
        return found

    def _voltages(self, meter: str, window: Window) -> list[VoltageWindow]:
        info = self._meters[meter]
        return [
            VoltageWindow(
                info.name,
                info.role,
                window.start_ms,
                phase,
                mean=math.sqrt(max(total, 0.0) / count),
                low=low,
                high=high,
                samples=int(count),
                valid=window.valid(int(count), VOLTAGE_WINDOW_MS, info.fast_ms),
            )
            for (phase, _), (count, total, low, high) in window.sums.items()
        ]

    def _frequencies(self, meter: str, window: Window) -> list[FrequencyWindow]:
        info = self._meters[meter]
        if _FREQUENCY not in window.sums:
            return []
        count, total, _, _ = window.sums[_FREQUENCY]
        valid = window.valid(int(count), FREQUENCY_WINDOW_MS, info.fast_ms)
        return [
            FrequencyWindow(info.name, info.role, window.start_ms, total / count, int(count), valid)
        ]

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


def _add(window: Window, series: Series, value: float, *, square: bool) -> None:
    own = window.sums.get(series)
    if own is None:
        total = value * value if square else value
        window.sums[series] = array("d", [1, total, value, value])
        return
    own[0] += 1
    own[1] += value * value if square else value
    own[2] = min(own[2], value)
    own[3] = max(own[3], value)
