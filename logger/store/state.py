"""How the buffer is, for status and for its own points; and when its limit is near."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from logger.store.ledger import Scrub

log = logging.getLogger(__name__)

WARNINGS = (0.80, 0.95)  # shares of max_size


DAMAGES_KEPT = 20


@dataclass(frozen=True, slots=True)
class Damage:
    """Damage of the file that was found and mended: when, what, and the points lost."""

    at_ms: int
    text: str
    lost: int


@dataclass(frozen=True, slots=True)
class BufferState:
    """How the buffer is. Times in milliseconds UTC, sizes in bytes, counts in points.

    `newest_ms` is the newest of the last rows, `stamped_ms` the time by the logger's clock
    when it last committed points of its own, None when no logger did.
    `parked` counts readings that wait for the clock to be set.
    `waiting` includes `in_memory`, the points that are not on the disk yet; `full` is the
    share of `max_size` in use; `written_per_day` is what goes to the medium at the rate
    since the start, None in the first hour; `damages` are the last ones found since the
    start; `scrub` is how far the check of the whole file is.
    """

    ok: bool
    problem: str
    waiting: int
    in_memory: int
    oldest_ms: int | None
    newest_ms: int | None
    stamped_ms: int | None
    parked: int
    file_size: int
    max_size: int
    full: float
    written_per_day: int | None
    damages: tuple[Damage, ...] = ()
    scrub: Scrub = field(default_factory=Scrub)


class Level:
    """Says once in the log that the buffer fills, and once that it has room again."""

    def __init__(self) -> None:
        self._warned = 0.0

    def refresh(self, full: float, waiting: int) -> None:
        """Take notice of the share in use and the points that wait."""
        level = max((share for share in WARNINGS if full >= share), default=0.0)
        if level > self._warned:
            self._warned = level
            log.warning(
                "buffer: %.0f %% of max_size in use, %d points wait; at the limit delivered "
                "points go first, then fast points are thinned to one a minute, counters last",
                level * 100,
                waiting,
            )
        elif self._warned and full < self._warned - 0.05:
            self._warned = level
            if not level:
                log.warning("buffer: below 80 %% of max_size again, %d points wait", waiting)
