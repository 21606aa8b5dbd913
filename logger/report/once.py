"""A source that several meters' reports share: what is asked for each is read once for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from logger.domain.timespan import TimeSpan
from logger.points.line import Point
from logger.report.source import Bands, Source, Table, Tags, Tally

_SPANS = 1000  # where more are asked for, there may be much: nothing is kept then
_Key = tuple[object, ...]
_One = TypeVar("_One", Point, Table)


class SharedSource:
    """Gives what another source does, for `meters`, and keeps it."""

    def __init__(self, source: Source, meters: Sequence[str]) -> None:
        """Keep few meters at a time: a year of quarter hours is 35,040 of each."""
        self._source, self._meters = source, tuple(meters)
        self._points: dict[_Key, dict[str, list[Point]]] = {}
        self._tables: dict[_Key, dict[str, list[Table]]] = {}

    @property
    def shared(self) -> bool:
        """See `Source`."""
        return self._source.shared

    def read(
        self, measurement: str, spans: Sequence[TimeSpan], tags: Tags, fields: Sequence[str]
    ) -> Iterator[Point]:
        """Yield the points; see `Source`."""
        return self._kept(self._points, self._source.read, measurement, spans, tags, fields)

    def tables(
        self, measurement: str, spans: Sequence[TimeSpan], tags: Tags, fields: Sequence[str]
    ) -> Iterator[Table]:
        """Yield the points; see `Source`."""
        return self._kept(self._tables, self._source.tables, measurement, spans, tags, fields)

    def tally(
        self,
        measurement: str,
        spans: Sequence[TimeSpan],
        tags: Tags,
        bands: Bands,
        without: Sequence[str] = (),
    ) -> list[Tally]:
        """Return the tallies; see `Source`."""
        return self._source.tally(measurement, spans, tags, bands, without)

    def _kept(
        self,
        kept: dict[_Key, dict[str, list[_One]]],
        ask: Callable[[str, Sequence[TimeSpan], Tags, Sequence[str]], Iterable[_One]],
        measurement: str,
        spans: Sequence[TimeSpan],
        tags: Tags,
        fields: Sequence[str],
    ) -> Iterator[_One]:
        meters = tags.get("meter", ())
        if not meters or len(spans) > _SPANS or not set(meters) <= set(self._meters):
            yield from ask(measurement, spans, tags, fields)
            return
        rest = tuple((name, tuple(own)) for name, own in sorted(tags.items()) if name != "meter")
        key = (measurement, tuple(spans), rest, tuple(fields))
        if key not in kept:
            found: dict[str, list[_One]] = {}
            for one in ask(measurement, spans, {**tags, "meter": self._meters}, fields):
                found.setdefault(one.tags["meter"], []).append(one)
            kept[key] = found
        for meter in meters:
            yield from kept[key].get(meter, ())
