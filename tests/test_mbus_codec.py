"""M-Bus frames and records: the manuals' bytes, the standard's rules, two other decoders.

The opponents are pyMeterBus and pymbusparser, which nobody here wrote.
"""

from __future__ import annotations

import contextlib
import random
from decimal import Decimal
from typing import Any

import meterbus
import pymbusparser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.mbus import frames
from logger.mbus.quantity import standard
from logger.mbus.records import (
    SIZES,
    Record,
    manufacturer_code,
    manufacturer_name,
    parse,
)
from tests.mbus_telegrams import (
    AMBITION,
    AMBITION_HEADER,
    AMBITION_ROWS,
    PRO380,
    PRO380_HEADER,
    answer,
)

REQUEST = frames.request(0, True)
VIFS = ("03", "04", "07", "2B", "2E", "FD48", "FD49", "FD59", "FD5C", "833C", "FB2C", "7C0154")


def heard(raw: bytes) -> frames.Frame:
    found = frames.search(REQUEST, raw).frame
    assert found is not None
    return found


def rows(raw: bytes) -> list[dict[str, Any]]:
    """Return the records of `raw` as pymbusparser sees them."""
    found: list[dict[str, Any]] = pymbusparser.parse(raw)["records"]
    return found


# Frames.


def test_the_frames_of_a_master_are_those_of_the_manual() -> None:
    assert frames.request(0, False) == bytes.fromhex("10 5B 00 5B 16")
    assert frames.request(254, True) == bytes.fromhex("10 7B FE 79 16")
    assert frames.reset(1) == bytes.fromhex("10 40 01 41 16")
    assert frames.select("13070001") == bytes.fromhex(
        "68 0B 0B 68 53 FD 52 01 00 07 13 FF FF FF FF B9 16"
    )
    assert frames.long(frames.SND_UD, 1, 0xBB) == bytes.fromhex("68 03 03 68 53 01 BB 0F 16")


def test_the_manuals_example_has_the_length_and_checksum_it_prints() -> None:
    assert PRO380[:7] == bytes.fromhex("68 4B 4B 68 08 00 72")
    assert PRO380[-2:] == bytes.fromhex("7C 16")


@pytest.mark.parametrize("digits", ["1234567", "1234567G", "f2345678", ""])
def test_a_secondary_address_has_eight_digits(digits: str) -> None:
    with pytest.raises(ValueError, match="eight digits"):
        frames.select(digits)


@given(st.binary(max_size=252), st.integers(0, 250))
def test_a_frame_is_found_whatever_comes_before_it(data: bytes, address: int) -> None:
    raw = answer(data, address)
    for before in (b"", REQUEST, b"\x00", b"\xff\xff", b"\x68"):
        found = frames.search(REQUEST, before + raw).frame
        assert found is not None
        assert (found.raw, found.address, found.data) == (raw, address, data)


@given(st.binary(max_size=252), st.integers(1, 300))
def test_a_frame_that_is_not_whole_is_waited_for(data: bytes, cut: int) -> None:
    raw = answer(data)
    part = raw[: min(cut, len(raw) - 1)]
    found = frames.search(REQUEST, part)
    assert found.frame is None
    assert not found.acknowledged
    assert 0 < found.missing <= len(raw) - len(part)


@settings(max_examples=300)
@given(st.binary(min_size=12, max_size=252), st.data())
def test_no_single_wrong_byte_gets_through(data: bytes, draw: st.DataObject) -> None:
    raw = bytearray(answer(data))
    place = draw.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= draw.draw(st.integers(1, 255))
    found = frames.search(REQUEST, bytes(raw)).frame
    assert found is None or found.raw in answer(data)


def test_an_acknowledgement_stands_alone() -> None:
    assert frames.search(REQUEST, b"\xe5").acknowledged
    assert frames.search(REQUEST, REQUEST + b"\xe5").acknowledged
    for other in (b"\xe5\xe5", b"\x00\xe5", b"\xe5\x00", REQUEST, b""):
        assert not frames.search(REQUEST, other).acknowledged
    assert frames.search(REQUEST, b"\xe5\xe5").spoiled
    assert not frames.search(REQUEST, REQUEST).spoiled


def test_the_frame_of_another_master_is_no_answer() -> None:
    select = frames.select("FFFFFFFF")
    assert frames.search(REQUEST, select).frame is None
    assert frames.search(select, select + PRO380).frame is not None


# Records.


def test_the_manuals_telegram_of_the_pro380_mb() -> None:
    telegram = parse(heard(PRO380))
    assert (telegram.serial, telegram.manufacturer, telegram.medium) == ("00000000", "INM", 2)
    assert (telegram.version, telegram.access_number, telegram.status) == (1, 2, 0)
    values = [record.value() for record in telegram.records]
    assert values == [1604814, 358023, 1246791, 691346, 123456, 567890, 913468, 234567, 678901]
    assert [record.function for record in telegram.records] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [record.tariff for record in telegram.records] == [0, 1, 2] * 3
    assert [record.header for record in telegram.records][::4] == ["0C 04", "9C10 04", "AC20 04"]


def test_the_manuals_telegram_of_the_ambition() -> None:
    telegram = parse(heard(AMBITION))
    assert (telegram.serial, telegram.version, telegram.access_number) == ("19020246", 1, 4)
    assert [record.header for record in telegram.records] == [row[0] for row in AMBITION_ROWS]
    assert [record.data.hex().upper() for record in telegram.records] == [
        row[1] for row in AMBITION_ROWS
    ]
    assert telegram.records[4].tariff == 4


def test_manufacturers_are_three_letters() -> None:
    assert manufacturer_name(0x25CD) == "INM"
    assert manufacturer_code("INM") == 0x25CD


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3))
def test_a_manufacturers_code_comes_back(name: str) -> None:
    assert manufacturer_name(manufacturer_code(name)) == name


@pytest.mark.parametrize(
    ("dif", "data", "value"),
    [
        ("09", "42", 42),
        ("0C", "78563412", 12345678),
        ("0E", "563412907856", 567890123456),
        ("0C", "785634F2", -2345678),
        ("01", "FF", -1),
        ("03", "7929ED", -1234567),
        ("06", "FFFFFFFFFF7F", 2**47 - 1),
        ("07", "0100000000000000", 1),
        ("05", "00006643", Decimal(230)),
        ("05", "CDCCCC3D", Decimal("0.1")),
        ("0D", "414243", "CBA"),
        ("00", "", None),
    ],
)
def test_values_of_every_type(dif: str, data: str, value: Decimal | int | str | None) -> None:
    assert Record(bytes.fromhex(dif), b"\x03", bytes.fromhex(data)).value() == value


@pytest.mark.parametrize(
    ("dif", "data", "message"),
    [
        ("0C", "1234567A", "no number"),
        ("0C", "A2345678", "no number"),
        ("0C", "FFFFFFFF", "no number"),
        ("02", "0080", "invalid"),
        ("03", "000080", "invalid"),
        ("05", "0000C07F", "not a number"),
        ("05", "0000807F", "not a number"),
    ],
)
def test_data_that_hold_no_value_are_refused(dif: str, data: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Record(bytes.fromhex(dif), b"\x03", bytes.fromhex(data)).value()


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ("0C04123456", "cut off"),
        ("0C", "cut off"),
        ("0C84", "cut off"),
        ("8C808080808080808080808004", "extensions"),
        ("3F", "reserved"),
        ("0D04E1", "not understood"),
        ("0D0405", "cut off"),
        ("0C7C05", "cut off"),
    ],
)
def test_records_that_do_not_fit_are_refused(records: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(heard(answer(PRO380_HEADER + bytes.fromhex(records))))


def test_manufacturers_data_and_fillers_are_no_records() -> None:
    data = bytes.fromhex("2F2F 0C0414486001 2F 0F DEADBEEF")
    telegram = parse(heard(answer(PRO380_HEADER + data)))
    assert len(telegram.records) == 1
    assert not telegram.more
    assert parse(heard(answer(PRO380_HEADER + b"\x1f"))).more


def test_an_encrypted_or_unknown_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="encrypted"):
        parse(heard(answer(PRO380_HEADER[:-2] + b"\x05\x00")))
    with pytest.raises(ValueError, match="too few"):
        parse(heard(answer(PRO380_HEADER[:-1])))
    frame = frames.long(frames.RSP_UD, 0, 0x73, bytes(16))
    with pytest.raises(ValueError, match="control information 73"):
        parse(heard(frame))


@st.composite
def record_bytes(draw: st.DrawFn) -> Record:
    """A well-formed record of every type, with tariff, subunit and storage number."""
    field = draw(st.sampled_from([key for key in SIZES if SIZES[key]]))
    extensions = draw(st.lists(st.integers(0, 0x7F), max_size=3))
    last = len(extensions) - 1
    head = field | draw(st.sampled_from([0x00, 0x10, 0x20])) | draw(st.sampled_from([0, 0x40]))
    dif = bytes((head | (0x80 if extensions else 0),)) + bytes(
        byte | (0 if place == last else 0x80) for place, byte in enumerate(extensions)
    )
    size = SIZES[field]
    if field >= 9:
        digits = draw(st.text("0123456789", min_size=2 * size, max_size=2 * size))
        data = bytes.fromhex(digits)
    else:
        data = draw(st.binary(min_size=size, max_size=size))
    return Record(dif, bytes.fromhex(draw(st.sampled_from(VIFS))), data)


@settings(max_examples=200, deadline=None)
@given(st.lists(record_bytes(), max_size=12))
def test_what_is_written_is_read_and_another_decoder_agrees(records: list[Record]) -> None:
    raw = answer(AMBITION_HEADER + b"".join(r.dif + r.vif + r.data for r in records), 5)
    telegram = parse(heard(raw))
    assert telegram.records == tuple(records)
    theirs = rows(raw)
    assert len(theirs) == len(records)
    for own, other in zip(records, theirs, strict=True):
        assert (own.storage, own.tariff, own.subunit) == (
            other["storage_number"],
            other["tariff"],
            other["subunit"],
        )
        assert own.data == bytes.fromhex(other["data_hex"])
        _same_value(own, other["value"])


def _same_value(own: Record, theirs: dict[str, Any] | None) -> None:
    """Compare the values where the standard knows the unit and both decoders take them."""
    meaning = standard(own)
    if meaning is None or own.data_field == 5 or not theirs or theirs["kind"] != "decimal":
        return
    with contextlib.suppress(ValueError):
        value = own.value()
        assert isinstance(value, int)
        assert Decimal(theirs["value"]) == value * meaning.count


def test_pymeterbus_reads_the_manuals_telegram_the_same() -> None:
    theirs = meterbus.load(PRO380).records
    own = parse(heard(PRO380)).records
    assert len(theirs) == len(own) == 9
    for record, other in zip(own, theirs, strict=True):
        value, meaning = record.value(), standard(record)
        assert isinstance(value, int)
        assert meaning is not None
        assert (meaning.name, meaning.unit) == ("energy", "Wh")
        assert other.value == value * meaning.count
    # What the standard's words would make of forward and reverse energy:
    words = [other.interpreted["function"] for other in theirs]
    assert words[3] == "FunctionType.MAXIMUM_VALUE"
    assert words[6] == "FunctionType.MINIMUM_VALUE"


def test_garbage_that_is_believed_here_is_believed_elsewhere() -> None:
    """No frame is taken that both others refuse as a frame, and values agree."""
    dice = random.Random(14)
    taken = 0
    for _ in range(3000):
        raw = bytearray(dice.choice((PRO380, AMBITION)))
        for _ in range(dice.randint(1, 3)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        if dice.random() < 0.7:  # a right checksum, so that more than the sum is compared
            raw[-2] = frames.checksum(bytes(raw[4:-2]))
        found = frames.search(REQUEST, bytes(raw)).frame
        if found is None or found.raw != bytes(raw):
            continue
        try:
            telegram = parse(found)
        except ValueError:
            continue
        try:
            theirs = pymbusparser.parse(bytes(raw))
        except pymbusparser.MbusParserError:
            pytest.fail(f"only this decoder takes {raw.hex()}")
        if theirs["decode_state"] != "complete":  # it gave up at a unit that it does not know
            continue
        taken += 1
        for own, other in zip(telegram.records, theirs["records"], strict=False):
            assert own.header.replace(" ", "") == other["header_hex"].replace(" ", "").upper()
            if other["data_coding"].startswith("Date"):
                break  # it takes the size from the unit there, the standard from the DIF
            data = bytes.fromhex(other["data_hex"])
            assert own.data == (data[1:] if own.data_field == 13 else data)  # 13: length first
            _same_value(own, other["value"])
    assert taken > 300
