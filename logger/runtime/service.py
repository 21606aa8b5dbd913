"""What the running logger starts, watches and stops beside the log: the one shape of outputs."""

from __future__ import annotations

from typing import Protocol


class Service(Protocol):
    """What serves others beside the log, in a thread of its own: status, an output."""

    def start(self) -> None:
        """Begin to serve. What keeps it from serving is logged: reading goes on without it."""
        ...

    def stop(self) -> None:
        """Stop serving."""
        ...

    def late_s(self) -> float:
        """Return by how many seconds its sign of life is late, infinity when it has ended."""
        ...

    def restart(self) -> None:
        """Start a thread in place of one that has ended."""
        ...
