"""All stages between readings and points in one: readings in, points out.

Nothing here asks a clock, a port or a database. One thread at a time may use it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from logger.config.derive import Counters, Events
from logger.derive.availability import Availability
from logger.derive.changes import MeterChanges
from logger.derive.clock import Stamps, Step
from logger.derive.costs import EnergyCosts
from logger.derive.counters import CounterGuard
from logger.derive.daychain import DayChain
from logger.derive.demand import LiveDemand
from logger.derive.energyquarters import EnergyQuarters
from logger.derive.flows import SiteFlows
from logger.derive.grid import GridEvents
from logger.derive.info import MeterInfo, SavedState
from logger.derive.measured import measured
from logger.derive.minutes import Minutes
from logger.derive.quality import Quality, QualityWindow
from logger.derive.quarters import Quarters
from logger.derive.settingswatch import SettingsWatch
from logger.domain.errors import RefusedError
from logger.domain.records import EnergyQuarter, Event, Record, Sample, SiteFlow
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
        meters = self._meters
        maxima = {info.name: info.model.counter_max for info in meters.values()}
        self._guard = CounterGuard(self._counters.agree, self._counters.margin, maxima)
        self._changes = MeterChanges()
        self._flows = SiteFlows(meters.values())
        self._minutes = Minutes(meters)
        self._quality = Quality(meters)
        self._quarters = Quarters(meters)
        self._energy = EnergyQuarters(meters)
        self._chain = DayChain(meters, self._zone)
        self._demand = LiveDemand(meters.values(), self._events)
        self._grid = GridEvents(meters, self._events)
        self._availability = Availability(meters, self._events)
        self._settings_watch = SettingsWatch(meters, self._events)
        self._dirty = False
        self._moved: Step | None = None  # the last step of the clock, while it is fresh

    @property
    def dirty(self) -> bool:
        """Whether something happened since the last `state` that must not be forgotten."""
        return self._dirty

    @property
    def glitches(self) -> int:
        """Counter values that were read and forgotten, since the start."""
        return self._guard.glitches

    def wanted(self) -> set[str]:
        """Return the meters whose identity job should run soon: after a gap, and while
        counters are held back."""
        return self._availability.wanted() | self._guard.holding()

    def feed(self, reading: Reading) -> list[Point]:
        """Return the points of one reading and of what follows from it.

        Raises KeyError for a meter that was not announced.
        """
        info = self._meters[reading.meter]
        if not reading.values:
            if any(isinstance(one.error, RefusedError) for one in reading.failures):
                self._availability.refused(reading)
            return []
        reading = self._as_moved(reading)
        taken_ms = self._stamps.take(reading.meter, reading.taken_ms)
        if taken_ms != reading.taken_ms:
            reading = replace(reading, taken_ms=taken_ms)
        if reading.job is Job.FAST:
            return self._feed_fast(reading, info)
        found: list[Point] = []
        derived: list[Record] = [*self._settings_watch.feed(reading)]
        believed, verdicts = self._guard.feed(reading)
        for verdict in verdicts:
            if not verdict.reported:
                derived += self._settings_watch.verdict(verdict)
            self._flows.broke(verdict.meter, verdict.breaks)
            self._energy.broke(verdict)
        for each in believed:
            derived += self._availability.heard(each)
            derived += self._flows.feed(each)
            self._newest(measured(each, info.model))
            self._chain.read(each)
            derived += self._energy.feed(each)
            found += points(measured(self._changes.keep(each), info.model), self._site)
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

    def _feed_fast(self, reading: Reading, info: MeterInfo) -> list[Point]:
        records = measured(reading, info.model)
        self._newest(records)
        samples = {one.phase: one for one in records if isinstance(one, Sample)}
        name, taken_ms = reading.meter, reading.taken_ms
        derived: list[Record] = [*self._availability.heard(reading)]
        derived += self._flows.feed(reading)
        derived += self._energy.feed(reading)
        derived += self._demand.feed(name, taken_ms, self._energy)
        derived += self._minutes.feed(name, taken_ms, samples)
        derived += self._watched(self._quality.feed(name, taken_ms, samples))
        derived += self._grid.feed(name, taken_ms, samples)
        return points(records, self._site) + self._stamped(derived)

    def tick(self, now_ms: int) -> list[Point]:
        """Return what is due by time alone: call it about once a second, only while the
        clock is trusted."""
        self._forget_step(now_ms)
        derived: list[Record] = [*self._flows.tick(now_ms)]
        derived += self._minutes.tick(now_ms)
        derived += self._watched(self._quality.tick(now_ms))
        derived += self._quarters.tick(now_ms)
        derived += self._energy.tick(now_ms)
        derived += self._availability.tick(now_ms)
        return self._stamped(derived)

    def clock_step(self, step: Step) -> list[Point]:
        """Take note that the clock was moved. A first step (the clock was set at last)
        must come before the readings that were parked until then."""
        derived: list[Record] = []
        # After a smaller step the old time and the new one cannot be told apart.
        self._moved = step if abs(step.size_ms) > 2 * _UNDER_WAY_MS else None
        if not step.first:
            self._stamps.stepped(step)
            derived += self._minutes.clock_step()
            derived += self._summed(self._quality.clock_step())
            self._quarters.clock_step()
            derived += self._energy.clock_step(step)
            self._demand.clock_step(step.size_ms)
            self._flows.clock_step()
            self._grid.clock_step(step.size_ms)
            self._availability.clock_step(step.size_ms)
            self._guard.clock_step(step.size_ms)
        derived += self._settings_watch.clock_step(step)
        return self._stamped(derived)

    def buffer(self, share: float, now_ms: int) -> list[Point]:
        """Take the share of the buffer's limit that is in use, 0..1."""
        return self._stamped(self._settings_watch.buffer(share, now_ms))

    def damaged(self, text: str, lost: int | None, at_ms: int) -> list[Point]:
        """Take note of damage that was mended; `lost` points are lost, None: not known."""
        return self._stamped(self._settings_watch.damaged(text, lost, at_ms))

    def _watched(self, windows: list[QualityWindow]) -> list[Record]:
        events = [event for window in windows for event in self._grid.window(window)]
        return [*self._summed(windows), *events]

    def _summed(self, windows: list[QualityWindow]) -> list[Record]:
        quarters = [one for window in windows for one in self._quarters.feed(window)]
        return [*windows, *quarters]

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
                found += points([*self._chain.feed(found[-1]), *costs], self._site)
        return found

    def state(self, *, stopping: bool = False) -> SavedState:
        """Return the state as JSON can hold it; later readings change nothing in it.

        Open windows are part of it only when `stopping`: an old state must never make a
        window come out again with fewer samples. So write `state()` once right after
        `restore`, then from time to time and whenever `dirty`.
        """
        self._dirty = False
        saved = {
            "version": _VERSION,
            "guard": self._guard.state(),
            "changes": self._changes.state(),
            "flows": self._flows.state(),
            "grid": self._grid.state(),
            "life": self._availability.state(),
            "facts": self._settings_watch.state(),
            "quarters": self._quarters.state(stopping=stopping),
            "energy": self._energy.state(),
            "chain": self._chain.state(),
            "demand": self._demand.state(),
        }
        if stopping:
            saved |= {"minutes": self._minutes.state(), "quality": self._quality.state()}
        return saved

    def restore(self, state: SavedState, alive_ms: int | None = None) -> bool:
        """Take up where `state` was made; `alive_ms` is the newest point in the buffer.

        Returns False and starts afresh when the state makes no sense.
        """
        self._fresh()
        try:
            if state["version"] != _VERSION:
                raise ValueError(f"version {state['version']}, not {_VERSION}")
            self._guard.restore(state["guard"])
            self._changes.restore(state["changes"])
            self._flows.restore(state["flows"])
            self._grid.restore(state["grid"])
            self._availability.restore(state["life"], alive_ms)
            self._settings_watch.restore(state["facts"])
            if "quarters" in state:  # older versions had none
                self._quarters.restore(state["quarters"])
            if "energy" in state:
                self._energy.restore(state["energy"])
                self._chain.restore(state.get("chain", {}))
                self._demand.restore(state["demand"])
            if "minutes" in state:
                self._minutes.restore(state["minutes"])
                self._quality.restore(state["quality"])
        # A file may hold anything: what its shape can raise is listed here.
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as err:
            log.warning("the saved state of derived values is of no use: %r", err)
            self._fresh()
            return False
        return True
