"""What short troubles of a meter or gateway leave behind: nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from logger.bus import Bus
from logger.domain.quantity import SERIAL, SOFTWARE_VERSION, Quantity
from logger.meter.session import MeterReader
from logger.models import Job
from logger.models.plan import Block
from logger.store.statefile import StateFile
from tests.gateways import Gateway, asked, refused, scene, whole
from tests.lines import bus_config, meter_config
from tests.readers import JOBS, NOW_MS, complete, truth
from tests.running import RunningLogger, command, wait_until

FAST = Block(0x5002, 48)


@pytest.mark.parametrize("proven", [False, True])
def test_a_spell_of_refusals_leaves_nothing_behind(tmp_path: Path, proven: bool) -> None:
    """A meter or gateway that restarts refuses everything, for so many requests."""
    for spell in (*range(1, 16), 20, 31, 47, 60, 100):
        with scene(tmp_path / str(spell)) as there:
            reader = there.reader()
            if proven:
                assert whole(there.round(reader))
            left = spell

            def mood(request: bytes) -> bytes | None:
                nonlocal left
                left -= 1
                return refused(request) if left >= 0 else None

            there.gateway.mood = mood
            rounds = 0
            while left > 0:
                there.round(reader)
                rounds += 1
                assert rounds < 60
            there.round(reader)  # a search may end in it
            assert whole(there.round(reader)), spell
            assert {job: list(reader.blocks(job)) for job in JOBS} == {
                job: list(there.reader().blocks(job)) for job in JOBS
            }
            assert reader.blocks(Job.FAST) == [FAST]
            assert reader.left_out == []
            assert there.cuts() == 0


def test_values_go_on_with_the_first_job_after_a_spell(tmp_path: Path) -> None:
    with scene(tmp_path) as there:
        reader = there.reader()
        there.gateway.mood = refused
        for _ in range(6):
            assert not any(reading.values for reading in there.round(reader))
        assert reader.last_good is None
        there.gateway.mood = lambda _request: None
        assert whole(there.round(reader))


def test_a_device_that_refuses_everything_costs_a_request_a_job(tmp_path: Path) -> None:
    with scene(tmp_path) as there:
        reader = there.reader()
        there.gateway.mood = refused
        for _ in range(120):
            there.round(reader)
        before = len(there.gateway.line.requests)
        for _ in range(60):
            there.round(reader)
        # Three jobs of a block, and a look once a minute whether parts are answered.
        assert len(there.gateway.line.requests) - before <= 60 * 3 + 3 * 2 * 12


def test_a_wrong_address_at_first_leaves_nothing_behind(tmp_path: Path) -> None:
    with scene(tmp_path, Gateway(1)) as there:
        there.gateway.mood = lambda request: refused(request) if request[0] == 2 else None
        wrong = there.reader(meter_config(2, name="m1"))
        for _ in range(20):
            there.round(wrong)
        reader = there.reader(meter_config(1))
        assert whole(there.round(reader))


def test_cuts_are_bound_to_address_port_and_serial_number(tmp_path: Path) -> None:
    def mood(request: bytes) -> bytes | None:
        return refused(request) if asked(request).contains(Block(0x502A, 8)) else None

    with scene(tmp_path, Gateway(1, 2)) as there:
        there.gateway.mood = mood
        reader = there.reader()
        there.round(reader)
        there.round(reader)
        parts = reader.blocks(Job.FAST)
        assert len(parts) == 2
        assert there.reader().blocks(Job.FAST) == parts
        assert there.reader(meter_config(2, name="m1")).blocks(Job.FAST) == [FAST]
        other = Bus(bus_config(there.gateway.line.port, name="other", timeout=0.4))
        elsewhere = other.config.model_copy(update={"port": "socket://127.0.0.1:9"})
        moved = MeterReader(
            Bus(elsewhere), meter_config(), reader.model, lambda: NOW_MS, states=there.states
        )
        assert moved.blocks(Job.FAST) == [FAST]
        there.gateway.mood = lambda _request: None
        there.gateway.meter.settings["serial"] = "17100649"
        again = there.reader()
        again.read(Job.IDENTITY, NOW_MS)
        assert again.blocks(Job.FAST) == [FAST]


def test_a_value_that_was_refused_for_a_while_comes_back(tmp_path: Path) -> None:
    """The meter also refuses to answer the whole: the value is asked for by itself."""
    frequency, gap = Block(0x5008, 2), Block(0x502A, 8)
    lacks = True

    def mood(request: bytes) -> bytes | None:
        block = asked(request)
        bad = lacks and block.address < frequency.end and frequency.address < block.end
        return refused(request) if bad or block.contains(gap) else None

    with scene(tmp_path) as there:
        there.gateway.mood = mood
        reader = there.reader()
        there.round(reader)
        assert whole(there.round(reader))
        assert reader.left_out == [Quantity("frequency", "total")]
        lacks = False
        for _ in range(4):
            there.round(reader, pause_s=60)
        assert reader.left_out == [Quantity("frequency", "total")]
        there.round(reader, pause_s=60)
        assert whole(there.round(reader))
        assert reader.left_out == []
        assert len(reader.blocks(Job.FAST)) == 2


def test_the_identity_is_never_cut_away(tmp_path: Path) -> None:
    """Only the identity is refused, for as long as it takes to believe it."""
    with scene(tmp_path) as there:
        there.gateway.mood = lambda request: (
            refused(request) if 0x4000 <= asked(request).address < 0x5000 else None
        )
        reader = there.reader()
        for _ in range(20):
            there.round(reader)
        assert complete(reader.read(Job.FAST, NOW_MS))
        assert reader.blocks(Job.IDENTITY)
        there.gateway.mood = lambda _request: None
        assert there.round(reader)[0].values[SERIAL]
        assert there.reader().blocks(Job.IDENTITY) == reader.blocks(Job.IDENTITY)


def test_a_state_file_of_an_earlier_version_costs_no_value(tmp_path: Path) -> None:
    """It may say that blocks are answered as nothing, found out a moment ago."""
    with scene(tmp_path) as there:
        right = truth(there.gateway.meter)
        old = {
            "version": 1,
            "meter": "m1",
            "model": "pro380",
            "serial": right[SERIAL],
            "software_version": str(right[SOFTWARE_VERSION]),
            "cuts": [
                {"block": [0x5002, 48], "parts": []},
                {"block": [0x4000, 32], "parts": []},
                {"block": [0x6000, 75], "parts": [[0x6000, 2]]},
            ],
            "tried_ms": NOW_MS,
        }
        assert StateFile(tmp_path / "states" / "m1.json").save(old)
        reader = there.reader()
        assert whole(there.round(reader))
        assert reader.left_out == []
        known = there.states.load("m1")
        assert known is not None
        assert known.serial == right[SERIAL]


_CONFIG = """
[site]
name = "home"
[intervals]
fast = "500ms"
slow = "5s"
[events]
silent_after = "6s"
[buffer]
path = "b.sqlite"
[[bus]]
name = "line"
port = "socket://127.0.0.1:{port}"
timeout = "5s"
[[bus.meter]]
name = "house"
model = "pro380"
address = 1
role = "grid"
"""


def test_a_meter_without_a_measured_value_is_not_well(tmp_path: Path) -> None:
    """Its identity is answered all the time: text, JSON, exit code, event and check say so."""
    gateway = Gateway()
    gateway.mood = lambda request: refused(request) if asked(request).address >= 0x5000 else None
    file = tmp_path / "logger.toml"
    file.write_text(_CONFIG.format(port=gateway.line.port), encoding="utf-8")
    try:
        checked = command("check", "--json", "--meters-only", "--config", str(file))
        assert checked.returncode == 1
        found = {one["about"]: one for one in json.loads(checked.stdout)}
        assert found["reading"]["verdict"] == "fail"
        with RunningLogger(file) as running:
            running.wait_for("house: answers, but no measured value for ")
            state = wait_until(lambda: (now := running.status())["meters"][0]["reads"] and now)
            assert state["exit"] == 1
            assert not state["healthy"]
            (meter,) = state["meters"]
            assert meter["age_s"] is None
            (problem,) = [one for one in state["problems"] if one.startswith("meter house: ")]
            assert problem.startswith("meter house: no measured values yet")
            assert "exception 2" in problem
            text = command("status", "--config", str(file))
            assert text.returncode == 1
            assert "all is well" not in text.stdout
            assert "no measured values yet" in text.stdout
            gateway.mood = lambda _request: None
            running.wait_for("house: answers again after ")
            state = wait_until(lambda: (now := running.status())["healthy"] and now)
            assert state["exit"] == 0
            assert state["meters"][0]["left_out"] == []
    finally:
        gateway.line.close()
