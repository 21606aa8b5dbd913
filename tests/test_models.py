"""Register tables against the transcribed manuals, both ways, and what makes a bad file."""

from __future__ import annotations

import csv
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from logger.cli.models import models
from logger.domain.datamodel import FIELDS
from logger.domain.errors import ModelError
from logger.models import Job, Model, Register, available, load_file, told_by_product
from logger.models import load as load_model
from logger.models.decode import value_of

_CSV = Path(__file__).parent / "registers"
# Lists that several models share.
_SHARED = {"grow-701": "grow-3p", "grow-750": "grow-3p"}
MODELS = tuple(name for name in available() if load_model(name).protocol == "modbus")
_LISTS = {name: _SHARED.get(name, name) for name in MODELS}


def _of_a_library(name: str) -> bool:
    """Transcribed from the maker's library: its list has no access, its source no pages."""
    path = _CSV / f"{_LISTS[name]}.csv"
    return path.exists() and "access" not in path.read_text(encoding="utf-8").split("\n")[0]


OF_A_LIBRARY = {name: found for name, found in _LISTS.items() if _of_a_library(name)}
OF_A_MANUAL = tuple(name for name in MODELS if name not in OF_A_LIBRARY)
# The Compact's manual prints three registers, one a phase, as one value.
_ONE_A_PHASE = {("pro380-compact", 0x4012): ("direction_l1", "direction_l2", "direction_l3")}


def _lines(name: str) -> list[dict[str, str]]:
    with (_CSV / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _row(register: Register) -> tuple[int, int, str, str, str, str]:
    function = f"{register.write.function:02X}" if register.write else ""
    return (
        register.address,
        register.length,
        register.encoding.value,
        register.unit,
        function,
        register.name,
    )


def test_every_model_has_a_list_and_every_list_a_model() -> None:
    lists = {path.stem for path in _CSV.glob("*.csv")}
    assert set(_LISTS.values()) == lists, "the manual's table as tests/registers/NAME.csv"
    assert len(OF_A_MANUAL) >= 4
    assert len(OF_A_LIBRARY) >= 5


@pytest.mark.parametrize("name", OF_A_MANUAL)
def test_table_equals_the_manual_in_both_directions(name: str) -> None:
    model = load_model(name)
    table = {row[0]: row for row in map(_row, model.registers)}
    manual = {}
    for line in _lines(name):
        address, length = int(line["address"], 16), int(line["registers"])
        if (name, address) in _ONE_A_PHASE:
            fields = _ONE_A_PHASE[name, address]
            assert [
                register.field
                for register in model.registers
                if address <= register.address < address + length
            ] == list(fields)
            for offset in range(length):
                row = table.pop(address + offset)
                assert row[1:5] == (1, line["type"], line["unit"], "")
            continue
        manual[address] = (
            address,
            length,
            line["type"],
            line["unit"],
            line.get("write_function", ""),
            line["name"],
        )
        assert (line["access"] == "rw") == bool(line.get("write_function", ""))
    for address, row in manual.items():
        assert table.get(address) == row
    assert set(table) == set(manual)


@pytest.mark.parametrize("name", OF_A_LIBRARY)
def test_table_equals_the_library_in_both_directions(name: str) -> None:
    model = load_model(name)
    table = {register.address: _row(register) for register in model.registers}
    lines = _lines(OF_A_LIBRARY[name])
    assert len({line["address"] for line in lines}) == len(lines)
    for line in lines:
        address = int(line["address"], 16)
        length, kind = int(line["registers"]), line["type"]
        assert table.pop(address) == (address, length, kind, line["unit"], "", line["name"])
    assert not table


@pytest.mark.parametrize("name", OF_A_LIBRARY)
def test_names_phases_and_tariffs_of_the_library_are_those_of_the_key(name: str) -> None:
    """The address and its name match the list above; here the name matches the key."""
    model = load_model(name)
    for register in model.registers:
        if register.job not in {Job.FAST, Job.SLOW} or register.field == "tariff":
            continue
        phase = re.search(r"\bL\d(-L\d)?", register.name)
        tariff = re.search(r"\bT\d", register.name)
        whole = "L1" if register.field.startswith(("voltage", "current")) else "total"
        if register.phase:
            one = whole if model.one_phase else "total"
            assert register.phase == (phase[0] if phase else one), register
        if register.tariff:
            assert register.tariff == (tariff[0] if tariff else "total"), register
        words = register.field.split("_")
        for direction, names in (
            ("import", ("Import", "Forward")),
            ("export", ("Export", "Reverse")),
        ):
            assert (direction in words) == any(n in register.name for n in names), register
        for quadrant in range(1, 5):
            assert (f"q{quadrant}" in words) == (f"Q{quadrant}" in register.name), register
        for kind in ("active", "reactive", "apparent"):
            assert (kind in words) == bool(re.search(rf"\b{kind} ", register.name, re.I)), register


@pytest.mark.parametrize("name", OF_A_LIBRARY)
def test_choices_of_the_library_are_all_there(name: str) -> None:
    by_address = {register.address: register for register in load_model(name).registers}
    for line in _lines(OF_A_LIBRARY[name]):
        register = by_address[int(line["address"], 16)]
        note = line["note"].removeprefix("enum; ")
        if not re.match(r"\d+ ", note):
            assert not register.choices
            continue
        assert ", ".join(f"{code} {text}" for code, text in register.choices.items()) == note


def test_counters_in_watt_hours_become_kilowatt_hours() -> None:
    """4,294,967,295 Wh is the last one: a signed number would be -0.001 kWh."""
    by_key = load_model("grow-701").by_key
    register = by_key["active_import/total/total"]
    assert (register.unit, register.value_unit) == ("Wh", "kWh")
    assert value_of(register, [0xFFFF, 0xFFFF]) == Decimal("4294967.295")
    assert value_of(register, [0x0012, 0xD687]) == Decimal("1234.567")
    assert value_of(by_key["active/total/total"], [0xFFFF, 0xFFFF]) == Decimal("-0.001")
    assert value_of(by_key["product_code"], [0x0701]) == "0701"
    with pytest.raises(ValueError, match="not decimal digits"):
        value_of(by_key["product_code"], [0x07A1])


@pytest.mark.parametrize("name", OF_A_MANUAL)
def test_what_a_register_accepts_is_what_the_manual_says(name: str) -> None:
    model = load_model(name)
    by_address = {register.address: register for register in model.registers}
    for line in _lines(name):
        note = line.get("note", "")
        if "write: " not in note or (
            name == "ambition-2pu-ct" and line["name"] == "Combination code"
        ):
            continue
        text = note.split("write: ", 1)[1]
        write = by_address[int(line["address"], 16)].write
        assert write is not None, f"{line['address']} {line['name']}: no write in the TOML"
        allowed = {Decimal(code) for code in by_address[int(line["address"], 16)].choices}
        allowed |= set(write.one_of)
        if span := re.match(r"(\d+)\.\.(\d+)", text):
            limits = (int(span[1]), int(span[2]))
            assert (write.low, write.high) == limits, f"{line['name']}: {text}"
        elif text.startswith("two registers"):
            assert (write.low, write.high) == (1, 9995)
        elif text.startswith("index:"):
            assert allowed == set(range(1, 11))
        elif text.startswith("0 resets"):
            assert allowed == {Decimal(0)}
        else:
            named = re.sub(r"[TS]\d|\(.*?\)", "", text)
            numbers = {Decimal(n) for n in re.findall(r"\d+(?:\.\d+)?", named)} - {Decimal(180)}
            assert numbers <= allowed, (line["name"], numbers, allowed)
            assert allowed - numbers <= {Decimal(2400), Decimal(4800), Decimal("0.01")}


@pytest.mark.parametrize("name", MODELS)
def test_every_field_of_a_job_is_in_the_data_model_or_a_setting(name: str) -> None:
    model = load_model(name)
    for register in model.registers:
        if register.job in {Job.FAST, Job.SLOW}:
            assert register.field in FIELDS, register.key


@pytest.mark.parametrize("name", MODELS)
def test_every_model_names_its_source(name: str) -> None:
    place = r"page(s)? \d+" if name in OF_A_MANUAL else r"models\.py at commit [0-9a-f]{7} "
    assert re.search(place, load_model(name).manual)


def test_ambition_history_is_read_on_request_only() -> None:
    model = load_model("ambition-2pu-ct")
    pages = [r for r in model.registers if re.search(r"_ct\d", r.field)]
    assert len(pages) == 160
    assert {r.job for r in pages} == {Job.REQUEST}
    assert model.by_key["reactive_import_ct7/total/T4"].address == 0x6394
    assert model.by_key["active_export_ct5_5/total/T2"].address == 0x610E


def test_choices_have_names_and_final_values_are_known() -> None:
    model = load_model("ambition-2pu-ct")
    assert model.by_key["baud_rate"].choices[10] == "115200"
    ratio = model.by_key["ct_ratio"].write
    assert ratio is not None
    assert ratio.final is None
    code = load_model("pro380").by_key["combination_code"].write
    assert code is not None
    assert code.final == frozenset({Decimal(10)})
    assert "contradicts itself" in model.by_key["combination_code"].refuse


def test_codes_tell_transformer_meters_from_direct_ones() -> None:
    pro380 = load_model("pro380")
    assert {code for code, about in pro380.codes.items() if about.ct} == {0x0103, 0x2008}
    assert pro380.codes.keys() == {0x0102, 0x0103, 0x2007, 0x2008}
    assert load_model("ambition-2pu-ct").codes.keys() == {0x1111, 0x1112, 0x1113}
    assert load_model("pro1").codes.keys() == {0x0101, 0x2009, 0x2010, 0x3201}


_GOOD = """
model = "mine"
title = "My meter"
manual = "my manual, page 3"
max_gap = 2
[codes]
0x7777 = { sold_as = "My meter 7" }
[limits]
voltage = [0, 400]
[registers]
rows = [
    { address = 0x0010, length = 2, type = "float32", unit = "V", job = "fast", field = "voltage", phase = "L1", name = "Volts" },
    { address = 0x0020, length = 1, type = "int16", job = "identity", field = "mode", name = "Mode", choices = { 0 = "slow", 1 = "quick" }, write = 6 },
]
"""  # noqa: E501 - a line of a table is long


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_models_with_a_product_code_are_known_without_loading_their_rows() -> None:
    have = {name for name in available() if (guard := load_model(name).guard) and guard.prefix}
    assert set(told_by_product()) == have
    assert have


def test_own_model_is_found_before_a_bundled_one(tmp_path: Path) -> None:
    _file(tmp_path, _GOOD)
    model = load_model("mine", tmp_path)
    assert isinstance(model, Model)
    assert model.max_gap == 2
    assert model.by_key["mode"].choices == {0: "slow", 1: "quick"}
    assert model.codes[0x7777].sold_as == "My meter 7"
    (tmp_path / "pro380.toml").write_text(_GOOD.replace('"mine"', '"pro380"'), encoding="utf-8")
    assert load_model("pro380", tmp_path).title == "My meter"


# What is wrong with a file: what to replace in a good one, by what, the line, the reason.
_WRONG = [
    ('type = "float32"', 'type = "float64"', 12, "type 'float64'"),
    ("length = 2", "length = 3", 12, "a float32 takes 2 registers"),
    ('unit = "V"', 'unit = "kV"', 12, "unit 'kV'"),
    ('phase = "L1"', 'phase = "L4"', 12, "phase 'L4'"),
    ('job = "fast"', 'job = "quick"', 12, "job 'quick'"),
    ("0x0020", "0x10020", 13, "address"),
    ("0x0020", "0x0011", None, "overlaps"),
    (
        'field = "mode"',
        'field = "voltage", phase = "L1", unit = "V"',
        13,
        "is already the register",
    ),
    ('field = "mode"', 'feild = "mode"', 13, "feild"),
    ("write = 6", "write = 5", 13, "write"),
    ('choices = { 0 = "slow", 1 = "quick" }, write = 6', "write = 6", 13, "say what it accepts"),
    ('0 = "slow"', 'zero = "slow"', 13, "choices"),
    ("write = 6 }", "write = 6, range = [9, 1] }", 13, "above"),
    ("write = 6", 'write = 6, config = "port"', 13, "config"),
    ("voltage = [0, 400]", "voltage = [0]", 9, "limits.voltage"),
    ("voltage = [0, 400]", "max_gap = [0, 400]", 9, "no register has the field"),
    ("voltage = [0, 400]", "volts = [0, 400]", 9, "no register has the field"),
    ('model = "mine"', 'model = "My Meter"', 2, "model"),
    ("max_gap = 2", "max_gap = 999", 5, "max_gap"),
    ("0x7777", "0x77777", 7, "codes"),
    ("[limits]", '[guard]\nfield = "mode"\nreason = "x"\n[limits]', 8, "either value or prefix"),
    ("[limits]", '[identify]\nlooks = ["volts"]\n[limits]', 9, "no register has the key"),
    ("[limits]", '[guard]\nfield = "nothing"\nvalue = 1\nreason = "x"\n[limits]', 8, "guard"),
]


@pytest.mark.parametrize(("old", "new", "line", "reason"), _WRONG)
def test_a_bad_file_is_refused_with_file_line_and_reason(
    tmp_path: Path, old: str, new: str, line: int | None, reason: str
) -> None:
    assert old in _GOOD
    path = _file(tmp_path, _GOOD.replace(old, new, 1))
    with pytest.raises(ModelError) as caught:
        load_file(path)
    assert str(path) in caught.value.message
    assert reason in caught.value.message
    if line is not None:
        assert f"{path}:{line}:" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "reason"),
    [("model = ", "not TOML"), ('model = "mine"\n', "no registers"), ("\x00", "not TOML")],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        load_file(_file(tmp_path, text))


def test_unknown_model_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_model("pro380-legcy", tmp_path)
    assert "pro380-legacy" in caught.value.hint
    with pytest.raises(ModelError, match="cannot be read"):
        load_file(tmp_path / "none.toml")


def test_a_model_is_called_like_its_file(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(_GOOD, encoding="utf-8")
    with pytest.raises(ModelError, match=r"is in a file called other\.toml"):
        load_model("other", tmp_path)


def test_own_models_are_listed(tmp_path: Path) -> None:
    _file(tmp_path, _GOOD)
    assert available(tmp_path) == tuple(sorted((*available(), "mine")))


def _cli(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(models)
    return CliRunner().invoke(app, arguments)


def test_the_command_lists_and_prints_tables(tmp_path: Path) -> None:
    _file(tmp_path, _GOOD)
    listed = json.loads(_cli("--json", "--models-dir", str(tmp_path)).stdout)
    assert [one["model"] for one in listed] == sorted((*available(), "mine"))
    known = next(one for one in listed if one["model"] == "ambition-2pu-ct")
    assert known["requests"] == {"fast": 1, "slow": 2, "identity": 1, "request": 4}
    table = json.loads(_cli("ambition-2pu-ct", "--json").stdout)
    assert len(table["registers"]) == 291
    by_field = {row["field"]: row for row in table["registers"]}
    assert by_field["ct_ratio"]["write"] == 16
    assert by_field["combination_code"]["write"] is None
    assert "0x502A" in _cli("pro380").stdout
    assert "Solar-Log" in _cli().stdout


def test_the_command_refuses_what_is_not_there(tmp_path: Path) -> None:
    assert isinstance(_cli("pro38").exception, ModelError)
    assert isinstance(_cli("--models-dir", str(tmp_path / "none")).exception, ModelError)
