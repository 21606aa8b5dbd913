"""Events from stored points: each begin joined with its end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from logger.domain.timespan import TimeSpan
from logger.points.line import FieldValue, Point

_Key = tuple[str, str, str]  # kind, meter, phase


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `end_ms` is None while it lasts; a moment has both equal."""

    kind: str
    meter: str
    phase: str
    start_ms: int
    end_ms: int | None
    duration_s: float | None
    extreme: float | None
    text: str


def joined(points: Iterable[Point]) -> list[Event]:
    """Return the events that `points` (measurement `event`, any order) tell, by start.

    A point that another program wrote, without a kind or a state, is no event of ours. One
    that was stored twice, or in parts, counts once.
    """
    open_since: dict[_Key, tuple[int, Point]] = {}
    found: list[Event] = []
    whole = [point for point in _whole(points) if point.fields.get("state") in {"begin", "end"}]
    # At one moment an end comes before the next begin.
    for point in sorted(whole, key=lambda one: (one.time_ms, one.fields["state"] == "begin")):
        key = _key(point)
        if point.fields["state"] == "begin":
            if key in open_since:  # its end was never written
                found.append(_event(key, *open_since[key], None))
            open_since[key] = (point.time_ms, point)
            continue
        duration = _seconds(point)
        start_ms = point.time_ms - round(duration * 1000)
        if duration and key in open_since:
            start_ms = open_since.pop(key)[0]
        found.append(_event(key, start_ms, point, point.time_ms))
    found += [_event(key, *since, None) for key, since in open_since.items()]
    return sorted(found, key=lambda event: (event.start_ms, event.kind, event.meter, event.phase))


def within(found: Iterable[Event], span: TimeSpan) -> list[Event]:
    """Return the events that touch `span`: those that began before it and went on, too."""
    start, end = span
    return [
        event
        for event in found
        if event.start_ms < end
        and (event.end_ms is None or event.end_ms > start or event.start_ms >= start)
    ]


def _key(point: Point) -> _Key:
    return (point.tags["kind"], point.tags.get("meter", ""), point.tags.get("phase", ""))


def _whole(points: Iterable[Point]) -> list[Point]:
    """Return points whose fields came one by one as one, and repeated ones once."""
    found: dict[tuple[_Key, int], list[dict[str, FieldValue]]] = {}
    tags: dict[_Key, Mapping[str, str]] = {}
    for point in points:
        if "kind" not in point.tags:
            continue
        tags[_key(point)] = point.tags
        there = found.setdefault((_key(point), point.time_ms), [])
        for fields in there:
            if all(fields.get(name, value) == value for name, value in point.fields.items()):
                fields.update(point.fields)
                break
        else:
            there.append(dict(point.fields))
    return [
        Point("event", tags[key], fields, at_ms)
        for (key, at_ms), several in found.items()
        for fields in several
    ]


def _seconds(point: Point) -> float:
    return _number(point.fields.get("duration_s")) or 0.0


def _number(value: FieldValue | None) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _event(key: _Key, start_ms: int, point: Point, end_ms: int | None) -> Event:
    return Event(
        kind=key[0],
        meter=key[1],
        phase=key[2],
        start_ms=start_ms,
        end_ms=end_ms,
        duration_s=None if end_ms is None else _seconds(point),
        extreme=_number(point.fields.get("extreme")),
        text=str(point.fields.get("text", "")),
    )
