"""The running logger: buses, readers, schedule, derived values, buffer, delivery.

Data goes one way: a worker thread reads a meter, the reading becomes points, the points
go to the buffer; delivery takes them from there in threads of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from logger.bus.busload import meters_text
from logger.config import Config
from logger.derive.clock import Clock, Machine
from logger.derive.intake import Intake
from logger.latest import Latest, of_all, planned
from logger.meter.reader import Reader
from logger.meter.reading import Reading, parts
from logger.models import Job
from logger.runtime import build, outputs
from logger.runtime.bell import Bell
from logger.runtime.configured import check_config, state_directory
from logger.runtime.overview import Overview
from logger.runtime.parts import parts_of
from logger.runtime.prices import PriceWatch
from logger.runtime.schedule import Schedule
from logger.runtime.service import Service
from logger.runtime.status import StatusServer, socket_path
from logger.runtime.stopping import end, end_all
from logger.runtime.task import Task
from logger.runtime.watch import Watch
from logger.store.place import check_first
from logger.store.state import until_full
from logger.store.statefile import StateFile

if TYPE_CHECKING:
    from logger.delivery import Delivery

log = logging.getLogger(__name__)

# How long parts may take to stop, and all of them: below the five seconds promised.
_STOP_WORKERS_S, _STOP_BUSES_S, _STOP_DELIVERY_S, _STOP_S = 2.0, 1.5, 1.0, 4.5
_STOP_CLOSE_S = 0.5  # of these, kept for the buffer to close
# A meter that is asked for its identity out of turn is not asked again for this long.
_ASK_AGAIN_S = 30.0
_HEALTH = "health"
_THIS_MACHINE = Machine()
Listener = Callable[[Reading], None]


class App:
    """A running logger: all parts are built from the configuration, then run.

    `start`, then `stop`; both once.
    `listener` hears of every reading, on the worker thread of its bus; `machine` is what
    the time comes from. Raises ConfigError for a schedule that cannot fit, for a missing
    token, and for a first buffer that cannot be made.
    """

    def __init__(
        self, config: Config, listener: Listener | None = None, machine: Machine = _THIS_MACHINE
    ) -> None:
        check_first(config.buffer.path)
        self.config = config
        self._listeners = [] if listener is None else [listener]
        self.loads = dict(check_config(config))
        self.clock = Clock(machine)
        self._boot = machine.boot()
        self.buffer = build.buffer_of(config, self.clock.now_ms)
        states = state_directory(config.buffer.path)
        bells = {build.worker_of(bus.name): Bell() for bus in config.bus}
        self.buses = build.buses_of(config, self._wanted, bells)
        self.readers = build.readers_of(config, self.buses, self.clock.now_ms, states / "meters")
        self.latest = Latest(planned(config), self.clock.now_ms)
        infos = [build.info_of(config, reader) for reader in self.readers]
        derive = build.derive_of(config, infos, self.latest.take)
        state = StateFile(states / "derived.json")
        self.intake = Intake(derive, self.clock, self.buffer, state, self._boot)
        self._prices = PriceWatch(config, self.intake.prices)
        health = Task(_HEALTH, _HEALTH, config.intervals.slow, self._report)
        tasks = build.read_tasks(config, self.readers, self._read)
        idle = {build.worker_of(bus.name): bus.sharing.watch.go_on for bus in self.buses}
        self.schedule = Schedule([*tasks, health], idle, bells)
        self.delivery = outputs.delivery_of(config, self.buffer, self.clock.now_ms)
        self._server_time = outputs.server_time_of(config, self.clock, machine)
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
        now_ms = self.clock.now_ms
        self._mqtt = outputs.mqtt_of(config, infos, self.latest, states, self.clock)
        self._metrics = outputs.metrics_of(config, self.state, self.overview.points)
        self._web = outputs.web_of(config, self.latest, now_ms, self.state, self._metrics)
        share = outputs.share_of(config, self.readers, self._lend, now_ms)
        self._share = share.server if share is not None else None
        if share is not None:
            self._listeners.append(share.hear)
        self._services = dict(self._make_services())
        self._watch = Watch(parts_of(self.schedule, self.buffer, self.delivery, self._services))
        self._asked: dict[str, float] = {}
        self._heard: set[str] = set()

    def _make_services(self) -> Iterator[tuple[str, Service]]:
        """Yield what the configuration asks for."""
        yield "status", self._status
        if self._metrics is not None:
            yield "metrics", self._metrics
        if self._web is not None:
            yield "http", self._web
        if self._mqtt is not None:
            yield "mqtt", self._mqtt
        if self._share is not None:
            yield "share modbus", self._share

    def _wanted(self, bus: str) -> bool:
        return self.schedule.wanted(build.worker_of(bus))

    def _lend(self, bus: str, run: Callable[[], None]) -> None:
        self.schedule.lend(build.worker_of(bus), run)

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
        self._prices.refresh(self.clock.now_ms())
        self.intake.open(found.stamped_ms, found.parked)
        self.overview.begin()
        self.schedule.start()  # first: a thread of the delivery begins with loading libraries
        if self.delivery is not None:
            self.delivery.start()
        for service in self._services.values():
            service.start()
        self._watch.begin()
        if self.delivery is None:
            what = until_full(found.days_left, found.bytes_per_day, found.max_size)
            log.info("no [influxdb]: %s is the store; %s", self.config.buffer.path, what)
        for bus in self.config.bus:
            text = "bus %s: %s on %s, %d baud, busy %.0f %% of the time"
            load = 100 * self.loads[bus.name]
            log.info(text, bus.name, meters_text(bus), bus.port, bus.baudrate, load)

    def state(self) -> Mapping[str, Any]:
        """Return what `status` shows."""
        outputs = {"mqtt": self._mqtt, "http": self._web, "share": self._share}
        there = {name: one for name, one in outputs.items() if one is not None}
        problems = self._watch.problems()
        problems += [text for one in there.values() for text in one.problems()]
        state = self.overview.state(clock_trusted=self.clock.trusted, stalled=problems)
        shown = {name: one.state() for name, one in there.items()}
        return {**state, "latest": of_all(self.latest), **shown}

    def refresh(self) -> str:
        """Do what time alone brings; called about once a second. Return why the process
        has to end, "" if it has not."""
        self._status.refresh()
        self._prices.refresh(self.clock.now_ms())
        if self.intake.refresh() is not None:
            self.schedule.clock_stepped()
        if self._server_time is not None and self.clock.trusted:
            self._server_time.stop()
        asking = {build.task_name(name, Job.IDENTITY) for name in self.intake.wanted()}
        asking |= {
            build.task_name(one.meter.name, job) for one in self.readers for job in one.wants()
        }
        for name in asking:
            if time.monotonic() - self._asked.get(name, -_ASK_AGAIN_S) >= _ASK_AGAIN_S:
                self._asked[name] = time.monotonic()
                self.schedule.soon(name)
        return self._watch.refresh()

    def stop(self) -> int:
        """Stop within five seconds, with every reading committed; return how many points the
        disk did not take."""
        until = time.monotonic() + _STOP_S
        if self._server_time is not None:
            self._server_time.stop()
        for name, service in self._services.items():
            end(name, service.stop)
        if not self.schedule.stop(_STOP_WORKERS_S):
            log.warning("a bus is still waiting for an answer; it is left behind")
        end_all({f"bus {bus.name}": bus.close for bus in self.buses}, _STOP_BUSES_S)
        end("the derived values", self.intake.close)
        kept = _STOP_CLOSE_S + (_STOP_DELIVERY_S if self.delivery is not None else 0.0)
        flushed = self.buffer.flush(max(0.0, until - kept - time.monotonic()))
        if self.delivery is not None:
            if flushed:
                self._deliver_the_rest(self.delivery, until - _STOP_CLOSE_S)
            self.delivery.stop(
                max(0.0, min(_STOP_DELIVERY_S, until - _STOP_CLOSE_S - time.monotonic()))
            )
        return self.buffer.close(max(_STOP_CLOSE_S, until - time.monotonic()))

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
        take = partial(self._take, self.clock.offset_ms)
        reader.hand_on(reader.read(job, due_ms), take)

    def _take(self, offset_ms: int, reading: Reading) -> None:
        self.overview.readings += bool(reading.values)
        if reading.values and reading.meter not in self._heard:
            self._heard.add(reading.meter)
            log.info("meter %s: answers", reading.meter)
        for part in parts(reading):
            self.intake.accept(part, offset_ms)
        for hear in self._listeners:
            hear(reading)

    def _report(self, _due_ms: int) -> None:
        """Keep the logger's own figures, and tell the events how full the buffer is."""
        if not self.clock.trusted:
            return
        self.buffer.append(self.overview.points())
        self.intake.buffer(self.buffer.state())
