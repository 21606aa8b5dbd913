"""Readings to records: values in the units and types of the data model. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from typing import NamedTuple

from logger.domain.datamodel import FIELDS, MEASUREMENT_OF, SCALE
from logger.domain.field import FieldType
from logger.domain.quantity import Quantity
from logger.domain.records import CounterValues, FieldValue, MeterFacts, Sample
from logger.meter.reading import Reading
from logger.models.register import Model, Register, Value

_RECORD: Mapping[str, type[Sample | CounterValues | MeterFacts]] = {
    "power": Sample,
    "energy": CounterValues,
    "meter": MeterFacts,
}
_KEPT = 64  # models whose places are kept: a site has many meters of few models


class _Place(NamedTuple):
    """Where a value of a model goes: the record by measurement, phase and tariff, the field in
    it, and what makes it a value of the data model."""

    record: tuple[str, str, str]
    field: str
    convert: Callable[[Value], FieldValue]


def measured(reading: Reading, model: Model) -> list[Sample | CounterValues | MeterFacts]:
    """Return the records of one reading: one for each measurement, phase and tariff.

    A value whose field the data model does not know gives none; an empty reading gives
    no record at all, never a zero.
    """
    groups: dict[tuple[str, str, str], dict[str, FieldValue]] = {}
    places = _places(model)
    for quantity, value in reading.values.items():
        place = places[quantity]
        if place is None:
            continue
        group, field, convert = place
        fields = groups.get(group)
        if fields is None:
            fields = groups[group] = {}
        fields[field] = convert(value)
    found: list[Sample | CounterValues | MeterFacts] = []
    for (measurement, phase, tariff), fields in groups.items():
        if measurement == "meter":
            fields["model"] = reading.model
        record = _RECORD[measurement]
        found.append(record(reading.meter, reading.role, reading.taken_ms, phase, tariff, fields))
    return found


@lru_cache(maxsize=_KEPT)
def _places(model: Model) -> Mapping[Quantity, _Place | None]:
    """Return where each quantity of `model` goes, None for those not in the data model."""
    found: dict[Quantity, _Place | None] = {}
    for register in model.registers:
        measurement = MEASUREMENT_OF.get(register.field)
        record = (measurement or "", register.phase, register.tariff)
        place = _Place(record, register.field, _converter(register)) if measurement else None
        found[register.quantity] = place
    return found


def _converter(register: Register) -> Callable[[Value], FieldValue]:
    """Return what gives a value the unit and type that the data model has for its field."""
    match FIELDS[register.field].kind:
        case FieldType.FLOAT:
            scale = SCALE.get(register.unit)
            return float if scale is None else partial(_scaled, scale)
        case FieldType.INTEGER:
            return int
        case _:
            return partial(_text, register)


def _scaled(scale: Decimal, value: Value) -> float:
    return float(Decimal(value) * scale)


def _text(register: Register, value: Value) -> str:
    text = str(value)
    if register.field == "ct_ratio" and register.length == 2:  # "99950005" is 9995/5
        return f"{text[:4].lstrip('0') or '0'}/{text[4:].lstrip('0') or '0'}"
    if register.field == "ct_ratio":  # "0100" on the wire is printed as 100
        return text.lstrip("0") or "0"
    if register.field.startswith("direction_"):  # "1F": the phase is in the field's name
        return text[-1:] if text[-1:] in {"F", "R"} else text
    return text
