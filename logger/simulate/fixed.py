"""A value of its own for every register, so that no test can mistake one for another."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from logger.domain.quantity import Quantity
from logger.models import Encoding, Model, Register
from logger.models.encode import encode

_LOW, _HIGH = 1.0, 30000.0


def fixed_values(model: Model, salt: int = 0) -> Mapping[Quantity, bytes]:
    """Return the bytes of every register by its quantity: all different, all within limits.

    `salt` (0..99) gives another set, for the next meter on the line.
    """
    found: dict[Quantity, bytes] = {}
    used: set[float | str] = set()
    for index, register in enumerate(model.registers, start=1):
        attempt = 0
        while (value := _candidate(model, register, index, salt, attempt)) in used:
            attempt += 1
        used.add(value)
        found[register.quantity] = encode(register, value)
    return found


def _candidate(
    model: Model, register: Register, index: int, salt: int, attempt: int
) -> float | str:
    place = 100 * index + salt + 10007 * attempt
    match register.encoding:
        case Encoding.FLOAT32:
            low, high = (float(limit) for limit in model.limits.get(register.field, (0, 0)))
            if low >= high:
                low, high = _LOW, _HIGH
            low, high = max(low, -_HIGH), min(high, _HIGH)
            share = (place % 30011 + 0.5) / 30011
            value = low + (high - low) * share
            return float(struct.unpack(">f", struct.pack(">f", value))[0])
        case Encoding.BCD if register.field == "product_code":
            prefix = model.guard.prefix if model.guard else ""
            return prefix + str((index + salt + attempt) % 10)
        case Encoding.HEX | Encoding.BCD:
            digits = 4 * register.length
            return str(place * 7919 % 10**digits).zfill(digits)
        case Encoding.ASCII:
            count = 2 * register.length
            letters = ""
            for _ in range(count):
                letters += chr(ord("A") + place % 26)
                place //= 26
            return letters
        case Encoding.INT16 | Encoding.UINT16:
            return place % 32749
        case Encoding.INT32 | Encoding.RECORD:
            return place * 6007 % 2147483647 / 10.0**register.decimals
        case Encoding.UINT32:  # with the highest bit: no signed number
            return (2**31 + place * 6007 % 2**31) / 10.0**register.decimals
