"""Values to registers: the way back of `logger.models.decode`. Pure: no port, no clock."""

from __future__ import annotations

import struct
from decimal import Decimal

from logger.models.register import Encoding, Register


def encode(register: Register, value: Decimal | float | str) -> bytes:
    """Return the bytes of `value` in `register`, high word first.

    A number in a "hex" or "bcd" register is written in decimal digits; `value` is in
    the register's `value_unit`.
    """
    size = 2 * register.length
    match register.encoding:
        case Encoding.FLOAT32:
            return struct.pack(">f", float(value) + 0.0)  # never the zero with a minus
        case Encoding.HEX | Encoding.BCD:
            digits = value if isinstance(value, str) else str(int(value))
            return bytes.fromhex(digits.zfill(2 * size)[-2 * size :])
        case Encoding.ASCII:
            return str(value).encode("ascii", errors="replace").ljust(size, b" ")[:size]
        case Encoding.INT16 | Encoding.INT32:
            return _whole(register, value).to_bytes(size, "big", signed=True)
        case Encoding.UINT16 | Encoding.UINT32:
            return (_whole(register, value) % (1 << 8 * size)).to_bytes(size, "big")
        case Encoding.RECORD:
            raise ValueError("a record of a telegram, not registers")


def _whole(register: Register, value: Decimal | float | str) -> int:
    return round(float(value) * 10.0**register.decimals) if register.decimals else int(value)
