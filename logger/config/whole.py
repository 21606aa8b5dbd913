"""The whole configuration file: which sections it has, and what holds between them."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from logger.config.addresses import MBUS_FAST_S
from logger.config.alerts import Alerts
from logger.config.buffer import Buffer
from logger.config.buses import Bus, Meter
from logger.config.clashes import clashes
from logger.config.derive import Counters, Events, Prices
from logger.config.http import Http
from logger.config.influx import Influx
from logger.config.metrics import Metrics
from logger.config.mqtt import Mqtt
from logger.config.section import Section
from logger.config.share import Share, check_units
from logger.config.site import Intervals, Site
from logger.config.types import FilePath


class Config(Section):
    """The whole file."""

    site: Site
    intervals: Intervals = Field(default_factory=Intervals.model_construct)
    bus: Annotated[list[Bus], Field(min_length=1)]
    influxdb: Influx | None = None
    buffer: Buffer = Field(default_factory=Buffer.model_construct)
    models_dir: FilePath | None = None
    events: Events = Field(default_factory=Events.model_construct)
    counters: Counters = Field(default_factory=Counters.model_construct)
    prices: Prices = Field(default_factory=Prices.model_construct)
    alerts: Alerts = Field(default_factory=Alerts.model_construct)
    metrics: Metrics | None = None
    mqtt: Mqtt | None = None
    share: Share = Field(default_factory=Share.model_construct)
    http: Http | None = None

    @model_validator(mode="after")
    def _together(self) -> Self:
        data: dict[str, Any] = {
            "intervals": {"slow": self.intervals.slow},
            "bus": [bus.plain() for bus in self.bus],
            "alerts": self.alerts.plain(given=True),
            "share": self.share.plain(given=True),
            "metrics": self.metrics and self.metrics.plain(),
            "http": self.http and self.http.plain(),
        }
        for found in clashes(data):
            raise found
        if self.share.modbus is not None:
            check_units(self.share.modbus, self.bus, self.interval)
        return self

    def interval(self, meter: Meter, job: str) -> float:
        """Return the interval in seconds of `job` (fast, slow, identity) for `meter`.

        A meter on M-Bus is read every 10 s at most, unless its own section says more often.
        """
        own = getattr(meter, job)
        if own is not None:
            return float(own)
        usual = float(getattr(self.intervals, job))
        return max(usual, MBUS_FAST_S) if meter.name in self._on_mbus else usual

    @cached_property
    def _on_mbus(self) -> frozenset[str]:
        return frozenset(
            meter.name for bus in self.bus if bus.protocol == "mbus" for meter in bus.meter
        )
