"""Where reports get their points from: a small protocol, and the buffer as a source."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from logger.lineparse import decode
from logger.lineprotocol import FieldValue, Point

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


# Given a measurement and spans, yields every stored line of it in them; may yield more.
Lines = Callable[[str, Sequence[Span]], Iterable[str]]


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
        for line in self._within(measurement, spans):
            point = point_of(line)
            if all(point.tags.get(name) in values for name, values in tags.items()):
                yield point

    def _within(self, measurement: str, spans: Sequence[Span]) -> Iterator[str]:
        """Yield the lines of `measurement` within `spans`."""
        wanted = merged(spans)
        starts = [start for start, _ in wanted]
        head = f"{measurement},"
        for line in self._lines(measurement, wanted):
            if line.startswith(head):
                stamp = int(line[line.rindex(" ") + 1 :])
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
        ordered = sorted(spans)
        starts = [start for start, _ in ordered]
        # By the text of the series: its tags are taken apart once, not for every window.
        found: dict[tuple[str, Span], _Count] = {}
        for line in self._within(measurement, spans):
            point = point_of(line)
            span = ordered[bisect_right(starts, point.time_ms) - 1]
            key = (line[: line.index(" ")], span)
            count = found.get(key)
            if count is None:
                chosen = all(point.tags.get(name) in values for name, values in tags.items())
                count = found[key] = _Count([0] * len(bands), point.tags, chosen)
            if count.chosen:
                count.add(point, bands)
        return [
            Tally(
                span, dict(count.tags), count.windows, count.valid, tuple(count.within),
                count.low, count.high,
            )
            for (_, span), count in sorted(found.items(), key=lambda item: (item[0][1], item[0][0]))
            if count.chosen
        ]  # fmt: skip


@dataclass(slots=True)
class _Count:
    within: list[int]
    tags: Mapping[str, str]
    chosen: bool
    windows: int = 0
    valid: int = 0
    low: float = field(default=math.inf)
    high: float = field(default=-math.inf)

    def add(self, point: Point, bands: Sequence[tuple[float, float]]) -> None:
        mean = float(point.fields["mean"])
        self.windows += 1
        self.low = min(self.low, float(point.fields.get("min", mean)))
        self.high = max(self.high, float(point.fields.get("max", mean)))
        if not point.fields["valid"]:
            return
        self.valid += 1
        for index, (low, high) in enumerate(bands):
            self.within[index] += low <= mean <= high


def point_of(line: str) -> Point:
    """Return the point of a line that this logger wrote.

    Nearly all of them have neither text nor escapes and are taken apart in a tenth of the
    time that `decode` needs, which checks what strangers wrote. Raises ValueError.
    """
    if "\\" in line or '"' in line:
        return decode(line)
    head, body, stamp = line.split(" ")
    measurement, *tags = head.split(",")
    fields = dict(part.split("=", 1) for part in body.split(","))
    return Point(
        measurement,
        dict(part.split("=", 1) for part in tags),
        {name: _value(text) for name, text in fields.items()},
        int(stamp),
    )


def _value(text: str) -> FieldValue:
    if text.endswith("i"):
        return int(text[:-1])
    if text in {"true", "false"}:
        return text == "true"
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"not a number: {text!r}")
    return number
