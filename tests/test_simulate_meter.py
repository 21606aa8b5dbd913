"""A virtual meter against the manual: what it answers, obeys and refuses."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger.domain.errors import ModelError, SimulationError
from logger.models import Encoding, Value, load, load_file
from logger.models.decode import value_of
from logger.simulate import Incident, Refusal, Trouble, VirtualMeter, virtual_site
from logger.simulate.accepts import acceptable
from logger.simulate.frame import crc16, seal
from logger.simulate.registers import Setting
from tests.lines import MODBUS_MODELS

NOON = datetime(2026, 6, 18, 11, 40, tzinfo=UTC).timestamp()


def meter(role: str = "grid", *incidents: Incident, fixed: bool = False) -> VirtualMeter:
    return virtual_site(7, start=NOON, meters={1: role}, incidents=incidents, fixed=fixed).meter(1)


def read(one: VirtualMeter, key: str, at: float = NOON) -> Value:
    register = one.model.by_key[key]
    return value_of(register, one.read_words(register.address, register.length, at))


def ask(one: VirtualMeter, request: str, at: float = NOON) -> str:
    """Send the hexadecimal frame `request` without CRC, return the answer likewise."""
    frame = bytes.fromhex(request)
    return (frame[:1] + one.answer(frame[1:], at)).hex(" ")


def tidy(frame: str) -> str:
    return bytes.fromhex(frame).hex(" ")


def test_identity_is_that_of_a_pro380() -> None:
    site = virtual_site(7, start=NOON)
    expected: Mapping[str, Value] = {
        "serial": "22091039",
        "meter_code": "0102",
        "modbus_id": 1,
        "baud_rate": 9600,
        "protocol_version": Decimal("3.2"),
        "software_version": Decimal("2.18"),
        "meter_amps": 100,
        "ct_ratio": "0005",
        "lcd_cycle_time": "0010",
        "power_down_count": 7,
        "direction_l1": "1R",
        "direction_l3": "3R",
    }
    assert {key: read(site.meter(1), key) for key in expected} == expected
    assert read(site.meter(2), "serial") == "22091040"
    words = site.meter(1).read_words(0x4000, 2, NOON)
    assert words == (0x2209, 0x1039)


def test_instantaneous_values_are_those_of_the_world() -> None:
    one = meter()
    now = one.snapshot(NOON)
    for phase in (1, 2, 3):
        for key, value in {
            "voltage": now.voltage[phase - 1],
            "current": now.current(phase),
            "active_power": now.active_power(phase) / 1000,
            "reactive_power": now.reactive_power(phase) / 1000,
            "apparent_power": now.apparent_power(phase) / 1000,
            "power_factor": now.power_factor(phase),
        }.items():
            assert float(str(read(one, f"{key}/L{phase}"))) == pytest.approx(value, rel=1e-6)
        assert read(one, f"quadrant_l{phase}") == now.quadrant(phase)
    assert float(str(read(one, "active_power/total"))) == pytest.approx(
        now.active_power(None) / 1000, rel=1e-6
    )
    assert float(str(read(one, "frequency/total"))) == pytest.approx(now.frequency, rel=1e-6)
    assert read(one, "voltage/total") == read(one, "current/total") == 0
    assert float(str(read(one, "current/L1"))) < 0 < float(str(read(one, "power_factor/L1")))


def test_zero_never_has_a_minus() -> None:
    one = meter("pv", Incident(kind=Trouble.PHASE_LOST, start=0.0, phase=2))
    one.ledger.gains = (-1.0, -1.0, -1.0)
    assert one.snapshot(NOON).active_power(1) == 0
    assert 0x8000 not in one.read_words(0x5002, 48, NOON)


def test_a_block_is_its_registers_side_by_side() -> None:
    one = meter()
    for register in one.model.registers:
        first = register.address & 0xF000
        last = {0x4000: 0x4020, 0x5000: 0x5032, 0x6000: 0x604B}[first]
        block = one.read_words(first, last - first, NOON)
        start = register.address - first
        alone = one.read_words(register.address, register.length, NOON)
        assert block[start : start + register.length] == alone
        if register.length == 2:  # half a value is a register too
            assert one.read_words(register.address + 1, 1, NOON) == alone[1:]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("01 03 4003 0001", "01 03 02 0001"),
        ("01 03 4000 0000", "01 83 03"),  # no register
        ("01 03 6000 007E", "01 83 03"),  # 126
        ("01 03 5000 007D", "01 83 02"),  # 125, but beyond the table
        ("01 03 3FFF 0001", "01 83 02"),
        ("01 03 4020 0001", "01 83 02"),
        ("01 03 401F 0002", "01 83 02"),
        ("01 04 5000 0002", "01 84 01"),
        ("01 2B 0E 01 00", "01 ab 01"),
        ("01 03 5000", "01 83 03"),
        ("01 06 4000 1234", "01 86 02"),  # read only
        ("01 06 5002 0000", "01 86 02"),
        ("01 06 7000 0000", "01 86 02"),
        ("01 06 400D 0001", "01 86 02"),  # function 16 it is
        ("01 10 4003 0001 02 0005", "01 90 02"),  # function 6 it is
        ("01 10 400D 0001 02 4120", "01 90 02"),  # half a value
        ("01 10 400D 0002 02 4120", "01 90 03"),  # says 2, holds 1
        ("01 10 400D 0000 00", "01 90 03"),
        ("01 06 4003 0000", "01 86 03"),
        ("01 06 4003 00F8", "01 86 03"),
        ("01 06 4004 2581", "01 86 03"),
        ("01 06 400F 0002", "01 86 03"),
        ("01 06 4010 0031", "01 86 03"),
        ("01 06 4010 001A", "01 86 03"),  # no decimal digits
        ("01 06 4011 0000", "01 86 03"),
        ("01 06 4016 0001", "01 86 03"),
        ("01 06 6048 0003", "01 86 03"),
        ("01 10 400D 0002 04 41300000", "01 90 03"),  # 11
        ("01 10 400D 0002 04 7FC00000", "01 90 03"),  # not a number
        ("01 10 6049 0002 04 3F800000", "01 90 03"),
    ],
)
def test_answers_and_exceptions(request_: str, answer: str) -> None:
    one = meter()
    before = [
        one.read_words(register.address, register.length, NOON) for register in one.model.registers
    ]
    assert ask(one, request_) == tidy(answer)
    after = [
        one.read_words(register.address, register.length, NOON) for register in one.model.registers
    ]
    assert before == after


# PRO380 manual 2.18-6, appendix A3.2, table "Write": the frames as printed, the setting
# they change and what it reads then. Function 6 echoes, function 16 echoes address and count.
MANUAL = [
    ("01 06 4003 000A", "01 06 4003 000A", "modbus_id", 10),
    ("01 06 4004 2580", "01 06 4004 2580", "baud_rate", 9600),
    ("01 10 400D 0002 04 41200000", "01 10 400D 0002", "s0_output_rate", Decimal(10)),
    ("01 06 400F 000A", "01 06 400F 000A", "combination_code", 10),
    ("01 06 4010 0025", "01 06 4010 0025", "lcd_cycle_time", "0025"),
    ("01 06 4011 0002", "01 06 4011 0002", "parity", 2),
    ("01 06 4016 0000", "01 06 4016 0000", "power_down_count", 0),
    ("01 06 6048 0002", "01 06 6048 0002", "tariff", 2),
    ("01 10 6049 0002 04 00000000", "01 10 6049 0002", "day_counter/total/total", 0),
]


@pytest.mark.parametrize(("request_", "answer", "key", "value"), MANUAL)
def test_the_write_frames_of_the_manual(request_: str, answer: str, key: str, value: Value) -> None:
    one = meter()
    assert ask(one, request_) == tidy(answer)
    assert read(one, key) == value


@pytest.mark.parametrize("model", MODBUS_MODELS)
def test_every_value_the_table_accepts_can_be_written_and_read(model: str) -> None:
    written, writable = 0, 0
    for register in load(model).registers:
        if register.write is None:
            continue
        writable += 1
        values = acceptable(register)
        assert values is not None, register.name
        for value in values if len(values) < 40 else (values[0], values[-1]):
            one = virtual_site(7, start=NOON, model=model, meters={1: "grid"}).meter(1)
            if register.encoding is Encoding.FLOAT32:
                raw = struct.pack(">f", float(value))
            elif register.encoding is Encoding.HEX:
                raw = bytes.fromhex(f"{int(value):04d}") + bytes(2 * register.length - 2)
            else:
                raw = int(value).to_bytes(2, "big")
            head = struct.pack(">BH", register.write.function, register.address)
            body = raw if register.write.function == 6 else b"\0\2\4" + raw
            assert one.answer(head + body, NOON)[0] == register.write.function, register.name
            if register.key == "tariff":
                assert one.read_words(register.address, 1, NOON) == (int(value) % 10,)
            else:
                got = one.read_bytes(register.address, register.length, NOON)
                assert got == raw, register.name
            written += 1
    assert written >= writable


@pytest.mark.parametrize("model", MODBUS_MODELS)
def test_every_model_answers_every_register_and_fits_its_limits(model: str) -> None:
    one = virtual_site(7, start=NOON, model=model, meters={3: "grid"}).meter(3)
    shown = {register.key: read(one, register.key, NOON + 100) for register in one.model.registers}
    for register in one.model.registers:
        value = shown[register.key]
        if isinstance(value, Decimal) and register.field in one.model.limits:
            low, high = one.model.limits[register.field]
            assert low <= value <= high, register.key
    assert str(shown["serial"]) == "22091041"
    assert shown.get("modbus_id", 3) == 3
    total = shown["active_import/total/total"]
    phases = [f"active_import/L{phase}/total" for phase in (1, 2, 3)]
    tariffs = [f"active_import/total/T{tariff}" for tariff in (1, 2, 3, 4)]
    for keys in ([key for key in part if key in shown] for part in (phases, tariffs)):
        assert not keys or total == pytest.approx(
            sum(Decimal(shown[key]) for key in keys), rel=Decimal("1e-6")
        )
    assert all(key in shown for key in phases) is not one.model.one_phase
    if one.model.one_phase:  # power, voltage and current are those of the one phase
        watts = Decimal(shown["voltage/L1"]) * abs(Decimal(shown["current/L1"]))
        apparent = Decimal(shown["apparent_power/total"]) * 1000
        assert apparent == pytest.approx(watts, rel=Decimal("0.001"))


def test_writes_take_effect() -> None:
    one = meter()
    ask(one, "01 06 4003 002A")
    assert one.address == 42
    ask(one, "01 06 4004 0960")
    assert one.identity.baudrate == 2400
    ask(one, "01 06 4011 0003")
    assert one.identity.parity == "O"
    assert read(one, "serial") == "22091039"  # it stays the same meter


def test_a_meter_is_set_up_as_the_line_it_joins_but_only_once() -> None:
    one = meter()
    one.join(4800, "N")
    one.join(1200, "O")
    assert (one.identity.baudrate, one.identity.parity) == (4800, "N")
    assert (read(one, "baud_rate"), read(one, "parity")) == (4800, 2)


def test_combination_codes_say_what_the_total_is() -> None:
    one = meter()
    one.books.advance(NOON + 7200)
    forward = float(str(read(one, "active_import/total/total")))
    reverse = float(str(read(one, "active_export/total/total")))
    expected = {
        1: forward,
        4: reverse,
        5: forward + reverse,
        6: reverse - forward,
        9: forward - reverse,
        11: forward - reverse,
        10: forward - reverse,
    }
    for code, total in expected.items():
        assert ask(one, f"01 06 400F {code:04X}") == tidy(f"01 06 400F {code:04X}")
        assert float(str(read(one, "active/total/total"))) == pytest.approx(total, rel=1e-6)


def test_a_meter_can_come_with_settings_of_its_own() -> None:
    own: dict[int, dict[str, Setting]] = {1: {"combination_code": 5, "serial": "13070001"}}
    one = virtual_site(7, start=NOON, settings=own).meter(1)
    assert read(one, "serial") == "13070001"
    total = sum(float(str(read(one, f"active_{way}/total/total"))) for way in ("import", "export"))
    assert float(str(read(one, "active/total/total"))) == pytest.approx(total)


def test_code_10_nets_the_phases_and_can_never_be_left() -> None:
    demand = Incident(kind=Trouble.LOAD, start=NOON, phase=2, value=5000.0)
    export = Incident(kind=Trouble.PV, start=NOON, value=9000.0)
    one, plain = meter("grid", demand, export), meter("grid", demand, export)
    ask(one, "01 06 400F 000A")
    imported = read(one, "active_import/total/total")
    assert imported == read(plain, "active_import/total/total")
    until = NOON + 3600
    assert read(one, "active_import/total/total", until) == imported  # exports all the time
    assert read(plain, "active_import/total/total", until) != imported
    assert read(one, "active_import/L2/total", until) == read(
        plain, "active_import/L2/total", until
    )
    for code in (1, 4, 5, 6, 9, 11):
        assert ask(one, f"01 06 400F {code:04X}") == "01 86 03"
    assert ask(one, "01 06 400F 000A") == tidy("01 06 400F 000A")
    assert read(one, "combination_code") == 10


def test_the_day_counter_starts_again() -> None:
    one = meter("load")
    assert read(one, "day_counter/total/total") == Decimal("12.34")
    before = float(str(read(one, "active_import/total/total", NOON + 600)))
    ask(one, "01 10 6049 0002 04 00000000", NOON + 600)
    assert read(one, "day_counter/total/total", NOON + 600) == 0
    grown = float(str(read(one, "active_import/total/total", NOON + 7200))) - before
    assert float(str(read(one, "day_counter/total/total", NOON + 7200))) == pytest.approx(
        grown, abs=0.002
    )
    assert grown > 0.3


def test_a_written_tariff_holds_and_an_unsaved_one_is_forgotten() -> None:
    off = Incident(kind=Trouble.MAINS_OFF, start=NOON + 7200, end=NOON + 7260)
    saved, unsaved = meter("load", off), meter("load", off)
    assert read(saved, "tariff") == 1
    ask(saved, "01 06 6048 0002")
    ask(unsaved, "01 06 6048 000C")
    start = {one: one.ledger.energy("active_import", None, 1) for one in (saved, unsaved)}
    for one in (saved, unsaved):
        assert read(one, "tariff", NOON + 7000) == 2
        assert one.ledger.energy("active_import", None, 1) == start[one]
    assert read(saved, "tariff", NOON + 9000) == 2
    assert read(unsaved, "tariff", NOON + 9000) == 1
    assert unsaved.ledger.energy("active_import", None, 1) > start[unsaved]


def test_power_downs_count_and_reset() -> None:
    offs = [
        Incident(kind=Trouble.MAINS_OFF, start=NOON + begin, end=NOON + begin + 10)
        for begin in (100, 200, 300)
    ]
    one = meter("load", *offs)
    counts = [read(one, "power_down_count", NOON + after) for after in (50, 150, 250)]
    assert counts == [7, 8, 9]
    assert not one.answers(NOON + 205)
    assert one.answers(NOON + 250)
    ask(one, "01 06 4016 0000", NOON + 250)
    assert read(one, "power_down_count", NOON + 260) == 0
    assert read(one, "power_down_count", NOON + 350) == 1


def test_energy_stands_still_while_the_mains_are_off() -> None:
    off = Incident(kind=Trouble.MAINS_OFF, start=NOON + 60, end=NOON + 660)
    one = meter("load", off)
    before = one.read_words(0x6000, 75, NOON + 60)
    assert one.read_words(0x6000, 75, NOON + 660) == before
    assert one.read_words(0x6000, 75, NOON + 700) != before


def test_a_silenced_meter_goes_on_counting() -> None:
    one = meter("load", Incident(kind=Trouble.METER_SILENT, start=NOON, end=NOON + 60, meter=1))
    assert not one.answers(NOON + 5)
    assert one.answers(NOON + 60)
    counted = one.ledger.energy("active_import")
    one.books.advance(NOON + 60)
    assert one.ledger.energy("active_import") > counted


@pytest.mark.parametrize("model", MODBUS_MODELS)
def test_fixed_values_are_distinct_and_believable(model: str) -> None:
    site = virtual_site(7, start=NOON, fixed=True, model=model)
    seen: dict[object, str] = {}
    for one in site.meters:
        for register in one.model.registers:
            value = read(one, register.key)
            assert value == read(one, register.key, NOON + 5000)
            assert (value, register.encoding) not in seen, register.key
            seen[value, register.encoding] = register.key
            if isinstance(value, Decimal) and register.field in one.model.limits:
                low, high = one.model.limits[register.field]
                assert low <= value <= high, register.key
    assert len(seen) == 2 * len(site.meters[0].model.registers)


def test_a_fixed_meter_keeps_what_is_written() -> None:
    one = meter(fixed=True)
    ask(one, "01 06 4010 0025")
    assert read(one, "lcd_cycle_time") == "0025"


def test_requests_are_counted_by_function_and_block() -> None:
    one = meter()
    for request in ("01 03 5002 0030", "01 03 5002 0030", "01 06 4010 0025", "01 03 0000 0001"):
        ask(one, request)
    assert one.requests == {(3, 0x5002, 48): 2, (6, 0x4010, 1): 1, (3, 0, 1): 1}


def test_several_pv_meters_share_the_production() -> None:
    alone = virtual_site(7, start=NOON, meters={5: "pv"})
    shared = virtual_site(7, start=NOON, meters={5: "pv", 6: "pv", 7: "grid"})
    whole = alone.meter(5).snapshot(NOON).active_power(None)
    halves = [one.snapshot(NOON).active_power(None) for one in map(shared.meter, (5, 6))]
    assert halves == pytest.approx([whole / 2, whole / 2])


def test_a_meter_wired_the_other_way_round_counts_production_forward() -> None:
    usual = virtual_site(7, start=NOON, meters={5: "pv"}).meter(5)
    other = virtual_site(7, start=NOON, meters={5: "pv"}, inverted={5}).meter(5)
    before = usual.snapshot(NOON).active_power(None)
    assert before < 0
    assert other.snapshot(NOON).active_power(None) == -before
    began = usual.ledger.energy("active_export"), other.ledger.energy("active_import")
    for one in (usual, other):
        one.books.advance(NOON + 3600)
    assert other.ledger.energy("active_import") - began[1] == pytest.approx(
        usual.ledger.energy("active_export") - began[0]
    )


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SimulationError, match="address 248"):
        virtual_site(1, start=NOON, meters={248: "grid"})
    with pytest.raises(SimulationError, match="heater"):
        virtual_site(1, start=NOON, meters={1: "heater"})
    with pytest.raises(SimulationError, match="needs a meter"):
        virtual_site(1, start=NOON, meters={})
    with pytest.raises(SimulationError, match="no pro380 speaks 115200"):
        meter().join(115200, "E")
    with pytest.raises(ModelError, match="pro999"):
        virtual_site(1, start=NOON, model="pro999")
    with pytest.raises(Refusal):
        meter().read_words(0x5000, 126, NOON)


OTHER_MODEL = """
model = "other"
title = "A table with what the PRO380 lacks"
manual = "made up for this test"
max_gap = 16
baudrates = [9600, 4800, 300]
[registers]
rows = [
    { address = 0x0010, length = 2, type = "float32", unit = "V", job = "fast", field = "voltage", phase = "L1-L2", name = "a" },
    { address = 0x0014, length = 2, type = "float32", unit = "W", job = "fast", field = "active_power", phase = "total", name = "b" },
    { address = 0x0020, length = 1, type = "int16", job = "identity", field = "baud_rate", name = "c", write = 6, choices = { 1 = "300", 5 = "4800", 6 = "9600" } },
    { address = 0x0021, length = 2, type = "hex", job = "identity", field = "ct_ratio", name = "d", write = 16, range = [1, 9995] },
    { address = 0x0023, length = 1, type = "int16", job = "slow", field = "tariff", name = "e", write = 6, choices = { 1 = "T1", 2 = "T2", 3 = "T3", 4 = "T4" } },
    { address = 0x0024, length = 2, type = "float32", unit = "kWh", job = "slow", field = "active_import", phase = "total", tariff = "T3", name = "f" },
    { address = 0x0026, length = 2, type = "int32", job = "identity", field = "pulse_total", name = "g" },
    { address = 0x0100, length = 1, type = "int16", job = "identity", field = "backlight", name = "h", write = 6, choices = { 1 = "button", 2 = "on", 3 = "off" } },
]
"""  # noqa: E501 - rows as they stand in a table


def test_any_register_table_works(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text(OTHER_MODEL)
    one = virtual_site(7, start=NOON, model=load_file(path), meters={9: "load"}).meter(9)
    now = one.snapshot(NOON)
    assert float(str(read(one, "voltage/L1-L2"))) == pytest.approx(
        now.voltage_between(1, 2), rel=1e-6
    )
    assert 395 < now.voltage_between(1, 2) < 405
    assert float(str(read(one, "active_power/total"))) == pytest.approx(
        now.active_power(None), rel=1e-6
    )
    assert read(one, "baud_rate") == 6
    assert ask(one, "09 06 0020 0005") == tidy("09 06 0020 0005")
    assert one.identity.baudrate == 4800
    assert ask(one, "09 06 0020 0002") == tidy("09 86 03")
    assert read(one, "ct_ratio") == "00050005"
    assert ask(one, "09 10 0021 0002 04 99950005") == tidy("09 10 0021 0002")
    assert read(one, "ct_ratio") == "99950005"
    assert ask(one, "09 06 0023 0003") == tidy("09 06 0023 0003")
    assert float(str(read(one, "active_import/total/T3", NOON + 3600))) > 0.1
    assert read(one, "pulse_total") == 0x26
    assert read(one, "backlight") == 1
    block = one.read_words(0x0010, 6, NOON)
    assert block[2:4] == (0, 0)  # a gap can be crossed
    assert block[4:] == one.read_words(0x0014, 2, NOON)
    assert ask(one, "09 03 0012 0002") == tidy("09 83 02")  # but holds nothing
    assert ask(one, "09 03 0027 0010") == tidy("09 83 02")  # beyond `max_gap`


@given(st.binary(max_size=64))
def test_a_checksum_finds_every_single_error(body: bytes) -> None:
    frame = seal(1, body)
    assert crc16(frame[:-2]) == frame[-2:]
    for place in range(len(frame)):
        wrong = bytearray(frame)
        wrong[place] ^= 0x10
        assert crc16(bytes(wrong[:-2])) != bytes(wrong[-2:])


def test_the_checksum_of_the_standard() -> None:
    # MODBUS over serial line V1.02, appendix B: the CRC of 02 07 is 0x1241, sent 41 12.
    assert crc16(bytes.fromhex("0207")) == bytes.fromhex("4112")
