"""From readings to points for the buffer: the clock, the derived stages, their state.

Worker threads hand in readings; one lock lets them pass one at a time. While the clock
of the machine is not set, readings wait here and get their time when it is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from logger.derive import Derive
from logger.derive.clock import Clock, Parking, Step
from logger.meter.reading import Reading
from logger.points.line import Point
from logger.store.state import BufferState, Damage
from logger.store.statefile import StateFile

log = logging.getLogger(__name__)

# How often the state of the derived stages is saved when nothing special happened: it
# costs a few kilobytes on the medium each time.
SAVE_EVERY_MS = 600_000


class Intake:
    """The way of a reading into the buffer. `keep` takes points and never blocks."""

    def __init__(
        self,
        derive: Derive,
        clock: Clock,
        keep: Callable[[Sequence[Point]], None],
        state: StateFile,
    ) -> None:
        self._derive = derive
        self._clock = clock
        self._keep = keep
        self._state = state
        self._lock = threading.Lock()
        self._parking = Parking()
        self._saved_ms = 0
        self._damages: set[Damage] = set()  # of the buffer, those that were told

    def open(self, alive_ms: int | None) -> None:
        """Take up where the last run ended; `alive_ms` is when it last kept points."""
        saved = self._state.load()
        if saved is not None:
            self._derive.restore(saved, alive_ms)
        # An old state must never close a window twice: replace it before going on.
        self._state.save(self._derive.state())

    def accept(self, reading: Reading) -> None:
        """Turn `reading` and what follows from it into points for the buffer."""
        with self._lock:
            if not self._clock.trusted:
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
            if self._clock.trusted:
                for reading in self._parking.release(self._clock):
                    found += self._derive.feed(reading)
        if found:
            self._keep(found)
        # Some at a time, with the lock free in between: readings go on, memory stays small.
        while found := self._due():
            self._keep(found)
        with self._lock:
            if self._clock.trusted:
                self._save_if_due(self._clock.now_ms(), step)
        return step

    def _due(self) -> list[Point]:
        """Return points that are due by time alone, some of them when there are many."""
        with self._lock:
            return self._derive.tick(self._clock.now_ms()) if self._clock.trusted else []

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

    def wanted(self) -> set[str]:
        """Return the meters whose identity should be read soon."""
        with self._lock:
            return self._derive.wanted()

    @property
    def glitches(self) -> int:
        """Counter values that were read and forgotten, since the start."""
        return self._derive.glitches

    @property
    def waiting(self) -> int:
        """Readings that wait for the clock to be set."""
        return len(self._parking)

    def close(self) -> None:
        """Save the state, open windows included."""
        with self._lock:
            if self._parking:
                log.warning("%d readings had no time: the clock was never set", len(self._parking))
            self._state.save(self._derive.state(stopping=True))

    def _save_if_due(self, now_ms: int, step: Step | None) -> None:
        if self._derive.dirty or step or now_ms - self._saved_ms >= SAVE_EVERY_MS:
            self._state.save(self._derive.state())
            self._saved_ms = now_ms
