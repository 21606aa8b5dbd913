"""Checks the chain of days (`day_digest`) against the stored quarter hours and counters. Pure.

What is wrong is told with its day. A buffer keeps delivered points for a while only: the days
whose beginning it no longer has are not checked there, and named so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby, pairwise
from typing import Any

from logger.domain import daychain
from logger.domain.timespan import EVER, TimeSpan, merged
from logger.points.line import FieldValue, Point
from logger.report.source import Source, Tags

_DAY_MS = 86_400_000
_AT_ONCE_MS = 31 * _DAY_MS


class Kept(StrEnum):
    """What a source still has: all, all but the oldest points, or some of them only."""

    ALL = "all"
    NEWEST = "newest"
    SOME = "some"


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong with a day of a meter."""

    day: str
    meter: str
    text: str


@dataclass(slots=True)
class Checked:
    """What a check found: days by meter, the last digest of each within the span, faults by
    day, and what could not be checked."""

    days: dict[str, int] = field(default_factory=dict)
    digests: dict[str, tuple[str, str]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    unchecked: list[Fault] = field(default_factory=list)

    @property
    def unchecked_days(self) -> int:
        """How many of the days could not be checked; a meter without digests has no days."""
        return sum(bool(one.day) for one in self.unchecked)

    @property
    def checked_days(self) -> int:
        """How many days agree with their digests, or do not."""
        return sum(self.days.values()) - self.unchecked_days


_Key = tuple[str, str]  # site, meter
_Quarters = Mapping[_Key, Mapping[int, Point]]


def check(
    source: Source, span: TimeSpan, tags: Tags, kept: Kept, *, contents: bool = True
) -> Checked:
    """Check the order of all days, and, if `contents`, those of the days that begin in `span`.

    Raises ReportError when the source cannot be asked.
    """
    found = Checked()
    seals: dict[_Key, list[Point]] = {}
    # As in InfluxDB the last point of a time counts.
    stored = {(_key(one), one.time_ms): one for one in source.read("day_digest", [EVER], tags, ())}
    for (key, _), seal in sorted(stored.items(), key=lambda one: one[0]):
        if {"began", "number", "covers", "digest", "day"} <= seal.fields.keys():
            seals.setdefault(key, []).append(seal)
    for key, own in seals.items():
        own.sort(key=_place)
        found.faults += _order(key[1], own, kept)
        inside = [seal for seal in own if span[0] <= seal.time_ms < span[1]]
        found.days[key[1]] = len(inside)
        if inside:
            last = max(inside, key=lambda seal: seal.time_ms)
            found.digests[key[1]] = (str(last.fields["day"]), str(last.fields["digest"]))
    if not contents:
        return found
    covered = {key: {at for seal in own for at in _covers(seal)} for key, own in seals.items()}
    for part in _parts(seals, span):
        _contents(source, part, tags, kept, covered, found)
    _unsealed(source, span, tags, seals, found)
    found.faults.sort()
    return found


def _key(point: Point) -> _Key:
    return point.tags.get("site", ""), point.tags.get("meter", "")


def _place(seal: Point) -> tuple[int, int]:
    return int(seal.fields["began"]), int(seal.fields["number"])


def _covers(seal: Point) -> list[int]:
    try:
        return daychain.times(str(seal.fields["covers"]))
    except ValueError:
        return []  # its digest is wrong, too


def _order(meter: str, seals: Sequence[Point], kept: Kept) -> Iterator[Fault]:
    """Yield where a day does not follow the one before it."""
    first = seals[0]
    if int(first.fields["number"]) != 1 and kept is Kept.ALL:
        yield Fault(str(first.fields["day"]), meter, "the days before it were dropped")
    for before, seal in pairwise(seals):
        day = str(seal.fields["day"])
        if seal.fields["began"] != before.fields["began"]:
            yield Fault(
                day, meter, "the chain begins anew: the logger's state was lost, or replaced"
            )
        elif seal.fields["number"] != int(before.fields["number"]) + 1:
            lost = _after(str(before.fields["day"]))
            yield Fault(lost, meter, "its digest was dropped")
        elif seal.fields.get("previous") != before.fields["digest"]:
            changed = str(before.fields["day"])
            yield Fault(changed, meter, f"changed: {day} was chained to another digest of it")


def _after(day: str) -> str:
    try:
        return (dt.date.fromisoformat(day) + dt.timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return day


def _parts(seals: Mapping[_Key, Sequence[Point]], span: TimeSpan) -> Iterator[list[Point]]:
    """Yield the digests in `span`, about a month of days at a time."""
    every = [seal for own in seals.values() for seal in own]
    chosen = [seal for seal in every if span[0] <= seal.time_ms < span[1]]
    chosen.sort(key=lambda seal: seal.time_ms)
    for _, part in groupby(chosen, key=lambda seal: seal.time_ms // _AT_ONCE_MS):
        yield list(part)


def _contents(
    source: Source,
    seals: Sequence[Point],
    tags: Tags,
    kept: Kept,
    covered: Mapping[_Key, set[int]],
    found: Checked,
) -> None:
    """Check what some digests cover."""
    spans = merged((at, at + 1) for seal in seals for at in _ends(_covers(seal)))
    bounds = [(spans[0][0], spans[-1][1])] if spans else []
    quarters = _quarters(source, bounds, tags) if bounds else {}
    counters = _counters(source, seals, tags)
    for seal in seals:
        key = _key(seal)
        fault = _content(seal, quarters.get(key, {}), counters, kept)
        if fault is None:
            continue
        day = str(seal.fields["day"])
        if fault:
            found.faults.append(Fault(day, key[1], fault))
        else:
            found.unchecked.append(Fault(day, key[1], "no longer whole in the buffer"))
    for key, own in quarters.items():
        known = covered.get(key, set())
        own_seals = [seal for seal in seals if _key(seal) == key]
        for begin, end in ((min(c), max(c)) for c in map(_covers, own_seals) if c):
            if extra := [at for at in own if begin < at < end and at not in known]:
                day = next(str(s.fields["day"]) for s in own_seals if begin in _covers(s)[:1])
                text = f"{len(extra)} quarter hours were added or moved into it"
                found.faults.append(Fault(day, key[1], text))


def _ends(times: Sequence[int]) -> Iterable[int]:
    return (min(times), max(times)) if times else ()


def _quarters(source: Source, spans: Sequence[TimeSpan], tags: Tags) -> _Quarters:
    found: dict[_Key, dict[int, Point]] = {}
    for point in source.read("energy_15m", spans, tags, ()):
        found.setdefault(_key(point), {})[point.time_ms] = point
    return found


def _counters(
    source: Source, seals: Sequence[Point], tags: Tags
) -> dict[tuple[_Key, int, str, str], FieldValue]:
    """Return the stored counters at the readings that digests name."""
    spans = merged((at, at + 1) for at in (int(seal.fields["read"]) for seal in seals) if at)
    chosen: Tags = {**tags, "phase": ("total",)}
    fields = ("active_import", "active_export")
    return {
        (_key(point), point.time_ms, point.tags.get("tariff", "total"), name): point.fields[name]
        for point in (source.read("energy", spans, chosen, fields) if spans else ())
        for name in fields
        if name in point.fields
    }


def _content(
    seal: Point,
    quarters: Mapping[int, Point],
    counters: Mapping[tuple[_Key, int, str, str], FieldValue],
    kept: Kept,
) -> str | None:
    """Return what is wrong with what a digest covers: None for nothing, "" if a part of it is
    no longer there to be checked."""
    times = _covers(seal)
    missing = [at for at in times if at not in quarters]
    oldest = min(quarters, default=None)
    headless = oldest is None or (missing and max(missing) < oldest)
    if missing and (kept is Kept.SOME or (kept is Kept.NEWEST and headless)):
        return ""
    if missing:
        return f"{len(missing)} of its {len(times)} quarter hours were dropped or moved"
    running = str(seal.fields.get("previous", ""))
    for at in times:
        point = quarters[at]
        running = daychain.extended(
            running, daychain.quarter_text(point.tags, point.fields, point.time_ms)
        )
    text = daychain.closing_text(seal.fields, seal.time_ms)
    if daychain.extended(running, text) != seal.fields["digest"]:
        return "its quarter hours or its closing counters were changed"
    read_ms = int(seal.fields["read"])
    for name, counter in daychain.COUNTERS.items():
        if name not in seal.fields:
            continue
        value = counters.get((_key(seal), read_ms, counter.tariff, counter.field))
        if value is None:
            if kept is Kept.SOME:
                return ""
            return f"the reading of {name} at its end was dropped or moved"
        if value != seal.fields[name]:
            return f"the reading of {name} at its end was changed"
    return None


def _unsealed(
    source: Source,
    span: TimeSpan,
    tags: Tags,
    seals: Mapping[_Key, Sequence[Point]],
    found: Checked,
) -> None:
    """Look for quarter hours in `span` long after the last digest, or without any."""
    last = max((seal.time_ms for own in seals.values() for seal in own), default=None)
    begin = span[0] if last is None else max(span[0], min(_last(own) for own in seals.values()))
    if begin >= span[1]:
        return
    for key, own in _quarters(source, [(begin, span[1])], tags).items():
        if key not in seals:
            text = "no digests: made by an older version, or not a day long"
            found.unchecked.append(Fault("", key[1], text))
        elif max(own) > _last(seals[key]) + 2 * _DAY_MS + _DAY_MS // 8:
            lost = _after(str(max(seals[key], key=lambda seal: seal.time_ms).fields["day"]))
            found.faults.append(Fault(lost, key[1], "its digest was dropped"))


def _last(seals: Sequence[Point]) -> int:
    return max(seal.time_ms for seal in seals)


def plain(found: Checked) -> dict[str, Any]:
    """Return what the check of the chain of days found, for JSON."""
    return {
        "ok": not found.faults,
        "days": found.days,
        "digests": {meter: {"day": d, "digest": h} for meter, (d, h) in found.digests.items()},
        "first_bad_day": next((one.day for one in found.faults), None),
        "faults": [{"day": o.day, "meter": o.meter, "text": o.text} for o in found.faults],
        "unchecked": [{"day": o.day, "meter": o.meter, "text": o.text} for o in found.unchecked],
    }
