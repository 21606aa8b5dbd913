"""A reading: what one job got from one meter. Pure records and how they are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from logger.domain.datamodel import FIELDS
from logger.domain.errors import BusError
from logger.domain.field import FieldType
from logger.domain.quantity import Quantity
from logger.models.decode import value_of
from logger.models.plan import Block
from logger.models.register import Job, Model, Register, Value

TOGETHER_MS = 1000  # values that were read within this time share a moment


@dataclass(frozen=True, slots=True)
class Failure:
    """A block (on M-Bus: the telegram) that was not read, and why."""

    block: Block | str
    error: BusError


@dataclass(frozen=True, slots=True)
class Rejected:
    """A value that was read and not believed."""

    quantity: Quantity
    address: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one job got from one meter; partial when `failures` is not empty.

    `values` by quantity, in the meter's own units. `taken_ms` is the moment the last
    answer with a value was complete, `moments` that of each value where these lie apart,
    `round_ms` the moment the job was due (the same for all meters of a round), all
    milliseconds UTC. `elapsed_ms` is the time on the line.
    """

    meter: str
    role: str
    model: str
    job: Job
    taken_ms: int
    round_ms: int
    values: Mapping[Quantity, Value]
    failures: tuple[Failure, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    requests: int = 0
    elapsed_ms: float = 0.0
    moments: Mapping[Quantity, int] = field(default_factory=dict)


def without_values(reading: Reading, error: BusError) -> Reading:
    """Return `reading` without its values, which cannot be believed because of `error`."""
    failures = (*reading.failures, Failure(f"{reading.job} job", error))
    return replace(reading, values={}, moments={}, failures=failures)


def moved(reading: Reading, by_ms: int, now_ms: int) -> Reading:
    """Return `reading` as stamped by the clock of now, which was set by `by_ms` since the job
    began. A stamp is from before that if it is in the future, or would not be when moved."""

    def stamp(at_ms: int) -> int:
        return max((at for at in (at_ms, at_ms + by_ms) if at <= now_ms), default=at_ms)

    return replace(
        reading,
        taken_ms=stamp(reading.taken_ms),
        round_ms=stamp(reading.round_ms),
        moments={quantity: stamp(at) for quantity, at in reading.moments.items()},
    )


def parts(reading: Reading) -> tuple[Reading, ...]:
    """Return a reading whose values lie apart in time as several, each with its moment.

    Values up to a second apart stay together, with the moment of the last. The last part
    has the failures.
    """
    if not reading.moments:
        return (reading,)
    groups: list[dict[Quantity, Value]] = []
    ends: list[int] = []
    begun = 0
    for quantity, moment in sorted(reading.moments.items(), key=lambda item: item[1]):
        if not groups or moment - begun > TOGETHER_MS:
            groups.append({})
            ends.append(moment)
            begun = moment
        groups[-1][quantity] = reading.values[quantity]
        ends[-1] = moment
    found = [
        replace(reading, taken_ms=end, values=values, moments={}, failures=(), rejected=())
        for values, end in zip(groups, ends, strict=True)
    ]
    found[-1] = replace(found[-1], failures=reading.failures, rejected=reading.rejected)
    return tuple(found)


@dataclass(slots=True)
class ReadingBuilder:
    """The values and refusals collected while the blocks of one job come in."""

    values: dict[Quantity, Value] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    moments: dict[Quantity, int] = field(default_factory=dict)  # of each value, milliseconds UTC

    def take(
        self,
        model: Model,
        registers: Iterable[Register],
        block: Block,
        words: Sequence[int],
        taken_ms: int,
    ) -> None:
        """Decode those of `registers` that lie in `block`, whose content is `words`, in an
        answer that was complete at `taken_ms`."""
        first, count = block.address, block.count
        for register in registers:
            start = register.address - first
            end = start + register.length
            if start < 0 or end > count:
                continue
            try:
                value = value_of(register, words[start:end])
                check_believable(model, register, value)
            except ValueError as err:
                self.reject(register, str(err))
            else:
                self.values[register.quantity] = value
                self.moments[register.quantity] = taken_ms

    def take_value(self, model: Model, register: Register, value: Value, taken_ms: int) -> None:
        """Keep `value`, which came at `taken_ms`, unless it is impossible."""
        try:
            check_believable(model, register, value)
        except ValueError as err:
            self.reject(register, str(err))
        else:
            self.values[register.quantity] = value
            self.moments[register.quantity] = taken_ms

    def reject(self, register: Register, reason: str) -> None:
        """Note that what came for `register` is not believed."""
        self.rejected.append(Rejected(register.quantity, register.address, reason))

    @property
    def meaningless(self) -> bool:
        """Whether more values cannot be true than say anything: the table is a wrong one.

        A device that keeps integers where the table has floats also sends zeros, which fit.
        """
        rejected = len(self.rejected)
        if not rejected:
            return False
        telling = sum(isinstance(one, Decimal) and one != 0 for one in self.values.values())
        return rejected > telling and (rejected >= _REJECTED or not self.values)

    def forget(self) -> None:
        """Drop all values."""
        self.values.clear()
        self.moments.clear()

    @property
    def taken_ms(self) -> int | None:
        """The moment of the last value."""
        return max(self.moments.values(), default=None)

    def apart(self) -> Mapping[Quantity, int]:
        """Return the moments of the values if they are too far apart for a common one."""
        last = self.taken_ms
        near = last is None or last - min(self.moments.values()) <= TOGETHER_MS
        return {} if near else self.moments


# Smaller than anything a meter sends: the bits of an integer, read as a float32.
_SMALLEST = Decimal("1e-30")
# So many values that cannot be true make the others of the job doubtful.
_REJECTED = 3
INTEGER_BITS = "these are the bits of an integer, not of a float"


def check_believable(model: Model, register: Register, value: Value) -> None:
    """Raise ValueError with the reason when `value` of `register` cannot be true."""
    if isinstance(value, str):
        known = FIELDS.get(register.field)
        if known and known.kind is FieldType.INTEGER and not value.isdecimal():
            raise ValueError(f"{value}: these digits are no number")
        return
    if value and -_SMALLEST < value < _SMALLEST:  # whole numbers are never so small
        raise ValueError(f"{value}: {INTEGER_BITS}")
    limits = model.limits.get(register.field)
    if limits is None:
        return
    low, high = limits
    if not low <= value <= high:
        unit = register.value_unit
        raise ValueError(f"{value} {unit} is outside {low}..{high} {unit}")


# What changes when a meter is wired the other way round: its sign, or its name.
SIGNED = ("active_power", "reactive_power", "current")
OPPOSITE = {
    "active_import": "active_export",
    "active_export": "active_import",
    "reactive_import": "reactive_export",
    "reactive_export": "reactive_import",
    "apparent_import": "apparent_export",
    "apparent_export": "apparent_import",
    "reactive_q1": "reactive_q3",
    "reactive_q2": "reactive_q4",
    "reactive_q3": "reactive_q1",
    "reactive_q4": "reactive_q2",
}
_OPPOSITE_QUADRANT = {1: 3, 2: 4, 3: 1, 4: 2}


def inverted(reading: Reading) -> Reading:
    """Return the reading of a meter that is wired the other way round.

    Import and export swap, powers and currents change sign, quadrants and current
    directions turn over. The display's totals (`active`, `reactive`) and the day
    counter stay as the display shows them; a power factor has no direction here.
    """
    turned: dict[Quantity, Value] = {}
    moments = dict(reading.moments)
    for quantity, value in reading.values.items():
        name = quantity.field
        if name in OPPOSITE:
            other = quantity._replace(field=OPPOSITE[name])
            turned[other] = value
            if quantity in reading.moments:
                moments[other] = reading.moments[quantity]
        elif name in SIGNED and isinstance(value, Decimal):
            turned[quantity] = Decimal(0) - value
        elif name.startswith("quadrant") and isinstance(value, int):
            turned[quantity] = _OPPOSITE_QUADRANT.get(value, value)
        elif name.startswith("direction_") and isinstance(value, str):
            turned[quantity] = value.translate(str.maketrans("FR", "RF"))
        else:
            turned[quantity] = value
    moments = {quantity: moment for quantity, moment in moments.items() if quantity in turned}
    return replace(reading, values=turned, moments=moments)
