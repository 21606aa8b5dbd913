"""The ends of a virtual line that a master can reach: TCP connections and a pty."""

from __future__ import annotations

import contextlib
import os
import socket
import tty
from collections.abc import Iterable
from typing import Protocol

from logger.domain.errors import SimulationError

_READ_BYTES = 4096
_SEND_TIMEOUT_S = 1.0


class Channel(Protocol):
    """Bytes from and to one master."""

    def fileno(self) -> int:
        """The file to wait on."""

    def receive(self) -> bytes | None:
        """Return what has come, None when the master is gone."""

    def send(self, data: bytes) -> None:
        """Send `data`; what a master does not take in time is lost, as on a line."""

    def close(self) -> None:
        """Close it."""


class TcpChannel:
    """One connection of a master."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(_SEND_TIMEOUT_S)

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> bytes | None:
        try:
            return self._socket.recv(_READ_BYTES) or None
        except OSError:
            return None

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the master has gone; `receive` will say so
            self._socket.sendall(data)

    def close(self) -> None:
        self._socket.close()


class PtyChannel:
    """A pseudo-terminal in raw mode; `path` is what a master opens.

    Our own handle on the master's side keeps it alive while no one has it open.
    """

    def __init__(self) -> None:
        try:
            self._ours, self._theirs = os.openpty()
        except OSError as err:
            raise SimulationError(f"no pseudo-terminal: {err.strerror}") from err
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.path = os.ttyname(self._theirs)

    def fileno(self) -> int:
        return self._ours

    def receive(self) -> bytes | None:
        try:
            return os.read(self._ours, _READ_BYTES)
        except BlockingIOError:
            return b""

    def send(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # full: nobody reads
            os.write(self._ours, data)

    def close(self) -> None:
        os.close(self._ours)
        os.close(self._theirs)


class Everybody:
    """Several masters that hear the same; it is only sent to."""

    def __init__(self, channels: Iterable[Channel]) -> None:
        self._channels = tuple(channels)

    def fileno(self) -> int:
        raise NotImplementedError

    def receive(self) -> bytes | None:
        return None

    def send(self, data: bytes) -> None:
        for channel in self._channels:
            channel.send(data)

    def close(self) -> None:
        """The channels belong to the line."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises SimulationError when the address cannot be had."""
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as err:
        reason = (err.strerror if isinstance(err, OSError) else str(err)) or "refused"
        reason = reason.split(" (while")[0]
        raise SimulationError(
            f"cannot listen on {host}:{port}: {reason}", "is another program using the port?"
        ) from err
