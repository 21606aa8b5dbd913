"""Registers to values, exact to the last bit. Pure: no port, no clock."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from decimal import Decimal

from logger.models.register import Encoding, Register, Value

# A float32 is told apart by 9 digits; 6 digits survive the way there and back (IEEE 754).
_SURE_DIGITS, _ALL_DIGITS = 6, 9
_SMALLEST_NORMAL = 2.0**-126
# Two neighbouring float32 are at least 2^-24 of the larger one apart.
_NEAR = 2.0**-25


def shortest(number: float) -> Decimal:
    """Return the shortest decimal that is the float32 `number` and no other.

    1.2339999675750732 (what a float32 holds for 1.234) gives 1.234. Raises ValueError
    for NaN and infinity, which no meter measures.
    """
    if not math.isfinite(number):
        raise ValueError(f"not a number: {number}")
    if number == 0:
        return Decimal(0)
    first = _SURE_DIGITS if abs(number) >= _SMALLEST_NORMAL else 1
    # A power of two has more room above than below: there the nearest decimal of some
    # length may be another float while the next one up is this one.
    power_of_two = abs(math.frexp(number)[0]) == 0.5
    # What is nearer than half of the gap to the next float32 is no other one: no need to try.
    near_enough = abs(number) * _NEAR
    for digits in range(first, _ALL_DIGITS):
        text = f"{number:.{digits}g}"
        given = float(text)
        if abs(given - number) < near_enough or _as_float32(given) == number:
            return Decimal(text)
        if power_of_two:
            near = Decimal(text)
            up = near + Decimal(1).scaleb(near.adjusted() - digits + 1).copy_sign(near)
            if _as_float32(float(up)) == number:
                return up
    return Decimal(f"{number:.{_ALL_DIGITS}g}")


_FLOAT32 = struct.Struct(">f")


def _as_float32(number: float) -> float:
    try:
        return float(_FLOAT32.unpack(_FLOAT32.pack(number))[0])
    except OverflowError:  # rounded up beyond the largest float32
        return math.inf


def decode(encoding: Encoding, words: Sequence[int]) -> Value:
    """Return the value of `words`, one register each, 0..0xFFFF, high word first.

    float32 gives a Decimal in the meter's unit, whole numbers an int, hex and bcd the
    printed digits as text ("22091039"), ascii the text. Raises ValueError with the reason when
    the words hold no such value.
    """
    raw = struct.pack(f">{len(words)}H", *words)
    match encoding:
        case Encoding.FLOAT32:
            return shortest(_FLOAT32.unpack(raw)[0])
        case Encoding.INT16 | Encoding.INT32:
            return int.from_bytes(raw, "big", signed=True)
        case Encoding.UINT16 | Encoding.UINT32:
            return int.from_bytes(raw, "big")
        case Encoding.HEX:
            return raw.hex().upper()
        case Encoding.BCD:
            if not raw.hex().isdecimal():
                raise ValueError(f"not decimal digits: {raw.hex(' ')}")
            return raw.hex()
        case Encoding.ASCII:
            text = raw.rstrip(b"\0 ").decode("ascii", errors="replace")
            if not text.isprintable() or "�" in text:
                raise ValueError(f"not text: {raw.hex(' ')}")
            return text
        case Encoding.RECORD:
            raise ValueError("a record of a telegram, not registers")


def value_of(register: Register, words: Sequence[int]) -> Value:
    """Return what `register` holds, in its `value_unit`: 1234567 Wh give 1234.567 kWh.

    Raises ValueError as `decode` does.
    """
    value = decode(register.encoding, words)
    if register.decimals and not isinstance(value, str):
        return Decimal(value).scaleb(-register.decimals)
    return value
