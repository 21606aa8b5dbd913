"""A serial port that plays given bytes, in a time that passes only by reading."""

from __future__ import annotations


class Wire:
    """What pyserial would give: `plays` piece by piece, then silence.

    Each read takes a hundredth of a second, and is given at most what is asked for.
    """

    def __init__(self, plays: list[bytes]) -> None:
        self.plays = plays
        self.now = 0.0
        self.timeout: float | None = 0.01
        self.exclusive = False
        self.is_open = True

    def monotonic(self) -> float:
        """The time; stands in for the module `time` of the port."""
        return self.now

    @property
    def in_waiting(self) -> int:
        """Nothing waits: what is played is an answer, not a leftover."""
        return 0

    def open(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def flush(self) -> None:
        """Nothing to do."""

    def write(self, data: bytes) -> int:
        """Take a request."""
        return len(data)

    def read(self, size: int) -> bytes:
        """Return the next bytes, none when there is silence."""
        self.now += 0.01
        while self.plays and not self.plays[0]:
            self.plays.pop(0)
            return b""
        if not self.plays:
            return b""
        piece = self.plays[0]
        self.plays[0] = piece[size:]
        return piece[:size]
