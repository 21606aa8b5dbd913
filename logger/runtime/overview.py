"""What the parts of a running logger say of themselves, gathered for `status` and for
the `logger` points."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from logger import __version__
from logger.buffer import Buffer
from logger.bus import Bus
from logger.bus.elapsed import elapsed
from logger.config import Config
from logger.meter.reader import Reader
from logger.models import Job
from logger.points.encode import points
from logger.points.line import Point
from logger.runtime import health
from logger.runtime.task import Task

if TYPE_CHECKING:
    from logger.delivery import Delivery


class Overview:
    """Looks at the parts of the app; changes none. `readings` counts good ones."""

    def __init__(
        self,
        config: Config,
        loads: Mapping[str, float],
        readers: Sequence[Reader],
        tasks: Sequence[Task],
        buses: Sequence[Bus],
        buffer: Buffer,
        delivery: Delivery | None,
        now_ms: Callable[[], int],
    ) -> None:
        self.readings = 0
        self._config = config
        self._loads = loads
        self._readers = readers
        self._tasks = tasks
        self._buses = buses
        self._buffer = buffer
        self._delivery = delivery
        self._now_ms = now_ms
        self._started_ms = 0
        self._started = 0.0

    def begin(self) -> None:
        """The logger runs from now on."""
        self._started_ms = self._now_ms()
        self._started = time.monotonic()

    def points(self) -> list[Point]:
        """Return the `logger` points of this moment."""
        now_ms = self._now_ms()
        found = health.counts(
            self.meters(),
            self.buses(),
            health.buffer_fields(self._buffer.books(), self._buffer.state(), now_ms),
            now_ms,
        )
        return points(found, self._config.site.name)

    def meters(self) -> list[health.MeterHealth]:
        """Return the counts of every meter."""
        missed: dict[str, int] = {}
        for task in self._tasks:
            missed[task.meter] = missed.get(task.meter, 0) + task.missed
        return [
            health.MeterHealth(
                name=reader.meter.name,
                bus=reader.bus,
                role=reader.meter.role,
                model=reader.model.name,
                address=reader.meter.address,
                interval_s=self._config.interval(reader.meter, Job.FAST),
                reads=reader.reads,
                errors=reader.errors,
                rejected=reader.rejected,
                missed=missed[reader.meter.name],
                read_ms=reader.last_ms,
                last_good=reader.last_good,
                error=str(reader.error) if reader.error is not None else "",
                wrong_model=reader.wrong_model,
                jobs={
                    job: health.JobHealth(
                        self._config.interval(reader.meter, job), reader.last_of.get(job)
                    )
                    for job in (Job.FAST, Job.SLOW, Job.IDENTITY)
                    if reader.model.of_job(job)
                },
                left_out=[str(one) for one in reader.left_out],
                serial=reader.serial,
            )
            for reader in self._readers
        ]

    def buses(self) -> list[health.BusHealth]:
        """Return the counts of every bus."""
        running_s = max(time.monotonic() - self._started, 0.001)
        return [
            health.BusHealth(
                name=bus.name,
                port=bus.config.port,
                planned_load=self._loads[bus.name],
                busy=bus.stats.busy_s / running_s,
                requests=bus.stats.requests,
                answered=bus.stats.answered,
                silent=bus.stats.silent,
                garbled=bus.stats.garbled,
                refused=bus.stats.refused,
                port_errors=bus.stats.port_errors,
                echo=bus.echo,
                shared=bus.shared,
                foreign=bus.sharing.traffic.frames,
                problems=[*bus.rivals.problems(elapsed()), *bus.belated.problems(elapsed())],
            )
            for bus in self._buses
        ]

    def state(self, *, clock_trusted: bool, stalled: Sequence[str] = ()) -> Mapping[str, Any]:
        """Return what `status` shows: everything, and `problems` in words, with those in
        `stalled` that the logger has with its own threads."""
        now = self._now_ms()
        meter_list, bus_list = self.meters(), self.buses()
        problems = [*stalled]
        problems += health.bus_problems(bus_list)
        problems += health.meter_problems(meter_list, self._started_ms, now)
        problems += health.twin_problems(meter_list)
        if not clock_trusted:
            problems.append("the clock of this machine is not set: readings wait for their time")
        buffer = self._buffer.state()
        problems += health.buffer_problems(buffer)
        lanes = self._delivery.state() if self._delivery is not None else {}
        problems += health.delivery_problems(lanes)
        return {
            "version": __version__,
            "pid": os.getpid(),
            "site": self._config.site.name,
            "started": self._started_ms,
            "now": now,
            "healthy": not problems,
            "problems": problems,
            "readings": self.readings,
            "meters": [health.as_json(meter, now) for meter in meter_list],
            "buses": [asdict(bus) for bus in bus_list],
            "buffer": {"path": str(self._config.buffer.path), **asdict(buffer)},
            "delivery": {lane.value: asdict(lane_state) for lane, lane_state in lanes.items()},
        }
