"""Units with the registers of a PRO380 or of SunSpec: the values of other meters, and of sums."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from logger.domain.datamodel import SCALE
from logger.domain.quantity import Quantity
from logger.models import Encoding, Value, load
from logger.models.decode import value_of
from logger.share.source import serial_of
from logger.simulate import (
    MbusLine,
    VirtualLine,
    VirtualMbusMeter,
    VirtualMeter,
    quirks_named,
    virtual_site,
)
from logger.simulate.ledger import Books
from logger.simulate.world import World
from tests.running import wait_until
from tests.share_rig import NOON, Rig, bus, fixed_meter, shared, still, words

PRO380 = load("pro380")
NO_ANSWER, REFUSED = 0x0B, 2
FOREVER = {"fast": 5.0, "slow": 60.0, "identity": 3600.0}
# A summer day at noon: the roof feeds back.
DAY = 1_782_037_800.0


def day() -> float:
    return DAY


METERS = [
    {"name": "ambition", "model": "ambition-2pu-ct", "address": 1},
    {"name": "single", "model": "grow-800", "address": 2},
    {"name": "house", "model": "pro380", "address": 3, "role": "grid"},
    {"name": "roof", "model": "pro380", "address": 4, "role": "pv"},
    {"name": "turned", "model": "pro380", "address": 5, "role": "pv", "invert": True},
]
UNITS = [
    {"id": 101, "meter": "ambition", "map": "pro380"},
    {"id": 102, "meter": "single", "map": "pro380"},
    {"id": 103, "meters": ["house", "roof"], "map": "pro380"},
    {"id": 104, "meter": "roof", "map": "pro380"},
    {"id": 105, "meter": "turned", "map": "pro380"},
    {"id": 106, "meter": "telegrams", "map": "pro380"},
    {"id": 111, "meter": "ambition", "map": "sunspec"},
    {"id": 112, "meter": "single", "map": "sunspec-float"},
    {"id": 113, "meters": ["house", "roof"], "map": "sunspec-float"},
    {"id": 114, "meter": "roof", "map": "sunspec"},
    {"id": 116, "meter": "telegrams", "map": "sunspec"},
    {"id": 4, "meter": "roof"},
]


def site_meters() -> list[VirtualMeter]:
    """The Ambition has real values: of a setting of its own it would say no number else."""
    site = virtual_site(7, start=DAY, meters={3: "grid", 4: "pv"})
    other = virtual_site(7, start=DAY, meters={5: "pv"})
    ambition = virtual_site(9, start=DAY, meters={1: "grid"}, model="ambition-2pu-ct")
    return [fixed_meter("grow-800", 2), *ambition.meters, *site.meters, *other.meters]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A logger with meters of many kinds; it is not changed by tests."""
    line = VirtualLine(site_meters(), clock=day, paced=False)
    telegrams = VirtualMbusMeter(load("ambition-2pu-mb"), 6, "grid", Books(World(3), NOON, 1))
    mbus = MbusLine([telegrams], baudrate=2400, clock=still, paced=False)
    buses = [
        bus("line", f"socket://127.0.0.1:{line.start_tcp()}", METERS),
        bus(
            "mbus",
            f"socket://127.0.0.1:{mbus.start_tcp()}",
            [{"name": "telegrams", "model": "ambition-2pu-mb", "address": 6}],
            protocol="mbus",
        ),
    ]
    place = tmp_path_factory.mktemp("maps")
    with shared(place, buses, {"unit": UNITS}, [line, mbus], FOREVER) as made:
        made.read_all()
        yield made


def truth(rig: Rig, meter: str) -> dict[Quantity, Value]:
    """Return what the logger has read of `meter`, in the units of the data model."""
    model = next(one.model for one in rig.app.readers if one.meter.name == meter)
    found: dict[Quantity, Value] = {}
    for reading in rig.readings:
        if reading.meter == meter:
            for quantity, value in reading.values.items():
                scale = SCALE.get(model.by_quantity[quantity].unit)
                found[quantity] = value if scale is None else Decimal(value) * scale
    return found


def served(rig: Rig, unit: int) -> dict[Quantity, Value]:
    """Return every register of a PRO380 that a unit answers, in the units of the data model."""
    found: dict[Quantity, Value] = {}
    with rig.client() as client:
        for address, count in ((0x4000, 32), (0x5000, 50), (0x6000, 75)):
            raw = words(client, unit, address, count)
            for register in PRO380.registers:
                if address <= register.address < address + count:
                    start = register.address - address
                    own = raw[start : start + register.length]
                    if register.encoding is Encoding.FLOAT32 and own == [0x7FC0, 0]:
                        continue
                    value = value_of(register, own)
                    scale = SCALE.get(register.unit)
                    found[register.quantity] = value if scale is None else Decimal(value) * scale
    return found


def near(value: Value, other: Value) -> bool:
    """Tell whether two values are the same as a float32."""
    return math.isclose(float(value), float(other), rel_tol=3e-7, abs_tol=1e-6)


MEASURED = ("voltage", "current", "active_power", "reactive_power", "apparent_power",
            "power_factor", "frequency", "active_import", "active_export", "reactive_import",
            "reactive_export", "day_counter")  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "meter"), [(101, "ambition"), (102, "single"), (104, "roof"), (106, "telegrams")]
)
def test_every_value_of_another_meter_is_where_a_pro380_has_it(
    rig: Rig, unit: int, meter: str
) -> None:
    there, got = truth(rig, meter), served(rig, unit)
    compared = 0
    for quantity, value in there.items():
        if quantity.field in MEASURED and quantity in PRO380.by_quantity:
            mine = got[quantity]
            if quantity.field == "current":
                power = got.get(quantity._replace(field="active_power"), 0)
                assert (float(mine) < 0) == (float(power) < 0), quantity
                mine, value = abs(Decimal(mine)), abs(Decimal(value))
            assert near(mine, value), (quantity, mine, value)
            compared += 1
    assert compared >= 11


def test_what_follows_from_the_values_is_right(rig: Rig) -> None:
    got = served(rig, 106)  # this meter sends no apparent power by phase
    for phase in ("L1", "L2", "L3"):
        active, reactive, apparent, factor = (
            float(got[Quantity(name, phase)])
            for name in ("active_power", "reactive_power", "apparent_power", "power_factor")
        )
        assert math.isclose(apparent, math.hypot(active, reactive), rel_tol=1e-6)
        assert math.isclose(factor, abs(active) / apparent, rel_tol=1e-6)
    drawn, fed = (Quantity(f"active_{way}", "total", "total") for way in ("import", "export"))
    total = got[Quantity("active", "total", "total")]
    assert near(total, Decimal(got[drawn]) + Decimal(got[fed]))
    assert got[Quantity("combination_code")] == 5  # forward + reverse


def test_a_meter_of_one_phase_has_nothing_on_the_others(rig: Rig) -> None:
    got = served(rig, 102)
    for name in ("voltage", "current", "active_power"):
        assert got[Quantity(name, "L2")] == got[Quantity(name, "L3")] == 0
    assert got[Quantity("active_power", "L1")] == got[Quantity("active_power", "total")]


def test_a_sum_adds_up_and_has_the_signs_of_what_flows(rig: Rig) -> None:
    house, roof, got = truth(rig, "house"), truth(rig, "roof"), served(rig, 103)
    for quantity in house:
        if quantity.field in ("active_power", "reactive_power", "active_import", "active_export"):
            both = Decimal(house[quantity]) + Decimal(roof[quantity])
            assert near(got[quantity], both), quantity
    for phase in ("L1", "L2", "L3"):
        power = float(got[Quantity("active_power", phase)])
        current = float(got[Quantity("current", phase)])
        apparent = float(got[Quantity("apparent_power", phase)])
        voltage = float(got[Quantity("voltage", phase)])
        assert math.copysign(1, current) == math.copysign(1, power)
        assert math.isclose(abs(current), apparent / voltage, rel_tol=1e-5)


def test_a_meter_that_feeds_back_says_so(rig: Rig) -> None:
    got = served(rig, 104)
    assert float(got[Quantity("active_power", "total")]) < -100
    assert got[Quantity("quadrant_l1")] in (2, 3)
    assert got[Quantity("direction_l1")] == "1R"
    turned = served(rig, 105)  # its values are inverted, as everywhere
    assert float(turned[Quantity("active_power", "total")]) > 100
    assert turned[Quantity("direction_l3")] == "3F"
    line = rig.lines[0]
    meter = next(one for one in line.meters if one.address == 5)
    for way, opposite in (("import", "export"), ("export", "import")):
        wired = PRO380.by_quantity[Quantity(f"active_{opposite}", "total", "total")]
        own = value_of(wired, meter.read_words(wired.address, wired.length, DAY))
        assert turned[Quantity(f"active_{way}", "total", "total")] == own


def test_serial_numbers_are_distinct_and_stay(rig: Rig) -> None:
    units = range(101, 107)
    serials = [served(rig, unit)[Quantity("serial")] for unit in units]
    own = [truth(rig, meter)[Quantity("serial")] for meter in ("house", "roof", "ambition")]
    assert len({*serials, *own}) == len(serials) + len(own)
    assert serials == [serial_of("home", unit) for unit in units]
    assert all(str(one).isdecimal() and len(str(one)) == 8 for one in serials)
    assert serial_of("home", 101) != serial_of("barn", 101)


def test_what_the_source_does_not_have_is_no_number_and_alone_refused(rig: Rig) -> None:
    with rig.client() as client:
        tariff = PRO380.by_quantity[Quantity("reactive_import", "total", "T1")]
        assert words(client, 106, tariff.address, 2) == REFUSED
        block = words(client, 106, tariff.address - 2, 4)  # the total before it is there
        assert block[2:] == [0x7FC0, 0]
        assert block[:2] != [0x7FC0, 0]
        for address, count in ((0x3FFF, 2), (0x604A, 4), (0x7000, 1)):
            assert words(client, 106, address, count) == REFUSED


# SunSpec.


def sunspec(rig: Rig, unit: int) -> Any:
    """Return the device that pysunspec2 finds at a unit, with its models."""
    device = SunSpecModbusClientDeviceTCP(
        slave_id=unit, ipaddr="127.0.0.1", ipport=rig.tcp, timeout=60
    )
    device.scan()
    return device


def test_pysunspec2_walks_the_models(rig: Rig) -> None:
    serials = []
    for unit, model in ((111, 203), (112, 211), (113, 213), (114, 203), (116, 203)):
        with closing(sunspec(rig, unit)) as device:
            assert [one for one in device.models if isinstance(one, int)] == [1, model]
            assert device.common[0].Mn.value == "inepro-logger"
            assert device.common[0].DA.value == unit
            serials.append(device.common[0].SN.value)
    assert len(set(serials)) == len(serials)


POINTS = {
    "W": Quantity("active_power", "total"),
    "WphA": Quantity("active_power", "L1"),
    "WphB": Quantity("active_power", "L2"),
    "WphC": Quantity("active_power", "L3"),
    "VAR": Quantity("reactive_power", "total"),
    "VARphB": Quantity("reactive_power", "L2"),
    "VA": Quantity("apparent_power", "total"),
    "VAphC": Quantity("apparent_power", "L3"),
    "AphA": Quantity("current", "L1"),
    "AphB": Quantity("current", "L2"),
    "AphC": Quantity("current", "L3"),
    "PhVphA": Quantity("voltage", "L1"),
    "PhVphB": Quantity("voltage", "L2"),
    "PhVphC": Quantity("voltage", "L3"),
    "Hz": Quantity("frequency", "total"),
    "TotWhImp": Quantity("active_import", "total", "total"),
    "TotWhImpPhB": Quantity("active_import", "L2", "total"),
    "TotWhExp": Quantity("active_export", "total", "total"),
    "TotWhExpPhC": Quantity("active_export", "L3", "total"),
}


@pytest.mark.parametrize(("unit", "meter", "model"), [(111, "ambition", 203), (114, "roof", 203)])
def test_integers_of_sunspec_are_the_values_of_the_meter(
    rig: Rig, unit: int, meter: str, model: int
) -> None:
    there = truth(rig, meter)
    with closing(sunspec(rig, unit)) as device:
        points = device.models[model][0]
        for name, quantity in POINTS.items():
            value, scale = getattr(points, name).cvalue, 0.0
            if "Wh" in name:
                value /= 1000
            if (power := getattr(points, name).sf_value) is not None:
                scale = 10.0**power / (1000 if "Wh" in name else 1)
            expected = float(there[quantity])
            if quantity.field == "current":
                value, expected = abs(value), abs(expected)
            assert abs(value - expected) <= 0.51 * (scale or 1), (name, value, expected)
        assert points.A.cvalue == pytest.approx(
            sum(getattr(points, f"Aph{one}").cvalue for one in "ABC"), abs=0.02 * 100
        )


def test_floats_of_sunspec_are_the_values_of_the_meters(rig: Rig) -> None:
    house, roof = truth(rig, "house"), truth(rig, "roof")
    with closing(sunspec(rig, 113)) as device:
        points = device.models[213][0]
        for name in ("W", "WphA", "VAR", "TotWhImp", "TotWhExp", "TotWhExpPhC"):
            quantity = POINTS[name]
            both = float(house[quantity]) + float(roof[quantity])
            factor = 1000 if "Wh" in name else 1
            assert getattr(points, name).value == pytest.approx(both * factor, rel=1e-6), name
        assert points.TotVAhImp.value is None  # a PRO380 does not count it
        assert 0 <= points.PF.value <= 1


def test_sunspec_of_one_phase_has_one(rig: Rig) -> None:
    with closing(sunspec(rig, 112)) as device:
        points = device.models[211][0]
        assert points.WphA.value is not None
        assert points.WphB.value is None
        assert points.PhVphC.value is None


def test_a_silent_meter_is_no_number_or_no_answer_as_each_map_wants(tmp_path: Path) -> None:
    line = VirtualLine([fixed_meter("pro380", 1)], clock=still, paced=False)
    units = [
        {"id": 21, "meter": "m1", "map": "pro380"},
        {"id": 22, "meter": "m1", "map": "sunspec"},
        {"id": 23, "meter": "m1", "map": "sunspec-float"},
    ]
    meters = [{"name": "m1", "model": "pro380", "address": 1}]
    buses = [bus("line", f"socket://127.0.0.1:{line.start_tcp()}", meters, timeout=0.5)]
    with shared(tmp_path, buses, {"unit": units}, [line]) as rig:
        rig.read_all()
        power, energy = 40070 + 18, 40070 + 38
        with rig.client() as client:
            assert words(client, 22, power, 1) != [0x8000]
            line.set_quirks(quirks_named(["dead@1"]))
            wait_until(lambda: words(client, 21, 0x5002, 6) == NO_ANSWER)
            for address in (0x4000, 0x5012, 0x600C):
                assert words(client, 21, address, 2) == NO_ANSWER
            wait_until(lambda: words(client, 22, power, 1) == [0x8000])
            # 0 would say that a counter has begun afresh.
            assert words(client, 22, energy, 2) == NO_ANSWER
            assert words(client, 23, 40070 + 28, 2) == [0x7FC0, 0]
            assert words(client, 23, 40070 + 60, 2) == [0x7FC0, 0]
            assert words(client, 22, 40000, 2) == [0x5375, 0x6E53]  # the device itself is there
            line.set_quirks([])
            wait_until(lambda: words(client, 22, power, 1) != [0x8000])
            wait_until(lambda: words(client, 21, 0x5002, 6) != NO_ANSWER)


def test_a_value_beyond_an_integer_takes_a_coarser_scale_and_stays_right(tmp_path: Path) -> None:
    """A meter with large transformers: 9 MW does not fit into 16 bits of watts."""
    meter = fixed_meter("pro380", 1)
    line = VirtualLine([meter], clock=still, paced=False)
    buses = [
        bus(
            "line",
            f"socket://127.0.0.1:{line.start_tcp()}",
            [{"name": "m1", "model": "pro380", "address": 1}],
        )
    ]
    share = {"unit": [{"id": 22, "meter": "m1", "map": "sunspec"}]}
    with shared(tmp_path, buses, share, [line]) as rig:
        rig.read_all()
        there = truth(rig, "m1")
        with closing(sunspec(rig, 22)) as device:
            points = device.models[203][0]
            expected = float(there[POINTS["W"]])
            assert abs(expected) > 32767
            assert points.W.cvalue == pytest.approx(expected, rel=1e-3)
