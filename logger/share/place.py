"""Where the server listens: TCP, and devices of this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from logger.bus.device import SerialPort, open_device
from logger.config.ports import network
from logger.config.share import ModbusShare
from logger.share.framing import Framing, RtuFraming, TcpFraming

_BACKLOG = 64
# The system keeps so much for a client that takes no answers, bytes (Linux: twice that): left to
# itself it keeps megabytes for each.
_SEND_BUFFER = 16 * 1024


class Channel(Protocol):
    """A client's bytes, without waiting."""

    @property
    def name(self) -> str:
        """Who it is: the address, or the device."""
        ...

    def fileno(self) -> int:
        """Return what a selector waits for."""
        ...

    def receive(self) -> bytes | None:
        """Return what came, None at the end. Raises OSError."""
        ...

    def send(self, data: bytes) -> int:
        """Return how many bytes of `data` went out, 0 when none can now. Raises OSError."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class TcpChannel:
    """A connection of a client."""

    def __init__(self, connection: socket.socket, host: str) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.name = host
        self._socket = connection

    def fileno(self) -> int:
        """Return what a selector waits for."""
        return self._socket.fileno()

    def receive(self) -> bytes | None:
        """Return what came, None at the end. Raises OSError."""
        try:
            return self._socket.recv(4096) or None
        except BlockingIOError:
            return b""

    def send(self, data: bytes) -> int:
        """Return how many bytes of `data` went out, 0 when none can now. Raises OSError."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class DeviceChannel:
    """A master on a serial port."""

    def __init__(self, port: SerialPort, device: str) -> None:
        self.name = device
        self._port = port

    def fileno(self) -> int:
        """Return what a selector waits for."""
        return self._port.fileno()

    def receive(self) -> bytes | None:
        """Return what came, None at the end. Raises OSError."""
        try:
            return os.read(self.fileno(), 4096) or None
        except BlockingIOError:
            return b""

    def send(self, data: bytes) -> int:
        """Return how many bytes of `data` went out, 0 when none can now. Raises OSError."""
        try:
            return self._port.send(data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError, termios.error):
            self._port.close()


@dataclass(frozen=True, slots=True)
class Place:
    """A place of `listen`: how it is spoken to, and where."""

    text: str
    framing: Callable[[], Framing]
    host: str = ""
    number: int = 0

    @property
    def is_device(self) -> bool:
        """Whether it is a device of this machine."""
        return not self.number

    def listen(self) -> socket.socket:
        """Return a socket that listens here. Raises OSError."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.create_server((self.host, self.number), family=family, backlog=_BACKLOG)
        listener.setblocking(False)
        return listener

    def open(self, config: ModbusShare) -> DeviceChannel:
        """Return the device, open. Raises OSError."""
        return DeviceChannel(open_device(self.text, config), self.text)


def place_of(text: str) -> Place:
    """Return the place that `listen` names as `text`."""
    found = network(text)
    if found is None:
        return Place(text, RtuFraming)
    framing = TcpFraming if found.scheme == "tcp" else RtuFraming
    return Place(text, framing, found.host, found.number)


def open_to_others(text: str) -> bool:
    """Return whether other machines reach the place that `listen` names as `text`."""
    place = place_of(text)
    return not (place.is_device or place.host in ("127.0.0.1", "::1", "localhost"))
