"""Section of the configuration file about what other masters read through the logger."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from logger.config import ports
from logger.config.addresses import MODBUS
from logger.config.section import MisplacedError, Section
from logger.config.types import Name, Seconds
from logger.domain.times import duration_text

if TYPE_CHECKING:
    from logger.config.buses import Bus, Meter

Map = Literal["meter", "pro380", "sunspec", "sunspec-float"]
# A port below 1024 needs a right that the logger has no other use for.
LISTEN = "tcp://127.0.0.1:1502"
_HERE = ("tcp", "socket")
_PLACE = ("share", "modbus")


class ModbusUnit(Section):
    """`[[share.modbus.unit]]`: one unit identifier, and what answers to it.

    `meter` names one meter, `meters` several whose sum answers. With `map = "meter"` the unit
    has the registers of the meter itself, with another map those of a PRO380 or of SunSpec.
    """

    id: Annotated[int, Field(ge=MODBUS[0], le=MODBUS[-1])]
    meter: Name | None = None
    meters: Annotated[list[Name], Field(min_length=2)] | None = None
    map: Map = "meter"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.meter is None) == (self.meters is None):
            raise ValueError('a unit has either meter = "NAME" or meters = ["NAME", "NAME"]')
        if len(set(self.sources)) < len(self.sources):
            raise ValueError("a meter can be in a sum only once")
        if self.meters is not None and self.map == "meter":
            raise ValueError('a sum has no registers of its own: map = "pro380" or "sunspec"')
        return self

    @property
    def sources(self) -> Sequence[str]:
        """The names of the meters that answer, one or several."""
        return [self.meter] if self.meter is not None else self.meters or []


class ModbusShare(Section):
    """`[share.modbus]`: without this section nothing listens.

    `listen` holds places: `tcp://` for Modbus TCP, `socket://` for RTU frames over TCP, or a
    device of this machine, which then has `baudrate`, `parity` and `stopbits`.
    """

    listen: list[str] = Field(default_factory=lambda: [LISTEN], min_length=1)
    baudrate: Annotated[int, Field(ge=300, le=115200)] = 9600
    parity: Literal["even", "odd", "none"] = "even"
    stopbits: Literal[1, 2] = 1
    rs485_rts: Literal["off", "high", "low"] = "off"
    # How old an answer may be; two intervals of the meter unless given.
    max_age: Seconds | None = None
    counters_max_age: Seconds | None = None
    # The most of a line's time that requests of others may take.
    line_share: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    writes: Literal["refuse", "allow"] = "refuse"
    # Addresses, networks or devices of `listen` that may write.
    writers: list[str] = Field(default_factory=list)
    unit: list[ModbusUnit] = Field(default_factory=list)

    @field_validator("listen")
    @classmethod
    def _places(cls, value: list[str]) -> list[str]:
        for one in value:
            place = ports.network(one)
            if place is not None and place.scheme not in _HERE:
                raise ValueError(
                    f"{one!r}: others are answered on tcp:// (Modbus TCP), socket:// (RTU frames "
                    "over TCP) or a device"
                )
        if len(set(value)) < len(value):
            raise ValueError("a place is named twice")
        return value

    @model_validator(mode="after")
    def _writers(self) -> Self:
        if self.writes == "allow" and not self.writers:
            raise ValueError(
                'writes = "allow" needs writers = ["192.168.1.20"]: the addresses that may write'
            )
        if self.writers and self.writes != "allow":
            raise ValueError('writers without writes = "allow" may write nothing')
        for one in self.writers:
            if one not in self.listen:
                _network(one)
        return self

    @property
    def writing_networks(self) -> Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """The networks of `writers`."""
        return [_network(one) for one in self.writers if one not in self.listen]


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(
            f"{text!r}: a writer is an address (192.168.1.20), a network (192.168.1.0/28) or a "
            "device that `listen` names"
        ) from None


class Share(Section):
    """`[share]`: what others read through the logger. Everything in it is off by default."""

    modbus: ModbusShare | None = None


def units_of(share: ModbusShare, buses: Iterable[Bus]) -> Sequence[ModbusUnit]:
    """Return the units, those named or else every Modbus meter under its own address."""
    if share.unit:
        return share.unit
    return [
        ModbusUnit(id=meter.address, meter=meter.name)
        for bus in buses
        if bus.protocol == "modbus"
        for meter in bus.meter
    ]


def check_units(
    share: ModbusShare, buses: Sequence[Bus], interval: Callable[[Meter, str], float]
) -> None:
    """Raise MisplacedError for units that cannot be; `interval` is that of a meter's job."""
    protocols = {meter.name: bus.protocol for bus in buses for meter in bus.meter}
    meters = {meter.name: meter for bus in buses for meter in bus.meter}
    seen: dict[int, str] = {}
    for number, unit in enumerate(units_of(share, buses)):
        where = (*_PLACE, "unit", number) if share.unit else _PLACE
        if unit.id in seen:
            raise MisplacedError(
                (*where, "id") if share.unit else where,
                f"unit {unit.id} stands for {seen[unit.id]!r} and {unit.sources[0]!r}",
                "give each its own: [[share.modbus.unit]] with id and meter",
            )
        seen[unit.id] = unit.sources[0]
        key = (*where, "meter" if unit.meter is not None else "meters")
        for name in unit.sources:
            if name not in meters:
                raise MisplacedError(
                    key, f"no meter is called {name!r}", f"there are: {', '.join(meters)}"
                )
            if unit.map == "meter":
                if protocols[name] == "mbus":
                    raise MisplacedError(
                        (*where, "map") if share.unit else where,
                        f"{name!r} is read over M-Bus and has no Modbus registers",
                        'map = "pro380" or "sunspec"',
                    )
                continue
            limits = (("fast", share.max_age), ("slow", share.counters_max_age))
            for job, age in limits:
                if age is not None and age < interval(meters[name], job):
                    every = duration_text(interval(meters[name], job))
                    raise MisplacedError(
                        (*_PLACE, "max_age" if job == "fast" else "counters_max_age"),
                        f"unit {unit.id} answers from readings of {name!r}, which come every "
                        f"{every}: it would be silent in between",
                        f"at least {every}, or read the meter more often",
                    )
    if not seen:
        raise MisplacedError(
            _PLACE,
            "no unit to answer: the meters are read over M-Bus",
            'add [[share.modbus.unit]] with id, meter and map = "pro380"',
        )
