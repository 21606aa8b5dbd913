"""Gateways that are slow, busy, cut answers, or have another device behind them."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from logger.domain.errors import BusError, EncodingError, StrangerError
from logger.models import Job
from logger.models.plan import Block
from tests.gateways import Gateway, asked, refused, scene, whole
from tests.lines import answer_to, meter_config
from tests.readers import JOBS, NOW_MS, real_meter
from tests.running import command


@pytest.mark.parametrize("timeout_s", [2.0, 6.0])
def test_a_gateway_that_becomes_slow_costs_no_round(tmp_path: Path, timeout_s: float) -> None:
    """20 ms, then 300 ms for ever, with one answer lost at the change."""
    gateway = Gateway()
    gateway.latency_s = 0.02
    with scene(tmp_path, gateway, timeout=timeout_s) as there:
        reader = there.reader()
        for _ in range(5):
            assert whole(there.round(reader))
        gateway.latency_s = 0.3
        lost: list[bytes] = []

        def mood(request: bytes) -> bytes | None:
            if lost:
                return None
            lost.append(request)
            return b""

        gateway.mood = mood
        for _ in range(6):
            assert whole(there.round(reader))
        assert lost


def test_a_meter_that_comes_back_slower_is_found_again(tmp_path: Path) -> None:
    """While it is away it is waited for shortly every second time only."""
    gateway = Gateway()
    with scene(tmp_path, gateway, timeout=2.0) as there:
        reader = there.reader()
        assert whole(there.round(reader))
        gateway.mood = lambda _request: b""
        for _ in range(3):
            there.round(reader, pause_s=5)
        assert reader.away
        gateway.latency_s, gateway.mood = 0.5, lambda _request: None
        for _ in range(3):
            there.round(reader, pause_s=60)
        assert not reader.away
        assert whole(there.round(reader))


def _shortened(answer: bytes) -> bytes:
    return answer[:64]


def _corrupted(answer: bytes) -> bytes:
    return answer if len(answer) <= 5 + 80 else answer[:50] + bytes((answer[50] ^ 1,)) + answer[51:]


@pytest.mark.parametrize(("spoil", "longest"), [(_shortened, 29), (_corrupted, 40)])
def test_answers_that_a_gateway_cuts_or_corrupts_are_asked_for_in_parts(
    tmp_path: Path, spoil: Callable[[bytes], bytes], longest: int
) -> None:
    with scene(tmp_path) as there:
        there.gateway.spoil = spoil
        reader = there.reader()
        for _ in range(6):
            there.round(reader)
        assert whole(there.round(reader))
        assert reader.left_out == []
        for job in JOBS:
            assert max(block.count for block in reader.blocks(job)) <= longest
        # As few as the limit allows, but for what halving leaves.
        assert len(reader.blocks(Job.FAST)) == 2
        garbled = there.bus.stats.garbled
        assert whole(there.round(reader))
        assert there.bus.stats.garbled == garbled
        assert there.reader().blocks(Job.FAST) == reader.blocks(Job.FAST)


@pytest.mark.parametrize("address", [b"\x01", b""])
def test_a_refusal_without_checksum_is_a_refusal(tmp_path: Path, address: bytes) -> None:
    """Of every block that holds 0x500A, which only a PRO1 has, followed by silence."""
    place = Block(0x500A, 2)

    def mood(request: bytes) -> bytes | None:
        block = asked(request)
        crosses = block.address < place.end and place.address < block.end
        return address + b"\x83\x02" if crosses else None

    with scene(tmp_path) as there:
        there.gateway.mood = mood
        reader = there.reader()
        there.round(reader)
        readings = there.round(reader)
        assert whole(readings)
        assert len(reader.blocks(Job.FAST)) == 2
        assert there.bus.stats.garbled == 0
        assert there.bus.stats.refused > 0
        assert len(readings[2].values) == 23


def test_a_busy_meter_is_asked_again_within_the_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for code in (5, 6):
        caplog.clear()
        with scene(tmp_path / str(code)) as there, caplog.at_level(logging.INFO):
            turns = itertools.count()

            def mood(
                request: bytes, turns: Iterator[int] = turns, code: int = code
            ) -> bytes | None:
                return refused(request, code) if next(turns) % 2 == 0 else None

            there.gateway.mood = mood
            reader = there.reader()
            for _ in range(20):
                assert whole(there.round(reader))
            said = [one for one in caplog.messages if "meter m1" in one]
            assert len(said) == 1
            assert f"exception {code}" in said[0]


def test_a_meter_that_comes_and_goes_is_told_once_with_a_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with scene(tmp_path) as there, caplog.at_level(logging.INFO):
        reader = there.reader()
        assert whole(there.round(reader))
        for _ in range(50):
            there.gateway.mood = lambda request: refused(request, 4)
            there.clock.now += 1
            reader.read(Job.FAST, NOW_MS)
            there.gateway.mood = lambda _request: None
            there.clock.now += 1
            reader.read(Job.FAST, NOW_MS)
        said = [one for one in caplog.messages if "meter m1" in one]
        assert len(said) == 3
        assert "it comes and goes, which is counted from now on" in said[2]
        assert whole(there.round(reader, pause_s=60))
        said = [one for one in caplog.messages if "meter m1" in one]
        assert said[3:] == ["meter m1: reads again, after 49 failed jobs"]


def test_a_device_that_refuses_everything_is_another_device(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An SDM630 knows only function 4 for its values: it is no question of wires."""
    with scene(tmp_path) as there:
        there.gateway.mood = lambda request: refused(request, 1)
        reader = there.reader()
        for _ in range(30):
            there.round(reader)
        assert isinstance(reader.error, StrangerError)
        assert "another device" in str(reader.error)
        assert "scan" in reader.error.hint
    said = [one for one in caplog.messages if "meter m1" in one]
    assert sum("another device" in one for one in said) == 1
    assert len(said) <= 3
    assert not any("A and B" in one for one in said)


_CONFIG = """
[site]
name = "home"
[buffer]
path = "b.sqlite"
[[bus]]
name = "line"
port = "socket://127.0.0.1:{port}"
[[bus.meter]]
name = "house"
model = "{model}"
address = 1
role = "grid"
"""


def _checked(
    tmp_path: Path, gateway: Gateway, model: str = "pro380", more: str = ""
) -> tuple[int, dict[str, dict[str, str]]]:
    file = tmp_path / "logger.toml"
    text = _CONFIG.format(port=gateway.line.port, model=model) + more
    file.write_text(text, encoding="utf-8")
    done = command("check", "--json", "--meters-only", "--config", str(file))
    return done.returncode, {one["about"]: one for one in json.loads(done.stdout)}


def test_check_names_another_device_and_a_block_that_cannot_be_read(tmp_path: Path) -> None:
    gateway = Gateway()
    try:
        gateway.mood = lambda request: refused(request, 1)
        code, found = _checked(tmp_path, gateway)
        assert code == 1
        assert "another device" in found["model"]["text"]
        assert "answer" not in found
        gateway.mood = lambda request: (
            refused(request, 4) if asked(request).address >= 0x6000 else None
        )
        code, found = _checked(tmp_path, gateway)
        assert code == 1
        assert found["reading"]["verdict"] == "fail"
        assert "0x6000" in found["reading"]["text"]
    finally:
        gateway.line.close()


def test_a_meter_of_another_model_gives_no_point_until_that_is_accepted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway()
    gateway.meter = real_meter("ambition-2pu-ct")
    with scene(tmp_path, gateway) as there:
        reader = there.reader()
        for _ in range(20):
            assert not any(reading.values for reading in there.round(reader))
        assert "it is a Ambition 2PU CT" in str(reader.error)
        assert "accept_model = true" in str(reader.error)
        assert reader.wrong_model
        said = [one for one in caplog.messages if "meter m1" in one]
        assert sum("it is a Ambition 2PU CT" in one for one in said) <= 2
        accepted = there.reader(meter_config(accept_model=True))
        for _ in range(3):
            readings = there.round(accepted)
        assert all(reading.values for reading in readings)
        assert not accepted.wrong_model
        assert accepted.error is None


def test_a_meter_that_comes_back_is_asked_soon_who_it_is(tmp_path: Path) -> None:
    """It may be another one: values that both tables have at one place would go on."""
    with scene(tmp_path, timeout=2.0) as there:
        reader = there.reader()
        assert whole(there.round(reader))
        assert reader.wants() == ()
        there.gateway.mood = lambda _request: b""
        for _ in range(3):
            there.round(reader, pause_s=5)
        assert reader.away
        assert reader.wants() == ()
        there.gateway.meter = real_meter("ambition-2pu-ct")
        there.gateway.mood = lambda _request: None
        there.clock.now += 60
        reader.read(Job.FAST, NOW_MS)
        assert not reader.away
        assert reader.wants() == (Job.IDENTITY,)
        reader.read(Job.IDENTITY, NOW_MS)
        assert reader.wants() == ()
        assert "it is a Ambition 2PU CT" in reader.wrong_model


def test_values_that_cannot_be_true_are_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A device that keeps integers where a PRO380 keeps floats: small numbers of no meaning."""

    def mood(request: bytes) -> bytes | None:
        block = asked(request)
        if block.address < 0x5000:
            return None
        return answer_to(request, [0, 7] * (block.count // 2) + [0] * (block.count % 2))

    with scene(tmp_path) as there:
        there.gateway.mood = mood
        reader = there.reader()
        for _ in range(20):
            readings = there.round(reader)
            assert not readings[1].values
            assert not readings[2].values
        assert isinstance(reader.error, EncodingError)
        assert reader.wants() == (Job.IDENTITY,)
    said = [one for one in caplog.messages if "cannot be true" in one]
    assert 1 <= len(said) <= 2


def test_an_unknown_meter_code_is_told_once_and_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with scene(tmp_path, Gateway(meter_code="0ABC")) as there:
        reader = there.reader()
        for _ in range(5):
            assert whole(there.round(reader))
        error: BusError | None = reader.error
        assert error is None
    assert sum("0x0ABC is in no table" in one for one in caplog.messages) == 1
