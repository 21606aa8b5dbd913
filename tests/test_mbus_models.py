"""Tables of M-Bus records against the manuals, restated here, and what makes a bad file."""

from __future__ import annotations

from pathlib import Path

import meterbus
import pytest

from logger.domain.errors import ModelError
from logger.mbus import frames
from logger.mbus.records import Telegram, parse
from logger.models import Job, available, load, load_file
from logger.models.plan import plans
from logger.models.record import Record, rows_of, said, share
from tests.mbus_telegrams import (
    AMBITION,
    AMBITION_ROWS,
    PRO380,
    PRO380_HEADER,
    PRO380_KWH,
    PRO380_RECORDS,
    answer,
)

MODELS = ("ambition-2pu-mb", "pro380-mb")
# PRO380 manual 2.18-6, page 24: DIF, VIF and what it calls the record.
PRO380_ROWS = {
    ("0C 04", "Total active energy"),
    ("8C10 04", "Total active energy T1"),
    ("8C20 04", "Total active energy T2"),
    ("1C 04", "Total forward active energy"),
    ("9C10 04", "Forward active energy T1"),
    ("9C20 04", "Forward active energy T2"),
    ("2C 04", "Total reverse active energy"),
    ("AC10 04", "Reverse active energy T1"),
    ("AC20 04", "Reverse active energy T2"),
}


def telegram(raw: bytes) -> Telegram:
    frame = frames.search(frames.request(0, True), raw).frame
    assert frame is not None
    return parse(frame)


def values(model: str, raw: bytes) -> dict[str, str]:
    return {one.row.key: str(one.value) for one in said(load(model), telegram(raw))}


def test_both_models_are_there() -> None:
    assert tuple(name for name in available() if load(name).protocol == "mbus") == MODELS


def test_every_row_names_its_source() -> None:
    for name in (*MODELS, "pro380-mb+phase_values"):
        for row in rows_of(load(name)):
            assert "page" in row.source or row.option == "phase_values"


def test_the_pro380_mb_is_read_as_its_manual_prints_it() -> None:
    found = values("pro380-mb", PRO380)
    assert {key: found[key] for key in PRO380_KWH} == PRO380_KWH
    assert {key for key in found if "/" in key} == set(PRO380_KWH)
    rows = {(row.header, row.name) for row in rows_of(load("pro380-mb")) if "/" in row.key}
    assert rows == PRO380_ROWS


def test_maximum_is_forward_and_minimum_is_reverse() -> None:
    """The standard's words for DIF 1C and 2C are not what this meter means by them.

    It tells forward from reverse by the function field. Whoever believes the words reads
    nine counters of which two are not extremes of the first: forward is no maximum of the
    total, and forward and reverse add up to it.
    """
    words = {
        record.interpreted["function"].partition(".")[2]: int(record.value)
        for record in meterbus.load(PRO380).records
        if "tariff" not in record.interpreted
    }
    found = values("pro380-mb", PRO380)
    assert words["MAXIMUM_VALUE"] == 6913460  # an ordinary decoder's "maximum" ...
    assert found["active_import/total/total"] == "6913.46"  # ... is what was drawn
    assert words["MINIMUM_VALUE"] == 9134680
    assert found["active_export/total/total"] == "9134.68"
    assert words["INSTANTANEOUS_VALUE"] == words["MAXIMUM_VALUE"] + words["MINIMUM_VALUE"]
    assert words["MAXIMUM_VALUE"] < words["MINIMUM_VALUE"] < words["INSTANTANEOUS_VALUE"]


def test_the_ambition_is_read_as_its_manual_prints_it() -> None:
    found = values("ambition-2pu-mb", AMBITION)
    expected = {key: value for _, _, key, value in AMBITION_ROWS}
    assert {key: found[key] for key in expected} == expected
    rows = [row.header for row in rows_of(load("ambition-2pu-mb")) if " " in row.header]
    assert rows == [header for header, *_ in AMBITION_ROWS]


def test_no_model_is_read_by_the_others_table() -> None:
    for own, raw in (("pro380-mb", PRO380), ("ambition-2pu-mb", AMBITION)):
        for name in MODELS:
            assert share(load(name), telegram(raw)) == (1.0 if name == own else 0.0)


def test_every_job_has_what_belongs_to_it() -> None:
    ambition = load("ambition-2pu-mb")
    assert {row.field for row in ambition.of_job(Job.FAST)} == {
        *("voltage", "current", "active_power", "reactive_power", "apparent_power"),
        *("power_factor", "frequency"),
    }
    assert len(ambition.of_job(Job.SLOW)) == 13
    assert not load("pro380-mb").of_job(Job.FAST)
    assert plans(load("pro380-mb"))  # planning M-Bus tables breaks nothing


def test_a_record_that_comes_twice_is_not_believed() -> None:
    twice = answer(PRO380_HEADER + PRO380_RECORDS + PRO380_RECORDS[:6])
    found = {one.row.key: one for one in said(load("pro380-mb"), telegram(twice))}
    assert found["active/total/total"].value is None
    assert "2 times" in found["active/total/total"].reason
    assert str(found["active/total/T1"].value) == "3580.23"


def test_digits_that_are_none_are_no_value() -> None:
    bad = answer(PRO380_HEADER + bytes.fromhex("0C04 1448600A"))
    (found,) = (one for one in said(load("pro380-mb"), telegram(bad)) if one.row.field == "active")
    assert found.value is None
    assert "no number" in found.reason


def test_values_of_the_phases_are_an_option_found_by_storage_number() -> None:
    model = load("pro380-mb+phase_values")
    records = "42FD48 0509  42FD59 3412  432B 87D612  4403 15CD5B07"  # storage number 1
    records += "8201FD48 FD08"  # storage number 2: no DIFE would be 0
    raw = answer(PRO380_HEADER + bytes.fromhex(records))
    found = {one.row.key: str(one.value) for one in said(model, telegram(raw)) if one.row.option}
    assert found == {
        "voltage/L1": "230.9",
        "current/L1": "4.660",
        "active_power/L1": "1234.567",
        "active/L1/total": "123456.789",
        "voltage/L2": "230.1",
    }
    assert all("unconfirmed" in row.name for row in rows_of(model) if row.option)
    assert not [row for row in rows_of(load("pro380-mb")) if row.option]


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ModelError, match=r"no option 'x'.*phase_values"):
        load("pro380-mb+x")
    with pytest.raises(ModelError, match="no option"):
        load("pro380+phase_values")


ROW = (
    '{ dif = "0C", vif = "04", scale = 0.01, unit = "kWh", job = "slow", field = "active", '
    'phase = "total", tariff = "total", name = "Energy", source = "page 1" },'
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('dif = "0C"', 'dif = "0X"'), "hexadecimal"),
        (('dif = "0C"', 'dif = "0D"'), "fixed length"),
        (('dif = "0C", ', 'header = "serial", dif = "0C", '), "either"),
        (('dif = "0C", vif = "04", ', 'header = "colour", '), "expected one of serial"),
        (('dif = "0C", vif = "04", ', 'quantity = "energy", '), "option and storage"),
        (('source = "page 1"', 'source = ""'), "source"),
        (('unit = "kWh"', 'unit = "Wh"'), "is sent in kWh"),
        (('job = "slow"', 'job = "often"'), "expected one of fast"),
        (('phase = "total"', 'phase = "L9"'), "L1"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    head = 'model = "own"\ntitle = "t"\nmanual = "m"\nprotocol = "mbus"\n[records]\nrows = [\n'
    file = tmp_path / "own.toml"
    file.write_text(head + ROW + "\n]\n", encoding="utf-8")
    assert isinstance(load_file(file).registers[0], Record)
    file.write_text(head + ROW.replace(*change) + "\n]\n", encoding="utf-8")
    with pytest.raises(ModelError, match=message) as caught:
        load_file(file)
    assert "own.toml:7" in str(caught.value)


def test_the_same_record_twice_in_a_table_is_refused(tmp_path: Path) -> None:
    head = 'model = "own"\ntitle = "t"\nmanual = "m"\nprotocol = "mbus"\n[records]\nrows = [\n'
    file = tmp_path / "own.toml"
    other = ROW.replace('field = "active"', 'field = "active_import"')
    file.write_text(head + ROW + "\n" + other + "\n]\n", encoding="utf-8")
    with pytest.raises(ModelError, match="are both 0C 04"):
        load_file(file)
    file.write_text(head + ROW + "\n" + ROW + "\n]\n", encoding="utf-8")
    with pytest.raises(ModelError, match="is already the record 0C 04"):
        load_file(file)
    file.write_text(head.replace("[records]", "[registers]") + ROW + "\n]\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"expected a table \[records\]"):
        load_file(file)
