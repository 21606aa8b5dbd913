"""`quality_frequency_15m`: what the frequency windows of each aligned quarter hour add up to.

A year holds three million windows of ten seconds a meter; a report that counts them one by
one takes minutes. Quarters fit the days of every time zone: all offsets are multiples.

A quarter is given when it is over, if its counts are sure to be those of all windows that
were ever made in it. After a start of the logger or a step of the clock that is not so:
its first window brings a record without counts, which becomes a point that says only
`whole=false`: a count of that quarter may be stored from before, and is not to be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass

from logger.derive.info import MeterInfo, SavedState, finite, whole
from logger.domain.limits import FREQUENCY_BANDS, QUARTER_MS
from logger.domain.records import FrequencyWindow, Quarter, QuarterCounts, VoltageWindow

# The last window closes after its grace, and no reading is under way for longer.
_GRACE_MS = 60_000


@dataclass(slots=True)
class _Quarter:
    start_ms: int
    whole: bool
    windows: int = 0
    valid: int = 0
    normal: int = 0
    wide: int = 0
    low: float = 0.0
    high: float = 0.0

    def add(self, mean: float, valid: bool) -> None:
        self.low = min(self.low, mean) if self.windows else mean
        self.high = max(self.high, mean) if self.windows else mean
        self.windows += 1
        if valid:
            self.valid += 1
            self.normal += FREQUENCY_BANDS[0][0] <= mean <= FREQUENCY_BANDS[0][1]
            self.wide += FREQUENCY_BANDS[1][0] <= mean <= FREQUENCY_BANDS[1][1]


class Quarters:
    """Adds the frequency windows of all meters up and gives a record per quarter hour."""

    def __init__(self, meters: Mapping[str, MeterInfo]) -> None:
        self._meters = meters
        self._open: dict[str, _Quarter] = {}
        # Quarters that begin earlier than this may hold windows that were not seen here.
        self._whole_from: dict[str, int] = {}
        self._unsure: set[str] = set()  # meters that have no window since a clock step

    def feed(self, window: VoltageWindow | FrequencyWindow) -> list[Quarter]:
        """Take a closed quality window; return the quarter that it ends, and
        that it begins one which is not whole."""
        if not isinstance(window, FrequencyWindow):
            return []
        meter = window.meter
        start = window.at_ms - window.at_ms % QUARTER_MS
        current = self._open.get(meter)
        found: list[Quarter] = []
        if current is None or current.start_ms != start:
            found += self._close(meter)
            if meter not in self._whole_from or meter in self._unsure:
                self._unsure.discard(meter)
                self._pass(meter, start)
            current = self._open[meter] = _Quarter(start, start >= self._whole_from[meter])
            if not current.whole:
                found.append(self._record(meter, start, None))
        current.add(window.mean, window.valid)
        return found

    def tick(self, now_ms: int) -> list[Quarter]:
        """Return the quarters that are over."""
        over = [
            meter
            for meter, quarter in self._open.items()
            if quarter.start_ms + QUARTER_MS + _GRACE_MS <= now_ms
        ]
        return [quarter for meter in over for quarter in self._close(meter)]

    def clock_step(self) -> None:
        """Take note that the clock was moved: what is open now gives no record."""
        for meter, quarter in self._open.items():
            self._pass(meter, quarter.start_ms)
        self._open.clear()
        self._unsure.update(self._whole_from)

    def _pass(self, meter: str, start_ms: int) -> None:
        """The quarter at `start_ms` can no more become whole, nor can those before it."""
        self._whole_from[meter] = max(self._whole_from.get(meter, 0), start_ms + QUARTER_MS)

    def _close(self, meter: str) -> list[Quarter]:
        quarter = self._open.pop(meter, None)
        if quarter is None:
            return []
        self._pass(meter, quarter.start_ms)
        if not quarter.whole:
            return []
        counts = QuarterCounts(
            windows=quarter.windows,
            valid=quarter.valid,
            normal=quarter.normal,
            wide=quarter.wide,
            low=quarter.low,
            high=quarter.high,
        )
        return [self._record(meter, quarter.start_ms, counts)]

    def _record(self, meter: str, start_ms: int, counts: QuarterCounts | None) -> Quarter:
        return Quarter(meter, self._meters[meter].role, start_ms, counts)

    def state(self, *, stopping: bool) -> SavedState:
        """Return what JSON can hold: what is passed, and when `stopping` the open quarters."""
        return {
            "passed": dict(self._whole_from),
            "open": {
                meter: [self._meters[meter].role, *astuple(quarter)]
                for meter, quarter in self._open.items()
                if stopping
            },
        }

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made.

        A series that is gone leaves windows that no quarter counts. A reader takes the
        quarter of one meter as a sign that those of others are there, so none is whole.
        """
        passed = {meter: whole(at) for meter, at in state["passed"].items()}
        self._whole_from = {meter: at for meter, at in passed.items() if meter in self._meters}
        self._unsure = set(self._whole_from)
        roles = {meter: info.role for meter, info in self._meters.items()}
        saved = state["open"]
        all_there = all(roles.get(meter) == role for meter, (role, *_) in saved.items())
        for meter, (role, start_ms, seen, *counts, low, high) in saved.items():
            quarter = _Quarter(whole(start_ms), _flag(seen) and all_there)
            quarter.windows, quarter.valid, quarter.normal, quarter.wide = map(whole, counts)
            quarter.low, quarter.high = finite(low), finite(high)
            if roles.get(meter) == role:
                self._open[meter] = quarter
                self._unsure.discard(meter)
                self._whole_from.setdefault(meter, quarter.start_ms)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"neither true nor false: {value!r}")
    return value
