"""What a table of M-Bus records is made of, and what a telegram says by it. Pure.

A record is found by its DIF and VIF as the manual prints them, never by its place and
never by what the standard says that they mean: meters use the standard's words in their
own way. Only rows of an option are found by the standard's meaning, where no manual
gives their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from logger.domain.errors import ModelError
from logger.mbus.quantity import standard
from logger.mbus.records import SIZES, Telegram
from logger.mbus.records import Record as Received
from logger.models.register import Model, Register, Value

# A telegram without records: start, C, A, CI, the header of 12 bytes, checksum and stop.
_TELEGRAM_BYTES = 4 + 3 + 12 + 2
# What the header of a telegram says, by the names of rows.
HEADER_FIELDS = ("serial", "manufacturer", "version", "medium", "access_number", "status")


class Kind(StrEnum):
    """How the data of a record become a value."""

    NUMBER = "number"  # a count, times the row's scale where it has one
    RATIO = "ratio"  # six BCD digits: primary current in four, secondary in two


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Register):
    """One row: a record of the telegram, or a field of its header.

    `header` is DIF and VIF in hexadecimal (`8C10 04`) or a name of `HEADER_FIELDS`. One
    count is `scale` of `unit`. `source` says where it is from. A row with an `option` is
    there only in MODEL+OPTION: it is the record of the
    physical quantity `physical` with this `storage`.
    """

    header: str
    source: str
    kind: Kind = Kind.NUMBER
    scale: Decimal | None = None
    option: str = ""
    physical: str = ""
    storage: int = 0

    @property
    def place(self) -> str:
        """Where the value is found, for people."""
        if self.option:
            return f"storage {self.storage}, {self.physical}"
        return self.header


@dataclass(frozen=True, slots=True)
class Said:
    """What a telegram says of one row: a value, or why it is not believed."""

    row: Record
    value: Value | None
    reason: str = ""


def rows_of(model: Model) -> tuple[Record, ...]:
    """Return the rows of `model`."""
    return tuple(one for one in model.registers if isinstance(one, Record))


def with_option(model: Model, option: str) -> Model:
    """Return `model` with the rows of `option` (none: ""), called MODEL+OPTION.

    Raises ModelError for an option that the table does not have.
    """
    known = {row.option for row in rows_of(model) if row.option}
    if option and option not in known:
        raise ModelError(
            f"model {model.name!r} has no option {option!r}",
            f"known: {', '.join(sorted(known))}" if known else "leave it out",
        )
    kept = tuple(
        one for one in model.registers if not isinstance(one, Record) or one.option in ("", option)
    )
    if len(kept) == len(model.registers) and not option:
        return model
    name = f"{model.name}+{option}" if option else model.name
    fields = {row.field for row in kept}
    limits = {field: limit for field, limit in model.limits.items() if field in fields}
    return replace(model, name=name, registers=kept, limits=limits)


def said(model: Model, telegram: Telegram) -> Iterator[Said]:
    """Yield what `telegram` says of each row of `model`; rows that it lacks are left out.

    A record that comes twice is not believed: nobody knows which one is meant.
    """
    for row in rows_of(model):
        if row.header in HEADER_FIELDS:
            yield Said(row, _head(row, telegram))
            continue
        found = [one for one in telegram.records if _is(row, one)]
        if len(found) > 1:
            yield Said(row, None, f"record {row.place} comes {len(found)} times in one telegram")
        elif found:
            try:
                yield Said(row, _value(row, found[0]))
            except ValueError as err:
                yield Said(row, None, str(err))


def telegram_bytes(model: Model) -> int:
    """Return how many bytes the telegram of a meter of `model` has, without options."""
    found = _TELEGRAM_BYTES
    for row in rows_of(model):
        if not row.option and row.header not in HEADER_FIELDS:
            header = bytes.fromhex(row.header)
            found += len(header) + SIZES[header[0] & 0x0F]
    return found


def share(model: Model, telegram: Telegram) -> float:
    """Return which share of the records of `model` is in `telegram`, 0 to 1."""
    wanted = [one for one in rows_of(model) if not one.option and one.header not in HEADER_FIELDS]
    there = {record.header for record in telegram.records}
    return sum(row.header in there for row in wanted) / len(wanted)


def _is(row: Record, record: Received) -> bool:
    if not row.option:
        return record.header == row.header
    meaning = standard(record)
    return (
        meaning is not None
        and (meaning.name, record.storage, record.function) == (row.physical, row.storage, 0)
        and record.subunit == 0
        and record.tariff == 0
    )


def _head(row: Record, telegram: Telegram) -> Value:
    value = getattr(telegram, row.header)
    return value if isinstance(value, str | int) else str(value)


def _value(row: Record, record: Received) -> Value:
    if row.kind is Kind.RATIO:
        digits = record.data[::-1].hex()
        if not digits.isdecimal():
            raise ValueError(f"{record.data.hex(' ')}: these digits are no number")
        return f"{digits[:4]}00{digits[4:]}"  # as the same meter answers it on Modbus
    value = record.value()
    if not isinstance(value, Decimal | int):
        raise ValueError(f"{record.data.hex(' ')}: no number")
    if row.option and (meaning := standard(record)) is not None:
        value *= meaning.count
    return value if row.scale is None else value * row.scale
