"""Requests among the bytes of a client, and answers as bytes: Modbus TCP and RTU. Pure.

The frames are the server's side of those in `logger.bus` (`frames`, `mbap`), whose checksum is
used. A library would bring a server of its own, with its own threads or event loop, its own
store of registers and its own idea of what to do with garbage; what is needed of it is this page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from logger.bus.frames import SHORTEST, crc16, sealed

# Modbus Messaging on TCP/IP V1.0b, 3.1: number, protocol 0, length of unit and PDU, unit.
_HEAD = 6
_LENGTHS = range(2, 255)
# RTU requests by function: whole length, or where the count of the bytes that follow stands
# and what is around them (V1.1b3, chapter 6).
_FIXED = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 7: 4, 8: 8, 11: 4, 12: 4, 17: 4, 22: 10, 24: 6}
_COUNTED = {15: (6, 9), 16: (6, 9), 20: (2, 5), 21: (2, 5), 23: (10, 13)}
_LONGEST_RTU = 256
BROADCAST = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A request to `unit`: its PDU, and the `head` that its answer repeats."""

    unit: int
    pdu: bytes
    head: bytes = b""


class GarbageError(ValueError):
    """What came is no frame, and nobody can say where the next one begins."""


class Framing(Protocol):
    """How requests are cut out of a stream of bytes."""

    # Whether a unit that is not there is answered for, as a gateway does.
    speaks_for_others: bool
    # How long a frame may take that has begun, seconds.
    frame_s: float

    @property
    def begun(self) -> bool:
        """Whether a part of a frame has come."""
        ...

    def take(self, data: bytes) -> list[Request]:
        """Return the requests that `data` completes. Raises GarbageError."""
        ...

    def silence(self) -> list[Request]:
        """Return what ends with a silence of `frame_s`. Raises GarbageError."""
        ...

    def wrap(self, request: Request, pdu: bytes) -> bytes:
        """Return the answer `pdu` to `request` as bytes."""
        ...


class TcpFraming:
    """Modbus TCP."""

    speaks_for_others = True
    frame_s = 10.0

    def __init__(self) -> None:
        self._came = bytearray()

    @property
    def begun(self) -> bool:
        """Whether a part of a frame has come."""
        return bool(self._came)

    def take(self, data: bytes) -> list[Request]:
        """Return the requests that `data` completes. Raises GarbageError."""
        self._came += data
        found = []
        while len(self._came) >= _HEAD:
            length = int.from_bytes(self._came[4:6], "big")
            if any(self._came[2:4]) or length not in _LENGTHS:
                raise GarbageError("no Modbus TCP")
            if len(self._came) < _HEAD + length:
                break
            body = bytes(self._came[_HEAD : _HEAD + length])
            found.append(Request(body[0], body[1:], bytes(self._came[:4])))
            del self._came[: _HEAD + length]
        return found

    def silence(self) -> list[Request]:
        """Return nothing: half a frame stays one. Raises GarbageError."""
        raise GarbageError("half a frame of Modbus TCP")

    def wrap(self, request: Request, pdu: bytes) -> bytes:
        """Return the answer `pdu` to `request` as bytes."""
        body = bytes((request.unit,)) + pdu
        return request.head + len(body).to_bytes(2, "big") + body


class RtuFraming:
    """RTU frames, on a line or over TCP.

    The length of a known function ends its frame. After what is none all is dropped until the
    line has been silent.
    """

    speaks_for_others = False
    frame_s = 0.05  # a network and this machine are no wire: pieces may come apart

    def __init__(self) -> None:
        self._came = bytearray()
        self._deaf = False

    @property
    def begun(self) -> bool:
        """Whether a part of a frame has come, or what is none."""
        return self._deaf or bool(self._came)

    def take(self, data: bytes) -> list[Request]:
        """Return the requests that `data` completes."""
        self._came += data
        found = []
        while not self._deaf and (length := self._length()) and len(self._came) >= length:
            frame = bytes(self._came[:length])
            if not sealed(frame):
                self._deaf = True
                break
            del self._came[:length]
            found.append(Request(frame[0], frame[1:-2]))
        if self._deaf or len(self._came) > _LONGEST_RTU:
            self._deaf = True
            self._came.clear()
        return found

    def silence(self) -> list[Request]:
        """Return a whole frame of an unknown function. Raises GarbageError for anything else."""
        frame, deaf = bytes(self._came), self._deaf
        self._came.clear()
        self._deaf = False
        if deaf or len(frame) < SHORTEST - 1 or not sealed(frame):
            raise GarbageError("no RTU frame")
        return [Request(frame[0], frame[1:-2])]

    def wrap(self, request: Request, pdu: bytes) -> bytes:
        """Return the answer `pdu` to `request` as bytes."""
        body = bytes((request.unit,)) + pdu
        return body + crc16(body)

    def _length(self) -> int:
        """Return the length of the frame that has begun, 0 while it is not known."""
        if len(self._came) < 2:
            return 0
        function = self._came[1]
        if function in _FIXED:
            return _FIXED[function]
        at, around = _COUNTED.get(function, (_LONGEST_RTU, 0))
        return around + self._came[at] if len(self._came) > at else 0
