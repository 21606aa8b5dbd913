"""Sockets whose waiting and reading end: what one request may cost is an account.

Both limits are enforced where bytes leave and enter the socket, so they hold for headers,
interim responses (RFC 9110, 15.2) and trailers as well.
"""

from __future__ import annotations

import contextlib
import io
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_HEAD_BYTES = 1024**2  # of what comes before the data, and what is read along with it
CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Patience:
    """What one request may cost: `wait_s` seconds of waiting for the network in all,
    longer by one second for each `rate` bytes of data received where that is given, and
    at most `size` bytes of data on the wire."""

    wait_s: float
    size: int
    rate: float | None = None


class Account:
    """The patience that is left for the request under way."""

    def __init__(self) -> None:
        self.begin(0.0)

    def begin(self, wait_s: float) -> None:
        self.left_s = wait_s
        self.left = _HEAD_BYTES
        self.rate: float | None = None
        self.ended = False  # the server said that no more comes
        self.expired = False

    def data(self, patience: Patience) -> None:
        """From now on data is read."""
        self.left, self.rate = patience.size, patience.rate

    @contextlib.contextmanager
    def waiting(self, sock: socket.socket | None) -> Iterator[None]:
        """Let the body of `with` wait on `sock` for as long as patience lasts."""
        began = time.monotonic()
        try:
            if sock is not None:
                if self.left_s <= 0:
                    raise TimeoutError
                sock.settimeout(self.left_s)
            yield
        except TimeoutError:
            self.expired = sock is not None
            raise
        finally:
            self.left_s -= time.monotonic() - began

    def received(self, count: int) -> None:
        self.ended = not count
        self.left -= count
        if self.left < 0:
            raise OSError("the answer is longer than any that is expected")
        if self.rate is not None:
            self.left_s += count / self.rate


class Reader(io.RawIOBase):
    """The bytes that a server sends, on account."""

    def __init__(self, sock: socket.socket, account: Account) -> None:
        self._sock, self._account = sock, account
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        with self._account.waiting(self._sock):
            count = self._raw.readinto(buffer)
        self._account.received(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class Socket:
    """A connected socket that sends and receives on account."""

    def __init__(self, sock: socket.socket, account: Account) -> None:
        self._sock, self._account = sock, account

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def sendall(self, data: ReadableBuffer) -> None:
        view = memoryview(data)
        for at in range(0, len(view), CHUNK):
            with self._account.waiting(self._sock):
                self._sock.sendall(view[at : at + CHUNK])

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(Reader(self._sock, self._account), CHUNK)
