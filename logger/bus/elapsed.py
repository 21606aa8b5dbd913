"""The clock that nobody can set: what moments on a line are measured by."""

from __future__ import annotations

import time

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux only


def elapsed() -> float:
    """Return seconds since boot with the time asleep, where the system counts it."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)
