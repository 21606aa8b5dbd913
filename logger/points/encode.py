"""Records to points, by the data model: the only place where one becomes the other. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from logger.domain.datamodel import MEASUREMENTS, Lane
from logger.domain.field import FieldType
from logger.domain.records import (
    CounterValues,
    DayDigest,
    EnergyCost,
    EnergyQuarter,
    Event,
    FieldValue,
    FrequencyWindow,
    LoggerCounts,
    MeterFacts,
    Minute,
    Quarter,
    Record,
    Sample,
    SiteFlow,
    VoltageWindow,
)
from logger.points.line import Point

_TYPES: Mapping[FieldType, type] = {
    FieldType.FLOAT: float,
    FieldType.INTEGER: int,
    FieldType.TEXT: str,
    FieldType.BOOLEAN: bool,
}
# The Python type of each field, by measurement.
_FIELD_TYPES: Mapping[str, Mapping[str, type]] = {
    measurement: {name: _TYPES[field.kind] for name, field in known.fields.items()}
    for measurement, known in MEASUREMENTS.items()
}


def points(records: Iterable[Record], site: str) -> list[Point]:
    """Return the point of each record; ValueError if one does not fit the data model."""
    return [point(record, site) for record in records]


def point(record: Record, site: str) -> Point:
    """Return the point of `record`; ValueError if a field does not fit the data model."""
    fields: Mapping[str, FieldValue]
    tags = {"site": site}
    phase = tariff = ""
    match record:
        case Sample():
            measurement, phase, tariff = "power", record.phase, record.tariff
            fields = record.values
        case CounterValues():
            measurement, phase, tariff = "energy", record.phase, record.tariff
            fields = record.values
        case MeterFacts():
            measurement, phase, tariff = "meter", record.phase, record.tariff
            fields = record.values
        case Minute():
            measurement, phase = "power_1m", record.phase
            fields = {**record.values, "samples": record.samples}
        case VoltageWindow():
            measurement, phase = "quality_voltage", record.phase
            fields = {
                "mean": record.mean,
                "min": record.low,
                "max": record.high,
                "samples": record.samples,
                "valid": record.valid,
            }
        case FrequencyWindow():
            measurement = "quality_frequency"
            fields = {"mean": record.mean, "samples": record.samples, "valid": record.valid}
        case Quarter():
            measurement, fields = "quality_frequency_15m", _quarter(record)
        case EnergyQuarter():
            measurement, fields = "energy_15m", _energy(record)
        case EnergyCost():
            measurement, fields = "cost_15m", _cost(record)
        case DayDigest():
            measurement, fields = "day_digest", record.values
        case SiteFlow():
            measurement, fields = "site", record.values
        case Event():
            measurement, phase, fields = "event", record.phase, _event(record)
            tags["kind"] = record.kind
        case LoggerCounts():
            measurement, fields = "logger", record.values
            if record.bus:
                tags["bus"] = record.bus
    if not isinstance(record, SiteFlow) and record.meter:
        tags["meter"], tags["role"] = record.meter, record.role
    if phase:
        tags["phase"] = phase
    if tariff:
        tags["tariff"] = tariff
    _check(measurement, fields)
    return Point(measurement, tags, fields, record.at_ms)


def _quarter(record: Quarter) -> Mapping[str, FieldValue]:
    counts = record.counts
    if counts is None:
        return {"whole": False}
    return {
        "windows": counts.windows,
        "valid": counts.valid,
        "normal": counts.normal,
        "wide": counts.wide,
        "min": counts.low,
        "max": counts.high,
        "whole": True,
    }


def _energy(record: EnergyQuarter) -> Mapping[str, FieldValue]:
    net = record.netted
    return {
        "import": float(record.drawn),
        "export": float(record.fed),
        **{name: float(energy) for name, energy in record.tariffs.items()},
        "import_netted": float(net.drawn),
        "export_netted": float(net.fed),
        "netted_low": float(net.low),
        "netted_high": float(net.high),
        "demand": float(record.demand),
        "coverage": record.coverage,
        "sure": record.sure,
    }


def _cost(record: EnergyCost) -> Mapping[str, FieldValue]:
    """Return the fields; what has no price has no amount."""
    money = {"cost": record.cost, "revenue": record.revenue, "worth": record.worth}
    return {
        **{name: float(amount) for name, amount in money.items() if amount is not None},
        "priced_import": float(record.priced_import),
        "priced_export": float(record.priced_export),
    }


def _event(record: Event) -> Mapping[str, FieldValue]:
    fields: dict[str, FieldValue] = {"state": record.state, "text": record.text}
    if record.state == "end":
        fields["duration_s"] = float(record.duration_s or 0.0)
    if record.extreme is not None:
        fields["extreme"] = float(record.extreme)
    return fields


def _check(measurement: str, fields: Mapping[str, FieldValue]) -> None:
    known = _FIELD_TYPES[measurement]
    for name, value in fields.items():
        if type(value) is not known.get(name):
            wanted = known[name].__name__ if name in known else "no such field"
            raise ValueError(f"{measurement}, {name} = {value!r}: the data model has {wanted}")


def by_lane(found: Iterable[Point]) -> Mapping[Lane, list[Point]]:
    """Return the points sorted into the bucket each measurement goes to."""
    lanes: dict[Lane, list[Point]] = {}
    for one in found:
        lanes.setdefault(MEASUREMENTS[one.measurement].lane, []).append(one)
    return lanes
