"""The clock that nobody can set: what moments on a line are measured by."""

from __future__ import annotations

import time


def elapsed() -> float:
    """Return seconds since boot with the time asleep, where the system counts it."""
    boottime: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux only
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)
