"""Tallies of quality windows out of stored lines. Pure.

Lines are counted many at a time, a series' column after the other. That needs the windows of a
series in the order of their times, each once, as a logger stores them; where they are not, all
are gone through one by one, and of those with the same time the last value of a field counts.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import lt

from logger.domain.timespan import TimeSpan
from logger.points.parse import TRUE
from logger.points.split import split_text, stamp_of

# The fields of a window as this logger writes them, and a line of them.
_NUMBER = "(-?[0-9.]+(?:e[-+]?[0-9]{1,2})?)"
_FIELDS = f"mean={_NUMBER},(?:min={_NUMBER},max={_NUMBER},)?samples=[0-9]+i,valid=(true|false)"
_WINDOWS = re.compile(f"^{_FIELDS}$", re.MULTILINE)
_WINDOW = re.compile("mean=([^,]+),(?:min=([^,]+),max=([^,]+),)?samples=[0-9]+i,valid=(true|false)")

ROUNDING = 1e-6  # the root of a mean of squares may differ so much from its extremes

# A span and the text of a series; what is counted there, None for what is not wanted.
_Key = tuple[TimeSpan, str]
Counts = dict[_Key, "Count | None"]
# Given the text of a series, returns an empty count.
Wanted = Callable[[str], "Count | None"]


@dataclass(slots=True)
class Count:
    """The windows of one series within one span; their means by the bands that hold them."""

    tags: Mapping[str, str]
    bands: Sequence[tuple[float, float]]
    within: list[int]
    windows: int = 0
    valid: int = 0
    lows: list[float] = field(default_factory=lambda: [math.inf, math.inf])  # `min`, `mean`
    highs: list[float] = field(default_factory=lambda: [-math.inf, -math.inf])  # `max`, `mean`
    marks: bytearray = field(default_factory=bytearray)

    def seen(self, at_ms: int, length_ms: int) -> bool:
        """Return whether a window was noted before at this place of the span; note it. There
        is one window a second at most: a bit for each."""
        if not self.marks:
            self.marks = bytearray(length_ms // 8000 + 1)
        place, bit = at_ms // 8000, 1 << (at_ms // 1000 % 8)
        known = bool(self.marks[place] & bit)
        self.marks[place] |= bit
        return known

    def add(self, body: str) -> None:
        """Count a window, given the text of its fields."""
        usual = _WINDOW.fullmatch(body)
        if usual is None:
            fields = dict(part.split("=", 1) for part in body.split(","))
            own, low, high, valid = (fields.get(name) for name in ("mean", "min", "max", "valid"))
        else:
            own, low, high, valid = usual.groups()
        self._widen(0, map(float, filter(None, (low,))), map(float, filter(None, (high,))))
        if own is None:
            return
        mean = float(own)
        self.windows += 1
        self._widen(1, (mean,), (mean,))
        if valid not in TRUE:
            return
        self.valid += 1
        for index, (lowest, highest) in enumerate(self.bands):
            self.within[index] += lowest <= mean <= highest

    def add_all(self, rows: Sequence[tuple[str, str, str, str]]) -> None:
        """Count windows as `_WINDOWS` finds them: mean, min and max, "" where not stored, valid."""
        means, lows, highs, valid = zip(*rows, strict=True)
        values = list(map(float, means))
        self.windows += len(values)
        self._widen(0, map(float, filter(None, lows)), map(float, filter(None, highs)))
        self._widen(1, values, values)
        good = sorted(value for value, own in zip(values, valid, strict=True) if own == "true")
        self.valid += len(good)
        for index, (lowest, highest) in enumerate(self.bands):
            self.within[index] += bisect_right(good, highest) - bisect_left(good, lowest)

    @property
    def extremes(self) -> tuple[float, float]:
        """The lowest and highest seen."""
        return extremes(self.lows, self.highs)

    def _widen(self, place: int, lows: Iterable[float], highs: Iterable[float]) -> None:
        self.lows[place] = min((self.lows[place], *lows))
        self.highs[place] = max((self.highs[place], *highs))


def extremes(lows: Sequence[float], highs: Sequence[float]) -> tuple[float, float]:
    """Return the lowest and highest seen of windows, given their lowest `min` and lowest mean,
    and their highest `max` and highest mean; infinite what none of them has.

    A mean beyond the extremes is of a window that was stored without its own.
    """
    (low, low_mean), (high, high_mean) = lows, highs
    return (
        low_mean if low_mean < low - ROUNDING else low,
        high_mean if high_mean > high + ROUNDING else high,
    )


def counted(
    texts: Callable[[], Iterable[str]], measurement: str, spans: Sequence[TimeSpan], wanted: Wanted
) -> dict[_Key, Count]:
    """Return the count of each span and series (its text) with windows of `measurement`; one
    that was stored without its mean is none.

    `texts` gives all stored lines; they may be read more than once.
    """
    ordered = sorted(spans)
    found = _in_order(texts(), measurement, ordered, wanted)
    if found is None:
        again: dict[_Key, dict[int, str]] = {}
        found = _one_by_one(texts(), measurement, ordered, wanted, again, again=False)
        if again:
            # The same window was stored more than once: as in InfluxDB the last value counts.
            found = _one_by_one(texts(), measurement, ordered, wanted, again, again=True)
    return {key: count for key, count in found.items() if count and count.windows}


def _in_order(
    texts: Iterable[str], measurement: str, spans: Sequence[TimeSpan], wanted: Wanted
) -> Counts | None:
    """Count the windows; None if they are not in order, or a line is an unusual one."""
    starts = [start for start, _ in spans]
    found: Counts = {}
    newest: dict[str, int] = {}
    for text in texts:
        lines = split_text(text, measurement)
        if lines is None:
            return None
        for series, own in by_series(lines).items():
            if wanted(series) is None:
                continue
            bodies, stamps = zip(*own, strict=True)
            times = list(map(int, stamps))
            rows = _WINDOWS.findall("\n".join(bodies))
            sorted_up = all(map(lt, times, times[1:])) and times[0] > newest.get(series, -1)
            if len(rows) != len(own) or not sorted_up:
                return None
            newest[series] = times[-1]
            for span in spans[max(0, bisect_right(starts, times[0]) - 1) :]:
                if span[0] > times[-1]:
                    break
                first, last = bisect_left(times, span[0]), bisect_left(times, span[1])
                if first < last:
                    key = (span, series)
                    count = found.get(key) or wanted(series)
                    assert count is not None
                    count.add_all(rows[first:last])
                    found[key] = count
    return found


def by_series(lines: Iterable[tuple[str, str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Return (fields, timestamp) of lines by their series."""
    found: dict[str, list[tuple[str, str]]] = {}
    for series, body, stamp in lines:
        own = found.get(series)
        if own is None:
            own = found[series] = []
        own.append((body, stamp))
    return found


def _one_by_one(
    texts: Iterable[str],
    measurement: str,
    spans: Sequence[TimeSpan],
    wanted: Wanted,
    repeated: dict[_Key, dict[int, str]],
    *,
    again: bool,
) -> Counts:
    """Count the windows of each span and series.

    The times of windows that come more than once are put into `repeated`; `again` counts
    each of these, which are known then, once, with all of its fields.
    """
    # By the text of the series: its tags are taken apart once, not for every window.
    found: Counts = {}
    for stamp, span, line in within(texts, measurement, spans):
        series, body, _ = line.rsplit(" ", 2)  # no field of a window is text
        key = (span, series)
        if key not in found:
            found[key] = wanted(series)
        count = found[key]
        if count is None:
            continue
        if again and stamp in repeated.get(key, ()):
            before = repeated[key][stamp]  # of a field that comes twice the last one counts
            repeated[key][stamp] = f"{before},{body}" if before else body
        elif count.seen(stamp - span[0], span[1] - span[0]):
            repeated.setdefault(key, {})[stamp] = ""
        else:
            count.add(body)
    if again:
        for key, bodies in repeated.items():
            if (count := found[key]) is not None:
                for body in bodies.values():
                    count.add(body)
    return found


def within(
    texts: Iterable[str], measurement: str, spans: Sequence[TimeSpan]
) -> Iterator[tuple[int, TimeSpan, str]]:
    """Yield the lines of `measurement` within `spans`, which are in order, with their times
    and spans."""
    starts = [start for start, _ in spans]
    head = f"{measurement},"
    for text in texts:
        for line in text.split("\n"):
            if line.startswith(head):
                stamp = stamp_of(line)
                place = bisect_right(starts, stamp) - 1
                if place >= 0 and stamp < (span := spans[place])[1]:
                    yield stamp, span, line
