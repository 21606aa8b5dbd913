"""Wires the stages together: buses, readers, schedule, points, buffer, delivery.

Data goes one way: a worker thread reads a meter, turns the reading into points and
hands them to the buffer; delivery takes them from there in a thread of its own.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from logger import __version__, busload, health, meters, points
from logger.buffer import Buffer
from logger.bus import Bus
from logger.clock import Clock
from logger.config import Config
from logger.delivery import Delivery
from logger.derive.changes import MeterChanges
from logger.errors import ConfigError
from logger.meters import Job
from logger.reader import MeterReader
from logger.reading import Reading
from logger.schedule import Schedule, Task
from logger.status import StatusServer, socket_path

log = logging.getLogger(__name__)

# How long each part may take to stop; together below the five seconds promised.
_STOP_WORKERS_S, _STOP_DELIVERY_S = 2.0, 1.0
_HEALTH = "health"
Listener = Callable[[Reading], None]


class App:
    """A running logger. `start`, then `stop`; both once."""

    def __init__(self, config: Config, listener: Listener | None = None) -> None:
        self.config = config
        self.clock = Clock()
        self.models = {
            meter.model: meters.load(meter.model, config.models_dir)
            for bus in config.bus
            for meter in bus.meter
        }
        self.loads = {bus.name: load for bus, load in busload.check(config, self.models)}
        if config.influxdb is not None:
            config.influxdb.token()  # a missing token is a mistake to report at once
        self._listener = listener
        self._changes = MeterChanges()
        self._lock = threading.Lock()
        self.buses = [Bus(bus) for bus in config.bus]
        self.readers = [
            MeterReader(bus, meter, self.models[meter.model], self.clock.now_ms)
            for bus in self.buses
            for meter in bus.config.meter
        ]
        self.schedule = Schedule([*self._read_tasks(), self._health_task()])
        self.buffer = Buffer(
            config.buffer.path,
            commit_interval_s=config.buffer.commit_interval,
            keep_s=config.buffer.keep,
            max_size=config.buffer.max_size,
            max_age_s=config.buffer.max_age,
            now_ms=self.clock.now_ms,
        )
        self.delivery = (
            Delivery(self.buffer, config.influxdb, now_ms=self.clock.now_ms)
            if config.influxdb is not None
            else None
        )
        self._status = StatusServer(socket_path(config.buffer.path), self.state)
        self._started_ms = 0
        self._started = 0.0
        self.readings = 0

    def _read_tasks(self) -> list[Task]:
        """Return the tasks that read, identity first where several are due at once."""
        return [
            Task(
                name=f"{job} job of {reader.meter.name}",
                worker=reader.bus,
                interval_s=self.config.interval(reader.meter, job),
                run=partial(self._read, reader, job),
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
        self._started_ms = self.clock.now_ms()
        self._started = time.monotonic()
        if self.delivery is not None:
            self.delivery.start()
        self._status.start()
        self.schedule.start()
        for bus in self.config.bus:
            log.info(
                "bus %s: %d meters on %s, %d baud, load %.0f %%",
                bus.name,
                len(bus.meter),
                bus.port,
                bus.baudrate,
                100 * self.loads[bus.name],
            )

    def look(self) -> None:
        """Compare the clock with the wall clock; called about once a second."""
        step = self.clock.check()
        if step is not None:
            log.warning("the clock was set by %+.1f s", step.size_ms / 1000)
            self.schedule.clock_stepped()

    def stop(self) -> None:
        """Stop within five seconds, with every reading committed."""
        self._status.stop()
        if not self.schedule.stop(_STOP_WORKERS_S):
            log.warning("a bus is still waiting for an answer; it is left behind")
        for bus in self.buses:
            bus.close()
        self.buffer.flush()
        if self.delivery is not None:
            self.delivery.stop(_STOP_DELIVERY_S)
        self.buffer.close()

    def _read(self, reader: MeterReader, job: Job, due_ms: int) -> None:
        reading = reader.read(job, due_ms)
        with self._lock:
            self.readings += bool(reading.values)
            kept = self._changes.keep(reading)
        found = points.points(kept, reader.model, self.config.site.name)
        if found:
            self.buffer.append(found)
        if self._listener is not None:
            self._listener(reading)

    def _report(self, _due_ms: int) -> None:
        now = self.clock.now_ms()
        self.buffer.append(
            health.points(
                self.config.site.name,
                self.meter_health(),
                self.bus_health(),
                self.buffer.figures(),
                now,
            )
        )

    def meter_health(self) -> list[health.MeterHealth]:
        """Return the counts of every meter."""
        missed: dict[str, int] = {}
        for task in self.schedule.tasks:
            if isinstance(task.run, partial):
                name = task.run.args[0].meter.name
                missed[name] = missed.get(name, 0) + task.missed
        return [
            health.MeterHealth(
                name=reader.meter.name,
                bus=reader.bus,
                role=reader.meter.role,
                model=reader.model.name,
                address=reader.meter.address,
                interval_s=self.config.interval(reader.meter, Job.FAST),
                reads=reader.reads,
                errors=reader.errors,
                rejected=reader.rejected,
                missed=missed[reader.meter.name],
                read_ms=reader.last_ms,
                last_good=reader.last_good,
                error=str(reader.error) if reader.error is not None else "",
            )
            for reader in self.readers
        ]

    def bus_health(self) -> list[health.BusHealth]:
        """Return the counts of every bus."""
        running_s = max(time.monotonic() - self._started, 0.001)
        return [
            health.BusHealth(
                name=bus.name,
                port=bus.config.port,
                planned_load=self.loads[bus.name],
                busy=bus.stats.busy_s / running_s,
                requests=bus.stats.requests,
                answered=bus.stats.answered,
                silent=bus.stats.silent,
                garbled=bus.stats.garbled,
                refused=bus.stats.refused,
                port_errors=bus.stats.port_errors,
                echo=bus.echo,
            )
            for bus in self.buses
        ]

    def state(self) -> Mapping[str, Any]:
        """Return what `status` shows: everything, and `problems` in words."""
        now = self.clock.now_ms()
        meter_list = self.meter_health()
        problems = health.meter_problems(meter_list, self._started_ms, now)
        buffer = self.buffer.state()
        if not buffer.ok:
            problems.append(f"buffer: {buffer.problem}")
        delivery = None
        if self.delivery is not None:
            delivery = self.delivery.state()
            problems += delivery.problems()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "site": self.config.site.name,
            "started": self._started_ms,
            "now": now,
            "healthy": not problems,
            "problems": problems,
            "readings": self.readings,
            "meters": [health.as_json(meter, now) for meter in meter_list],
            "buses": [asdict(bus) for bus in self.bus_health()],
            "buffer": buffer.as_json(),
            "delivery": delivery.as_json() if delivery is not None else None,
        }


def check_config(config: Config) -> list[tuple[str, float]]:
    """Return each bus and its load. Raises ConfigError when the schedule cannot fit."""
    models = {
        meter.model: meters.load(meter.model, config.models_dir)
        for bus in config.bus
        for meter in bus.meter
    }
    found = [(bus.name, load) for bus, load in busload.check(config, models)]
    if config.influxdb is not None:
        try:
            config.influxdb.token()
        except ConfigError as err:
            raise ConfigError(f"influxdb: {err.message}", err.hint) from err
    return found
