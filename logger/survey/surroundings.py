"""What a logger needs besides meters: InfluxDB, a broker, a right clock, room on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from math import gcd
from pathlib import Path

from logger.config import Config, Influx
from logger.config.mqtt import Mqtt
from logger.disk.newfiles import nearest
from logger.domain.datamodel import MEASUREMENT_OF
from logger.domain.errors import BufferFileError, ConfigError
from logger.domain.limits import BORDER_MS, QUARTER_MS
from logger.domain.times import duration_text
from logger.models import Job, Model
from logger.share.place import open_to_others
from logger.store.capacity import Capacity
from logger.store.state import STORE_HINT
from logger.store.tools import summary
from logger.survey.finding import Finding, fail, note, ok, warn

# What a point takes in the buffer once it is packed, with what is derived of it, bytes. A meter
# read every 5 s makes 79,000 points a day, 2.5 MB where the buffer is the store and a fifth of
# its 18.8 MB of text where a database takes them (docs/performance.md, "What bounds each figure").
_BYTES_A_POINT = 48
_BYTES_A_POINT_OF_STORE = 32
_ENOUGH_DAYS, _LITTLE_DAYS = 90, 14
_DAY_S = 86_400
_NAMED = 3  # of meters with the same fault

# Tries to write to one bucket: empty text when it may, else what is wrong and a hint.
TryWrite = Callable[[Influx, str], tuple[str, str]]
# Tries whether messages come through a broker, with the same answer.
TryBroker = Callable[[Config, Mqtt], tuple[str, str]]


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


def mqtt(config: Config, try_broker: TryBroker) -> Iterator[Finding]:
    """Yield whether the broker takes messages, and what keeps the connection from being safe."""
    settings = config.mqtt
    if settings is None:
        return
    wrong, hint = try_broker(config, settings)
    if wrong:
        yield fail("mqtt", "broker", wrong, hint)
    else:
        yield ok("mqtt", "broker", f"{settings.url}: messages come through")
    if settings.insecure:
        yield warn(
            "mqtt", "TLS", "whoever answers is believed to be the broker", "mqtt.ca_file instead"
        )
    elif settings.password_file is not None and not settings.tls and not _here(settings.host):
        yield warn(
            "mqtt",
            "TLS",
            f"the password goes to {settings.host} as plain text",
            f'url = "mqtts://{settings.host}" if the broker speaks TLS',
        )


def http(config: Config) -> Iterator[Finding]:
    """Yield to whom the page and its interface are open, and what goes over the wire."""
    settings = config.http
    if settings is None:
        return
    try:
        token = settings.token()
    except ConfigError as err:
        yield fail("http", "token", err.message, err.hint)
        return
    asked = "with the token" if token else "without a token"
    if settings.loopback:
        yield ok("http", "open to", f"this machine alone, {asked}: {settings.url}")
    else:
        anywhere = settings.host in ("0.0.0.0", "::")  # noqa: S104 - said, not done
        where = "every network of this machine" if anywhere else f"the network of {settings.host}"
        yield warn(
            "http",
            "open to",
            f"{where}, port {settings.port}, {asked}, which goes over it as plain text",
            'host = "127.0.0.1" and a proxy that speaks TLS, if that network is not yours alone',
        )
    if settings.origins:
        yield note("http", "CORS", f"pages of {', '.join(settings.origins)} may read, too")


def _here(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


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
        yield warn("machine", "clock", "not kept right by NTP", "sudo timedatectl set-ntp true")
    else:
        yield ok("machine", "clock", "set and synchronised")


def quarter_hours(config: Config) -> Iterator[Finding]:
    """Yield, once, whose counters are not read at each quarter hour: jobs are due at whole
    multiples of their interval since 1970."""
    late: dict[float, list[str]] = {}
    for bus in config.bus:
        for meter in bus.meter:
            interval_ms = round(config.interval(meter, "slow") * 1000)
            # Of all borders the latest reading behind one, if none is missed.
            if interval_ms - gcd(interval_ms, QUARTER_MS) >= BORDER_MS:
                late.setdefault(interval_ms / 1000, []).append(meter.name)
    if not late:
        return
    told = []
    for interval_s, names in sorted(late.items()):
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        told.append(f"{', '.join(names[:_NAMED])}{more} every {duration_text(interval_s)}")
    yield warn(
        "meters",
        "quarter hours",
        f"energy counters are read too seldom for them ({'; '.join(told)}): what statements, "
        "demand and prices say of a quarter hour is divided by time",
        f'slow = "60s"; at most {BORDER_MS // 1000}s, or a whole part of 15m such as 5m',
    )


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


def days_of_room(size: int, config: Config, models: Mapping[str, Model]) -> float:
    """Return for how many days of points a buffer of `size` bytes is enough."""
    return Capacity(size).aim / _bytes_a_day(config, models)


def _bytes_a_day(config: Config, models: Mapping[str, Model]) -> float:
    a_point = _BYTES_A_POINT_OF_STORE if config.influxdb is None else _BYTES_A_POINT
    return points_a_day(config, models) * a_point


def disk(config: Config, models: Mapping[str, Model]) -> Iterator[Finding]:
    """Yield for how many days of points there is room while InfluxDB is away, or for good
    without one."""
    directory = nearest(config.buffer.path.parent)
    free = shutil.disk_usage(directory).free
    try:
        if not config.buffer.path.is_file():
            yield room(directory, free, config, models)
            return
    except PermissionError:  # said of the buffer itself already
        return
    try:
        found = summary(config.buffer.path)
    except BufferFileError as err:
        yield fail("machine", "buffer", err.message, err.hint)
        return
    yield room(directory, free + found.size, config, models, found.used, found.bytes_a_day)


def room(
    directory: Path,
    free: int,
    config: Config,
    models: Mapping[str, Model],
    used: int = 0,
    bytes_a_day: float | None = None,
) -> Finding:
    """Return the verdict on `free` bytes of disk under `directory`, for a buffer with `used`
    bytes in it that grows by `bytes_a_day`, if that is known.

    Without a database all of what is used stays there.
    """
    store = config.influxdb is None
    a_day = _bytes_a_day(config, models)
    if store and bytes_a_day:
        a_day = bytes_a_day
    limit = Capacity(config.buffer.max_size)
    usable = max(0, min(free, limit.aim) - (used if store else 0))
    days = usable / a_day
    text = (
        f"{directory}: {free / 1e9:.1f} GB free, {config.buffer.max_size / 1e9:.1f} GB allowed: "
        f"about {days:.0f} days of points at {a_day / 1e6:.1f} MB a day"
    )
    if not store:
        if days < _LITTLE_DAYS:
            return warn("machine", "disk", text, "make room, or read the power less often")
        return ok("machine", "disk", text)
    age_s = config.buffer.max_age
    if age_s is not None and age_s / _DAY_S <= days + used / a_day:
        return ok("machine", "disk", f"{text}; points go by max_age before")
    text += ", then the past is deleted"
    if days < _ENOUGH_DAYS:
        return warn(
            "machine", "disk", text, f"without InfluxDB the buffer is the store: {STORE_HINT}"
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
