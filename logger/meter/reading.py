"""A reading: what one job got from one meter. Pure records and how they are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from logger.domain.datamodel import FIELDS, FieldType
from logger.domain.errors import BusError
from logger.models.decode import decode
from logger.models.plan import Block
from logger.models.register import Job, Model, Register, Value


@dataclass(frozen=True, slots=True)
class Failure:
    """A block that was not read, and why."""

    block: Block
    error: BusError


@dataclass(frozen=True, slots=True)
class Rejected:
    """A value that was read and not believed."""

    key: str
    address: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one job got from one meter; partial when `failures` is not empty.

    `values` by register key, in the meter's own units. `taken_ms` is the moment the
    last answer was complete, `round_ms` the moment the job was due (the same for all
    meters of a round), both milliseconds UTC. `elapsed_ms` is the time on the line.
    """

    meter: str
    role: str
    model: str
    job: Job
    taken_ms: int
    round_ms: int
    values: Mapping[str, Value]
    failures: tuple[Failure, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    requests: int = 0
    elapsed_ms: float = 0.0

    @property
    def complete(self) -> bool:
        """Tell whether every block was read and every value believed."""
        return not self.failures and not self.rejected


@dataclass(slots=True)
class ReadingBuilder:
    """The values and refusals collected while the blocks of one job come in."""

    values: dict[str, Value] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)

    def take(
        self, model: Model, registers: Iterable[Register], block: Block, words: Sequence[int]
    ) -> None:
        """Decode those of `registers` that lie in `block`, whose content is `words`."""
        for register in registers:
            if not block.holds(register):
                continue
            start = register.address - block.address
            try:
                value = decode(register.encoding, words[start : start + register.length])
                _check_limits(model, register, value)
            except ValueError as err:
                self.rejected.append(Rejected(register.key, register.address, str(err)))
            else:
                self.values[register.key] = value


# Smaller than anything a meter sends: the bits of an integer, read as a float32.
_SMALLEST = Decimal("1e-30")
INTEGER_BITS = "these are the bits of an integer, not of a float"


def _check_limits(model: Model, register: Register, value: Value) -> None:
    if isinstance(value, Decimal) and 0 < abs(value) < _SMALLEST:
        raise ValueError(f"{value}: {INTEGER_BITS}")
    known = FIELDS.get(register.field)
    if (
        known
        and known.kind is FieldType.INTEGER
        and isinstance(value, str)
        and not value.isdecimal()
    ):
        raise ValueError(f"{value}: these digits are no number")
    limits = model.limits.get(register.field)
    if limits is None or isinstance(value, str):
        return
    low, high = limits
    if not low <= value <= high:
        raise ValueError(f"{value} {register.unit} is outside {low}..{high} {register.unit}")


_SIGNED = ("active_power", "reactive_power", "current")
_OPPOSITE = {
    "active_import": "active_export",
    "active_export": "active_import",
    "reactive_import": "reactive_export",
    "reactive_export": "reactive_import",
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
    turned: dict[str, Value] = {}
    for key, value in reading.values.items():
        name, _, rest = key.partition("/")
        if name in _OPPOSITE:
            turned["/".join(part for part in (_OPPOSITE[name], rest) if part)] = value
        elif name in _SIGNED and isinstance(value, Decimal):
            turned[key] = Decimal(0) - value
        elif name.startswith("quadrant") and isinstance(value, int):
            turned[key] = _OPPOSITE_QUADRANT.get(value, value)
        elif name.startswith("direction_") and isinstance(value, str):
            turned[key] = value.translate(str.maketrans("FR", "RF"))
        else:
            turned[key] = value
    return replace(reading, values=turned)
