"""Wires the stages together: buses, readers, schedule, derived values, buffer, delivery.

Data goes one way: a worker thread reads a meter, the reading becomes points, the points
go to the buffer; delivery takes them from there in threads of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from logger.buffer import Buffer
from logger.bus import bus_of, busload
from logger.config import Config
from logger.delivery import Delivery
from logger.derive import Derive, MeterInfo
from logger.derive.clock import Clock, Machine
from logger.derive.intake import Intake
from logger.influx.servertime import ServerTime
from logger.meter.reader import Reader
from logger.meter.readers import reader_of
from logger.meter.reading import Reading, parts
from logger.meter.state import StateStore
from logger.models import Job, Model
from logger.models import load as load_model
from logger.runtime.metrics import MetricsServer
from logger.runtime.overview import Overview
from logger.runtime.schedule import Schedule, Task
from logger.runtime.service import Service
from logger.runtime.status import StatusServer, socket_path
from logger.runtime.watch import Part, Watch
from logger.store.statefile import StateFile

log = logging.getLogger(__name__)

# How long parts may take to stop, and all of them: below the five seconds promised.
_STOP_WORKERS_S, _STOP_DELIVERY_S, _STOP_S = 2.0, 1.0, 4.5
_STOP_CLOSE_S = 0.5  # of these, kept for the buffer to close
# A meter that is asked for its identity out of turn is not asked again for this long.
_ASK_AGAIN_S = 30.0
# The keeping thread may mend a damaged file, which takes long on a slow medium.
_BUFFER_END_S = 3600.0
_HEALTH = "health"
_THIS_MACHINE = Machine()
Listener = Callable[[Reading], None]


def models_of(config: Config) -> Mapping[str, Model]:
    """Return the register tables that the configuration names, by name."""
    names = {meter.model for bus in config.bus for meter in bus.meter}
    return {name: load_model(name, config.models_dir) for name in names}


def check_config(config: Config) -> list[tuple[str, float]]:
    """Return each bus and its load.

    Raises ConfigError when the schedule cannot fit or the token is missing.
    """
    found = [(bus.name, load) for bus, load in busload.check(config, models_of(config))]
    if config.influxdb is not None:
        config.influxdb.token()
    return found


def state_directory(buffer: Path) -> Path:
    """Return where the state of everything but the points lies, beside the buffer."""
    return buffer.with_name(buffer.name + ".state")


class App:
    """A running logger: all parts are built from the configuration, then run.

    `start`, then `stop`; both once.

    `listener` hears of every reading, on the worker thread of its bus; `machine` is what
    the time comes from. Raises ConfigError for a schedule that cannot fit and for a
    missing token.
    """

    def __init__(
        self, config: Config, listener: Listener | None = None, machine: Machine = _THIS_MACHINE
    ) -> None:
        self.config = config
        self._listeners = [] if listener is None else [listener]
        self.loads = dict(check_config(config))
        self.clock = Clock(machine)
        self._boot = machine.boot()
        self.buffer = Buffer(
            config.buffer.path,
            commit_interval_s=config.buffer.commit_interval,
            keep_s=config.buffer.keep,
            max_size=config.buffer.max_size,
            max_age_s=config.buffer.max_age,
            now_ms=self.clock.now_ms,
            archive=config.influxdb is None,
        )
        states = state_directory(config.buffer.path)
        models = models_of(config)
        self.buses = [bus_of(bus) for bus in config.bus]
        self.readers = [
            reader_of(
                bus,
                meter,
                models[meter.model],
                self.clock.now_ms,
                states=StateStore(states / "meters"),
            )
            for bus in self.buses
            for meter in bus.config.meter
        ]
        derive = Derive(
            [self._info(reader) for reader in self.readers],
            config.site.name,
            config.events,
            config.counters,
        )
        state = StateFile(states / "derived.json")
        self.intake = Intake(derive, self.clock, self.buffer, state, self._boot)
        self.schedule = Schedule([*self._read_tasks(), self._health_task()])
        self.delivery: Delivery | None = None
        self._server_time: ServerTime | None = None
        if config.influxdb is not None:
            self.delivery = Delivery(self.buffer, config.influxdb, now_ms=self.clock.now_ms)
            self._server_time = ServerTime(
                config.influxdb.url, self.clock.hear, machine.mono, machine.elsewhere
            )
        self.overview = Overview(
            config,
            self.loads,
            self.readers,
            self.schedule.tasks,
            self.buses,
            self.buffer,
            self.delivery,
            self.clock.now_ms,
        )
        self._status = StatusServer(socket_path(self.config.buffer.path), self.state)
        self._services = dict(self._make_services())
        self._watch = Watch(self._parts())
        self._asked: dict[str, float] = {}
        self._heard: set[str] = set()

    def _make_services(self) -> Iterator[tuple[str, Service]]:
        """Yield what the configuration asks for; an output that takes readings puts its
        method among `_listeners`."""
        yield "status", self._status
        if self.config.metrics is not None:
            yield "metrics", MetricsServer(self.config.metrics, self.state, self.overview.points)

    def _info(self, reader: Reader) -> MeterInfo:
        meter = reader.meter
        return MeterInfo(
            name=meter.name,
            role=meter.role,
            model=reader.model,
            fast_ms=round(self.config.interval(meter, Job.FAST) * 1000),
            slow_ms=round(self.config.interval(meter, Job.SLOW) * 1000),
            wiring=meter.wiring,
        )

    def _read_tasks(self) -> list[Task]:
        """Return the tasks that read, identity first where several are due at once."""
        return [
            Task(
                name=f"{job} job of {reader.meter.name}",
                worker=f"bus {reader.bus}",
                interval_s=self.config.interval(reader.meter, job),
                run=partial(self._read, reader, job),
                meter=reader.meter.name,
                job=job,
                at_start=job is not Job.FAST,
            )
            for job in (Job.IDENTITY, Job.SLOW, Job.FAST)
            for reader in self.readers
        ]

    def _health_task(self) -> Task:
        return Task(_HEALTH, _HEALTH, self.config.intervals.slow, self._report)

    def start(self) -> None:
        """Start everything. Raises BufferBusyError when another logger has the buffer."""
        self.buffer.open()
        found = self.buffer.state()
        since_ms = self.buffer.parked_since(self._boot)
        self.clock.learn(found.stamped_ms, None if since_ms is None else since_ms / 1000)
        if not self.clock.trusted:
            log.warning("the clock of this machine is not set yet: readings wait for their time")
            if self._server_time is not None:
                self._server_time.start()
        self.intake.open(found.stamped_ms, found.parked)
        self.overview.begin()
        if self.delivery is not None:
            self.delivery.start()
        for service in self._services.values():
            service.start()
        self.schedule.start()
        self._watch.begin()
        if self.delivery is None:
            log.info("no [influxdb]: %s is the store", self.config.buffer.path)
        for bus in self.config.bus:
            log.info(
                "bus %s: %d meters on %s, %d baud, busy %.0f %% of the time",
                bus.name,
                len(bus.meter),
                bus.port,
                bus.baudrate,
                100 * self.loads[bus.name],
            )

    def _parts(self) -> Iterator[Part]:
        """Yield every thread that is to live as long as the logger."""
        schedule, buffer, delivery = self.schedule, self.buffer, self.delivery
        yield Part("the thread of the schedule", schedule.late_s)
        for name, late_s in schedule.workers().items():
            restart, doing = partial(schedule.restart, name), partial(schedule.doing, name)
            yield Part(f"the thread of {name}", late_s, restart, doing)
        yield Part("the thread of the buffer", buffer.late_s, buffer.restart, end_s=_BUFFER_END_S)
        if delivery is not None:
            for name, late_s in delivery.threads().items():
                yield Part(f"the thread of {name}", late_s, partial(delivery.restart, name))
        for name, service in self._services.items():
            yield Part(f"the thread of {name}", service.late_s, service.restart)

    def state(self) -> Mapping[str, Any]:
        """Return what `status` shows."""
        return self.overview.state(clock_trusted=self.clock.trusted, stalled=self._watch.problems())

    def refresh(self) -> str:
        """Do what time alone brings; called about once a second. Return why the process
        has to end, "" if it has not."""
        self._status.refresh()
        if self.intake.refresh() is not None:
            self.schedule.clock_stepped()
        if self._server_time is not None and self.clock.trusted:
            self._server_time.stop()
        for name in self.intake.wanted():
            now = time.monotonic()
            if now - self._asked.get(name, -_ASK_AGAIN_S) >= _ASK_AGAIN_S:
                self._asked[name] = now
                self.schedule.soon(f"{Job.IDENTITY} job of {name}")
        return self._watch.refresh()

    def stop(self) -> None:
        """Stop within five seconds, with every reading committed."""
        until = time.monotonic() + _STOP_S
        if self._server_time is not None:
            self._server_time.stop()
        for service in self._services.values():
            service.stop()
        if not self.schedule.stop(_STOP_WORKERS_S):
            log.warning("a bus is still waiting for an answer; it is left behind")
        for bus in self.buses:
            bus.close()
        self.intake.close()
        kept = _STOP_CLOSE_S + (_STOP_DELIVERY_S if self.delivery is not None else 0.0)
        flushed = self.buffer.flush(max(0.0, until - kept - time.monotonic()))
        if self.delivery is not None:
            if flushed:
                self._deliver_the_rest(self.delivery, until - _STOP_CLOSE_S)
            self.delivery.stop(
                max(0.0, min(_STOP_DELIVERY_S, until - _STOP_CLOSE_S - time.monotonic()))
            )
        self.buffer.close(max(_STOP_CLOSE_S, until - time.monotonic()))

    def _deliver_the_rest(self, delivery: Delivery, until: float) -> None:
        """Give the last readings a moment to go out while the server takes them."""
        until = min(until, time.monotonic() + _STOP_DELIVERY_S)
        while (
            self.buffer.state().waiting
            and all(lane.ok for lane in delivery.state().values())
            and time.monotonic() < until
        ):
            time.sleep(0.02)

    def _read(self, reader: Reader, job: Job, due_ms: int) -> None:
        reading = reader.read(job, due_ms)
        if reading.values:
            self.overview.readings += 1
            if reading.meter not in self._heard:
                self._heard.add(reading.meter)
                log.info("meter %s: answers", reading.meter)
        for part in parts(reading):
            self.intake.accept(part)
        for hear in self._listeners:
            hear(reading)

    def _report(self, _due_ms: int) -> None:
        """Keep the logger's own figures, and tell the events how full the buffer is."""
        if not self.clock.trusted:
            return
        self.buffer.append(self.overview.points())
        self.intake.buffer(self.buffer.state())
