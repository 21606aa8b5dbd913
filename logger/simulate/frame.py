"""Modbus RTU frames as a slave sees them. Pure.

Modbus over serial line V1.02: address, function, data, CRC-16 with the low byte first;
at least 3.5 characters of silence between frames.
"""

from __future__ import annotations

from dataclasses import dataclass

BROADCAST = 0
SILENCE_CHARACTERS = 3.5
# Start, eight data bits, parity, stop; without parity two stop bits are the standard,
# but meters and adapters use one.
_BITS = {"E": 11, "O": 11, "N": 10}

_FIXED_LENGTH = 8  # address, function, four bytes, CRC
_COUNTED = (0x0F, 0x10)
_COUNT_AT = 6
_AROUND_COUNT = 9
_SHORTEST = 4


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC = _crc_table()


def crc16(data: bytes) -> bytes:
    """Return the CRC of `data` as it goes on the line, low byte first."""
    value = 0xFFFF
    for byte in data:
        value = (value >> 8) ^ _CRC[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def seal(address: int, pdu: bytes) -> bytes:
    """Return the frame that carries `pdu` to or from `address`."""
    body = bytes((address,)) + pdu
    return body + crc16(body)


def character_s(baudrate: int, parity: str) -> float:
    """Return how long one character lasts on the line, in seconds."""
    return _BITS[parity] / baudrate


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came: `raw` bytes, and what they say."""

    raw: bytes
    address: int
    pdu: bytes


class FrameReader:
    """Cuts a stream of bytes into requests, whatever pieces it comes in.

    The length of a known function ends its frame, so requests that arrive together are
    told apart. After a wrong checksum all is dropped until the line has been silent.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._deaf = False

    @property
    def waiting(self) -> bool:
        """Return whether silence on the line would mean something now."""
        return self._deaf or bool(self._bytes)

    def take(self, data: bytes) -> list[Request]:
        """Return the requests that `data` completes."""
        self._bytes += data
        found = []
        while not self._deaf and (length := self._length()) and len(self._bytes) >= length:
            raw = bytes(self._bytes[:length])
            if crc16(raw[:-2]) != raw[-2:]:
                self._deaf = True
                break
            del self._bytes[:length]
            found.append(Request(raw, raw[0], raw[1:-2]))
        return found

    def silence(self) -> list[Request]:
        """Return what ends with a silence: a frame of unknown length, or nothing."""
        raw = bytes(self._bytes)
        whole = not self._deaf and len(raw) >= _SHORTEST and crc16(raw[:-2]) == raw[-2:]
        self._bytes.clear()
        self._deaf = False
        return [Request(raw, raw[0], raw[1:-2])] if whole else []

    def _length(self) -> int | None:
        if len(self._bytes) < 2:
            return None
        function = self._bytes[1]
        if 1 <= function <= 6:
            return _FIXED_LENGTH
        if function in _COUNTED and len(self._bytes) > _COUNT_AT:
            return _AROUND_COUNT + self._bytes[_COUNT_AT]
        return None
