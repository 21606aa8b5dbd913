"""Events from stored points: each begin joined with its end. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from logger.points.line import Point


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
    """Return the events that `points` (measurement `event`, any order) tell, by start."""
    open_since: dict[tuple[str, str, str], tuple[int, Point]] = {}
    found: list[Event] = []
    # At one moment an end comes before the next begin.
    for point in sorted(points, key=lambda one: (one.time_ms, one.fields["state"] == "begin")):
        key = (point.tags["kind"], point.tags.get("meter", ""), point.tags.get("phase", ""))
        if point.fields["state"] == "begin":
            if key in open_since:  # its end was never written
                found.append(_event(key, *open_since[key], None))
            open_since[key] = (point.time_ms, point)
            continue
        duration = float(point.fields.get("duration_s", 0.0))
        start_ms = point.time_ms - round(duration * 1000)
        if duration and key in open_since:
            start_ms = open_since.pop(key)[0]
        found.append(_event(key, start_ms, point, point.time_ms))
    found += [_event(key, *since, None) for key, since in open_since.items()]
    return sorted(found, key=lambda event: (event.start_ms, event.kind, event.meter, event.phase))


def _event(key: tuple[str, str, str], start_ms: int, point: Point, end_ms: int | None) -> Event:
    extreme = point.fields.get("extreme")
    return Event(
        kind=key[0],
        meter=key[1],
        phase=key[2],
        start_ms=start_ms,
        end_ms=end_ms,
        duration_s=None if end_ms is None else float(point.fields.get("duration_s", 0.0)),
        extreme=None if extreme is None else float(extreme),
        text=str(point.fields.get("text", "")),
    )
