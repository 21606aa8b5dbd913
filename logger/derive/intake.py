"""From readings to points for the buffer: the clock, the derived stages, their state.

Worker threads hand in readings; one lock lets them pass one at a time. While the clock
of the machine is not set, readings wait in the buffer and get their time when it is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from logger.derive.clock import STEP_S, Clock, Step
from logger.derive.info import SavedState
from logger.derive.parking import Parking, Released, Shelf
from logger.derive.pipeline import Derive
from logger.meter.reading import Reading, moved
from logger.points.line import Point
from logger.prices.money import PriceList
from logger.store.state import BufferState, Damage
from logger.store.statefile import StateFile

log = logging.getLogger(__name__)

# How often the state of the derived stages is saved when nothing special happened: it
# costs a few kilobytes on the medium each time.
SAVE_EVERY_MS = 600_000
# And when meters are heard for the first time; thousands are not all heard at once.
SAVE_NEWS_MS = 10_000


class Store(Shelf, Protocol):
    """What takes points, and readings that have no time yet; it never blocks."""

    def append(self, points: Sequence[Point], released: int = 0) -> None:
        """Take points; with them the parked readings up to number `released` are done."""
        ...

    def drop(self, points: Sequence[Point], reason: str) -> None:
        """Book points that cannot be kept."""
        ...


class Intake:
    """The way of a reading into the buffer. `boot` tells this boot of the machine from
    others."""

    def __init__(
        self, derive: Derive, clock: Clock, store: Store, state: StateFile, boot: str
    ) -> None:
        self._derive = derive
        self._clock = clock
        self._store = store
        self._state = state
        self._lock = threading.Lock()
        self._parking = Parking(store, clock, boot)
        self._saved_ms = 0
        self._damages: set[Damage] = set()  # of the buffer, those that were told

    def open(self, alive_ms: int | None, waiting: int) -> None:
        """Take up where the last run ended: `alive_ms` is when it last kept points, `waiting`
        how many readings of earlier runs have no time yet."""
        self._parking.busy = waiting > 0
        saved = self._state.load()
        if saved is not None:
            self._derive.restore(saved, alive_ms)
        # An old state must never close a window twice: replace it before going on.
        self._state.save(self._derive.state())
        self._release()

    def accept(self, reading: Reading, offset_ms: int) -> None:
        """Turn `reading` and what follows from it into points for the buffer.

        The clock was `offset_ms` ahead of the moments since boot when the job began: it may
        have been set since, while the meter was read or the reading was held.
        """
        with self._lock:
            gone_ms = self._clock.offset_ms - offset_ms
            if abs(gone_ms) >= 1000 * STEP_S:
                reading = moved(reading, gone_ms, self._clock.now_ms())
            if not self._ready:
                if reading.values:
                    self._parking.add(reading)
                return
            found = self._derive.feed(reading)
        if found:
            self._keep(found)

    def refresh(self) -> Step | None:
        """Compare the clocks and close what time has ended; call it about once a second.

        Returns the step of the wall clock, if there was one.
        """
        found: list[Point] = []
        with self._lock:
            step = self._clock.check()
            if step is not None:
                found += self._derive.clock_step(step)
        if found:
            self._keep(found)
        self._release()
        # Some at a time, with the lock free in between: readings go on, memory stays small.
        while found := self._due(self._derive.tick):
            self._keep(found)
            while found := self._due(self._derive.windows):
                self._keep(found)
        with self._lock:
            saved = self._to_save(self._clock.now_ms(), step) if self._ready else None
        if saved is not None:
            self._state.save(saved)  # no line waits for the disk
        return step

    def _due(self, due: Callable[[int], list[Point]]) -> list[Point]:
        """Return points that are due by time alone, some of them when there are many."""
        with self._lock:
            return due(self._clock.now_ms()) if self._ready else []

    @property
    def _ready(self) -> bool:
        """Whether readings become points at once."""
        return self._clock.trusted and not self._parking.busy

    def _keep(self, found: Sequence[Point]) -> None:
        self._store.append(found, self._parking.done)

    def _release(self) -> None:
        """Give the readings that wait their time, once the clock is right; in order, some
        at a time."""
        lost = 0
        while True:
            with self._lock:
                if not self._clock.trusted or not self._parking.busy:
                    break
                released = self._parking.release()
                lost += sum(self._become(one) for one in released)
            if not released:
                break
        if lost:
            log.warning(
                "%d readings have no time and are dropped: they were taken before the machine "
                "was started last, and its clock was not set then, or their meter is gone",
                lost,
            )

    def _become(self, one: Released) -> bool:
        """Make points of a reading that waited; return True if there is no time for it."""
        plain = self._derive.plain(one.reading)
        self._parking.done = one.number
        if one.known and plain:
            self._keep(self._derive.feed(one.reading))
            return False
        self._store.drop(plain, "no time")
        return True

    def buffer(self, state: BufferState) -> None:
        """Take how the buffer is: nearly full, or damaged."""
        with self._lock:
            if not self._clock.trusted:
                return
            now_ms = self._clock.now_ms()
            found = self._derive.buffer(state.full, now_ms)
            for damage in state.damages:
                if damage not in self._damages:
                    self._damages.add(damage)
                    found += self._derive.damaged(damage.text, damage.lost, now_ms)
        if found:
            self._keep(found)

    def prices(self, prices: PriceList) -> None:
        """Take the prices by which quarter hours cost something from now on."""
        with self._lock:
            self._derive.costs.take(prices)

    def wanted(self) -> set[str]:
        """Return the meters whose identity should be read soon."""
        with self._lock:
            return self._derive.wanted()

    def close(self) -> None:
        """Save the state, open windows included."""
        with self._lock:
            if self._parking.busy:
                log.warning("readings wait in the buffer for the clock to be set")
            if self._parking.lost:
                log.error("%d readings without a time are lost: the disk", self._parking.lost)
            self._state.save(self._derive.state(stopping=True))

    def _to_save(self, now_ms: int, step: Step | None) -> SavedState | None:
        every_ms = SAVE_NEWS_MS if self._derive.learnt else SAVE_EVERY_MS
        if not (self._derive.dirty or step or now_ms - self._saved_ms >= every_ms):
            return None
        self._saved_ms = now_ms
        return self._derive.state()
