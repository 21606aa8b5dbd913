"""Where reports get their points from: a small protocol, and the buffer as a source."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from logger.lineprotocol import Point, parse

# A stretch of time, milliseconds UTC: from the first on, before the second.
Span = tuple[int, int]
# Wanted tags: any of these values.
Tags = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Tally:
    """Windows of one series within one span: how many there are, how many are valid,
    how many of these have a mean within each band, and the extremes of all."""

    span: Span
    tags: Mapping[str, str]
    windows: int
    valid: int
    within: tuple[int, ...]
    low: float
    high: float


class Source(Protocol):
    """Something that holds points of this logger."""

    def read(
        self, measurement: str, spans: Sequence[Span], tags: Tags, fields: Sequence[str]
    ) -> Iterator[Point]:
        """Yield the points of `measurement` within any of `spans`, in no certain order.

        At least `fields` are in them, as far as they were stored.
        """
        ...

    def tally(
        self,
        measurement: str,
        spans: Sequence[Span],
        tags: Tags,
        bands: Sequence[tuple[float, float]],
    ) -> list[Tally]:
        """Return the tallies of quality windows, for each span and series with any."""
        ...


def merged(spans: Iterable[Span], gap_ms: int = 0) -> list[Span]:
    """Return `spans` sorted, those that touch or are within `gap_ms` made one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + gap_ms:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif start < end:
            found.append((start, end))
    return found


# Given start, end and the head of a line, yields every stored line of the main lane in
# that time that begins so, and may yield more.
Lines = Callable[[int, int, str], Iterable[str]]

_NEAR_MS = 6 * 3_600_000


class BufferSource:
    """The points in the buffer, as lines. Delivered points are there for a while only."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def read(
        self,
        measurement: str,
        spans: Sequence[Span],
        tags: Tags,
        fields: Sequence[str],  # noqa: ARG002 - a line has all its fields
    ) -> Iterator[Point]:
        """Yield the points; see `Source`."""
        for line in self._within(measurement, merged(spans)):
            point = parse(line)
            if all(point.tags.get(name) in values for name, values in tags.items()):
                yield point

    def _within(self, measurement: str, wanted: Sequence[Span]) -> Iterator[str]:
        """Yield the lines of `measurement` within the spans, which are sorted and apart."""
        starts = [start for start, _ in wanted]
        head = f"{measurement},"
        for start, end in merged(wanted, _NEAR_MS):
            for line in self._lines(start, end, head):
                if not line.startswith(head):
                    continue
                stamp = _stamp(line)
                place = bisect_right(starts, stamp) - 1
                if place >= 0 and stamp < wanted[place][1]:
                    yield line

    def tally(
        self,
        measurement: str,
        spans: Sequence[Span],
        tags: Tags,
        bands: Sequence[tuple[float, float]],
    ) -> list[Tally]:
        """Return the tallies; see `Source`."""
        found: dict[tuple[Span, _Series], _Count] = {}
        ordered = sorted(spans)
        starts = [start for start, _ in ordered]
        known: dict[str, _Series | None] = {}  # by the head of a line; None is not wanted
        for line in self._within(measurement, merged(spans)):
            # A year holds millions of windows, and few different heads.
            head = line[: line.rindex(" ", 0, line.rindex(" "))]
            if head not in known:
                own = parse(line).tags
                chosen = all(own.get(name) in values for name, values in tags.items())
                known[head] = tuple(sorted(own.items())) if chosen else None
            series = known[head]
            if series is not None:
                span = ordered[bisect_right(starts, _stamp(line)) - 1]
                count = found.setdefault((span, series), _Count([0] * len(bands)))
                count.add(line[len(head) + 1 :], bands)
        return [
            Tally(
                span, dict(series), count.windows, count.valid, tuple(count.within),
                count.low, count.high,
            )
            for (span, series), count in sorted(found.items())
        ]  # fmt: skip


_Series = tuple[tuple[str, str], ...]


def _stamp(line: str) -> int:
    return int(line[line.rindex(" ") + 1 :])


@dataclass(slots=True)
class _Count:
    within: list[int]
    windows: int = 0
    valid: int = 0
    low: float = field(default=math.inf)
    high: float = field(default=-math.inf)

    def add(self, rest: str, bands: Sequence[tuple[float, float]]) -> None:
        """Count the window whose line ends with `rest`: numbers and a truth, no text."""
        fields = dict(part.split("=") for part in rest[: rest.index(" ")].split(","))
        mean = float(fields["mean"])
        self.windows += 1
        self.low = min(self.low, float(fields.get("min", mean)))
        self.high = max(self.high, float(fields.get("max", mean)))
        if fields["valid"] != "true":
            return
        self.valid += 1
        for index, (low, high) in enumerate(bands):
            self.within[index] += low <= mean <= high
