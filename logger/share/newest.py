"""The newest values of a meter in the units of the data model, each with its age. Pure.

In a picture a value that is too old, or has not come yet, is None; one that the meter does not
have is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial

from logger.domain.datamodel import SCALE
from logger.domain.quantity import Quantity
from logger.domain.wiring import NEUTRAL_PHASES
from logger.meter.reading import Reading
from logger.models import Job, Model, Value

# Power in W, var and VA, energy in kWh and kvarh; None: too old, or not there yet.
Picture = Mapping[Quantity, Value | None]
# Values whose age decides; settings and identity stay as long as the meter answers.
_AGING = (Job.FAST, Job.SLOW)


class Newest:
    """The newest values of a meter of `model`. `ages` is how old those of a job may be, seconds.

    `hear` is called by the worker of its bus, `picture` by the server; all moments are
    monotonic, in seconds.
    """

    def __init__(self, model: Model, ages: Mapping[Job, float]) -> None:
        self.model = model
        self.silent = True  # until the first reading
        self._ages = ages
        self._kept: dict[Quantity, tuple[Value, float]] = {}
        self._read: set[Job] = set()
        self._made: tuple[int, float, Picture] = (-1, -math.inf, {})
        self._version = 0

    def hear(self, reading: Reading, at: float) -> None:
        """Take the values of `reading`, which was complete at `at`."""
        kept = dict(self._kept)
        for quantity, value in reading.values.items():
            register = self.model.by_quantity.get(quantity)
            scale = SCALE.get(register.unit) if register is not None else None
            if scale is not None and not isinstance(value, str):
                value = Decimal(value) * scale
            apart_ms = reading.taken_ms - reading.moments.get(quantity, reading.taken_ms)
            kept[quantity] = (value, at - apart_ms / 1000)
        if reading.values:
            self._read.add(reading.job)
            self.silent = False
        self._kept = kept  # in one step: a picture is of before or of after
        self._version += 1

    def lose(self) -> None:
        """Forget everything: the meter is silent, and may be another one when it is back."""
        self.silent = True
        self._kept = {}
        self._read.clear()
        self._version += 1

    def picture(self, now: float) -> Picture:
        """Return what is known at `now`."""
        version, until, made = self._made
        if version == self._version and now <= until:
            return made
        version, until = self._version, math.inf
        kept, found = self._kept, {}
        for register in self.model.registers:
            job = register.job
            if register.quantity in kept:
                value, at = kept[register.quantity]
                end = at + self._ages[job] if job in _AGING else math.inf
                found[register.quantity] = value if now <= end else None
                until = min(until, end if now <= end else math.inf)
            elif job in _AGING and job not in self._read:
                found[register.quantity] = None
        self._made = (version, until, found)
        return found


_SUMMED = ("active_power", "reactive_power")
_COUNTED = (
    "active_import",
    "active_export",
    "reactive_import",
    "reactive_export",
    "reactive_q1",
    "reactive_q2",
    "reactive_q3",
    "reactive_q4",
    "apparent_import",
    "apparent_export",
)
_MEANS = ("voltage", "frequency")


def summed(pictures: list[Picture]) -> Picture:
    """Return the sum of meters: powers and counters add up, voltages are means.

    What one of them does not have, the sum has not; what one has not sent lately is None.
    Currents, apparent power and power factors do not add up: they follow from the sums.
    """
    found: dict[Quantity, Value | None] = {}
    for quantity in set.intersection(*(set(picture) for picture in pictures)):
        if quantity.field not in _SUMMED + _COUNTED + _MEANS:
            continue
        values = [number(picture, *quantity) for picture in pictures]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            found[quantity] = None
        elif quantity.field in _MEANS:  # a meter of one phase has no voltage on the others
            there = [value for value in known if value] or known
            found[quantity] = sum(there, Decimal(0)) / len(there)
        else:
            found[quantity] = sum(known, Decimal(0))
    return found


def number(picture: Mapping[Quantity, Value | None], *parts: str) -> Decimal | None:
    """Return a number of `picture`. Raises KeyError if it does not have it."""
    value = picture[Quantity(*parts)]
    return None if value is None or isinstance(value, str) else Decimal(value)


def completed(picture: Picture, *, one_phase: bool) -> dict[Quantity, Value | None]:
    """Return `picture` with what follows from it.

    On one phase, L1 is the total, and L2 and L3 carry nothing. Total power is the sum of the
    phases. Apparent power is the root of the squares of the other two, the power factor active
    over apparent power, a current apparent power over voltage; it has the sign of its phase's
    active power, as a PRO380 sends it.
    """
    found = dict(picture)
    if one_phase:
        _spread(found)
    for name in _SUMMED:
        total = Quantity(name, "total")
        parts = [Quantity(name, phase) for phase in NEUTRAL_PHASES]
        if total not in found and all(part in found for part in parts):
            values = [found[part] for part in parts]
            gone = any(value is None for value in values)
            found[total] = None if gone else sum((Decimal(v) for v in values if v), Decimal(0))
    for phase in ("total", *NEUTRAL_PHASES):
        _follow(found, Quantity("apparent_power", phase), partial(_apparent, found, phase))
        _follow(found, Quantity("power_factor", phase), partial(_factor, found, phase))
    for phase in NEUTRAL_PHASES:
        current = Quantity("current", phase)
        _follow(found, current, partial(_current, found, phase))
        if isinstance(value := found.get(current), Decimal):
            power = found.get(Quantity("active_power", phase))
            if isinstance(power, Decimal) and power:
                found[current] = abs(value).copy_sign(power)
    return found


def _spread(found: dict[Quantity, Value | None]) -> None:
    """Fill in the phases of a meter that measures one."""
    for quantity in list(found):
        if quantity.field in (*_SUMMED, "apparent_power", *_COUNTED) and quantity.phase == "total":
            if quantity.tariff not in ("", "total"):
                continue
            value = found[quantity]
            found.setdefault(quantity._replace(phase="L1"), value)
            for phase in ("L2", "L3"):
                found.setdefault(
                    quantity._replace(phase=phase), None if value is None else Decimal(0)
                )
    for name in ("voltage", "current"):
        first = Quantity(name, "L1")
        found.setdefault(first, found.get(Quantity(name, "total")))
        for phase in ("L2", "L3"):
            rest = None if found[first] is None else Decimal(0)
            found.setdefault(Quantity(name, phase), rest)


def _follow(
    found: dict[Quantity, Value | None], quantity: Quantity, made: Callable[[], Decimal | None]
) -> None:
    """Put what `made` gives where `quantity` is not known, if what it needs is there."""
    if quantity in found:
        return
    try:
        found[quantity] = made()
    except KeyError:
        return


def _apparent(found: Picture, phase: str) -> Decimal | None:
    active = number(found, "active_power", phase)
    reactive = number(found, "reactive_power", phase)
    if active is None or reactive is None:
        return None
    return Decimal(math.hypot(active, reactive))


def _factor(found: Picture, phase: str) -> Decimal | None:
    active = number(found, "active_power", phase)
    apparent = number(found, "apparent_power", phase)
    if active is None or apparent is None:
        return None
    return abs(active) / apparent if apparent else Decimal(0)


def _current(found: Picture, phase: str) -> Decimal | None:
    apparent = number(found, "apparent_power", phase)
    voltage = number(found, "voltage", phase)
    if apparent is None or voltage is None:
        return None
    return apparent / voltage if voltage else Decimal(0)
