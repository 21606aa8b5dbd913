"""Which unit identifier is answered by what, and where the values come from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from logger.bus.busload import Lending, lending
from logger.config import Config
from logger.config import Meter as MeterConfig
from logger.config.share import ModbusShare, ModbusUnit, units_of
from logger.domain.errors import PortError
from logger.meter.reader import Reader
from logger.meter.reading import Reading
from logger.meter.session import MeterReader
from logger.models import Job, Model, load
from logger.models.plan import Block
from logger.share.demand import Demand, Outcome
from logger.share.meterunit import MeterUnit
from logger.share.newest import Newest
from logger.share.pdu import Code, Write
from logger.share.pro380 import Pro380Unit
from logger.share.source import Member, Source, serial_of
from logger.share.sunspec import SunSpecUnit
from logger.share.words import Words

Done = Callable[[Outcome], None]
# Lets a function have the worker of a bus, by the bus's name, when no job of the log waits for it.
Lend = Callable[[str, Callable[[], None]], None]


class Unit(Protocol):
    """What answers to a unit identifier. `done` hears the outcome, at once or later."""

    def read(self, block: Block, now: float, done: Done) -> None:
        """Answer with the words of `block`, or with an exception."""
        ...

    def write(self, request: Write, done: Done) -> str:
        """Write; return what, in words, "" if nothing is written."""
        ...


class _Values:
    """A unit that is no meter's own: it has nothing to write to."""

    def __init__(self, unit: Pro380Unit | SunSpecUnit) -> None:
        self.read = unit.read

    def write(self, _request: Write, done: Done) -> str:
        done(Code.ILLEGAL_FUNCTION)
        return ""


class Units:
    """All units of a configuration, and the way of the readings to them.

    `now_ms` is the time of readings, milliseconds UTC; `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        config: Config,
        share: ModbusShare,
        readers: Sequence[Reader],
        lend: Lend,
        now_ms: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._share = share
        self._readers = {reader.meter.name: reader for reader in readers}
        self._lend = lend
        self._now_ms = now_ms
        self._clock = clock
        self._words: dict[str, Words] = {}
        self._newest: dict[str, Newest] = {}
        self._demands: dict[str, Demand] = {}

    def make(self, wake: Callable[[], None]) -> tuple[Mapping[int, Unit], list[Demand]]:
        """Return the units by identifier, and the demands that `wake` is called for."""
        models = {reader.meter.model: reader.model for reader in self._readers.values()}
        for bus in self._config.bus:
            if bus.protocol == "modbus":
                lent = lending(self._config, bus, models)
                self._demands[bus.name] = self._demand(bus.name, lent, wake)
        units = units_of(self._share, self._config.bus)
        return {unit.id: self._unit(unit) for unit in units}, list(self._demands.values())

    def hear(self, reading: Reading) -> None:
        """Take a reading; on the worker of its bus."""
        reader = self._readers[reading.meter]
        error = reading.failures[-1].error if reading.failures else None
        silent = error is not None and (reader.away or isinstance(error, PortError))
        newest, words = self._newest.get(reading.meter), self._words.get(reading.meter)
        if words is not None:
            if silent:
                words.lose()
            elif reading.values:
                words.silent = False
        if newest is not None:
            if silent:
                newest.lose()
            else:
                age_s = max(0.0, (self._now_ms() - reading.taken_ms) / 1000)
                newest.hear(reading, self._clock() - age_s)

    def _demand(self, bus: str, lent: Lending, wake: Callable[[], None]) -> Demand:
        return Demand(lambda run: self._lend(bus, run), lent, wake, self._clock)

    def _unit(self, unit: ModbusUnit) -> Unit:
        if unit.map == "meter":
            reader = self._readers[unit.sources[0]]
            assert isinstance(reader, MeterReader)  # the configuration is checked
            name = reader.meter.name
            words = self._words.get(name)
            if words is None:
                words = self._words[name] = Words(reader.model, self._ages(reader.meter))
                reader.tell(words.keep)
            return MeterUnit(reader, words, self._demands[reader.bus])
        members = [self._member(name) for name in unit.sources]
        source = Source(members, serial_of(self._config.site.name, unit.id))
        if unit.map == "pro380":
            return _Values(Pro380Unit(unit.id, pro380(), source))
        return _Values(SunSpecUnit(unit.id, source, floats=unit.map == "sunspec-float"))

    def _member(self, name: str) -> Member:
        reader = self._readers[name]
        newest = self._newest.get(name)
        if newest is None:
            newest = self._newest[name] = Newest(reader.model, self._ages(reader.meter))
        return Member(name, reader.meter.wiring, newest)

    def _ages(self, meter: MeterConfig) -> Mapping[Job, float]:
        """Return how old values may be: two intervals unless the configuration says."""
        usual = {
            job: 2 * self._config.interval(meter, job) for job in (Job.FAST, Job.SLOW, Job.IDENTITY)
        }
        fast = self._share.max_age or usual[Job.FAST]
        slow = self._share.counters_max_age or usual[Job.SLOW]
        return {**usual, Job.FAST: fast, Job.SLOW: slow, Job.REQUEST: fast}


def pro380() -> Model:
    """Return the register table of the PRO380, as it is bundled."""
    return load("pro380")
