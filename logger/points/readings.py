"""Readings to points, by the data model. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from logger.domain.datamodel import MEASUREMENT_OF, MEASUREMENTS, SCALE, FieldType, Lane
from logger.meter.reading import Reading
from logger.models.register import Model, Register, Value
from logger.points.line import FieldValue, Point


def points(reading: Reading, model: Model, site: str) -> tuple[Point, ...]:
    """Return the points of one reading: one for each measurement, phase and tariff.

    A value whose field the data model does not know gives none; an empty reading gives
    no point at all, never a zero.
    """
    groups: dict[tuple[str, str, str], dict[str, FieldValue]] = {}
    for quantity, value in reading.values.items():
        register = model.by_quantity[quantity]
        measurement = MEASUREMENT_OF.get(register.field)
        if measurement is None:
            continue
        group = (measurement, register.phase, register.tariff)
        groups.setdefault(group, {})[register.field] = field_value(register, value)
    tags = {"site": site, "meter": reading.meter, "role": reading.role}
    found = []
    for (measurement, phase, tariff), fields in groups.items():
        if measurement == "meter":
            fields["model"] = reading.model
        own = {"phase": phase, "tariff": tariff}
        found.append(
            Point(
                measurement,
                tags | {name: value for name, value in own.items() if value},
                fields,
                reading.taken_ms,
            )
        )
    return tuple(found)


def field_value(register: Register, value: Value) -> FieldValue:
    """Return `value` in the unit and type that the data model gives its field."""
    kind = MEASUREMENTS[MEASUREMENT_OF[register.field]].fields[register.field].kind
    match kind:
        case FieldType.FLOAT:
            number = value if isinstance(value, Decimal) else Decimal(value)
            return float(number * SCALE.get(register.unit, Decimal(1)))
        case FieldType.INTEGER:
            return int(value)
        case _:
            return _text(register, value)


def _text(register: Register, value: Value) -> str:
    text = str(value)
    if register.field == "ct_ratio" and register.length == 2:  # "99950005" is 9995/5
        return f"{text[:4].lstrip('0') or '0'}/{text[4:].lstrip('0') or '0'}"
    if register.field == "ct_ratio":  # "0100" on the wire is printed as 100
        return text.lstrip("0") or "0"
    if register.field.startswith("direction_"):  # "1F": the phase is in the field's name
        return text[-1:] if text[-1:] in {"F", "R"} else text
    return text


def by_lane(found: Iterable[Point]) -> Mapping[Lane, list[Point]]:
    """Return the points sorted into the bucket each measurement goes to."""
    lanes: dict[Lane, list[Point]] = {}
    for point in found:
        lanes.setdefault(MEASUREMENTS[point.measurement].lane, []).append(point)
    return lanes
