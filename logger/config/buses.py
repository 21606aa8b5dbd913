"""Sections `[[bus]]` and `[[bus.meter]]`: the lines, and the meters on them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from logger.config import ports
from logger.config.addresses import MBUS_BAUDRATE, MBUS_EVERYBODY, MBUS_SELECTED
from logger.config.section import Section
from logger.config.types import Name, Seconds
from logger.domain.datamodel import Role
from logger.domain.wiring import Wiring

BAUDRATE = 9600  # the meters' own on Modbus
BAUDRATES = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)


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
