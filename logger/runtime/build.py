"""Makes parts of a running logger from its configuration; nothing is opened or started here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from logger.buffer import Buffer
from logger.bus import Bus, bus_of
from logger.config import Config
from logger.derive.info import MeterInfo
from logger.derive.pipeline import Derive
from logger.domain.records import Record
from logger.meter.reader import Reader
from logger.meter.readers import reader_of
from logger.meter.state import StateStore
from logger.models import Job
from logger.runtime.bell import Bell
from logger.runtime.configured import models_of
from logger.runtime.task import Task


def buffer_of(config: Config, now_ms: Callable[[], int]) -> Buffer:
    """Return the buffer: the store of all points where nothing delivers them."""
    return Buffer(
        config.buffer.path,
        commit_interval_s=config.buffer.commit_interval,
        keep_s=config.buffer.keep,
        max_size=config.buffer.max_size,
        max_age_s=config.buffer.max_age,
        now_ms=now_ms,
        store=config.influxdb is None,
    )


def worker_of(bus: str) -> str:
    """Return the name of the worker that reads the meters on a bus."""
    return f"bus {bus}"


def buses_of(config: Config, wanted: Callable[[str], bool], bells: Mapping[str, Bell]) -> list[Bus]:
    """Return the lines; `wanted` tells by the name of a bus whether anything waits for it.

    `bells` are those of the workers, which ring meanwhile.
    """
    return [
        bus_of(bus, partial(wanted, bus.name), bells[worker_of(bus.name)].fileno())
        for bus in config.bus
    ]


def readers_of(
    config: Config, buses: Iterable[Bus], now_ms: Callable[[], int], states: Path
) -> list[Reader]:
    """Return a reader for each meter; what is found out about it is kept in `states`."""
    models = models_of(config)
    return [
        reader_of(bus, meter, models[meter.model], now_ms, states=StateStore(states))
        for bus in buses
        for meter in bus.config.meter
    ]


def info_of(config: Config, reader: Reader) -> MeterInfo:
    """Return what the stages of derived values know of a meter beforehand."""
    meter = reader.meter
    return MeterInfo(
        name=meter.name,
        role=meter.role,
        model=reader.model,
        fast_ms=round(config.interval(meter, Job.FAST) * 1000),
        slow_ms=round(config.interval(meter, Job.SLOW) * 1000),
        wiring=meter.wiring,
    )


def derive_of(
    config: Config, infos: Iterable[MeterInfo], newest: Callable[[Sequence[Record]], None]
) -> Derive:
    """Return what turns readings into points; `newest` hears of each value before that."""
    site = config.site
    return Derive(infos, site.name, config.events, config.counters, newest, site.timezone)


def read_tasks(
    config: Config, readers: Sequence[Reader], read: Callable[[Reader, Job, int], None]
) -> list[Task]:
    """Return the tasks that `read`, identity first where several are due at once."""
    return [
        Task(
            name=task_name(reader.meter.name, job),
            worker=worker_of(reader.bus),
            interval_s=config.interval(reader.meter, job),
            run=partial(read, reader, job),
            meter=reader.meter.name,
            job=job,
            at_start=job is not Job.FAST,
        )
        for job in (Job.IDENTITY, Job.SLOW, Job.FAST)
        for reader in readers
    ]


def task_name(meter: str, job: Job) -> str:
    """Return the name of the task that does `job` of a meter."""
    return f"{job} job of {meter}"
