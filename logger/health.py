"""The logger's own figures: `logger` points, and the state that `status` shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from logger.buffer import Books, BufferState
from logger.datamodel import Lane
from logger.delivery import LaneState
from logger.lineprotocol import FieldValue, Point

# A meter that gave nothing for this many turns, or this many seconds, is reported.
_TURNS, _AT_LEAST_S = 3, 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterHealth:
    """The counts of one meter since the start; times in milliseconds UTC."""

    name: str
    bus: str
    role: str
    model: str
    address: int
    interval_s: float
    reads: int
    errors: int
    rejected: int
    missed: int
    read_ms: float | None
    last_good: int | None
    error: str
    wrong_model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusHealth:
    """The counts of one bus since the start; `busy` is its share of time in use."""

    name: str
    port: str
    planned_load: float
    busy: float
    requests: int
    answered: int
    silent: int
    garbled: int
    refused: int
    port_errors: int
    echo: bool


def meter_problems(meters: Sequence[MeterHealth], started_ms: int, now_ms: int) -> list[str]:
    """Return a sentence for every meter that gives nothing, or is another than configured."""
    found = [meter.wrong_model for meter in meters if meter.wrong_model]
    for meter in meters:
        since = meter.last_good if meter.last_good is not None else started_ms
        age_s = (now_ms - since) / 1000
        if age_s <= max(_AT_LEAST_S, _TURNS * meter.interval_s):
            continue
        when = "never answered" if meter.last_good is None else f"nothing for {age_s:.0f} s"
        reason = f": {meter.error}" if meter.error else ""
        found.append(f"meter {meter.name}: {when}{reason}")
    return found


def buffer_problems(state: BufferState) -> list[str]:
    """Return a sentence when the buffer is not well, and for damage since the start."""
    found = [] if state.ok else [f"buffer: {state.problem}"]
    return found + [f"buffer: damaged: {damage.text}" for damage in state.damages]


def delivery_problems(lanes: Mapping[Lane, LaneState]) -> list[str]:
    """Return a sentence for every bucket that takes no points."""
    return [
        f"delivery to bucket {state.bucket!r}: {state.status}: {state.error}"
        for state in lanes.values()
        if not state.ok
    ]


def buffer_fields(books: Books, state: BufferState, now_ms: int) -> dict[str, FieldValue]:
    """Return the fields of the buffer's `logger` point."""
    total = books.total
    fields: dict[str, FieldValue] = {
        "buffer_points": total.waiting,
        "delivered": total.delivered,
        "set_aside": total.set_aside,
        "dropped": total.dropped,
    }
    waits = total.waiting and state.oldest_ms is not None
    age_ms = now_ms - state.oldest_ms if waits and state.oldest_ms is not None else 0
    return {**fields, "buffer_oldest_s": max(0, age_ms) / 1000}


def points(
    site: str,
    meters: Sequence[MeterHealth],
    buses: Sequence[BusHealth],
    books: Mapping[str, FieldValue],
    now_ms: int,
) -> list[Point]:
    """Return the `logger` points: one a meter, one a bus, one for the buffer."""
    found = []
    for meter in meters:
        fields: dict[str, FieldValue] = {
            "reads": meter.reads,
            "read_errors": meter.errors,
            "missed": meter.missed,
            "rejected_values": meter.rejected,
        }
        if meter.read_ms is not None:
            fields["read_ms"] = round(meter.read_ms, 3)
        tags = {"site": site, "bus": meter.bus, "meter": meter.name, "role": meter.role}
        found.append(Point("logger", tags, fields, now_ms))
    for bus in buses:
        fields = {
            "reads": bus.answered,
            "read_errors": bus.silent + bus.garbled + bus.refused + bus.port_errors,
            "bus_load": round(bus.busy, 4),
        }
        found.append(Point("logger", {"site": site, "bus": bus.name}, fields, now_ms))
    if books:
        found.append(Point("logger", {"site": site}, books, now_ms))
    return found


def as_json(meter: MeterHealth, now_ms: int) -> dict[str, Any]:
    """Return what `status --json` shows of one meter; `age_s` since its last reading."""
    age = None if meter.last_good is None else round((now_ms - meter.last_good) / 1000, 1)
    return {
        "name": meter.name,
        "bus": meter.bus,
        "role": meter.role,
        "model": meter.model,
        "address": meter.address,
        "last_reading": meter.last_good,
        "age_s": age,
        "reads": meter.reads,
        "read_errors": meter.errors,
        "rejected_values": meter.rejected,
        "missed": meter.missed,
        "read_ms": None if meter.read_ms is None else round(meter.read_ms, 1),
        "error": meter.error,
    }
