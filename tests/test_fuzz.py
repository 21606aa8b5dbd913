"""Input from outside, changed at random: nothing of it may break the program.

`python -m tests.fuzz --minutes 60` does the same for as long as wanted.
"""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.derive.pipeline import Derive
from logger.domain.errors import ModelError, ReportError
from logger.influx.http import Http
from logger.influx.outcome import OutcomeKind, classify, error_message, retry_after
from logger.models import load_file
from logger.report.influx import InfluxSource
from logger.store.ledger import Ledger
from logger.store.statefile import StateFile
from tests.derive_rig import T0, fast, info
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, answering, quietly
from tests.fuzz.telegrams import campaign

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
DEEP = "[" * 100_000


@pytest.mark.parametrize("name", TARGETS)
def test_good_input_is_taken(name: str) -> None:
    for data in seeds(name):
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_input_breaks_nothing(name: str) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(number=st.integers(min_value=0, max_value=2**32))
    def change(number: int) -> None:
        dice = random.Random(number)
        with quietly():
            TARGETS[name](mutated(dice.choice(seeds(name)), dice))

    change()


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_break_nothing(name: str, data: bytes) -> None:
    with quietly():
        TARGETS[name](data)


@pytest.mark.parametrize("count", [20_000, pytest.param(10_000_000, marks=pytest.mark.long)])
def test_no_damaged_telegram_gives_a_wrong_value(count: int) -> None:
    seen = campaign(seeds("mbus"), count, count)
    assert seen.frames == count
    # All ways were gone: refused by its frame, by its records, and taken with values.
    assert count / 8 < seen.parsed < seen.taken < 0.9 * count
    assert seen.values > 3 * seen.parsed


# What fuzzing found, each once.


def test_a_state_file_of_another_shape_is_set_aside(tmp_path: Path) -> None:
    derive = Derive([info()], "home")
    for second in range(90):
        derive.feed(fast(T0 + 1000 * second))
    file = StateFile(tmp_path / "derived.json")
    assert file.save(derive.state(stopping=True))
    kept = file.load()
    assert kept is not None
    assert kept["version"] == 1
    text = file.path.read_text(encoding="utf-8")
    # A window with one number too many: restored, it made every later reading fail.
    changed = json.loads(text)
    changed["state"]["minutes"] = {"house": [1, 2, 3]}
    file.path.write_text(json.dumps(changed), encoding="utf-8")
    assert file.load() is None
    assert file.path.with_name("derived.json.unreadable").exists()


def test_a_deeply_nested_state_file_is_set_aside(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "derived.json")
    file.path.write_text(DEEP, encoding="utf-8")
    assert file.load() is None
    assert not file.path.exists()


def test_books_that_nest_deeply_are_no_books() -> None:
    with pytest.raises(ValueError, match="not a ledger"):
        Ledger.loads(DEEP)


def test_an_answer_that_nests_deeply_has_no_message() -> None:
    assert error_message(DEEP) is None
    assert classify(503, {}, DEEP, 0.0).kind is OutcomeKind.BUSY


@pytest.mark.parametrize("value", ["²", "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"])
def test_a_retry_after_that_says_nothing_is_ignored(value: str) -> None:
    assert retry_after({"Retry-After": value}, 0.0) is None
    date = format_datetime(_later(90))
    assert retry_after({"Retry-After": date}, _later(0).timestamp()) == 90


def _later(seconds: int) -> datetime:
    return datetime(2026, 11, 20, tzinfo=UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "body",
    [
        b'{"results":[{"series":[{"columns":["time"],"values":[["x"]]}]}]}',
        b'{"results":[{"series":[{"values":[]}]}]}',
        b'{"results":[{"series":[{"columns":["time","active"],"values":[[1]]}]}]}',
        b"[1]",
        DEEP.encode(),
    ],
)
def test_an_answer_of_another_shape_is_an_error_of_its_own(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = InfluxSource("http://127.0.0.1:9", "energy", "", "home")
    monkeypatch.setattr(Http, "stream", answering(200, body))
    with pytest.raises(ReportError, match="not an answer of InfluxDB"):
        list(source.read("energy", [(0, 1000)], {}, ["active"]))
    with pytest.raises(ReportError, match="not an answer of InfluxDB"):
        source.tally("quality_voltage", [(0, 1000)], {}, {("L1",): [(207.0, 253.0)]})


def test_a_key_of_a_register_table_may_be_a_number(tmp_path: Path) -> None:
    file = tmp_path / "odd.toml"
    row = '{ address = 0x4002, length = 1, type = "int16", key = "n", name = "n" }'
    file.write_text(f"\n\n999 = 1\n[registers]\nrows = [\n{row},\n]\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"odd\.toml:3: 999: "):
        load_file(file)
