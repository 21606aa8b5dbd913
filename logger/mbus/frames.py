"""Link frames of wired M-Bus (EN 13757-2): how they are built and found. Pure.

    acknowledgement   E5
    short frame       10 C A checksum 16
    long frame        68 L L 68 C A CI data checksum 16     L counts C to the last of the data
    control frame     a long frame without data, L = 3

The checksum is the sum of all bytes from C to the last of the data, modulo 256. The
standard promises little for it: a frame counts only if every other rule holds, too.
"""

from __future__ import annotations

from dataclasses import dataclass

ACK = 0xE5
SHORT_START, LONG_START, STOP = 0x10, 0x68, 0x16
# Control fields of the master. REQ_UD2 alternates its frame count bit: with the same bit
# as before a meter repeats its last answer.
SND_NKE, SND_UD, REQ_UD2 = 0x40, 0x53, 0x5B
FRAME_COUNT_BIT = 0x20
# What a meter answers with; it may set the bits "access demand" and "data flow control".
RSP_UD = 0x08
_RSP_UD_FLAGS = 0x30
# Addresses: of a meter, of the selected meter, of every meter (and all answer).
PRIMARY = range(251)
SELECTED, EVERYBODY = 253, 254
# Control information: select by secondary address, data for the meter, variable data.
CI_SELECT, CI_DATA, CI_VARIABLE = 0x52, 0x51, 0x72
# A control information of answers: the meter reports an error.
CI_ERROR = 0x70
# A control information that sets the baud rate, by the rate.
CI_BAUDRATE = {300: 0xB8, 600: 0xB9, 1200: 0xBA, 2400: 0xBB, 4800: 0xBC, 9600: 0xBD}
_HEAD, _TAIL = 4, 2
_SHORTEST_LENGTH = 3
# A stop, an address and all else of the longest frame: L is one byte.
LONGEST = _HEAD + 0xFF + _TAIL


def checksum(data: bytes) -> int:
    """Return the checksum of `data`."""
    return sum(data) & 0xFF


def short(control: int, address: int) -> bytes:
    """Return a short frame."""
    body = bytes((control, address))
    return bytes((SHORT_START, *body, checksum(body), STOP))


def long(control: int, address: int, information: int, data: bytes = b"") -> bytes:
    """Return a long frame, a control frame if `data` is empty. ValueError if it is too long."""
    body = bytes((control, address, information)) + data
    if len(body) > 0xFF:
        raise ValueError(f"{len(data)} bytes do not fit into one frame")
    head = bytes((LONG_START, len(body), len(body), LONG_START))
    return head + body + bytes((checksum(body), STOP))


def reset(address: int) -> bytes:
    """Return SND_NKE: the frame count bit starts anew; to 253, nobody is selected."""
    return short(SND_NKE, address)


def request(address: int, frame_count_bit: bool) -> bytes:
    """Return REQ_UD2: send your data."""
    return short(REQ_UD2 | (FRAME_COUNT_BIT if frame_count_bit else 0), address)


def select(digits: str) -> bytes:
    """Return the selection of the meters whose eight digits are `digits`, F for any."""
    if len(digits) != 8 or set(digits) - set("0123456789F"):
        raise ValueError(f"secondary address {digits!r}: expected eight digits, F for any")
    anything = b"\xff\xff\xff\xff"  # manufacturer, version, medium
    return long(SND_UD, SELECTED, CI_SELECT, bytes.fromhex(digits)[::-1] + anything)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a meter is found: its primary address, or its eight digits (F for any)."""

    address: int
    digits: str = ""

    def __str__(self) -> str:
        return f"secondary address {self.digits}" if self.digits else f"address {self.address}"

    def fits(self, serial: str) -> bool:
        """Return whether the meter with the eight digits `serial` can be meant."""
        pairs = zip(self.digits, serial, strict=True)
        return not self.digits or all(wanted in ("F", own) for wanted, own in pairs)


@dataclass(frozen=True, slots=True)
class Frame:
    """An answer with data: `raw` as it came, and its fields."""

    raw: bytes
    address: int
    information: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """What some bytes hold after the echo of the request.

    `acknowledged` when they are the one byte E5, `frame` when a whole answer is among
    them. `missing` is how many bytes at least are needed before there can be one.
    `rest` are the bytes without the echo, `spoiled` says that bytes came which are
    neither: noise, a collision, a damaged frame.
    """

    acknowledged: bool = False
    frame: Frame | None = None
    missing: int = 1
    rest: bytes = b""
    echoed: bool = False
    spoiled: bool = False


def search(asked: bytes, heard: bytes) -> Heard:
    """Look in `heard` for the answer to the frame `asked`, which may be echoed first."""
    if heard and len(heard) < len(asked) and asked.startswith(heard):
        return Heard(missing=len(asked) - len(heard) + 1)
    echoed = heard.startswith(asked)
    rest = heard[len(asked) :] if echoed else heard
    if rest == bytes((ACK,)):
        return Heard(acknowledged=True, missing=0, rest=rest, echoed=echoed)
    missing, at = 0, rest.find(LONG_START)
    while at >= 0:
        needed, frame = _long_at(rest[at:])
        if frame is not None:
            return Heard(frame=frame, missing=0, rest=rest, echoed=echoed, spoiled=at > 0)
        if needed and not missing:
            missing = needed
        at = rest.find(LONG_START, at + 1)
    return Heard(missing=missing or 1, rest=rest, echoed=echoed, spoiled=bool(rest and not missing))


def _long_at(data: bytes) -> tuple[int, Frame | None]:
    """Return the answer at the begin of `data`; else how many bytes may make it one."""
    length = data[1] if len(data) > 1 else _SHORTEST_LENGTH
    expected = bytes((LONG_START, length, length, LONG_START))
    if length < _SHORTEST_LENGTH or data[:_HEAD] != expected[: len(data)]:
        return 0, None
    whole = _HEAD + length + _TAIL
    if len(data) < whole:
        return whole - len(data), None
    body = data[_HEAD : _HEAD + length]
    if data[whole - 1] != STOP or data[whole - 2] != checksum(body):
        return 0, None
    if body[0] & ~_RSP_UD_FLAGS != RSP_UD:  # a frame of some master, or no answer to a read
        return 0, None
    return 0, Frame(data[:whole], body[1], body[2], body[3:])
