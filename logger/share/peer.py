"""One client of the server: what it sent, what it waits for, what it has not taken yet."""

from __future__ import annotations

from collections import deque

from logger.share.framing import Framing, Request
from logger.share.place import Channel

# Requests that wait for the one before; more are not read from the connection.
_MOST_WAITING = 16
# Bytes of answers that a client has not taken; and for how long it may take none, seconds.
_MOST_UNREAD = 4096
_TAKES_NONE_S = 30.0


class Peer:
    """A client at the other end of `channel`. Used by the server's thread only.

    One request is answered after another, in their order. Moments are monotonic, seconds.
    """

    def __init__(self, channel: Channel, framing: Framing, now: float, *, device: bool) -> None:
        self.channel = channel
        self.framing = framing
        self.device = device
        self.active = now  # when it last said something
        self.has_asked = False  # whether that was a request, ever
        self.closed = False
        self._waiting: deque[Request] = deque()
        self._open: Request | None = None  # the request that is being answered
        self._unsent = bytearray()
        self._stuck = now

    @property
    def name(self) -> str:
        """Who it is."""
        return self.channel.name

    @property
    def reads(self) -> bool:
        """Whether more is to be read from it."""
        return len(self._waiting) < _MOST_WAITING and len(self._unsent) < _MOST_UNREAD

    @property
    def writes(self) -> bool:
        """Whether something waits to be sent to it."""
        return bool(self._unsent)

    def receive(self, now: float) -> bool:
        """Take what came; tell whether it is still there. Raises OSError and GarbageError."""
        data = self.channel.receive()
        if data is None:
            return False
        if data:
            self.active = now
            self._waiting.extend(self.framing.take(data))
        return True

    def overdue(self, now: float) -> str:
        """Return why the connection is to be closed, "" if it is not. A silence may end a frame.

        Raises GarbageError.
        """
        if self.framing.begun and self.reads and now - self.active >= self.framing.frame_s:
            self._waiting.extend(self.framing.silence())
        if self._unsent and now - self._stuck >= _TAKES_NONE_S:
            return f"it has taken no answer for {_TAKES_NONE_S:.0f} s"
        return ""

    def next(self) -> Request | None:
        """Return the next request, once the one before is answered."""
        if self._open is not None or not self._waiting:
            return None
        self._open = self._waiting.popleft()
        self.has_asked = True
        return self._open

    def answer(self, request: Request, pdu: bytes | None, now: float) -> None:
        """Send the answer to `request`, none for None. Raises OSError."""
        if self._open is not request or self.closed:
            return
        self._open = None
        if pdu is not None:
            if not self._unsent:
                self._stuck = now
            self._unsent += self.framing.wrap(request, pdu)
            self.send(now)

    def send(self, now: float) -> None:
        """Send what the client takes. Raises OSError."""
        sent = self.channel.send(bytes(self._unsent))
        if sent:
            del self._unsent[:sent]
            self._stuck = now

    def close(self) -> None:
        """Close the connection."""
        self.closed = True
        self.channel.close()
