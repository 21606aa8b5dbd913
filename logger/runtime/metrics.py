"""The logger's own figures for Prometheus. The only importer of prometheus_client.

They are the same as in the `logger` points and in `status`, read when somebody asks.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from logger.config.extras import require
from logger.config.metrics import Metrics as MetricsConfig
from logger.domain.datamodel import MEASUREMENTS
from logger.points.line import Point
from logger.texts import shown

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

log = logging.getLogger(__name__)

PREFIX = "inepro_logger"


@dataclass(frozen=True, slots=True)
class _Name:
    """What a field of the `logger` points is called here: base units, as Prometheus asks."""

    name: str
    counts: bool = False
    factor: float = 1.0


_NAMES: Mapping[str, _Name] = {
    "reads": _Name("reads", counts=True),
    "read_errors": _Name("read_errors", counts=True),
    "missed": _Name("missed_jobs", counts=True),
    "rejected_values": _Name("rejected_values", counts=True),
    "read_ms": _Name("read_seconds", factor=0.001),
    "bus_load": _Name("load_ratio"),
    "buffer_points": _Name("buffer_waiting_points"),
    "buffer_oldest_s": _Name("buffer_oldest_seconds"),
    "delivered": _Name("delivered_points", counts=True),
    "set_aside": _Name("set_aside_points"),
    "dropped": _Name("dropped_points", counts=True),
}


class MetricsServer:
    """Answers scrapes with what `state` and `points` say at that moment.

    `state` is what `status` shows, `points` gives the `logger` points.
    """

    def __init__(
        self,
        config: MetricsConfig,
        state: Callable[[], Mapping[str, Any]],
        points: Callable[[], Sequence[Point]],
    ) -> None:
        self._config = config
        self._state = state
        self._points = points
        self._stop: Callable[[], None] | None = None
        self._alive: Callable[[], bool] = lambda: True
        self._registry: CollectorRegistry | None = None

    def start(self) -> None:
        """Listen. An address in use is logged: reading goes on without it.

        Raises ConfigError when the package is missing.
        """
        require("metrics")
        from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(self)
        host, port = self._config.host, self._config.port
        try:
            server, thread = start_http_server(port, host, registry)
        except OSError as err:
            log.warning("metrics: cannot listen on %s:%d: %s", host, port, err.strerror or err)
            return

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self._stop, self._alive = stop, thread.is_alive
        log.info("metrics: http://%s:%d/metrics", host, port)

    def text(self) -> bytes:
        """Return all figures of this moment as Prometheus reads them."""
        from prometheus_client import generate_latest

        return b"" if self._registry is None else generate_latest(self._registry)

    def stop(self) -> None:
        """Stop listening."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    def late_s(self) -> float:
        """Return infinity when the thread that listens has ended, else 0."""
        return 0.0 if self._stop is None or self._alive() else math.inf

    def restart(self) -> None:
        """Listen again, after the thread that did has ended."""
        self.stop()
        self.start()

    def describe(self) -> list[Metric]:
        """Return nothing: what there is shows at the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all figures of this moment; called by the registry."""
        for metric in (*_from_points(self._points()), *_from_state(self._state())):
            metric.samples = [one._replace(labels=shown(one.labels)) for one in metric.samples]
            yield metric


def _from_points(points: Iterable[Point]) -> Iterator[Metric]:
    """Turn `logger` points into metrics, apart for meters, buses and the whole."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    fields = MEASUREMENTS["logger"].fields
    found: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    labels: tuple[str, ...]
    for point in points:
        if "meter" in point.tags:
            scope, labels = "meter_", ("site", "bus", "meter", "role")
        elif "bus" in point.tags:
            scope, labels = "bus_", ("site", "bus")
        else:
            scope, labels = "", ("site",)
        for field, value in point.fields.items():
            known = _NAMES.get(field, _Name(field))
            name = f"{PREFIX}_{scope}{known.name}"
            if name not in found:
                text = fields[field].text if field in fields else field
                family = CounterMetricFamily if known.counts else GaugeMetricFamily
                found[name] = family(name, text, labels=labels)
            values = [point.tags[label] for label in labels]
            found[name].add_metric(values, float(value) * known.factor)
    yield from found.values()


def _from_state(state: Mapping[str, Any]) -> Iterator[Metric]:
    """Turn what `status` shows beyond the points into metrics."""
    from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

    def gauge(name: str, text: str, value: float) -> Metric:
        one = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=("site",))
        one.add_metric([state["site"]], value)
        return one

    about = InfoMetricFamily(PREFIX, "version of the logger", labels=("site",))
    about.add_metric([state["site"]], {"version": state["version"]})
    yield about
    yield gauge("healthy", "1 while nothing is wrong", float(state["healthy"]))
    yield gauge("start_time_seconds", "when it was started", state["started"] / 1000)
    buffer = state["buffer"]
    yield gauge("buffer_ok", "1 while the buffer can be written", float(buffer["ok"]))
    yield gauge("buffer_used_ratio", "share of max_size in use", buffer["full"])
    yield gauge("buffer_file_bytes", "size of the buffer file", buffer["file_size"])
    yield gauge("buffer_max_bytes", "limit of the buffer file", buffer["max_size"])
    yield gauge(
        "buffer_room_to_make_bytes", "what the file is above its limit", buffer["room_to_make"]
    )
    if buffer["days_left"] is not None:
        seconds = buffer["days_left"] * 86_400
        yield gauge("buffer_full_in_seconds", "until a buffer that is the store is full", seconds)
    last = GaugeMetricFamily(
        f"{PREFIX}_meter_last_reading_timestamp_seconds",
        "time of the last good reading",
        labels=("site", "bus", "meter", "role"),
    )
    for meter in state["meters"]:
        if meter["last_reading"] is not None:
            names = [state["site"], meter["bus"], meter["name"], meter["role"]]
            last.add_metric(names, meter["last_reading"] / 1000)
    yield last
    up = GaugeMetricFamily(
        f"{PREFIX}_delivery_ok", "1 while InfluxDB takes points", labels=("site", "bucket")
    )
    for lane in state["delivery"].values():
        up.add_metric([state["site"], lane["bucket"]], float(lane["status"] in ("ok", "starting")))
    yield up
