"""Readings become points by the data model; lines say what the client library says."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from influxdb_client.client.write.point import Point as ClientPoint
from influxdb_client.domain.write_precision import WritePrecision

from logger import models
from logger.derive.measured import measured
from logger.domain.datamodel import MEASUREMENTS, Lane
from logger.domain.field import FieldType
from logger.domain.quantity import Quantity
from logger.domain.records import Sample
from logger.meter.reading import Reading, inverted
from logger.models import Job, Model, Value
from logger.points.encode import by_lane
from logger.points.encode import points as encoded
from logger.points.line import FieldValue, Point, encode

PRO380 = models.load("pro380")


def points(one: Reading, model: Model, site: str) -> list[Point]:
    return encoded(measured(one, model), site)


def reading(job: Job, values: dict[str, Value]) -> Reading:
    return Reading(
        meter="grid",
        role="grid",
        model="pro380",
        job=job,
        taken_ms=1_700_000_000_123,
        round_ms=1_700_000_000_000,
        values={Quantity.parse(key): value for key, value in values.items()},
    )


def test_power_is_in_watts_and_exact() -> None:
    found = points(
        reading(
            Job.FAST,
            {
                "active_power/total": Decimal("1.234"),
                "reactive_power/total": Decimal("-0.0567"),
                "apparent_power/total": Decimal("1.2353"),
                "frequency/total": Decimal("49.987"),
                "voltage/L1": Decimal("230.46"),
                "current/L1": Decimal("-1.62"),
            },
        ),
        PRO380,
        "home",
    )
    assert [point.line() for point in found] == [
        (
            "power,meter=grid,phase=total,role=grid,site=home active_power=1234.0,"
            "reactive_power=-56.7,apparent_power=1235.3,frequency=49.987 1700000000123"
        ),
        "power,meter=grid,phase=L1,role=grid,site=home voltage=230.46,current=-1.62 1700000000123",
    ]


def test_counters_carry_phase_and_tariff() -> None:
    found = points(
        reading(
            Job.SLOW,
            {
                "active_import/total/total": Decimal("6913.46"),
                "active_import/total/T2": Decimal("5678.9"),
                "active_export/L3/total": Decimal("234.567"),
                "reactive/total/total": Decimal("0.5"),
                "tariff": 2,
            },
        ),
        PRO380,
        "home",
    )
    tags = [(p.measurement, p.tags.get("phase"), p.tags.get("tariff"), p.fields) for p in found]
    assert tags == [
        ("energy", "total", "total", {"active_import": 6913.46, "reactive": 0.5}),
        ("energy", "total", "T2", {"active_import": 5678.9}),
        ("energy", "L3", "total", {"active_export": 234.567}),
        ("meter", None, None, {"tariff": 2, "model": "pro380"}),
    ]


def test_identity_is_text_and_counts() -> None:
    (point,) = points(
        reading(
            Job.IDENTITY,
            {
                "serial": "22091039",
                "software_version": Decimal("2.18"),
                "ct_ratio": "0100",
                "combination_code": 9,
                "direction_l1": "1F",
                "direction_l2": "2R",
                "power_down_count": 4,
                "status_word": "0000001F",
                "baud_rate": 9600,
            },
        ),
        PRO380,
        "home",
    )
    assert point.fields == {
        "serial": "22091039",
        "software_version": "2.18",
        "ct_ratio": "100",
        "combination_code": 9,
        "direction_l1": "F",
        "direction_l2": "R",
        "power_down_count": 4,
        "status_word": "0000001F",
        "model": "pro380",
    }


def test_nothing_read_gives_no_point() -> None:
    assert points(reading(Job.FAST, {}), PRO380, "home") == []


def test_every_register_of_the_table_keeps_its_type() -> None:
    """Each field gets one type, whatever the value: InfluxDB refuses any other for ever."""
    python = {
        FieldType.FLOAT: float,
        FieldType.INTEGER: int,
        FieldType.TEXT: str,
        FieldType.BOOLEAN: bool,
    }
    samples: dict[str, Value] = {}
    for number, register in enumerate(PRO380.registers, start=1):
        of_kind: dict[str, Value] = {
            "float32": Decimal(number),  # a whole number must stay a float
            "int16": number,
            "hex": f"{number:04d}",
            "ascii": f"{1 + number % 3}F",
        }
        samples[register.key] = of_kind[register.encoding]
    found = points(reading(Job.SLOW, samples), PRO380, "home")
    assert {point.measurement for point in found} == {"power", "energy", "meter"}
    for point in found:
        fields = MEASUREMENTS[point.measurement].fields
        for name, value in point.fields.items():
            assert type(value) is python[fields[name].kind], name
        assert set(point.tags) - {"site"} <= set(MEASUREMENTS[point.measurement].tags)


def test_fast_points_go_to_the_fast_bucket() -> None:
    found = points(reading(Job.FAST, {"voltage/L1": Decimal(230), "tariff": 1}), PRO380, "home")
    lanes = by_lane(found)
    assert [p.measurement for p in lanes[Lane.FAST]] == ["power"]
    assert [p.measurement for p in lanes[Lane.MAIN]] == ["meter"]


def test_inverted_swaps_directions_and_signs() -> None:
    turned = inverted(
        reading(
            Job.FAST,
            {
                "active_power/L1": Decimal("-1.5"),
                "active_power/L2": Decimal(0),
                "current/L1": Decimal("6.5"),
                "power_factor/L1": Decimal("0.99"),
                "voltage/L1": Decimal("231.5"),
                "active_import/total/T1": Decimal("10.25"),
                "active_export/total/T1": Decimal("99.5"),
                "active/total/total": Decimal("109.75"),
                "direction_l1": "1R",
                "quadrant": 2,
            },
        )
    )
    assert {str(key): value for key, value in turned.values.items()} == {
        "active_power/L1": Decimal("1.5"),
        "active_power/L2": Decimal(0),
        "current/L1": Decimal("-6.5"),
        "power_factor/L1": Decimal("0.99"),
        "voltage/L1": Decimal("231.5"),
        "active_export/total/T1": Decimal("10.25"),
        "active_import/total/T1": Decimal("99.5"),
        "active/total/total": Decimal("109.75"),
        "direction_l1": "1F",
        "quadrant": 4,
    }
    assert str(turned.values[Quantity("active_power", "L2")]) == "0"
    assert inverted(turned).values[Quantity("active_power", "L1")] == Decimal("-1.5")
    assert inverted(turned).values[Quantity("active_import", "total", "T1")] == Decimal("10.25")


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\"), min_size=1, max_size=12
)
VALUES: st.SearchStrategy[FieldValue] = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


@given(NAMES, st.dictionaries(NAMES, NAMES, max_size=4), st.dictionaries(NAMES, VALUES, min_size=1))
def test_lines_equal_those_of_the_client_library(
    measurement: str, tags: dict[str, str], fields: dict[str, FieldValue]
) -> None:
    other: Any = ClientPoint(measurement)  # type: ignore[no-untyped-call]  # it has no types
    other.time(1_700_000_000_123, WritePrecision.MS)
    for key, value in tags.items():
        other = other.tag(key, value)
    ours = encode(Point(measurement, tags, dict(sorted(fields.items())), 1_700_000_000_123))
    for name, field in fields.items():
        other = other.field(name, field)
    theirs = other.to_line_protocol()
    assert normal(ours) == normal(theirs)


def normal(line: str) -> str:
    """Whole floats are "1.0" here and "1" there: the same to InfluxDB."""
    return re.sub(r"=(-?\d+)\.0(?=[, ])", r"=\1", line)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not a number"):
        Point("m", {}, {"f": value}, 0).line()


@pytest.mark.parametrize("name", ["", "a\nb", "a\\", "a\x00"])
def test_names_that_line_protocol_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        Point("m", {"meter": name}, {"f": 1.0}, 0).line()


@pytest.mark.parametrize("name", models.available())
def test_every_value_of_every_model_fits_the_data_model(name: str) -> None:
    model = models.load(name)
    values: dict[Quantity, Value] = {}
    for register in model.registers:
        of_kind: dict[str, Value] = {"float32": Decimal("1.5"), "int16": 1, "int32": 1}
        values[register.quantity] = of_kind.get(register.encoding, "0001")
    found = points(
        reading(Job.SLOW, {str(one): value for one, value in values.items()}), model, "s"
    )
    assert found
    for point in found:
        assert set(point.tags) - {"site"} <= set(MEASUREMENTS[point.measurement].tags)


def test_what_a_minute_holds_of_a_sample_fits_the_data_model() -> None:
    minute = MEASUREMENTS["power_1m"].fields
    for name, field in MEASUREMENTS["power"].fields.items():
        assert field.kind is minute[name].kind is FieldType.FLOAT


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"voltage": 230}, "float"),
        ({"voltage": "230"}, "float"),
        ({"volts": 230.0}, "no such field"),
    ],
)
def test_a_record_that_does_not_fit_the_data_model_is_no_point(
    values: dict[str, FieldValue], wanted: str
) -> None:
    with pytest.raises(ValueError, match=wanted):
        encoded([Sample("house", "grid", 0, "L1", "", values)], "home")
