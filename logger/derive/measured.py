"""Readings to records: values in the units and types of the data model. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from logger.domain.datamodel import FIELDS, MEASUREMENT_OF, SCALE
from logger.domain.field import FieldType
from logger.domain.records import CounterValues, FieldValue, MeterFacts, Sample
from logger.meter.reading import Reading
from logger.models.register import Model, Register, Value

_RECORD: Mapping[str, type[Sample | CounterValues | MeterFacts]] = {
    "power": Sample,
    "energy": CounterValues,
    "meter": MeterFacts,
}


def measured(reading: Reading, model: Model) -> list[Sample | CounterValues | MeterFacts]:
    """Return the records of one reading: one for each measurement, phase and tariff.

    A value whose field the data model does not know gives none; an empty reading gives
    no record at all, never a zero.
    """
    groups: dict[tuple[str, str, str], dict[str, FieldValue]] = {}
    for quantity, value in reading.values.items():
        register = model.by_quantity[quantity]
        measurement = MEASUREMENT_OF.get(register.field)
        if measurement is None:
            continue
        group = (measurement, register.phase, register.tariff)
        groups.setdefault(group, {})[register.field] = field_value(register, value)
    found: list[Sample | CounterValues | MeterFacts] = []
    for (measurement, phase, tariff), fields in groups.items():
        if measurement == "meter":
            fields["model"] = reading.model
        record = _RECORD[measurement]
        found.append(record(reading.meter, reading.role, reading.taken_ms, phase, tariff, fields))
    return found


def field_value(register: Register, value: Value) -> FieldValue:
    """Return `value` in the unit and type that the data model gives its field."""
    match FIELDS[register.field].kind:
        case FieldType.FLOAT:
            scale = SCALE.get(register.unit)
            return float(value if scale is None else Decimal(value) * scale)
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
