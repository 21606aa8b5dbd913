"""What a register table is made of. Pure records: no file, no port.

A value keeps the unit the meter sends (kW, kvar, kVA); `logger.derive.measured` converts. Only
counters in Wh, varh and VAh become kWh, kvarh and kVAh as soon as they are decoded, so
that every counter has the unit that the data model gives it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Literal

from logger.domain.quantity import Quantity


class Encoding(StrEnum):
    """How the 16-bit registers of one value are to be read."""

    FLOAT32 = "float32"  # IEEE 754, high word first
    INT16 = "int16"  # signed
    INT32 = "int32"  # signed, high word first
    UINT16 = "uint16"  # unsigned
    UINT32 = "uint32"  # unsigned, high word first
    HEX = "hex"  # the hexadecimal digits are the printed ones
    BCD = "bcd"  # the same, and all of them decimal
    ASCII = "ascii"  # two characters a register
    RECORD = "record"  # of an M-Bus telegram: its own header says how


class Job(StrEnum):
    """When a register is read."""

    FAST = "fast"  # instantaneous values
    SLOW = "slow"  # energy counters
    IDENTITY = "identity"  # settings and health
    REQUEST = "request"  # only when somebody asks (`read`)


# Units that counters of whole numbers are sent in, and what is made of them.
_THOUSANDTHS: Mapping[str, str] = {"Wh": "kWh", "varh": "kvarh", "VAh": "kVAh"}

# One decoded value: a float32 or a counter as a decimal, a count, or text.
Value = Decimal | int | str

# Registers that one FC03 answer can hold (Modbus application protocol V1.1b3, 6.3).
MAX_REGISTERS_PER_REQUEST = 125


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """How a register is written: Modbus function 6 or 16, and what it accepts.

    What it accepts is given by the register's `choices`, by `one_of`, or by the range
    `low`..`high`. `final` are values that can never be taken back; None stands for
    every value. `config` is the key of the configuration that has to follow a change:
    address, baudrate or parity.
    """

    function: int
    accepts: str = ""
    one_of: tuple[Decimal, ...] = ()
    low: int | None = None
    high: int | None = None
    final: frozenset[Decimal] | None = frozenset()
    config: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One value of a meter.

    `address` as it goes on the wire, `length` in 16-bit registers, `unit` as sent.
    `field`, `phase` and `tariff` name the value in the data model. `choices` are the
    names of its codes. `refuse` says why it is not to be written.
    """

    address: int
    length: int
    encoding: Encoding
    unit: str
    job: Job
    field: str
    phase: str = ""
    tariff: str = ""
    name: str = ""
    write: Write | None = None
    choices: Mapping[int, str] = dataclasses.field(default_factory=dict)
    refuse: str = ""
    note: str = ""
    quantity: Quantity = dataclasses.field(init=False, repr=False, compare=False)
    # How many digits of the number on the wire are behind the value's decimal point.
    decimals: int = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make once what every value that is read needs."""
        object.__setattr__(self, "quantity", Quantity(self.field, self.phase, self.tariff))
        object.__setattr__(self, "decimals", 3 if self.unit in _THOUSANDTHS else 0)

    @property
    def key(self) -> str:
        """The quantity as people and files write it: field, phase and tariff, where there."""
        return str(self.quantity)

    @property
    def place(self) -> str:
        """Where the value is found, for people."""
        return f"0x{self.address:04X}"

    @property
    def end(self) -> int:
        """The first address after this value."""
        return self.address + self.length

    @property
    def value_unit(self) -> str:
        """The unit of the decoded value."""
        return _THOUSANDTHS.get(self.unit, self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A meter code: the name the meter is sold under, and whether it needs transformers."""

    sold_as: str
    ct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A register that must have `value`, or begin with the digits `prefix`: else the
    numbers of the meter mean something else.

    One with a `prefix` says what the meter is: a meter that refuses it is another one.
    """

    field: str
    reason: str
    remedy: str
    value: int | None = None
    prefix: str = ""

    def fits(self, value: Value) -> bool:
        """Return whether `value` is as it must be."""
        return str(value).startswith(self.prefix) if self.prefix else value == self.value


# A run of registers: address and length.
AddressSpan = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A register table with the limits and quirks of the meters it describes.

    With `protocol` "mbus" its registers are records of telegrams (`logger.models.record`),
    of meters whose telegrams name this `manufacturer`, if it is given.
    """

    name: str
    title: str
    manual: str
    registers: tuple[Register, ...]
    protocol: Literal["modbus", "mbus"] = "modbus"
    manufacturer: str = ""
    firmware: str = ""
    codes: Mapping[int, Code] = dataclasses.field(default_factory=dict)
    baudrates: tuple[int, ...] = (9600,)
    # The longest block the meter answers, and the widest run of undefined registers
    # a block may cross: 0 means that every gap starts a new request.
    max_block: int = MAX_REGISTERS_PER_REQUEST
    max_gap: int = MAX_REGISTERS_PER_REQUEST
    # What tells this model from others whose meter code is not known.
    answers: tuple[AddressSpan, ...] = ()
    refuses: tuple[AddressSpan, ...] = ()
    # Keys whose values an unknown meter with this map has, the first one not zero.
    looks: tuple[str, ...] = ()
    guard: Guard | None = None
    # The highest value of an energy counter, kWh: after it comes 0. None: not known.
    counter_max: Decimal | None = None
    # Plausible range by field, in the unit of the value; outside it nothing is believed.
    limits: Mapping[str, tuple[Decimal, Decimal]] = dataclasses.field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.name, self.max_block))  # the whole table would take a millisecond

    def limited(self, longest_block: int | None) -> Model:
        """Return the model for a line that carries no longer blocks; None is no limit."""
        if longest_block is None or longest_block >= self.max_block:
            return self
        return dataclasses.replace(self, max_block=longest_block)

    @cached_property
    def by_quantity(self) -> Mapping[Quantity, Register]:
        """The registers by their quantity."""
        return {register.quantity: register for register in self.registers}

    @cached_property
    def by_key(self) -> Mapping[str, Register]:
        """The registers by their quantity as text, for what people and files name."""
        return {register.key: register for register in self.registers}

    @property
    def one_phase(self) -> bool:
        """Whether the meters measure one phase."""
        return not any(register.phase in ("L2", "L3") for register in self.registers)

    def of_job(self, job: Job) -> tuple[Register, ...]:
        """The registers that `job` reads, by address."""
        return self._by_job[job]

    @cached_property
    def _by_job(self) -> Mapping[Job, tuple[Register, ...]]:
        return {
            job: tuple(register for register in self.registers if register.job is job)
            for job in Job
        }
