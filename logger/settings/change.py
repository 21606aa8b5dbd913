"""From a name and a word to the frame that changes a setting. Pure."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from logger.bus.frames import WRITE_ONE, crc16
from logger.domain.errors import ConfigError
from logger.models import Encoding, Model, Register, Value, Write
from logger.settings.names import accepted, find, shown

_RATIO = re.compile(r"(\d{1,4})\s*/\s*([15])")
_RESETS = ("reset", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A value for one register: `words` as they are written, `wanted` in words.

    `final` says that it can never be taken back.
    """

    register: Register
    write: Write
    words: tuple[int, ...]
    wanted: str
    final: bool

    def frame(self, address: int) -> bytes:
        """Return the request to the meter at `address`, with its checksum."""
        start = bytes((address, self.write.function)) + self.register.address.to_bytes(2, "big")
        data = b"".join(word.to_bytes(2, "big") for word in self.words)
        if self.write.function != WRITE_ONE:
            start += len(self.words).to_bytes(2, "big") + bytes((len(data),))
        return start + data + crc16(start + data)

    def made(self, before: str, after: str) -> bool:
        """Return whether `after`, read back, is what this change wanted."""
        if self.resets:  # a counter that has begun to count again is fine
            return _leading(after) < _leading(before) or _leading(after) == 0
        return after in (self.wanted, self.wanted.removesuffix(" not saved"))

    @property
    def resets(self) -> bool:
        """Return whether this sets a counter to 0."""
        return self.write.one_of == (Decimal(0),)


def prepare(model: Model, name: str, value: str) -> Change:
    """Return the change of the setting `name` of `model` to `value`.

    Raises ConfigError for a name or value that the manual does not allow.
    """
    register = find(model, name)
    write = register.write
    assert write is not None  # `find` returns only what can be written
    if register.encoding is Encoding.HEX and register.length == 2:
        primary, secondary = _ratio(register, write, value)
        words = [int(str(primary), 16), secondary]
        number, wanted = Decimal(primary), f"{primary}/{secondary}"
    else:
        number = _number(register, write, value)
        words = _encoded(register, number)
        wanted = "0" if write.one_of == (Decimal(0),) else shown(register, _value(register, number))
    return Change(
        register=register,
        write=write,
        words=tuple(words),
        wanted=wanted,
        final=write.final is None or number in write.final,
    )


def _leading(shown_value: str) -> Decimal:
    """Return the number that a value in words begins with."""
    return Decimal(shown_value.split(" ")[0])


def _number(register: Register, write: Write, text: str) -> Decimal:
    plain = text.strip()
    if write.one_of == (Decimal(0),) and plain.lower() in _RESETS:
        return Decimal(0)
    names = {name.lower(): Decimal(code) for code, name in register.choices.items()}
    if plain.lower() in names:
        return names[plain.lower()]
    try:
        number = Decimal(plain)
    except InvalidOperation:
        raise _refused(register, write, text) from None
    if register.choices:
        allowed = number in {Decimal(code) for code in register.choices}
        # A name that is a number itself ("9600") goes before the code behind it.
        allowed = allowed and not all(name.isdecimal() for name in names)
    elif write.one_of:
        allowed = number in write.one_of
        number = next((one for one in write.one_of if one == number), number)
    else:
        low, high = write.low, write.high
        allowed = low is not None and high is not None and low <= number <= high
        allowed = allowed and number == number.to_integral_value()
    if not allowed:
        raise _refused(register, write, text)
    return number


def _ratio(register: Register, write: Write, text: str) -> tuple[int, int]:
    match = _RATIO.fullmatch(text.strip())
    if match is None or not (write.low or 0) <= int(match[1]) <= (write.high or 0):
        raise ConfigError(
            f"{register.name}: {text!r} is not allowed",
            f'primary and secondary current, such as "250/5": {write.low}..{write.high} to 1 or 5',
        )
    return int(match[1]), int(match[2])


def _refused(register: Register, write: Write, text: str) -> ConfigError:
    allowed = accepted(register)
    if write.config == "address" and text.strip() == "0":
        allowed += "; 0 would speak to every meter on the line"
    return ConfigError(f"{register.name}: {text!r} is not allowed", f"allowed: {allowed}")


def _encoded(register: Register, number: Decimal) -> list[int]:
    if register.encoding is Encoding.FLOAT32:
        raw = struct.pack(">f", float(number))
    elif register.encoding is Encoding.HEX:  # the digits are the decimal ones: 25 is 0x25
        raw = int(str(int(number)), 16).to_bytes(2 * register.length, "big")
    else:
        raw = int(number).to_bytes(2 * register.length, "big", signed=True)
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def _value(register: Register, number: Decimal) -> Value:
    if register.encoding is Encoding.FLOAT32:
        return number
    if register.encoding is Encoding.HEX:
        return f"{int(number):0{4 * register.length}d}"
    return int(number)
