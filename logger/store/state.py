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
    """Damage of the file that was found and mended: when, what, and the points lost, None
    where nobody can count them."""

    at_ms: int
    text: str
    lost: int | None


@dataclass(frozen=True, slots=True)
class BufferState:
    """How the buffer is. Times in milliseconds UTC, sizes in bytes, counts in points.

    `newest_ms` is the newest of the last rows, `stamped_ms` the time by the logger's clock
    when it last committed points of its own, None when no logger did.
    `parked` counts readings that wait for the clock to be set.
    `waiting` includes `in_memory`, the points that are not on the disk yet; `full` is the
    share of `max_size` in use, `room_to_make` the bytes that the file still has to give up to
    get down to it; `written_per_day` is what goes to the medium at the rate
    since the start, None in the first hour; `damages` are the last ones found since the
    start; `scrub` is how far the check of the whole file is. `dropped` counts the points that
    went at the limit since the start.

    `store` says that there is no database: then `bytes_per_day` is what the file grows by
    at present, and `days_left` how long until it is full, None when that is not known or
    points go by `max_age` before.
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
    room_to_make: int = 0
    store: bool = False
    bytes_per_day: float | None = None
    days_left: float | None = None
    dropped: int = 0
    damages: tuple[Damage, ...] = ()
    scrub: Scrub = field(default_factory=Scrub)


_AT_LIMIT = "delivered points go first, then fast points are thinned to one a minute, counters last"
_AT_LIMIT_OF_STORE = (
    "the past is deleted: fast points are thinned to one a minute, then the oldest go, "
    "counters last"
)
LASTING_DAYS = (30, 7, 1)  # a store that is full sooner is told of
_AGAIN = 1.25  # so much above such a mark it counts as left behind
STORE_HINT = "raise buffer.max_size, set buffer.max_age, or add [influxdb]; buffer export saves it"


def until_full(days: float | None, bytes_a_day: float | None, max_size: int) -> str:
    """Return how long a store keeps everything, and what it does then."""
    size = f"{max_size / 1e6:.0f} MB"
    then = "at max_size the past is deleted"
    if days is not None and bytes_a_day:
        rate = f"{bytes_a_day / 1e6:.1f} MB a day"
        return f"{then}, in {lasting(days)} at {rate} ({size} allowed)"
    if bytes_a_day:
        return f"points go by max_age, before it holds {size}"
    return f"{then} ({size} allowed); the rate is not known yet"


class Lasting:
    """Says once in the log for each of LASTING_DAYS that a store will be full by then."""

    def __init__(self) -> None:
        self._told = float("inf")

    def refresh(self, days: float | None, bytes_a_day: float | None) -> None:
        """Take notice of the days left, None if the store will not be full."""
        left = float("inf") if days is None else days
        mark = min((mark for mark in LASTING_DAYS if left <= mark), default=float("inf"))
        if mark < self._told:
            self._told = mark
            log.warning(
                "buffer: this file is the store and full in %s at %.1f MB a day; then the past "
                "is deleted (%s)",
                lasting(left),
                (bytes_a_day or 0) / 1e6,
                STORE_HINT,
            )
        elif left > self._told * _AGAIN:
            self._told = mark


def lasting(days: float) -> str:
    """Return a number of days in words."""
    return f"about {days:.0f} days" if days >= 2 else f"about {days * 24:.0f} hours"


class Level:
    """Says once in the log that the buffer fills, and once that it has room again."""

    def __init__(self) -> None:
        self._warned = 0.0

    def refresh(self, full: float, waiting: int, *, store: bool = False) -> None:
        """Take notice of the share in use and the points that wait."""
        level = max((share for share in WARNINGS if full >= share), default=0.0)
        if level > self._warned:
            self._warned = level
            log.warning(
                "buffer: %.0f %% of max_size in use, %d points wait; at the limit %s",
                level * 100,
                waiting,
                _AT_LIMIT_OF_STORE if store else _AT_LIMIT,
            )
        elif self._warned and full < self._warned - 0.05:
            self._warned = level
            if not level:
                log.warning("buffer: below 80 %% of max_size again, %d points wait", waiting)
