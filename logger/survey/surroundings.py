"""What a logger needs besides meters: InfluxDB, a right clock, room on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from logger.config import Config, Influx
from logger.domain.datamodel import MEASUREMENT_OF
from logger.models import Job, Model
from logger.share.place import open_to_others
from logger.survey.finding import Finding, fail, note, ok, warn

# What a point takes in the buffer with its row and index: 250 bytes in a file of 33,000
# points of a PRO380.
_BYTES_A_POINT = 250
_ENOUGH_DAYS, _LITTLE_DAYS = 90, 14
_DAY_S = 86_400

# Tries to write to one bucket: empty text when it may, else what is wrong and a hint.
TryWrite = Callable[[Influx, str], tuple[str, str]]


def influxdb(config: Config, try_write: TryWrite) -> Iterator[Finding]:
    """Yield whether each bucket takes points."""
    settings = config.influxdb
    if settings is None:
        yield note("influxdb", "delivery", "not configured: the buffer is the store")
        return
    for bucket in dict.fromkeys((settings.bucket, settings.fast_bucket or settings.bucket)):
        wrong, hint = try_write(settings, bucket)
        if wrong:
            yield fail("influxdb", f"bucket {bucket}", f"{settings.url}: {wrong}", hint)
        else:
            yield ok("influxdb", f"bucket {bucket}", f"{settings.url}: the token may write")


def clock(trusted: bool, synchronised: bool) -> Iterator[Finding]:
    """Yield whether the clock is set, and kept right."""
    if not trusted:
        yield fail(
            "machine",
            "clock",
            "not set: it is before this program was made",
            "connect to the network, or fit a battery-backed clock",
        )
    elif not synchronised:
        yield warn("machine", "clock", "not kept right by NTP", "timedatectl set-ntp true")
    else:
        yield ok("machine", "clock", "set and synchronised")


def points_a_day(config: Config, models: Mapping[str, Model]) -> float:
    """Return how many points a day the meters of `config` make, about."""
    total = 0.0
    for bus in config.bus:
        for meter in bus.meter:
            model = models[meter.model]
            for job in (Job.FAST, Job.SLOW, Job.IDENTITY):
                series = {
                    (MEASUREMENT_OF[register.field], register.phase, register.tariff)
                    for register in model.of_job(job)
                    if register.field in MEASUREMENT_OF
                }
                total += len(series) * _DAY_S / config.interval(meter, job)
    return total


def disk(config: Config, models: Mapping[str, Model]) -> Iterator[Finding]:
    """Yield for how many days of points there is room while InfluxDB is away."""
    directory = config.buffer.path.parent
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    yield room(directory, shutil.disk_usage(directory).free, config, models)


def room(directory: Path, free: int, config: Config, models: Mapping[str, Model]) -> Finding:
    """Return the verdict on `free` bytes of disk under `directory`."""
    a_day = points_a_day(config, models) * _BYTES_A_POINT
    usable = min(free, config.buffer.max_size)
    days = usable / a_day
    text = (
        f"{directory}: {free / 1e9:.1f} GB free, {config.buffer.max_size / 1e9:.1f} GB allowed: "
        f"about {days:.0f} days of points at {a_day / 1e6:.0f} MB a day"
    )
    if days < _LITTLE_DAYS:
        return warn("machine", "disk", text, "make room, or read the power less often")
    if days < _ENOUGH_DAYS and config.influxdb is None:
        return warn(
            "machine",
            "disk",
            text,
            "without InfluxDB the buffer is the store: raise buffer.max_size, or export regularly",
        )
    return ok("machine", "disk", text)


def sharing(config: Config) -> Iterator[Finding]:
    """Yield to whom the meters are open through the logger."""
    share = config.share.modbus
    if share is None:
        return
    for text in share.listen:
        if not open_to_others(text):
            yield ok("share", "modbus", f"{text}: this machine only")
            continue
        yield warn(
            "share",
            "modbus",
            f"{text}: open to every machine that reaches this one; nobody is asked for a password",
            "a network that is trusted, or a firewall rule for those who read",
        )
    if share.writes == "allow":
        yield warn(
            "share",
            "writing",
            f"{', '.join(share.writers)} may change settings of meters",
            'writes = "refuse" when that is done',
        )
