"""The stages of one site: what each takes of a reading, in which order, and what is kept of them.

A new stage is made, fed, told of time and saved here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

from logger.config.derive import Counters, Events
from logger.derive.availability import Availability
from logger.derive.changes import MeterChanges
from logger.derive.clock import Step
from logger.derive.counters import CounterGuard
from logger.derive.daychain import DayChain
from logger.derive.demand import LiveDemand
from logger.derive.energyquarters import EnergyQuarters
from logger.derive.flows import SiteFlows
from logger.derive.grid import GridEvents
from logger.derive.info import MeterInfo, SavedState
from logger.derive.minutes import Minutes
from logger.derive.quality import Quality, QualityWindow
from logger.derive.quarters import Quarters
from logger.derive.settingswatch import SettingsWatch
from logger.domain.errors import RefusedError
from logger.domain.records import Record, Sample
from logger.meter.reading import Reading


class Stages:
    """All stages, as they are at the start. Each method returns what follows, in order.

    Readings come stamped, those of a meter in the order of their time. Days are those of
    `zone`. `changes` and `chain` wait for the points: `derive.pipeline` feeds them.
    """

    def __init__(
        self, meters: Mapping[str, MeterInfo], events: Events, counters: Counters, zone: ZoneInfo
    ) -> None:
        maxima = {info.name: info.model.counter_max for info in meters.values()}
        self._guard = CounterGuard(counters.agree, counters.margin, maxima)
        self.changes = MeterChanges()
        self._flows = SiteFlows(meters.values())
        self._minutes = Minutes(meters)
        self._quality = Quality(meters)
        self._quarters = Quarters(meters)
        self._energy = EnergyQuarters(meters)
        self.chain = DayChain(meters, zone)
        self._demand = LiveDemand(meters.values(), events)
        self._grid = GridEvents(meters, events)
        self._availability = Availability(meters, events)
        self.settings_watch = SettingsWatch(meters, events)

    def wanted(self) -> set[str]:
        """Return the meters whose identity job should run soon: after a gap, and while
        counters are held back."""
        return self._availability.wanted() | self._guard.holding()

    @property
    def learnt(self) -> bool:
        """Whether since the last `state` something became known of a meter at all."""
        return self._availability.learnt

    def failed(self, reading: Reading) -> None:
        """Take a reading without values."""
        if any(isinstance(one.error, RefusedError) for one in reading.failures):
            self._availability.refused(reading)

    def fast(self, reading: Reading, records: Iterable[Record]) -> list[Record]:
        """Take a reading of instantaneous values, and the `records` made of it."""
        samples = {one.phase: one for one in records if isinstance(one, Sample)}
        name, taken_ms = reading.meter, reading.taken_ms
        derived: list[Record] = [*self._availability.heard(reading)]
        derived += self._flows.feed(reading)
        derived += self._energy.feed(reading)
        derived += self._demand.feed(name, taken_ms, self._energy)
        derived += self._minutes.feed(name, taken_ms, samples)
        derived += self._watched(self._quality.feed(name, taken_ms, samples))
        derived += self._grid.feed(name, taken_ms, samples)
        return derived

    def slow(self, reading: Reading) -> tuple[Sequence[Reading], list[Record]]:
        """Take a reading of counters or settings; return the readings that are believed
        now, earlier ones among them, and what follows."""
        derived: list[Record] = [*self.settings_watch.feed(reading)]
        believed, verdicts = self._guard.feed(reading)
        for verdict in verdicts:
            if not verdict.reported:
                derived += self.settings_watch.verdict(verdict)
            self._flows.broke(verdict.meter, verdict.breaks)
            self._energy.broke(verdict)
        for each in believed:
            derived += self._availability.heard(each)
            derived += self._flows.feed(each)
            self.chain.read(each)
            derived += self._energy.feed(each)
        return believed, derived

    def tick(self, now_ms: int) -> list[Record]:
        """Return what is due by time alone."""
        derived: list[Record] = [*self._flows.tick(now_ms), *self.windows(now_ms)]
        derived += self._quarters.tick(now_ms)
        derived += self._energy.tick(now_ms)
        derived += self._availability.tick(now_ms)
        return derived

    def windows(self, now_ms: int) -> list[Record]:
        """Return windows that are over by time alone, some of them when there are many."""
        return [*self._minutes.tick(now_ms), *self._watched(self._quality.tick(now_ms))]

    def clock_step(self, step: Step) -> list[Record]:
        """Take note that the clock was moved."""
        derived: list[Record] = []
        if not step.first:
            derived += self._minutes.clock_step()
            derived += self._summed(self._quality.clock_step())
            self._quarters.clock_step()
            derived += self._energy.clock_step(step)
            self._demand.clock_step(step.size_ms)
            self._flows.clock_step()
            self._grid.clock_step(step.size_ms)
            self._availability.clock_step(step.size_ms)
            self._guard.clock_step(step.size_ms)
        derived += self.settings_watch.clock_step(step)
        return derived

    def _watched(self, windows: list[QualityWindow]) -> list[Record]:
        events = [event for window in windows for event in self._grid.window(window)]
        return [*self._summed(windows), *events]

    def _summed(self, windows: list[QualityWindow]) -> list[Record]:
        quarters = [one for window in windows for one in self._quarters.feed(window)]
        return [*windows, *quarters]

    def state(self, *, stopping: bool) -> SavedState:
        """Return what each stage keeps across restarts; open windows only when `stopping`."""
        saved = {
            "guard": self._guard.state(),
            "changes": self.changes.state(),
            "flows": self._flows.state(),
            "grid": self._grid.state(),
            "life": self._availability.state(),
            "facts": self.settings_watch.state(),
            "quarters": self._quarters.state(stopping=stopping),
            "energy": self._energy.state(),
            "chain": self.chain.state(),
            "demand": self._demand.state(),
        }
        if stopping:
            saved |= {"minutes": self._minutes.state(), "quality": self._quality.state()}
        return saved

    def restore(self, state: SavedState, alive_ms: int | None) -> None:
        """Take up where `state` was made; `alive_ms` is the newest point in the buffer.

        Raises KeyError, TypeError, ValueError, AttributeError or ArithmeticError for a state
        that makes no sense; the stages are of no use then.
        """
        self._guard.restore(state["guard"])
        self.changes.restore(state["changes"])
        self._flows.restore(state["flows"])
        self._grid.restore(state["grid"])
        self._availability.restore(state["life"], alive_ms)
        self.settings_watch.restore(state["facts"])
        if "quarters" in state:  # older versions had none
            self._quarters.restore(state["quarters"])
        if "energy" in state:
            self._energy.restore(state["energy"])
            self.chain.restore(state.get("chain", {}))
            self._demand.restore(state["demand"])
        if "minutes" in state:
            self._minutes.restore(state["minutes"])
            self._quality.restore(state["quality"])
