"""What the configuration file may hold, section by section, with its defaults."""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, ValidationInfo, field_validator, model_validator

from logger.config import ports, token
from logger.config.addresses import MBUS_BAUDRATE, MBUS_EVERYBODY, MBUS_FAST_S, MBUS_SELECTED
from logger.config.alerts import Alerts
from logger.config.clashes import SLOW_S, clashes
from logger.config.derive import Counters, Events, Prices
from logger.config.http import Http
from logger.config.metrics import Metrics
from logger.config.mqtt import Mqtt
from logger.config.section import MisplacedError, Section
from logger.config.share import Share, check_units
from logger.config.types import FilePath, Name, Seconds, Size
from logger.domain.datamodel import Role
from logger.domain.errors import ConfigError, nearest
from logger.domain.wiring import Wiring
from logger.texts import keep, keep_login

BAUDRATE = 9600  # the meters' own on Modbus
BAUDRATES = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)


class Site(Section):
    """The installation."""

    name: Name
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            near = nearest(value, available_timezones())
            meant = f"did you mean {near!r}?" if near else 'expected one such as "Europe/Vienna"'
            raise ValueError(f"unknown time zone {value!r}: {meant}") from None
        return value


class Intervals(Section):
    """How often each job reads, in seconds."""

    fast: Seconds = 5.0
    slow: Seconds = SLOW_S
    identity: Seconds = 3600.0


class Meter(Section):
    """One meter on a bus. Intervals left out are those of the site.

    On M-Bus the eight digits `secondary` can stand in place of the address, which is
    then 253: the meter is selected by them.
    """

    name: Name
    model: str
    # Log a meter that says it is of another model as if it were of this one.
    accept_model: bool = False
    address: Annotated[int, Field(ge=0, le=MBUS_EVERYBODY)]
    secondary: Annotated[str, Field(pattern=r"^[0-9]{8}$")] | None = None
    role: Role
    invert: bool = False
    # Whose energy it measures: `report statement --cost-centre` takes all with this name.
    cost_centre: Name | None = None
    wiring: Wiring = "3P4W"
    fast: Seconds | None = None
    slow: Seconds | None = None
    identity: Seconds | None = None
    timeout: Seconds | None = None

    @model_validator(mode="before")
    @classmethod
    def _selected(cls, data: Any) -> Any:
        if isinstance(data, dict) and "secondary" in data and "address" not in data:
            return data | {"address": MBUS_SELECTED}
        return data


class Bus(Section):
    """One line: a serial port, or a gateway or level converter on the network."""

    name: Name
    protocol: Literal["modbus", "mbus"] = "modbus"
    port: str
    baudrate: int = BAUDRATE
    parity: Literal["even", "odd", "none"] = "even"
    stopbits: Literal[1, 2] = 1
    timeout: Seconds = 1.0
    # The silence that ends a frame. On a network a frame has until the timeout unless given.
    gap: Seconds | None = None
    # The most registers that one request may ask for, where a gateway cuts long answers.
    longest_block: Annotated[int, Field(ge=8, le=125)] | None = None
    # Nobody answered for this long: the port is closed and opened.
    reopen_after: Seconds = 30.0
    # Another master asks on the line, too: a second logger, a wallbox.
    shared: bool = False
    local_echo: Literal["auto"] | bool = "auto"
    rs485_rts: Literal["off", "high", "low"] = "off"
    meter: Annotated[list[Meter], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _usual_speed(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("protocol") == "mbus" and "baudrate" not in data:
            return data | {"baudrate": MBUS_BAUDRATE}
        return data

    @field_validator("baudrate")
    @classmethod
    def _possible(cls, value: int) -> int:
        if value not in BAUDRATES:
            raise ValueError(
                f"no meter speaks {value} baud: one of {', '.join(map(str, BAUDRATES))}"
            )
        return value

    @field_validator("port")
    @classmethod
    def _port(cls, value: str) -> str:
        if ports.network(value) is None:
            ports.check_device(value)
        return value

    @field_validator("port", "longest_block", "shared")
    @classmethod
    def _of_mbus(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what an M-Bus line cannot have, rather than pass over it."""
        if info.data.get("protocol") != "mbus":
            return value
        if info.field_name == "port" and value.lower().startswith("tcp:"):
            place = ports.network(value)
            other = place.spoken_as("socket") if place is not None else "socket://HOST:PORT"
            raise ValueError(f"{value!r}: tcp:// is Modbus TCP; for M-Bus write {other}")
        if info.field_name == "longest_block" and value is not None:
            raise ValueError("it counts registers, and M-Bus has none: leave it out")
        if info.field_name == "shared" and value:
            raise ValueError("an M-Bus line has one master: leave it out")
        return value

    @property
    def network(self) -> ports.Network | None:
        """Where on the network the line is, None for a device of this machine."""
        return ports.network(self.port)

    @property
    def character_s(self) -> float:
        """The time of one character on the line: start, 8 data, parity and stop bits."""
        bits = 1 + 8 + (self.parity != "none") + self.stopbits
        return bits / self.baudrate


def without_login(url: str) -> None:
    """Raise MisplacedError if an address holds more than where the server is."""
    if "@" in url:
        keep_login(url if "//" in url else f"//{url}")
        raise MisplacedError(
            ("influxdb", "url"),
            "an address with a user and a password in it is not used",
            "leave them out; InfluxDB 1.8 takes user:password in the file of influxdb.token_file",
        )
    if "?" in url or "#" in url:
        keep(*re.split(r"[?#&=]", url)[1:])
        raise MisplacedError(
            ("influxdb", "url"),
            "an address with ? or # in it is not used",
            "give the base address alone, such as http://localhost:8086",
        )


class Influx(Section):
    """Where points are delivered. The token is never kept here."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")]
    org: str = ""
    bucket: Annotated[str, Field(min_length=1)]
    fast_bucket: str = ""
    token_file: FilePath | None = None
    timeout: Seconds = 10.0
    gzip: bool = True

    @field_validator("url", mode="before")
    @classmethod
    def _base_address(cls, value: object) -> object:
        if isinstance(value, str):
            without_login(value)
        return value

    def token(self) -> str:
        """Return the token, from `token_file` or the environment, read afresh.

        Raises ConfigError when there is none, or none that can be one.
        """
        if self.token_file is not None:
            return token.from_file(self.token_file)
        found = token.from_environment()
        if not found:
            raise ConfigError(
                "no InfluxDB token",
                f"set influxdb.token_file, or the environment variable {token.TOKEN_VARIABLE}",
            )
        return found


# Log and reserve take a part of it; some hours of points of one meter fit into the rest.
SMALLEST_BUFFER = 4 * 1024**2


def _state_directory() -> Path:
    if directory := os.environ.get("STATE_DIRECTORY"):  # set by systemd
        return Path(directory.split(":")[0])
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "inepro-logger"


class Buffer(Section):
    """The file that holds every point until it is delivered."""

    path: FilePath = Field(default_factory=lambda: _state_directory() / "buffer.sqlite")
    commit_interval: Seconds = 1.0
    keep: Seconds = 2 * 86400.0
    max_size: Size = 2 * 1024**3
    max_age: Seconds | None = None

    @field_validator("max_size")
    @classmethod
    def _of_use(cls, value: int) -> int:
        if value < SMALLEST_BUFFER:
            raise ValueError(
                f'{value} bytes hold next to nothing: give "4MiB" at least; "2GiB" is usual'
            )
        return value


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
