"""What is there to read for others: places, units, and where their values stand. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from logger.config import Config, Meter
from logger.config.share import ModbusShare, ModbusUnit, units_of
from logger.domain.datamodel import FIELDS, MEASUREMENT_OF, SCALE
from logger.domain.errors import ConfigError
from logger.domain.quantity import Quantity
from logger.domain.wiring import Wiring
from logger.meter.reading import OPPOSITE, SIGNED
from logger.models import Encoding, Model
from logger.share.framing import TcpFraming
from logger.share.place import open_to_others, place_of
from logger.share.pro380 import numbers
from logger.share.quoted import slugs
from logger.share.sunspec import places_of_floats

_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
_KINDS = {
    Encoding.FLOAT32: "float32",
    Encoding.INT16: "int16",
    Encoding.UINT16: "uint16",
    Encoding.INT32: "int32",
    Encoding.UINT32: "uint32",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A value: where it stands, as what, and what it is multiplied with to be in `unit`."""

    quantity: Quantity
    address: int
    kind: str
    factor: Decimal
    unit: str

    @property
    def name(self) -> str:
        """The name of the value: `active_power_total`."""
        return "_".join(part for part in self.quantity if part).lower().replace("-", "_")


@dataclass(frozen=True, slots=True)
class Offer:
    """A unit: its identifier, a name and the same as `slug`, the role of its meters, and its
    values."""

    unit: int
    name: str
    slug: str
    role: str
    map: str
    model: str  # of the registers; "" for SunSpec
    wiring: Wiring
    rows: Sequence[Row]

    @property
    def by_quantity(self) -> Mapping[Quantity, Row]:
        """The values by their quantity."""
        return {row.quantity: row for row in self.rows}


@dataclass(frozen=True, slots=True)
class Reach:
    """How the server is reached: host and port, and whether in RTU frames; `alone` if only from
    this machine."""

    host: str
    port: int
    rtu: bool
    alone: bool = False

    @property
    def address(self) -> str:
        """Host and port, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def plain(value: Decimal) -> str:
    """Return a factor without an exponent."""
    return f"{value.normalize():f}"


def reach_of(share: ModbusShare, host: str, here: str) -> Reach:
    """Return how others reach the server: as Modbus TCP if it speaks that.

    `host` stands for the one that is listened on, if given; `here` for every address of this
    machine. Raises ConfigError when only a device is listened on.
    """
    places = [place_of(one) for one in share.listen]
    places = [place for place in places if not place.is_device]
    if not places:
        raise ConfigError(
            "share.modbus.listen names no address, only devices",
            "add one, such as tcp://127.0.0.1:1502",
        )
    # One that others reach, if it is others who ask; then one for Modbus TCP.
    best = min(
        places,
        key=lambda place: (
            bool(host) and not open_to_others(place.text),
            place.framing is not TcpFraming,
        ),
    )
    own = here if best.host in _ANYWHERE else best.host
    return Reach(
        host or own, best.number, best.framing is not TcpFraming, not open_to_others(best.text)
    )


def offers_of(
    config: Config, share: ModbusShare, models: Mapping[str, Model], pro380: Model
) -> list[Offer]:
    """Return every unit with its values."""
    meters = {meter.name: meter for bus in config.bus for meter in bus.meter}
    found = []
    units = units_of(share, config.bus)
    names = [_shown(unit) for unit in units]
    for unit, name, slug in zip(units, names, slugs(names), strict=True):
        own = [meters[one] for one in unit.sources]
        model = models[own[0].model] if unit.map == "meter" else pro380
        turned = unit.map == "meter" and own[0].invert
        rows = _sunspec(unit) if unit.map.startswith("sunspec") else _rows(model, turned)
        registers = "" if unit.map.startswith("sunspec") else model.name
        found.append(
            Offer(
                unit.id, name, slug, own[0].role, unit.map, registers, wiring_of(own, models), rows
            )
        )
    return found


def wiring_of(meters: Sequence[Meter], models: Mapping[str, Model]) -> Wiring:
    """Return how meters are connected; several that differ have all four wires."""
    kinds = {"1P2W" if models[one.model].one_phase else one.wiring for one in meters}
    return kinds.pop() if len(kinds) == 1 else "3P4W"


def _shown(unit: ModbusUnit) -> str:
    name = unit.meter or "+".join(unit.sources)
    return name if unit.map == "meter" else f"{name} ({unit.map})"


def _rows(model: Model, turned: bool) -> Sequence[Row]:
    """Return the values of a table; a meter that is wired the other way round sends them so."""
    return [
        Row(
            _turned(one.quantity) if turned else one.quantity,
            one.address,
            _KINDS[one.encoding],
            SCALE.get(one.unit, Decimal(1)).scaleb(-one.decimals)
            * (-1 if turned and one.field in SIGNED else 1),
            FIELDS[one.field].unit,
        )
        for one in numbers(model)
        if one.encoding in _KINDS and MEASUREMENT_OF.get(one.field) in ("power", "energy")
    ]


def _turned(quantity: Quantity) -> Quantity:
    return quantity._replace(field=OPPOSITE.get(quantity.field, quantity.field))


def _sunspec(unit: ModbusUnit) -> Sequence[Row]:
    """Return the values of a model with floats; integers have a scale that may change."""
    if unit.map != "sunspec-float":
        return ()
    return [
        Row(quantity, address, "float32", 1 / factor, FIELDS[quantity.field].unit)
        for quantity, address, factor in places_of_floats()
    ]
