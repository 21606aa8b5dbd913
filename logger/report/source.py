"""Where reports get their points from: a small protocol, and the buffer as a source."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Protocol

from logger.domain.timespan import TimeSpan, merged
from logger.points.line import Point
from logger.points.split import Columns, LineParser, chunks, columns, split_text, tags_of
from logger.report.windows import Count, by_series, counted, within

_CHUNK = 256 * 1024  # characters

# Wanted tags: any of these values.
Tags = Mapping[str, Sequence[str]]
# Lowest and highest mean of each band, borders included, by the phases they are for; the
# phases that are not named are left out. "" is a series without a phase.
Bands = Mapping[tuple[str, ...], Sequence[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Tally:
    """Windows of one series within one span: how many there are, how many are valid,
    how many of these have a mean within each band, and the extremes of all.

    A window that was stored without its mean is none, but its `min` and `max` are extremes."""

    span: TimeSpan
    tags: Mapping[str, str]
    windows: int
    valid: int
    within: tuple[int, ...]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Table:
    """Points of one series: their times (ms UTC) in any order, and a column for each field."""

    tags: Mapping[str, str]
    times: Sequence[int]
    columns: Columns


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

    def tables(
        self, measurement: str, spans: Sequence[TimeSpan], tags: Tags, fields: Sequence[str]
    ) -> Iterator[Table]:
        """Yield the same as `read`, many points at once. Of a time that comes twice in a series
        the last one counts."""
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


# Given a measurement and spans, yields texts of one or more lines: every stored line of it in
# them, in the order they were stored; maybe others, too.
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
        ordered = merged(spans)
        for _, _, line in within(self._lines(measurement, ordered), measurement, ordered):
            point = self._parser.point(line, only)
            if _chosen(point.tags, wanted):
                yield point

    def tables(
        self, measurement: str, spans: Sequence[TimeSpan], tags: Tags, fields: Sequence[str]
    ) -> Iterator[Table]:
        """Yield the points; see `Source`."""
        wanted: Tags = {**tags, **self._own}
        only = frozenset(fields)
        ordered = merged(spans)
        heads: dict[str, Mapping[str, str]] = {}
        for text in chunks(iter(self._lines(measurement, ordered)), _CHUNK):
            lines = split_text(text, measurement)
            if lines is None:  # some have texts or escapes
                for at_ms, _, line in within([text], measurement, ordered):
                    point = self._parser.point(line, only)
                    if _chosen(point.tags, wanted):
                        own = {name: [value] for name, value in point.fields.items()}
                        yield Table(point.tags, [at_ms], own)
                continue
            for series, rows in by_series(lines).items():
                if series not in heads:
                    heads[series] = tags_of(series)
                if _chosen(heads[series], wanted) and (rows := _inside(rows, ordered)):
                    bodies, stamps = zip(*rows, strict=True)
                    yield Table(heads[series], list(map(int, stamps)), columns(bodies, only))

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
        known: dict[str, tuple[Mapping[str, str], Sequence[tuple[float, float]] | None]] = {}

        def empty(series: str) -> Count | None:
            if series not in known:
                own = tags_of(series)
                other = "meter" not in own or own["meter"] in without or not _chosen(own, wanted)
                phase = own.get("phase", "")
                chosen = next((some for phases, some in bands.items() if phase in phases), None)
                known[series] = own, None if other else chosen
            own, chosen = known[series]
            return None if chosen is None else Count(own, chosen, [0] * len(chosen))

        found = counted(
            lambda: chunks(iter(self._lines(measurement, merged(spans))), _CHUNK),
            measurement, spans, empty,
        )  # fmt: skip
        return [
            Tally(
                span, dict(count.tags), count.windows, count.valid,
                tuple(count.within), *count.extremes,
            )
            for (span, _), count in sorted(found.items(), key=itemgetter(0))
        ]  # fmt: skip


def _chosen(own: Mapping[str, str], tags: Tags) -> bool:
    return all(own.get(name) in values for name, values in tags.items())


def _inside(rows: list[tuple[str, str]], spans: Sequence[TimeSpan]) -> list[tuple[str, str]]:
    """Return the rows (fields, timestamp) whose time lies in one of `spans`."""
    starts = [start for start, _ in spans]
    found = []
    for row in rows:
        at_ms = int(row[1])
        place = bisect_right(starts, at_ms) - 1
        if place >= 0 and at_ms < spans[place][1]:
            found.append(row)
    return found
