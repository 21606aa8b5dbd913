"""A unit with the registers of a PRO380: for a charger or inverter that knows that meter. Pure.

Values are those of the data model, in the meter's units (kW). A value that is too old makes the
request fail, as a meter that does not answer; one that the source does not have is "no number"
(NaN), and a request for nothing else is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from logger.domain.datamodel import SCALE
from logger.domain.quantity import Quantity
from logger.models import Encoding, Model, Register, Value
from logger.models.encode import encode
from logger.models.plan import Block
from logger.share.demand import Outcome
from logger.share.newest import Picture, number
from logger.share.pdu import Code, words_of
from logger.share.source import Source

_NO_NUMBER = b"\x7f\xc0\x00\x00"  # a quiet NaN (IEEE 754, 6.2.1)
# The combination code of a total that is import and export together (manual 2.18-6, 7.12).
_BOTH = 5
_CONSTANT: Mapping[str, Value] = {
    "meter_code": "0102",
    "baud_rate": 9600,
    "protocol_version": Decimal("3.2"),
    "software_version": Decimal("2.18"),
    "hardware_version": Decimal("1.27"),
    "meter_amps": 100,
    "ct_ratio": "0005",
    "s0_output_rate": 1000,
    "combination_code": _BOTH,
    "lcd_cycle_time": 10,
    "parity": 1,
    "error_code": 0,
    "power_down_count": 0,
    "checksum": "0",
    "status_word": "0",
    "ct_mode": 5,
    "tariff": 1,
}


class Pro380Unit:
    """The registers of a PRO380 (`model`), filled with the values of `source`."""

    def __init__(self, unit: int, model: Model, source: Source) -> None:
        self.source = source
        self._model = model
        self._unit = unit
        self._end = model.registers[-1].end

    def read(self, block: Block, now: float, done: Callable[[Outcome], None]) -> None:
        """Answer with the words of `block`, or with an exception."""
        done(self._words(block, now))

    def _words(self, block: Block, now: float) -> Outcome:
        registers = [
            one
            for one in self._model.registers
            if one.address < block.end and one.end > block.address
        ]
        if not registers or block.address < self._model.registers[0].address:
            return Code.ILLEGAL_ADDRESS
        if block.end > self._end:
            return Code.ILLEGAL_ADDRESS
        if self.source.silent:
            return Code.NO_ANSWER
        picture = self.source.picture(now)
        words = [0] * block.count
        lacking = 0
        for register in registers:
            value = self._value(register, picture)
            if value is None:
                return Code.NO_ANSWER
            lacking += value == _NO_NUMBER
            for offset, word in enumerate(words_of(value)):
                at = register.address + offset - block.address
                if 0 <= at < block.count:
                    words[at] = word
        return Code.ILLEGAL_ADDRESS if lacking == len(registers) else words

    def _value(self, register: Register, picture: Picture) -> bytes | None:
        """Return what `register` holds, None when that is too old."""
        quantity = register.quantity
        if register.field == "serial":
            return encode(register, self.source.serial)
        if register.field == "modbus_id":
            return encode(register, self._unit)
        if register.field in ("voltage", "current") and register.phase == "total":
            return encode(register, 0)  # for meters of one phase; a PRO380 answers 0
        if register.field in ("active", "reactive"):
            return _both(register, picture)
        if register.field.startswith(("quadrant", "direction_")):
            return _sense(register, picture)
        if register.field == "tariff" and picture.get(quantity, 1) is None:
            return None
        if register.field in _CONSTANT:
            value = picture.get(quantity) if register.field == "tariff" else None
            return encode(register, _CONSTANT[register.field] if value is None else value)
        if quantity not in picture:
            return _NO_NUMBER if register.encoding is Encoding.FLOAT32 else bytes(2)
        found = picture[quantity]
        if found is None or isinstance(found, str):
            return None if found is None else _NO_NUMBER
        return encode(register, Decimal(found) / SCALE.get(register.unit, Decimal(1)))


def _both(register: Register, picture: Picture) -> bytes | None:
    """Return what was drawn and fed together, as the combination code says."""
    quantity = register.quantity
    parts = [quantity._replace(field=f"{register.field}_{way}") for way in ("import", "export")]
    if not all(part in picture for part in parts):
        return _NO_NUMBER
    values = [number(picture, *part) for part in parts]
    known = [value for value in values if value is not None]
    return encode(register, sum(known, Decimal(0))) if len(known) == len(values) else None


def _sense(register: Register, picture: Picture) -> bytes | None:
    """Return quadrant (1 to 4, counterclockwise) or direction ("1F", "1R") of a phase."""
    name, _, place = register.field.partition("_")
    phase = place.upper() or "total"
    signs = []
    for field in ("active_power", "reactive_power"):
        value = picture.get(Quantity(field, phase), 0)
        if value is None:
            return None
        signs.append(isinstance(value, str) or value >= 0)
    drawn, inductive = signs
    if name == "direction":
        return encode(register, f"{phase[-1]}{'F' if drawn else 'R'}")
    return encode(register, (1 if inductive else 4) if drawn else (2 if inductive else 3))


def numbers(model: Model) -> Sequence[Register]:
    """Return the registers of `model` that hold measured values and counters."""
    return [
        one
        for one in model.registers
        if one.phase and not (one.field in ("voltage", "current") and one.phase == "total")
    ]
