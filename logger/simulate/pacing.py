"""Bytes at the pace of a line, against fixed deadlines so that errors do not add up."""

from __future__ import annotations

import threading
import time

from logger.simulate.channel import Channel

_CHUNK_S = 0.01
_SPIN_S = 0.0004  # sleeping ends late by about this much


def send_paced(
    channel: Channel, data: bytes, begin: float, character_s: float, stop: threading.Event
) -> float:
    """Send `data` from `begin` on, `character_s` seconds a byte; return when it ends.

    Times are those of `time.perf_counter`. `stop` ends the waiting at once. With a
    `character_s` of 0 everything goes out together at `begin`.
    """
    chunk = max(1, int(_CHUNK_S / character_s)) if character_s else max(1, len(data))
    end = begin
    for start in range(0, len(data), chunk):
        part = data[start : start + chunk]
        end = begin + (start + len(part)) * character_s
        _wait(end, stop)
        channel.send(part)
    return end


def _wait(until: float, stop: threading.Event) -> None:
    left = until - time.perf_counter()
    if left > _SPIN_S:
        stop.wait(left - _SPIN_S)
    while time.perf_counter() < until and not stop.is_set():
        pass
