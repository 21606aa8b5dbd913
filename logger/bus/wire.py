"""What carries the bytes of a line: a serial port, or a connection on the network."""

from __future__ import annotations

from typing import Protocol


class Wire(Protocol):
    """An open way to the line. Its methods raise OSError or termios.error when it is lost."""

    timeout: float | None

    @property
    def in_waiting(self) -> int:
        """How many bytes can be read at once."""

    def fileno(self) -> int:
        """Return the file that can be read when something comes. Raises OSError without one."""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, what came within `timeout` seconds."""

    def write(self, data: bytes) -> int | None:
        """Send `data`."""

    def flush(self) -> None:
        """Wait until everything is sent."""

    def close(self) -> None:
        """Close it."""
