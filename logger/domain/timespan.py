"""Spans of time as data: from the first millisecond on, before the second. Pure."""

from __future__ import annotations

from collections.abc import Iterable

# Milliseconds UTC: the first is inside, the second is not.
TimeSpan = tuple[int, int]
# 2000 to 2100: no point of this logger is older or newer.
EVER: TimeSpan = (946_684_800_000, 4_102_444_800_000)


def merged(spans: Iterable[TimeSpan], gap_ms: int = 0) -> list[TimeSpan]:
    """Return `spans` sorted, those that touch or are within `gap_ms` made one.

    Empty ones are left out.
    """
    found: list[TimeSpan] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + gap_ms:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif start < end:
            found.append((start, end))
    return found
