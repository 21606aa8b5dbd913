"""Variable data of a meter (EN 13757-3): a header and records. Pure.

    header   number 4 (BCD), manufacturer 2, version, medium, access number, status, signature 2
    record   DIF [DIFE...] VIF [VIFE...] data

All numbers come low byte first. The DIF says the type of the data, the function (0
instantaneous, 1 maximum, 2 minimum, 3 value during an error) and the lowest bit of the
storage number; each DIFE adds four bits of storage number, two of the tariff and one of
the subunit. `parse` takes a telegram apart and believes nothing that does not fit.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from decimal import Decimal

from logger.mbus.frames import CI_ERROR, CI_VARIABLE, Frame

_HEADER = 12
_EXTENDED = 0x80
_MOST_EXTENSIONS = 10
# Special DIFs: manufacturer's data to the end, the same with more telegrams, a filler.
_MANUFACTURER, _MORE_FOLLOW, _FILLER = 0x0F, 0x1F, 0x2F
_SPECIAL = 0x0F
_PLAIN_TEXT_VIF = 0x7C
_FLOAT, _VARIABLE = 0x05, 0x0D
# Bytes of data by data field; 5 is a float32, 9 to 14 are BCD, 13 has its own length.
SIZES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 6, 7: 8, 8: 0, 9: 1, 10: 2, 11: 3, 12: 4, 14: 6}
BCD = frozenset((9, 10, 11, 12, 14))
_INTEGER = frozenset((1, 2, 3, 4, 6, 7))
# General application errors (EN 13757-3), by the byte behind the control information.
_ERRORS = {
    0: "unspecified",
    1: "it does not know this control information",
    2: "the buffer is too short",
    3: "too many records",
    4: "a record ends too early",
    5: "too many extensions of a DIF",
    6: "too many extensions of a VIF",
    8: "it is too busy to answer",
    9: "it was read too often",
}
_FLOAT_END = 3.4028235e38  # above there is no float32
_TEXT_BELOW = 0xC0  # length bytes below it: so many characters


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its DIF and VIF with their extensions, and its data."""

    dif: bytes
    vif: bytes
    data: bytes

    @property
    def data_field(self) -> int:
        """The type of the data, 0 to 15."""
        return self.dif[0] & 0x0F

    @property
    def function(self) -> int:
        """0 instantaneous, 1 maximum, 2 minimum, 3 value during an error."""
        return self.dif[0] >> 4 & 3

    @property
    def storage(self) -> int:
        """The storage number."""
        number = self.dif[0] >> 6 & 1
        for place, byte in enumerate(self.dif[1:]):
            number |= (byte & 0x0F) << (1 + 4 * place)
        return number

    @property
    def tariff(self) -> int:
        """The tariff, 0 for none."""
        return sum((byte >> 4 & 3) << (2 * place) for place, byte in enumerate(self.dif[1:]))

    @property
    def subunit(self) -> int:
        """The subunit (device) within the meter."""
        return sum((byte >> 6 & 1) << place for place, byte in enumerate(self.dif[1:]))

    @property
    def header(self) -> str:
        """DIF and VIF in hexadecimal, as tables name a record: `8C10 04`."""
        return f"{self.dif.hex()} {self.vif.hex()}".upper()

    def value(self) -> Decimal | int | str | None:
        """Return the data as a number or text, None for none.

        Raises ValueError when the data hold no value: digits that are none, the integer
        that the standard keeps for "invalid", a float that is no number.
        """
        field, data = self.data_field, self.data
        if field in _INTEGER:
            number = int.from_bytes(data, "little", signed=True)
            if number == -(1 << (8 * len(data) - 1)):
                raise ValueError(f"{data.hex(' ')}: the meter marks it as invalid")
            return number
        if field in BCD:
            return bcd(data)
        if field == _FLOAT:
            return _shortest(data)
        if field == _VARIABLE:
            return data[::-1].decode("latin-1")
        return None


@dataclass(frozen=True, slots=True)
class Telegram:
    """What one answer says. `serial` are eight digits; `more` says that others follow."""

    serial: str
    manufacturer: str
    version: int
    medium: int
    access_number: int
    status: int
    records: tuple[Record, ...]
    more: bool = False


def bcd(data: bytes) -> int:
    """Return the number of the BCD digits, low byte first; a leading F is a minus."""
    digits = data[::-1].hex()
    sign = 1
    if digits.startswith("f"):
        digits, sign = digits[1:], -1
    if not digits.isdecimal():
        raise ValueError(f"{data.hex(' ')}: these digits are no number")
    return sign * int(digits)


def _shortest(data: bytes) -> Decimal:
    """Return the shortest decimal that is this float32. ValueError for none that is one."""
    found = struct.unpack("<f", data)[0]
    if not math.isfinite(found):
        raise ValueError(f"not a number: {found}")
    for digits in range(6, 9):
        short = f"{found:.{digits}g}"
        if abs(float(short)) < _FLOAT_END and struct.pack("<f", float(short)) == data:
            return Decimal(short)
    return Decimal(f"{found:.9g}")


def manufacturer_name(code: int) -> str:
    """Return the three letters of a manufacturer's code (EN 13757-3: EN 62056-21 flag)."""
    return "".join(chr(64 + (code >> shift & 0x1F)) for shift in (10, 5, 0))


def manufacturer_code(name: str) -> int:
    """Return the code of a manufacturer's three letters."""
    one, two, three = (ord(letter) - 64 for letter in name)
    return one << 10 | two << 5 | three


def parse(frame: Frame) -> Telegram:
    """Return what `frame` says. Raises ValueError with the reason if it makes no sense."""
    if frame.information == CI_ERROR:
        code = frame.data[0] if frame.data else 0
        raise ValueError(f"it reports an error: {_ERRORS.get(code, f'code {code}')}")
    if frame.information != CI_VARIABLE:
        raise ValueError(
            f"control information {frame.information:02X}: only variable data (72) are understood"
        )
    data = frame.data
    if len(data) < _HEADER:
        raise ValueError(f"{len(data)} bytes are too few for the header")
    if data[10:12] != b"\0\0":
        raise ValueError(f"signature {data[10:12].hex(' ')}: the data are encrypted")
    records, more = _records(data[_HEADER:])
    return Telegram(
        serial=data[3::-1].hex().upper(),
        manufacturer=manufacturer_name(int.from_bytes(data[4:6], "little")),
        version=data[6],
        medium=data[7],
        access_number=data[8],
        status=data[9],
        records=records,
        more=more,
    )


def _records(data: bytes) -> tuple[tuple[Record, ...], bool]:
    found: list[Record] = []
    at = 0
    while at < len(data):
        if data[at] == _FILLER:
            at += 1
            continue
        if data[at] in (_MANUFACTURER, _MORE_FOLLOW):
            return tuple(found), data[at] == _MORE_FOLLOW
        record, at = _record(data, at)
        found.append(record)
    return tuple(found), False


def _record(data: bytes, start: int) -> tuple[Record, int]:
    """Return the record at `start` and where it ends."""
    field = data[start] & 0x0F
    if field == _SPECIAL:
        raise ValueError(f"DIF {data[start]:02X} is reserved")
    at = _extended(data, start)
    dif, vif_start = data[start:at], at
    first = _byte(data, at)
    if first & 0x7F == _PLAIN_TEXT_VIF:  # its text follows at once, then the extensions
        at += 2 + _byte(data, at + 1)
        if first & _EXTENDED:
            at = _extended(data, at)
    else:
        at = _extended(data, at)
    vif = data[vif_start:at]
    if field == _VARIABLE:
        size = _byte(data, at)
        if size >= _TEXT_BELOW:
            raise ValueError(f"variable length {size:02X} is not understood")
        at += 1
    else:
        size = SIZES[field]
    if at + size > len(data):
        raise ValueError(f"record {dif.hex()} {vif.hex()} is cut off")
    return Record(dif, vif, data[at : at + size]), at + size


def _extended(data: bytes, at: int) -> int:
    """Return where an information byte at `at` and its extensions end."""
    for end in range(at, at + 1 + _MOST_EXTENSIONS):
        if not _byte(data, end) & _EXTENDED:
            return end + 1
    raise ValueError(f"more than {_MOST_EXTENSIONS} extensions of one byte")


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise ValueError("a record is cut off")
    return data[at]
