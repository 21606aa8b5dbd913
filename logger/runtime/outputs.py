"""What the log hands on besides the buffer: each part is loaded where the configuration has it.

What nobody asked for takes no time at the start and no memory afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from logger.buffer import Buffer
from logger.config import Config
from logger.derive.clock import Clock, Machine
from logger.derive.info import MeterInfo
from logger.latest import Latest
from logger.meter.reader import Reader
from logger.meter.reading import Reading
from logger.points.line import Point

if TYPE_CHECKING:
    from logger.delivery import Delivery
    from logger.influx.servertime import ServerTime
    from logger.mqtt import MqttOutput
    from logger.runtime.metrics import MetricsServer
    from logger.share.modbus import ModbusServer
    from logger.share.units import Lend
    from logger.web import WebServer

State = Callable[[], Mapping[str, Any]]


class Shared(NamedTuple):
    """The server for other masters, and what has to hear of every reading."""

    server: ModbusServer
    hear: Callable[[Reading], None]


def delivery_of(config: Config, buffer: Buffer, now_ms: Callable[[], int]) -> Delivery | None:
    """Return what moves points to InfluxDB. Raises ConfigError for a missing token."""
    if config.influxdb is None:
        return None
    from logger.delivery import Delivery

    return Delivery(buffer, config.influxdb, now_ms=now_ms)


def server_time_of(config: Config, clock: Clock, machine: Machine) -> ServerTime | None:
    """Return what asks the database server for the time."""
    if config.influxdb is None:
        return None
    from logger.influx.servertime import ServerTime

    return ServerTime(config.influxdb.url, clock.hear, machine.mono, machine.elsewhere)


def mqtt_of(
    config: Config, infos: Sequence[MeterInfo], latest: Latest, states: Path, clock: Clock
) -> MqttOutput | None:
    """Return what sends the newest values to a broker."""
    if config.mqtt is None:
        return None
    from logger.mqtt import MqttOutput

    return MqttOutput(config, config.mqtt, infos, latest, states, clock.now_ms)


def metrics_of(
    config: Config, state: State, points: Callable[[], Sequence[Point]]
) -> MetricsServer | None:
    """Return what answers Prometheus."""
    if config.metrics is None:
        return None
    from logger.runtime.metrics import MetricsServer

    return MetricsServer(config.metrics, state, points)


def web_of(
    config: Config,
    latest: Latest,
    now_ms: Callable[[], int],
    state: State,
    metrics: MetricsServer | None,
) -> WebServer | None:
    """Return what shows the newest values and the reports over HTTP."""
    if config.http is None:
        return None
    from logger.web import Parts, WebServer

    figures = None if metrics is None else metrics.text
    return WebServer(config.http, Parts(config, latest, now_ms, state, figures))


def share_of(
    config: Config, readers: Sequence[Reader], lend: Lend, now_ms: Callable[[], int]
) -> Shared | None:
    """Return what answers other masters."""
    if config.share.modbus is None:
        return None
    from logger.share.build import server_of

    return Shared(*server_of(config, config.share.modbus, readers, lend, now_ms))
