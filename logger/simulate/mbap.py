"""The side of a gateway that speaks Modbus TCP: frames of it in, RTU frames to the line.

The header has transaction identifier, protocol 0, length and unit (Modbus Messaging on
TCP/IP V1.0b, 3.1). What a meter leaves unanswered, or the line spoils, is answered with
silence.
"""

from __future__ import annotations

import socket
from collections import deque

from logger.simulate.channel import TcpChannel
from logger.simulate.frame import crc16

_HEAD = 6
_SHORTEST, _LONGEST = 2, 254
_FAILED, _REFUSAL, _WRITTEN = 0x80, 5, 8
_COUNTED = range(1, 5)  # functions whose answer has a count of bytes
_AROUND_COUNT = 5
_OPEN = 64


class MbapChannel(TcpChannel):
    """One connection of a master that speaks Modbus TCP."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self._came = b""
        self._answer = b""
        self._open: deque[tuple[bytes, bytes]] = deque(maxlen=_OPEN)  # number; unit, function

    def receive(self) -> bytes | None:
        """Return what has come as RTU frames; None also for what is no Modbus TCP."""
        data = super().receive()
        if data is None:
            return None
        self._came += data
        found = b""
        while len(self._came) >= _HEAD:
            length = int.from_bytes(self._came[4:_HEAD], "big")
            if any(self._came[2:4]) or not _SHORTEST <= length <= _LONGEST:
                return None
            if len(self._came) < _HEAD + length:
                break
            number, body = self._came[:2], self._came[_HEAD : _HEAD + length]
            self._came = self._came[_HEAD + length :]
            self._open.append((number, body[:2]))
            self._answer = b""
            found += body + crc16(body)
        return found

    def send(self, data: bytes) -> None:
        """Send an RTU frame that comes in pieces, when it is whole and its checksum right."""
        self._answer += data
        size = self._size()
        if not size or len(self._answer) < size:
            return
        frame, self._answer = self._answer[:size], b""
        body = frame[:-2]
        if crc16(body) != frame[-2:]:
            return
        about = bytes((body[0], body[1] & ~_FAILED))
        while self._open:
            number, asked = self._open.popleft()
            if asked == about:
                super().send(number + bytes(2) + len(body).to_bytes(2, "big") + body)
                return

    def _size(self) -> int:
        """Return how long the frame is that has begun, 0 while that is not known."""
        if len(self._answer) < 3:
            return 0
        if self._answer[1] & _FAILED:
            return _REFUSAL
        return _AROUND_COUNT + self._answer[2] if self._answer[1] in _COUNTED else _WRITTEN
