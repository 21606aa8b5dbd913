"""Connections to gateways: TCP, UDP, and gateways that connect to this machine.

To a `Port` they look like an open serial port. A connection that the other end has closed
says so before the next question (`gone`), and raises ConnectionError when it is read.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket

from logger.bus.elapsed import elapsed
from logger.bus.rivals import Rivals
from logger.config.ports import Network

log = logging.getLogger(__name__)

_CONNECT_S = 5.0
_CHUNK = 4096
# A gateway that vanished without a word is noticed after 30 + 3 * 10 s of silence.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
# Gateways that end each other's connection are told once in so many seconds.
_TELL_S = 3600.0


class SocketWire:
    """Bytes over a connected socket, which it closes. Datagrams are read one after another."""

    def __init__(self, connected: socket.socket, timeout: float) -> None:
        self.timeout: float | None = timeout
        self._socket = connected
        self._buffer = b""
        self._stream = connected.type == socket.SOCK_STREAM
        connected.settimeout(_CONNECT_S)
        if self._stream:
            # A request must not wait for the acknowledgement of the one before.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE.items():
                if hasattr(socket, name):
                    connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    @property
    def gone(self) -> bool:
        """Whether the other end has closed it, so that a question would be lost."""
        if not self._stream or self._buffer:
            return False
        try:
            return self._ready(0) and not self._socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    @property
    def in_waiting(self) -> int:
        """How many bytes can be read at once."""
        if not self._buffer and self._ready(0):
            self._fill()
        return len(self._buffer)

    def fileno(self) -> int:
        """Return the file that can be read when something comes."""
        return self._socket.fileno()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, as soon as there are any; none after `timeout`."""
        if not self._buffer and self._ready(self.timeout):
            self._fill()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def write(self, data: bytes) -> int:
        """Send `data`, as one datagram on UDP."""
        self._socket.sendall(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits for output."""

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _ready(self, patience_s: float | None) -> bool:
        return bool(select.select([self._socket], [], [], patience_s)[0])

    def _fill(self) -> None:
        self._buffer = self._socket.recv(_CHUNK)
        if not self._buffer and self._stream:
            raise ConnectionResetError("closed by the other end")


def connect(place: Network, timeout: float) -> SocketWire:
    """Return a connection to the gateway at `place`. Raises OSError."""
    if place.scheme != "udp":
        return SocketWire(socket.create_connection((place.host, place.number), _CONNECT_S), timeout)
    ways = socket.getaddrinfo(place.host, place.number, type=socket.SOCK_DGRAM)
    family, kind, protocol, _, address = ways[0]
    line = socket.socket(family, kind, protocol)
    try:
        line.connect(address)
    except OSError:
        line.close()
        raise
    return SocketWire(line, timeout)


class DialledIn(SocketWire):
    """A connection that a gateway made to `listener`, from `host`."""

    def __init__(
        self, connected: socket.socket, timeout: float, listener: Listener, host: str
    ) -> None:
        super().__init__(connected, timeout)
        self._listener, self._host = listener, host

    def close(self) -> None:
        """Close the connection; if it was good, a newer one may have taken its place."""
        if self._listener.arrived and not self.gone:
            self._listener.replaced(self._host)
        super().close()


class Listener:
    """Waits for a gateway that connects to this machine; the newest connection counts."""

    def __init__(self, place: Network) -> None:
        self._place = place
        self._socket: socket.socket | None = None
        self.rivals = Rivals()
        self._told_at = -_TELL_S

    @property
    def arrived(self) -> bool:
        """Whether a gateway has connected that was not accepted yet."""
        return self._socket is not None and bool(select.select([self._socket], [], [], 0)[0])

    def accept(self, timeout: float, patience_s: float) -> SocketWire:
        """Return the connection of the gateway that came last.

        Raises TimeoutError when there is none within `patience_s`, else OSError.
        """
        if self._socket is None:
            family = socket.AF_INET6 if ":" in self._place.host else socket.AF_INET
            here = (self._place.host, self._place.number)
            self._socket = socket.create_server(here, family=family)
        if not select.select([self._socket], [], [], patience_s)[0]:
            raise TimeoutError("no gateway has connected yet")
        line, peer = self._socket.accept()
        while self.arrived:  # the one before it is a connection that the gateway gave up
            with contextlib.suppress(OSError):
                newer, peer = self._socket.accept()
                line.close()
                line = newer
        return DialledIn(line, timeout, self, peer[0])

    def replaced(self, host: str) -> None:
        """Note that a good connection from `host` ends, as another one has come."""
        now = elapsed()
        self.rivals.ended(host, now)
        problems = self.rivals.problems(now)
        if problems and now - self._told_at >= _TELL_S:
            self._told_at = now
            log.warning("%s: %s", self._place.spoken_as("listen"), *problems)

    def close(self) -> None:
        """Wait no longer."""
        listener, self._socket = self._socket, None
        if listener is not None:
            listener.close()


def listener(place: Network | None) -> Listener | None:
    """Return what waits at `place`, None when gateways are connected to instead."""
    return Listener(place) if place is not None and place.scheme == "listen" else None
