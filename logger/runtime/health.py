"""The logger's own figures: `logger` records, and the state that `status` shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from logger.buffer import Books, BufferState
from logger.domain.datamodel import Lane
from logger.domain.records import FieldValue, LoggerCounts
from logger.latest import too_old_s
from logger.meter import twins
from logger.models.register import Job
from logger.store.state import STORE_HINT, lasting

if TYPE_CHECKING:
    from logger.delivery import LaneState

_SOON_FULL_DAYS = 7.0
_GIVES = {
    Job.FAST: "measured values",
    Job.SLOW: "energy counters",
    Job.IDENTITY: "identity and settings",
}


@dataclass(frozen=True, slots=True)
class JobHealth:
    """When a job of a meter last gave values, milliseconds UTC, and how often it is due."""

    interval_s: float
    last_good: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterHealth:
    """The counts of one meter since the start; times in milliseconds UTC.

    `last_good` is of any job, `jobs` has each that the meter's table has values for.
    `left_out` are the keys of the values that the meter does not answer.
    """

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
    jobs: Mapping[Job, JobHealth] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    serial: str = ""  # the serial number, once it was read


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
    shared: bool = False  # whether another master was heard lately
    foreign: int = 0  # frames of others
    problems: Sequence[str] = ()  # what is wrong with the line itself


def meter_problems(meters: Sequence[MeterHealth], started_ms: int, now_ms: int) -> list[str]:
    """Return a sentence for every meter that gives nothing, or is another than configured.

    A meter without any measured value yet is not well, from the start on.
    """
    found = [meter.wrong_model for meter in meters if meter.wrong_model]
    for meter in meters:
        reason = f": {meter.error}" if meter.error else ""
        since = meter.last_good if meter.last_good is not None else started_ms
        age_s = (now_ms - since) / 1000
        if age_s > too_old_s(meter.interval_s):
            when = "never answered" if meter.last_good is None else f"nothing for {age_s:.0f} s"
            found.append(f"meter {meter.name}: {when}{reason}")
        elif lacking := _jobs_without(meter, started_ms, now_ms):
            found.append(f"meter {meter.name}: {', '.join(lacking)}{reason}")
    return found


def _jobs_without(meter: MeterHealth, started_ms: int, now_ms: int) -> list[str]:
    """Return what a meter that answers does not give."""
    found = []
    for job, one in meter.jobs.items():
        since = one.last_good if one.last_good is not None else started_ms
        age_s = (now_ms - since) / 1000
        if one.last_good is None and job is Job.FAST:
            found.append(f"no {_GIVES[job]} yet")
        elif age_s > too_old_s(one.interval_s):
            when = "since the start" if one.last_good is None else f"for {age_s:.0f} s"
            found.append(f"no {_GIVES[job]} {when}")
    return found


def twin_problems(meters: Sequence[MeterHealth]) -> list[str]:
    """Return a sentence for every two meters of a bus that have one serial number."""
    first: dict[tuple[str, str], MeterHealth] = {}
    return [
        f"meters {other.name} and {meter.name}: {twins.same(meter.serial)}: {twins.REMEDY}"
        for meter in meters
        if meter.serial and (other := first.setdefault((meter.bus, meter.serial), meter)) != meter
    ]


def bus_problems(buses: Sequence[BusHealth]) -> list[str]:
    """Return a sentence for everything that is wrong with a line itself."""
    return [f"bus {bus.name} ({bus.port}): {text}" for bus in buses for text in bus.problems]


def buffer_problems(state: BufferState) -> list[str]:
    """Return a sentence when the buffer is not well, and for damage since the start."""
    found = [] if state.ok else [f"buffer: {state.problem}"]
    if state.dropped:
        found.append(f"buffer: {state.dropped} points were deleted at max_size since the start")
    if state.days_left is not None and state.days_left <= _SOON_FULL_DAYS:
        found.append(
            f"buffer: it is the store and full in {lasting(state.days_left)}, then the past is "
            f"deleted: {STORE_HINT}"
        )
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


def counts(
    meters: Sequence[MeterHealth],
    buses: Sequence[BusHealth],
    books: Mapping[str, FieldValue],
    now_ms: int,
) -> list[LoggerCounts]:
    """Return the `logger` records: one a meter, one a bus, one for the buffer."""
    found = []
    for meter in meters:
        fields: dict[str, FieldValue] = {
            "reads": meter.reads,
            "read_errors": meter.errors,
            "missed": meter.missed,
            "rejected_values": meter.rejected,
        }
        if meter.read_ms is not None:
            fields["read_ms"] = float(round(meter.read_ms, 3))
        found.append(
            LoggerCounts(
                at_ms=now_ms, values=fields, bus=meter.bus, meter=meter.name, role=meter.role
            )
        )
    for bus in buses:
        fields = {
            "reads": bus.answered,
            "read_errors": bus.silent + bus.garbled + bus.refused + bus.port_errors,
            "bus_load": float(round(bus.busy, 4)),
        }
        found.append(LoggerCounts(at_ms=now_ms, values=fields, bus=bus.name))
    if books:
        found.append(LoggerCounts(at_ms=now_ms, values=books))
    return found


def as_json(meter: MeterHealth, now_ms: int) -> dict[str, Any]:
    """Return what `status --json` shows of one meter; `age_s` since its last measured values."""
    fast = meter.jobs.get(Job.FAST)
    last_good = meter.last_good if fast is None else fast.last_good
    age = None if last_good is None else round((now_ms - last_good) / 1000, 1)
    return {
        "name": meter.name,
        "bus": meter.bus,
        "role": meter.role,
        "model": meter.model,
        "address": meter.address,
        "last_reading": last_good,
        "age_s": age,
        "reads": meter.reads,
        "read_errors": meter.errors,
        "rejected_values": meter.rejected,
        "missed": meter.missed,
        "read_ms": None if meter.read_ms is None else round(meter.read_ms, 1),
        "error": meter.error,
        "left_out": list(meter.left_out),
    }
