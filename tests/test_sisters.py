"""The PRO1 and the GROW family: read by their own table, and by no other one's."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.framer import FramerType
from typer.testing import CliRunner

from logger import models
from logger.cli import app
from logger.derive.measured import measured
from logger.domain.datamodel import MEASUREMENTS
from logger.domain.quantity import IMPORT_TOTAL, Quantity
from logger.meter.session import MeterReader
from logger.models import Job, Value
from logger.points.encode import points
from logger.simulate import VirtualLine
from tests.lines import meter_config
from tests.readers import NOW, NOW_MS, fixed_meter, line_of, real_meter

GROW = ("grow-701", "grow-750", "grow-800", "grow-850")
NEW = ("pro1", *GROW)
PRO = ("pro380", "pro380-compact", "pro1", "ambition-2pu-ct")
_JOBS = (Job.IDENTITY, Job.SLOW, Job.FAST)


@pytest.mark.parametrize("configured", [*PRO, "pro380-legacy"])
@pytest.mark.parametrize("there", GROW)
@pytest.mark.parametrize("code", ["0000", "own"])
def test_no_counter_of_a_grow_is_read_by_the_table_of_a_pro(
    there: str, configured: str, code: str
) -> None:
    """Its counters are whole numbers of Wh at the addresses of floats of kWh; its meter
    code may be anything, also one of the other meter's."""
    codes = sorted(models.load(configured).codes)
    meter_code = f"{codes[0]:04X}" if code == "own" and codes else "0000"
    meter = real_meter(there, settings={"meter_code": meter_code})
    with line_of(meter) as setup:
        reader = setup.reader(model=configured)
        for _ in range(2):
            for job in _JOBS:
                setup.clock.now += 10
                reading = reader.read(job, NOW_MS)
                if configured == "pro380-legacy":  # not one of its addresses is answered
                    assert IMPORT_TOTAL not in reading.values
                else:
                    assert reading.values == {}
        if configured != "pro380-legacy":
            assert f'model = "{there}"' in str(reader.error)


def test_a_grow_is_not_read_by_another_table_even_where_that_is_accepted() -> None:
    with line_of(real_meter("grow-701", settings={"meter_code": "0102"})) as setup:
        accepting = meter_config(1, "pro380", accept_model=True)
        reader = MeterReader(
            setup.bus, accepting, models.load("pro380"), lambda: NOW_MS, clock=setup.clock
        )
        for job in (*_JOBS, *_JOBS):
            assert reader.read(job, NOW_MS).values == {}
        assert 'model = "grow-701"' in str(reader.error)
        assert "accept_model" not in str(reader.error)


@pytest.mark.parametrize("there", [*PRO, *GROW])
@pytest.mark.parametrize("configured", GROW)
def test_no_other_meter_is_read_by_the_table_of_a_grow(there: str, configured: str) -> None:
    """From the first request on, whichever job comes first."""
    if there == configured:
        return
    for first in (Job.FAST, Job.SLOW):
        with line_of(real_meter(there)) as setup:
            reader = setup.reader(model=configured)
            for job in (first, first, Job.IDENTITY, Job.SLOW, Job.FAST):
                reading = reader.read(job, NOW_MS)
                counters = [one for one in reading.values if one.phase]
                assert counters == []
            assert "product code" in str(reader.error) or configured in str(reader.error)


@pytest.mark.parametrize("name", NEW)
def test_an_independent_client_reads_the_words_of_every_register(name: str) -> None:
    """pymodbus gives the words; what they mean is worked out here from the type's name."""
    meter = fixed_meter(name)
    table = {"float32": ModbusTcpClient.DATATYPE.FLOAT32, "int32": ModbusTcpClient.DATATYPE.INT32}
    table |= {"uint32": ModbusTcpClient.DATATYPE.UINT32}
    seen = set()
    with (
        VirtualLine([meter], clock=lambda: NOW, paced=False) as line,
        line_of(meter) as setup,
    ):
        read: dict[Quantity, Value] = {}
        for job in Job:
            if models.load(name).of_job(job):
                read.update(setup.readers[0].read(job, NOW_MS).values)
        client = ModbusTcpClient(
            "127.0.0.1", port=line.start_tcp(), framer=FramerType.RTU, timeout=60
        )
        assert client.connect()  # type: ignore[no-untyped-call]
        for register in meter.model.registers:
            answer = client.read_holding_registers(
                register.address, count=register.length, device_id=1
            )
            assert not answer.isError()
            seen.add(tuple(answer.registers))
            kind = table.get(register.encoding.value)
            if kind is None:
                continue
            number = client.convert_from_registers(answer.registers, kind)
            value = read[register.quantity]
            assert isinstance(value, Decimal | int)
            factor = 1000 if register.unit in {"Wh", "varh", "VAh"} else 1
            assert float(value * factor) == pytest.approx(number, rel=1e-7)
        client.close()  # type: ignore[no-untyped-call]
    # All are different, so that no value can pass for another one.
    assert len(seen) == len(meter.model.registers)


@pytest.mark.parametrize("name", NEW)
def test_every_value_becomes_a_point_in_the_unit_of_the_data_model(name: str) -> None:
    meter = real_meter(name)
    with line_of(meter) as setup:
        found = [
            point
            for job in _JOBS
            for point in points(measured(setup.readers[0].read(job, NOW_MS), meter.model), "home")
        ]
    fields = {
        (point.measurement, point.tags.get("phase", ""), name, point.tags.get("tariff", "")): value
        for point in found
        for name, value in point.fields.items()
    }
    for measurement, _, field, _ in fields:
        assert field in MEASUREMENTS[measurement].fields
    counter = fields["energy", "total", "active_import", "total"]
    energy = meter.ledger.energy("active_import")
    assert counter == pytest.approx(energy, abs=0.01)
    assert fields["power", "L1", "voltage", ""] == pytest.approx(230, rel=0.1)
    if name in GROW:
        assert fields["power", "total", "temperature", ""] == 31.5
        assert ("power", "total", "neutral_current", "") in fields
        assert ("energy", "total", "apparent_import", "total") in fields
        assert (("power", "L1", "voltage_thd", "") in fields) == (name != "grow-850")
        assert (("energy", "total", "session_energy", "total") in fields) == (name != "grow-850")
    if meter.model.one_phase:
        phases = {phase for measurement, phase, _, _ in fields if measurement == "power"}
        assert phases == {"L1", "total"}


def _config(tmp_path: Path, port: int, model: str) -> Path:
    file = tmp_path / "logger.toml"
    one = meter_config(1, model)
    file.write_text(
        f'[site]\nname = "home"\n[[bus]]\nname = "line"\nport = "socket://127.0.0.1:{port}"\n'
        f'[[bus.meter]]\nname = "{one.name}"\nmodel = "{model}"\naddress = 1\nrole = "load"\n',
        encoding="utf-8",
    )
    return file


@pytest.mark.parametrize("name", NEW)
def test_the_commands_read_and_check_a_meter(name: str, tmp_path: Path) -> None:
    with VirtualLine([real_meter(name)], clock=lambda: NOW, paced=False) as line:
        file = _config(tmp_path, line.start_tcp(), name)
        read = CliRunner().invoke(app, ["read", "m1", "--config", str(file), "--json"])
        check = CliRunner().invoke(app, ["check", "--config", str(file), "--json"])
    assert read.exit_code == 0, read.output
    answer = json.loads(read.stdout)
    assert not answer["failures"]
    assert not answer["rejected"]
    units = {one["field"]: one["unit"] for one in answer["values"]}
    assert units["active_import"] == "kWh"
    assert "Wh" not in units.values()
    found = {one["about"]: one for one in json.loads(check.stdout) if one["subject"] == "m1"}
    assert {one["verdict"] for one in found.values()} <= {"ok", "note", "warn"}
    assert found["phases"]["verdict"] == "ok"
    assert "kW" in found["current direction"]["text"]


def test_a_wrong_table_is_named_by_the_command(tmp_path: Path) -> None:
    with VirtualLine([real_meter("grow-701")], clock=lambda: NOW, paced=False) as line:
        port = line.start_tcp()
        wrong = CliRunner().invoke(
            app, ["check", "--config", str(_config(tmp_path, port, "pro380"))]
        )
    assert "GROW 701" in wrong.output
