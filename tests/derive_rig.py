"""What the tests of derived values share: readings by hand, events out of points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from logger import models
from logger.derive.info import MeterInfo
from logger.domain.quantity import Quantity
from logger.domain.wiring import Wiring
from logger.meter.reading import Reading
from logger.models import Job, Value
from logger.points.line import Point
from logger.report.events import Event, joined

PRO380 = models.load("pro380")
# 2026-11-02 00:00 UTC, a Monday: a border of every window.
T0 = 1_793_577_600_000


def info(
    name: str = "house",
    role: str = "grid",
    fast_ms: int = 1000,
    slow_ms: int = 60_000,
    wiring: Wiring = "3P4W",
) -> MeterInfo:
    return MeterInfo(
        name=name, role=role, model=PRO380, fast_ms=fast_ms, slow_ms=slow_ms, wiring=wiring
    )


def reading(
    values: Mapping[Any, Value | float | str],
    at_ms: int,
    job: Job = Job.FAST,
    meter: str = "house",
    role: str = "grid",
    late_ms: int = 300,
) -> Reading:
    """Return a reading of the round at `at_ms`; floats become the Decimal they show.

    The keys of `values` are quantities, or their text.
    """
    exact = {
        Quantity.parse(str(key)): Decimal(repr(value)) if isinstance(value, float) else value
        for key, value in values.items()
    }
    return Reading(
        meter=meter, role=role, model="pro380", job=job,
        taken_ms=at_ms + late_ms, round_ms=at_ms, values=exact,
    )  # fmt: skip


def fast(
    at_ms: int,
    volts: tuple[float, float, float] = (230.1, 230.2, 230.3),
    hertz: float = 50.01,
    kilowatts: float = 1.25,
    meter: str = "house",
    role: str = "grid",
) -> Reading:
    values = {f"voltage/L{place}": value for place, value in enumerate(volts, 1)}
    return reading(
        {**values, "frequency/total": hertz, "active_power/total": kilowatts},
        at_ms, Job.FAST, meter, role,
    )  # fmt: skip


def slow(at_ms: int, drawn: float, fed: float, meter: str = "house", role: str = "grid") -> Reading:
    """Return counters as a meter of three phases and two tariffs has them."""
    values: dict[str, Value | float | str] = {}
    for name, total in (("active_import", drawn), ("active_export", fed)):
        exact = Decimal(repr(total))
        values[f"{name}/total/total"] = exact
        shares = (exact / 4, exact / 2)
        values |= {f"{name}/L1/total": shares[0], f"{name}/L2/total": shares[1]}
        values[f"{name}/L3/total"] = exact - shares[0] - shares[1]
        values |= {f"{name}/total/T1": shares[1], f"{name}/total/T2": exact - shares[1]}
    return reading(values, at_ms, Job.SLOW, meter, role)


def identity(
    at_ms: int,
    serial: str = "22091039",
    downs: int = 7,
    meter: str = "house",
    role: str = "grid",
    more: Mapping[str, Value] | None = None,
) -> Reading:
    values: dict[str, Value | float | str] = {
        "serial": serial,
        "power_down_count": downs,
        "meter_amps": 100,
        **(more or {}),
    }
    return reading(values, at_ms, Job.IDENTITY, meter, role)


def events(points: Iterable[Point]) -> list[Event]:
    return joined(point for point in points if point.measurement == "event")


def of(points: Iterable[Point], measurement: str) -> list[Point]:
    return [point for point in points if point.measurement == measurement]
