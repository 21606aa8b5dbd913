"""What the counter guard knows of counters: which rise, how fast, how they add up. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from logger.domain.datamodel import MEASUREMENT_OF
from logger.domain.limits import MAX_VOLTAGE
from logger.domain.quantity import CT_RATIO, TARIFFS, Quantity
from logger.domain.wiring import NEUTRAL_PHASES
from logger.models.register import Value

# Counters that never fall. `active` and `reactive` may, by the combination code, and the
# day counter is reset by hand.
RISING = (
    "active_import",
    "active_export",
    "reactive_import",
    "reactive_export",
    "reactive_q1",
    "reactive_q2",
    "reactive_q3",
    "reactive_q4",
)
RESETTABLE = "day_counter"

_METER_AMPS = Quantity("meter_amps")

# A CT meter whose ratio is not known may have any; 9995/5 is the largest (Ambition).
MAX_AMPS = 9995.0
_MS_PER_HOUR = 3_600_000
_FLOAT32_BITS = 24


def counters(values: Mapping[Quantity, Value]) -> dict[Quantity, Decimal]:
    """Return the energy counters among `values`."""
    return {
        quantity: value
        for quantity, value in values.items()
        if isinstance(value, Decimal) and MEASUREMENT_OF.get(quantity.field) == "energy"
    }


def primary_amps(values: Mapping[Quantity, Value]) -> float | None:
    """Return the largest primary current by the meter's own settings, None if not told."""
    return largest_amps(values.get(_METER_AMPS), values.get(CT_RATIO))


def largest_amps(meter_amps: object, ct_ratio: object) -> float | None:
    """Return the largest primary current, A, None if not told.

    `meter_amps` (0x400B) is 100 on a direct meter and 5 on a CT meter, whose ratio
    (0x400C) holds the primary current in its first four digits.
    """
    if not isinstance(meter_amps, int):
        return None
    if meter_amps > 6:
        return float(meter_amps)
    digits = str(ct_ratio or "").partition("/")[0][:4]
    ratio = int(digits) if digits.isdecimal() else 0
    return float(ratio) if ratio > 6 else MAX_AMPS


def float32_step(value: Decimal) -> Decimal:
    """Return the step of a float32 of this size: 0.0156 above 131,072."""
    if not value:
        return Decimal(0)
    return Decimal(2.0 ** (math.frexp(float(value))[1] - _FLOAT32_BITS))


def resolution(values: Iterable[Decimal]) -> Decimal:
    """Return the last digit that a family of counters shows, at least 0.001."""
    exponents = [exponent(value) for value in values if value]
    return Decimal(1).scaleb(max(-3, min(exponents, default=-3)))


def exponent(value: Decimal) -> int:
    """Return the power of ten of the last digit of `value`."""
    power = value.as_tuple().exponent
    return power if isinstance(power, int) else 0


def passed_maximum(
    before: Decimal, after: Decimal, most: Decimal, maximum: Decimal | None
) -> Decimal | None:
    """Return what a counter counted that passed its `maximum` (after which comes 0) between
    `before` and `after`; None if it cannot be that, because it counts at most `most`, or
    so much of its range that any fall could be."""
    if maximum is None or after >= before:
        return None
    whole = maximum + Decimal(1).scaleb(exponent(maximum))
    counted = whole - before + after
    return counted if 0 <= counted <= min(most, whole / 10) else None


def ceiling(counter: Quantity, amps: float | None, margin: float, passed_ms: int) -> Decimal:
    """Return the largest rise of `counter` in `passed_ms`, in kWh or kvarh."""
    phases = 1 if counter.phase.startswith("L") else 3
    kilowatts = (amps or MAX_AMPS) * MAX_VOLTAGE * phases * margin / 1000
    return Decimal(kilowatts * max(passed_ms, 0) / _MS_PER_HOUR)


@dataclass(frozen=True, slots=True)
class Break:
    """A counter that went on from another value. `carry` is what a running total adds
    to the register from now on; `counted` what the counter surely counted since, `sure`
    if that is all."""

    quantity: Quantity
    before: Decimal
    after: Decimal
    counted: Decimal
    sure: bool = False

    @property
    def carry(self) -> Decimal:
        """By how much a total over the break is ahead of the register."""
        return self.before + self.counted - self.after


@dataclass(frozen=True, slots=True)
class GuardResult:
    """Counters of one meter restarted at `at_ms`: the meter was swapped, or reset.

    `reported` when the same swap was reported before, for other counters.
    """

    meter: str
    at_ms: int
    swapped: bool
    breaks: tuple[Break, ...]
    serials: tuple[str, str] = ("", "")
    reported: bool = False


@dataclass(frozen=True, slots=True)
class Sum:
    """A total and the parts that it is the sum of (phases, or tariffs).

    `quantities` are all counters concerned, `name` is the sum's name in the state file.
    """

    total: Quantity
    parts: tuple[Quantity, ...]
    quantities: tuple[Quantity, ...]
    name: str

    @classmethod
    def of(cls, total: Quantity, parts: tuple[Quantity, ...]) -> Sum:
        """Return the sum of `parts`."""
        return cls(total, parts, (total, *parts), f"{total}={'+'.join(map(str, parts))}")

    def residual(self, values: Mapping[Quantity, Decimal]) -> Decimal:
        """Return how far the total is from the sum of the parts."""
        return values[self.total] - sum((values[part] for part in self.parts), Decimal(0))

    def tolerance(self, values: Mapping[Quantity, Decimal]) -> Decimal:
        """Return how far `residual` may move by the counters' last digits alone."""
        family = [values[one] for one in self.quantities]
        last = resolution(family)
        return sum((max(last, float32_step(value)) for value in family), Decimal(0))


def sums(quantities: Iterable[Quantity]) -> tuple[Sum, ...]:
    """Return the sums that hold among counters `quantities` on a meter of this family."""
    return _sums(frozenset(quantities))


@lru_cache(maxsize=64)  # a model has one set of counters, and a few when some are held back
def _sums(known: frozenset[Quantity]) -> tuple[Sum, ...]:
    found = []
    for name in RISING:
        total = Quantity(name, "total", "total")
        for parts in (
            tuple(Quantity(name, phase, "total") for phase in NEUTRAL_PHASES),
            tuple(Quantity(name, "total", tariff) for tariff in TARIFFS),
        ):
            there = tuple(part for part in parts if part in known)
            if total in known and len(there) > 1:
                found.append(Sum.of(total, there))
    return tuple(found)
