"""Readings in, points out: stamps each record once, and puts the stages between the two.

Nothing here asks a clock, a port or a database. One thread at a time may use it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from logger.config.derive import Counters, Events
from logger.derive.clock import Stamps, Step
from logger.derive.costs import EnergyCosts
from logger.derive.info import MeterInfo, SavedState
from logger.derive.measured import measured
from logger.derive.stages import Stages
from logger.domain.records import EnergyQuarter, Event, Record, SiteFlow
from logger.meter.reading import Reading
from logger.models.register import Job
from logger.points.encode import point as encoded
from logger.points.encode import points
from logger.points.line import Point

log = logging.getLogger("logger.events")

_VERSION = 1
# No reading takes longer; after a step of the clock so long some may carry the old time.
_UNDER_WAY_MS = 30_000


class Derive:
    """Turns readings into all points: what was read, and what follows from it.

    `site` is the tag of every point. Readings come inverted where configured, in the
    order they were taken, and with a trusted time. `newest` hears of every value that was
    read and believed, and of the flows, at once and before they are points. Days are those
    of `zone`. `costs` takes the prices of energy.
    """

    def __init__(
        self,
        meters: Iterable[MeterInfo],
        site: str,
        events: Events | None = None,
        counters: Counters | None = None,
        newest: Callable[[Sequence[Record]], None] = lambda _records: None,
        zone: str = "UTC",
    ) -> None:
        self._newest, self._zone = newest, ZoneInfo(zone)
        self._meters = {info.name: info for info in meters}
        self._site = site
        self._events = events or Events()
        self._counters = counters or Counters()
        self._stamps = Stamps()
        self.costs = EnergyCosts()
        self._fresh()

    def _fresh(self) -> None:
        self._stages = Stages(self._meters, self._events, self._counters, self._zone)
        self._dirty = False
        self._moved: Step | None = None  # the last step of the clock, while it is fresh

    @property
    def dirty(self) -> bool:
        """Whether something happened since the last `state` that must not be forgotten."""
        return self._dirty

    @property
    def learnt(self) -> bool:
        """Whether since the last `state` something became known of a meter for the first
        time: without it nobody could say after a crash that the logger was off."""
        return self._stages.learnt

    def wanted(self) -> set[str]:
        """Return the meters whose identity job should run soon: after a gap, and while
        counters are held back."""
        return self._stages.wanted()

    def feed(self, reading: Reading) -> list[Point]:
        """Return the points of one reading and of what follows from it.

        Raises KeyError for a meter that was not announced.
        """
        info = self._meters[reading.meter]
        if not reading.values:
            self._stages.failed(reading)
            return []
        reading = self._as_moved(reading)
        taken_ms = self._stamps.take(reading.meter, reading.taken_ms)
        if taken_ms != reading.taken_ms:
            reading = replace(reading, taken_ms=taken_ms)
        if reading.job is Job.FAST:
            records = measured(reading, info.model)
            self._newest(records)
            return points(records, self._site) + self._stamped(self._stages.fast(reading, records))
        found: list[Point] = []
        believed, derived = self._stages.slow(reading)
        for each in believed:
            self._newest(measured(each, info.model))
            changed = self._stages.changes.keep(each)
            found += points(measured(changed, info.model), self._site)
        return found + self._stamped(derived)

    def plain(self, reading: Reading) -> list[Point]:
        """Return the points of a reading itself; none if its meter is not known any more."""
        info = self._meters.get(reading.meter)
        if info is None or info.model.name != reading.model:
            return []
        return points(measured(reading, info.model), self._site)

    def _as_moved(self, reading: Reading) -> Reading:
        """Return a reading that was under way when the clock was moved with its new time."""
        step = self._moved
        if step is None or abs(reading.taken_ms - step.to_ms) <= abs(
            reading.taken_ms - step.from_ms
        ):
            self._forget_step(reading.taken_ms)
            return reading
        return replace(
            reading,
            taken_ms=reading.taken_ms + step.size_ms,
            round_ms=reading.round_ms + step.size_ms,
        )

    def _forget_step(self, now_ms: int) -> None:
        if self._moved is not None and now_ms > self._moved.to_ms + _UNDER_WAY_MS:
            self._moved = None

    def tick(self, now_ms: int) -> list[Point]:
        """Return what is due by time alone: call it about once a second, only while the
        clock is trusted."""
        self._forget_step(now_ms)
        return self._stamped(self._stages.tick(now_ms))

    def windows(self, now_ms: int) -> list[Point]:
        """Return more of the windows that are over, where `tick` left some: without a look at
        all else of every meter."""
        return self._stamped(self._stages.windows(now_ms))

    def clock_step(self, step: Step) -> list[Point]:
        """Take note that the clock was moved. A first step (the clock was set at last)
        must come before the readings that were parked until then."""
        # After a smaller step the old time and the new one cannot be told apart.
        self._moved = step if abs(step.size_ms) > 2 * _UNDER_WAY_MS else None
        if not step.first:
            self._stamps.stepped(step)
        return self._stamped(self._stages.clock_step(step))

    def buffer(self, share: float, now_ms: int) -> list[Point]:
        """Take the share of the buffer's limit that is in use, 0..1."""
        return self._stamped(self._stages.settings_watch.buffer(share, now_ms))

    def damaged(self, text: str, lost: int | None, at_ms: int) -> list[Point]:
        """Take note of damage that was mended; `lost` points are lost, None: not known."""
        return self._stamped(self._stages.settings_watch.damaged(text, lost, at_ms))

    def _stamped(self, derived: Sequence[Record]) -> list[Point]:
        found = []
        self._newest(derived)
        for record in derived:
            # A quarter that came out must not come out again, of fewer readings.
            self._dirty |= isinstance(record, Event | EnergyQuarter)
            if isinstance(record, Event):
                begins = record.state == "begin"
                log.log(logging.WARNING if begins else logging.INFO, "%s", record.text)
            point = encoded(record, self._site)
            # Power and energy of a site are different fields of one series.
            part = next(iter(record.values)) if isinstance(record, SiteFlow) else ""
            tags = ",".join(f"{name}={tag}" for name, tag in sorted(point.tags.items()))
            key = f"{point.measurement},{part},{tags}"
            stamp = self._stamps.take(key, point.time_ms)
            found.append(point if stamp == point.time_ms else replace(point, time_ms=stamp))
            if isinstance(record, EnergyQuarter):
                costs = self.costs.feed(record, found[-1].time_ms)
                found += points([*self._stages.chain.feed(found[-1]), *costs], self._site)
        return found

    def state(self, *, stopping: bool = False) -> SavedState:
        """Return the state as JSON can hold it; later readings change nothing in it.

        Open windows are part of it only when `stopping`: an old state must never make a
        window come out again with fewer samples. So write `state()` once right after
        `restore`, then from time to time and whenever `dirty`.
        """
        self._dirty = False
        return {"version": _VERSION, **self._stages.state(stopping=stopping)}

    def restore(self, state: SavedState, alive_ms: int | None = None) -> bool:
        """Take up where `state` was made; `alive_ms` is the newest point in the buffer.

        Returns False and starts afresh when the state makes no sense.
        """
        self._fresh()
        try:
            if state["version"] != _VERSION:
                raise ValueError(f"version {state['version']}, not {_VERSION}")
            self._stages.restore(state, alive_ms)
        # A file may hold anything: what its shape can raise is listed here.
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as err:
            log.warning("the saved state of derived values is of no use: %r", err)
            self._fresh()
            return False
        return True
