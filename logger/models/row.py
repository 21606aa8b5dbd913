"""One line of a register table as it stands in a file, and the checks it has to pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from logger.domain.datamodel import FIELDS, PHASES, TARIFFS_AND_TOTAL
from logger.models.register import MAX_REGISTERS_PER_REQUEST, Encoding, Job, Register, Write

_E = TypeVar("_E", bound=StrEnum)


class TableRow(BaseModel):
    """One line of a table as it stands in the file."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    address: Annotated[int, Field(ge=0, le=0xFFFF)]
    length: Annotated[int, Field(ge=1, le=MAX_REGISTERS_PER_REQUEST)]
    type: str
    unit: str = ""
    job: str
    field: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    phase: str = ""
    tariff: str = ""
    name: str
    choices: dict[str, str] = {}
    write: Literal[6, 16] | None = None
    accepts: str = ""
    one_of: list[float] = []
    range: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None
    final: list[float] | bool = False
    refuse: str = ""
    config: Literal["", "address", "baudrate", "parity"] = ""
    note: str = ""

    def register(self) -> Register:
        """Return the checked record; ValueError says what is wrong with it."""
        encoding = _member(Encoding, self.type, "type")
        if encoding is Encoding.RECORD:
            raise ValueError("type 'record': a table of M-Bus records has [records], not registers")
        lengths: dict[Encoding, tuple[int, ...]] = {
            Encoding.FLOAT32: (2,),
            Encoding.INT16: (1,),
            Encoding.INT32: (2,),
            Encoding.UINT16: (1,),
            Encoding.UINT32: (2,),
        }
        expected = lengths.get(encoding)
        if expected and self.length not in expected:
            raise ValueError(f"length {self.length}: a {encoding} takes {expected[0]} registers")
        checked_names(self.field, self.phase, self.tariff, self.unit)
        choices = choices_of(self.choices)
        return Register(
            address=self.address,
            length=self.length,
            encoding=encoding,
            unit=self.unit,
            job=checked_job(self.job),
            field=self.field,
            phase=self.phase,
            tariff=self.tariff,
            name=self.name,
            write=self._write(encoding, choices) if self.write else None,
            choices=choices,
            refuse=self.refuse,
            note=self.note,
        )

    def _write(self, encoding: Encoding, choices: Mapping[int, str]) -> Write:
        if self.write == 6 and self.length != 1:
            raise ValueError(f"write 6 writes one register, this value has {self.length}")
        if encoding is Encoding.ASCII:
            raise ValueError("write: text cannot be written")
        if not (choices or self.one_of or self.range or self.accepts):
            raise ValueError("write: say what it accepts: choices, one_of, range or accepts")
        low, high = self.range if self.range else (None, None)
        if low is not None and high is not None and low > high:
            raise ValueError(f"range: {low} is above {high}")
        values = tuple(map(_decimal, self.one_of))
        return Write(
            function=self.write or 0,
            accepts=self.accepts or _accepts(choices, values, low, high),
            one_of=values,
            low=low,
            high=high,
            final=_final(self.final),
            config=self.config,
        )


def _decimal(value: float) -> Decimal:
    return Decimal(int(value)) if float(value).is_integer() else Decimal(str(value))


def _final(given: list[float] | bool) -> frozenset[Decimal] | None:
    if isinstance(given, bool):
        return None if given else frozenset()
    return frozenset(map(_decimal, given))


def checked_names(field: str, phase: str, tariff: str, unit: str) -> None:
    """Raise ValueError for a phase, tariff or unit that the data model does not know."""
    if phase and phase not in PHASES:
        raise ValueError(f"phase {phase!r}: expected one of {', '.join(PHASES)}")
    if tariff and tariff not in TARIFFS_AND_TOTAL:
        raise ValueError(f"tariff {tariff!r}: expected one of {', '.join(TARIFFS_AND_TOTAL)}")
    known = FIELDS.get(field)
    if known and known.units and unit not in known.units:
        raise ValueError(f"unit {unit!r}: field {field} is sent in {' or '.join(known.units)}")


def checked_job(name: str) -> Job:
    """Return the job called `name`; ValueError for another name."""
    return _member(Job, name, "job")


def choices_of(given: Mapping[str, str]) -> Mapping[int, str]:
    """Return the names of codes by number; ValueError for a key that is none."""
    try:
        return {int(code, 0): name for code, name in given.items()}
    except ValueError:
        raise ValueError(f"choices: expected whole numbers as keys, not {list(given)}") from None


def _accepts(
    choices: Mapping[int, str], values: Sequence[Decimal], low: int | None, high: int | None
) -> str:
    if choices:
        return ", ".join(f"{code} {name}" for code, name in choices.items())
    if values:
        return "0 resets" if values == (Decimal(0),) else ", ".join(f"{v:f}" for v in values)
    return f"{low}..{high}" if low is not None else ""


def _member(kind: type[_E], value: str, what: str) -> _E:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(kind)
        raise ValueError(f"{what} {value!r}: expected one of {names}") from None
