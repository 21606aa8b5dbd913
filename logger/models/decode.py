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
# Two neighbouring float32 are at least 2^-24 of the larger one apart, and at most 2^-23 of it
# where they are normal: what is nearer than half of the one is this float, what is further
# than half of the other is not.
_NEAR, _FAR = 2.0**-25, 2.0**-24
_FORMATS = tuple(f"%.{digits}g" for digits in range(_ALL_DIGITS + 1))


def shortest(number: float) -> Decimal:
    """Return the shortest decimal that is the float32 `number` and no other.

    1.2339999675750732 (what a float32 holds for 1.234) gives 1.234. Raises ValueError
    for NaN and infinity, which no meter measures.
    """
    if not math.isfinite(number):
        raise ValueError(f"not a number: {number}")
    if number == 0:
        return Decimal(0)
    size = abs(number)
    first, far = (_SURE_DIGITS, size * _FAR) if size >= _SMALLEST_NORMAL else (1, math.inf)
    near = size * _NEAR
    for digits in range(first, _ALL_DIGITS):
        text = _FORMATS[digits] % number
        given = float(text)
        off = abs(given - number)
        if off < near or (off <= far and _as_float32(given) == number):
            return Decimal(text)
        # A power of two has more room above than below: there the nearest decimal of some
        # length may be another float while the next one up is this one.
        if math.frexp(size)[0] == 0.5:
            below = Decimal(text)
            up = below + Decimal(1).scaleb(below.adjusted() - digits + 1).copy_sign(below)
            if _as_float32(float(up)) == number:
                return up
    return Decimal(_FORMATS[_ALL_DIGITS] % number)


_FLOAT32, _TWO_WORDS = struct.Struct(">f"), struct.Struct(">HH")


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
    if encoding is Encoding.FLOAT32:  # as nearly always
        return shortest(_FLOAT32.unpack(_TWO_WORDS.pack(*words))[0])
    raw = struct.pack(f">{len(words)}H", *words)
    match encoding:
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
