"""Tallies of frequency windows, from their quarter hours as far as these are whole.

A quarter stands for its windows if it is whole and the only one of its series there. What
no such quarter covers (older data, a start, a clock step, the hour that runs) is counted
window by window, so the result is that of counting all windows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from operator import itemgetter
from typing import NamedTuple

from logger.domain.limits import FREQUENCY_BANDS, QUARTER_MS
from logger.domain.timespan import TimeSpan, merged
from logger.report.source import Bands, Source, Table, Tags, Tally

_WINDOWS, _QUARTERS = "quality_frequency", "quality_frequency_15m"
_FIELDS = ("windows", "valid", "normal", "wide", "min", "max", "whole")

_BANDS: Bands = {("",): FREQUENCY_BANDS}

# A series of windows: its meter and its role.
_Series = tuple[str, str]


class _Sums(NamedTuple):
    windows: int
    valid: int
    within: tuple[int, ...]
    low: float
    high: float


def _together(parts: Sequence[_Sums]) -> _Sums:
    """Return the sums of all of `parts`."""
    windows, valid, within, low, high = zip(*parts, strict=True)
    bands = tuple(map(sum, zip(*within, strict=True)))
    return _Sums(sum(windows), sum(valid), bands, min(low), max(high))


_NOTHING = _Sums(0, 0, (0, 0), 0.0, 0.0)


def tallies(source: Source, spans: Sequence[TimeSpan], tags: Tags) -> list[Tally]:
    """Return the tallies of frequency windows with `FREQUENCY_BANDS`, for each span and series."""
    ordered = sorted(spans)
    starts = [start for start, _ in ordered]
    quarters = _quarters(source.tables(_QUARTERS, ordered, tags, _FIELDS), ordered)
    known = {start for own in quarters.values() for start in own}
    lacking = list(_lacking(quarters, known, ordered, tags))
    counted = [
        part for some, where in lacking for part in source.tally(_WINDOWS, where, some, _BANDS)
    ]
    if source.shared and known:
        # Another logger of the site may be of a version that makes no quarters.
        others = sorted({meter for meter, _ in quarters})
        counted += source.tally(_WINDOWS, _spans(known, ordered), tags, _BANDS, others)
    found: dict[tuple[int, _Series], _Sums] = {}
    for series, own in quarters.items():
        by_span: dict[int, list[_Sums]] = {}
        for start, sums in own.items():
            by_span.setdefault(bisect_right(starts, start) - 1, []).append(sums)
        found |= {(place, series): _together(some) for place, some in by_span.items()}
    for part in counted:
        key = (
            bisect_right(starts, part.span[0]) - 1,
            (part.tags["meter"], part.tags.get("role", "")),
        )
        sums = _Sums(part.windows, part.valid, part.within, part.low, part.high)
        found[key] = _together([found[key], sums]) if key in found else sums
    return [
        Tally(ordered[place], {"meter": meter, "role": role}, *sums)
        for (place, (meter, role)), sums in sorted(found.items(), key=itemgetter(0))
    ]


def _quarters(
    tables: Iterable[Table], spans: Sequence[TimeSpan]
) -> dict[_Series, dict[int, _Sums]]:
    """Return the quarters that stand for their windows, by series and beginning."""
    starts = [start for start, _ in spans]
    found: dict[_Series, dict[int, _Sums]] = {}
    unsure: set[tuple[_Series, int]] = set()
    for table in tables:
        if not {"meter", "role"} <= table.tags.keys():
            continue
        series = (table.tags["meter"], table.tags["role"])
        own = found.setdefault(series, {})
        lacking = [None] * len(table.times)
        columns = (table.columns.get(name, lacking) for name in _FIELDS)
        for at_ms, *fields in zip(table.times, *columns, strict=True):
            start = at_ms - at_ms % QUARTER_MS
            begin, end = spans[bisect_right(starts, at_ms) - 1]
            inside = begin <= start and start + QUARTER_MS <= end
            if start in own or not inside or not fields[-1] or None in fields:
                own[start] = _NOTHING
                unsure.add((series, start))
                continue
            windows, valid, normal, wide, low, high, _ = fields
            own[start] = _Sums(
                int(windows), int(valid), (int(normal), int(wide)), float(low), float(high)
            )
    for series, start in unsure:
        del found[series][start]
    return found


def _lacking(
    quarters: Mapping[_Series, Mapping[int, _Sums]],
    known: Set[int],
    spans: Sequence[TimeSpan],
    tags: Tags,
) -> Iterator[tuple[Tags, list[TimeSpan]]]:
    """Yield what to count by windows: for all series where no quarter is known, and for
    each where only others have one."""
    if bare := _without(known, spans):
        yield tags, bare
    for (meter, role), own in sorted(quarters.items()):
        if rest := known - own.keys():
            yield {"meter": (meter,), "role": (role,)}, _spans(rest, spans)


def _spans(quarters: Iterable[int], spans: Sequence[TimeSpan]) -> list[TimeSpan]:
    """Return the stretches that `quarters` cover, cut where one of `spans` begins."""
    starts = [start for start, _ in spans]
    by_span: dict[int, list[TimeSpan]] = {}
    for start in quarters:
        place = bisect_right(starts, start)
        by_span.setdefault(place, []).append((start, start + QUARTER_MS))
    return [piece for _, own in sorted(by_span.items()) for piece in merged(own)]


def _without(quarters: Iterable[int], spans: Sequence[TimeSpan]) -> list[TimeSpan]:
    """Return the stretches of `spans` that `quarters` do not cover."""
    covered = _spans(quarters, spans)
    starts = [start for start, _ in covered]
    found = []
    for begin, end in spans:
        at = begin
        for start, until in covered[bisect_right(starts, begin - 1) :]:
            if start >= end:
                break
            if at < start:
                found.append((at, start))
            at = until
        if at < end:
            found.append((at, end))
    return found
