"""Where reports get their points from: a small protocol, and the buffer as a source."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Protocol

from logger.domain.timespan import TimeSpan, merged
from logger.points.line import Point
from logger.points.parse import TRUE
from logger.points.split import LineParser, point_of, stamp_of

# Wanted tags: any of these values.
Tags = Mapping[str, Sequence[str]]
# Lowest and highest mean of each band, borders included, by the phases they are for; the
# phases that are not named are left out. "" is a series without a phase.
Bands = Mapping[tuple[str, ...], Sequence[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Tally:
    """Windows of one series within one span: how many there are, how many are valid,
    how many of these have a mean within each band, and the extremes of all."""

    span: TimeSpan
    tags: Mapping[str, str]
    windows: int
    valid: int
    within: tuple[int, ...]
    low: float
    high: float


class Source(Protocol):
    """Something that holds points of this logger."""

    @property
    def shared(self) -> bool:
        """Whether other loggers of the site, of other versions, may have put points there."""
        ...

    def read(
        self, measurement: str, spans: Sequence[TimeSpan], tags: Tags, fields: Sequence[str]
    ) -> Iterator[Point]:
        """Yield the points of `measurement` within any of `spans`, in no certain order.

        At least `fields` are in them, as far as they were stored.
        """
        ...

    def tally(
        self,
        measurement: str,
        spans: Sequence[TimeSpan],
        tags: Tags,
        bands: Bands,
        without: Sequence[str] = (),
    ) -> list[Tally]:
        """Return the tallies of quality windows, for each span and series with any.

        `spans` do not overlap. Meters named in `without` are left out.
        """
        ...


# The fields of a window as this logger writes them: taken apart in half the time.
_WINDOW = re.compile("mean=([^,]+),(?:min=([^,]+),max=([^,]+),)?samples=[0-9]+i,valid=(true|false)")

# Given a measurement and spans, yields every stored line of it in them, in the order they
# were stored; may yield more.
Lines = Callable[[str, Sequence[TimeSpan]], Iterable[str]]


class BufferSource:
    """The points in the buffer, as lines. Delivered points are there for a while only."""

    shared = False

    def __init__(self, lines: Lines, site: str | None = None) -> None:
        """Take `lines` as the points of `site`, or of all sites there."""
        self._lines = lines
        self._own = {} if site is None else {"site": (site,)}
        self._parser = LineParser()

    def read(
        self,
        measurement: str,
        spans: Sequence[TimeSpan],
        tags: Tags,
        fields: Sequence[str],
    ) -> Iterator[Point]:
        """Yield the points; see `Source`."""
        wanted: Tags = {**tags, **self._own}
        only = frozenset(fields)
        for _, _, line in self._within(measurement, merged(spans)):
            point = self._parser.point(line, only)
            if all(point.tags.get(name) in values for name, values in wanted.items()):
                yield point

    def _within(
        self, measurement: str, spans: Sequence[TimeSpan]
    ) -> Iterator[tuple[int, TimeSpan, str]]:
        """Yield the lines of `measurement` within `spans`, with their times and spans."""
        ordered = sorted(spans)
        starts = [start for start, _ in ordered]
        head = f"{measurement},"
        for line in self._lines(measurement, merged(spans)):
            if line.startswith(head):
                stamp = stamp_of(line)
                place = bisect_right(starts, stamp) - 1
                if place >= 0 and stamp < (span := ordered[place])[1]:
                    yield stamp, span, line

    def tally(
        self,
        measurement: str,
        spans: Sequence[TimeSpan],
        tags: Tags,
        bands: Bands,
        without: Sequence[str] = (),
    ) -> list[Tally]:
        """Return the tallies; see `Source`."""
        wanted: Tags = {**tags, **self._own}
        again: dict[tuple[TimeSpan, str], dict[int, str]] = {}
        found = self._counted(measurement, spans, wanted, bands, without, again, again=False)
        if again:
            # The same window was stored more than once: as in InfluxDB the last one counts.
            found = self._counted(measurement, spans, wanted, bands, without, again, again=True)
        return [
            Tally(
                span, dict(count.tags), count.windows, count.valid,
                tuple(count.within), count.low, count.high,
            )
            for (span, _), count in sorted(found.items(), key=itemgetter(0))
            if count is not None
        ]  # fmt: skip

    def _counted(
        self,
        measurement: str,
        spans: Sequence[TimeSpan],
        wanted: Tags,
        bands: Bands,
        without: Sequence[str],
        repeated: dict[tuple[TimeSpan, str], dict[int, str]],
        *,
        again: bool,
    ) -> dict[tuple[TimeSpan, str], _Count | None]:
        """Count the windows of each span and series.

        The windows that come more than once are put into `repeated`; `again` counts the
        last one of each of these, which are known then, instead of the first.
        """
        # By the text of the series: its tags are taken apart once, not for every window.
        found: dict[tuple[TimeSpan, str], _Count | None] = {}
        for stamp, span, line in self._within(measurement, spans):
            series, body, _ = line.rsplit(" ", 2)  # no field of a window is text
            key = (span, series)
            if key not in found:
                own = point_of(line).tags
                other = "meter" not in own or own["meter"] in without
                found[key] = None if other else _count(own, wanted, bands)
            count = found[key]
            if count is None:
                continue
            known = again and stamp in repeated.get(key, ())
            if known or count.seen(stamp - span[0], span[1] - span[0]):
                repeated.setdefault(key, {})[stamp] = body
            else:
                count.add(body)
        if again:
            for key, bodies in repeated.items():
                if (count := found[key]) is not None:
                    for body in bodies.values():
                        count.add(body)
        return found


@dataclass(slots=True)
class _Count:
    tags: Mapping[str, str]
    bands: Sequence[tuple[float, float]]
    within: list[int]
    windows: int = 0
    valid: int = 0
    low: float = math.inf
    high: float = -math.inf
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
        if own is None:
            return
        mean = float(own)
        self.windows += 1
        self.low = min(self.low, float(low or mean))
        self.high = max(self.high, float(high or mean))
        if valid not in TRUE:
            return
        self.valid += 1
        for index, (lowest, highest) in enumerate(self.bands):
            self.within[index] += lowest <= mean <= highest


def _count(own: Mapping[str, str], tags: Tags, bands: Bands) -> _Count | None:
    """Return an empty count for a series, None if it is not wanted."""
    if not all(own.get(name) in values for name, values in tags.items()):
        return None
    phase = own.get("phase", "")
    chosen = next((some for phases, some in bands.items() if phase in phases), None)
    return None if chosen is None else _Count(own, chosen, [0] * len(chosen))
