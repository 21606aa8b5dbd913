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


# Given spans, yields every stored line of the main lane in them, and may yield more.
Lines = Callable[[Sequence[Span]], Iterable[str]]


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
        wanted = merged(spans)
        starts = [start for start, _ in wanted]
        head = f"{measurement},"
        for line in self._lines(wanted):
            if not line.startswith(head):
                continue
            stamp = int(line[line.rindex(" ") + 1 :])
            place = bisect_right(starts, stamp) - 1
            if place < 0 or stamp >= wanted[place][1]:
                continue
            point = point_of(line)
            if all(point.tags.get(name) in values for name, values in tags.items()):
                yield point

    def tally(
        self,
        measurement: str,
        spans: Sequence[Span],
        tags: Tags,
        bands: Sequence[tuple[float, float]],
    ) -> list[Tally]:
        """Return the tallies; see `Source`."""
        found: dict[tuple[Span, tuple[tuple[str, str], ...]], _Count] = {}
        ordered = sorted(spans)
        starts = [start for start, _ in ordered]
        for point in self.read(measurement, spans, tags, ()):
            place = bisect_right(starts, point.time_ms) - 1
            key = (ordered[place], tuple(sorted(point.tags.items())))
            found.setdefault(key, _Count([0] * len(bands))).add(point, bands)
        return [
            Tally(
                span, dict(series), count.windows, count.valid, tuple(count.within),
                count.low, count.high,
            )
            for (span, series), count in sorted(found.items())
        ]  # fmt: skip


@dataclass(slots=True)
class _Count:
    within: list[int]
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
