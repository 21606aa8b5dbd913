"""Lines that others use, too: never a wrong value, whoever asks for what beside us.

The other master reads single values, or blocks that are as long as ours and begin
elsewhere; behind a gateway that sends every answer to everyone, or on the same wires.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from logger.bus import WATCH_S, Bus
from logger.bus.traffic import ALONE_AFTER_S, Traffic
from logger.meter.identify import identify
from logger.meter.session import MeterReader
from logger.models import Job, load
from logger.models.plan import Block, plans, values_in
from logger.simulate import VirtualLine, quirks_named
from logger.simulate.line import DEFAULT_DELAY_S
from logger.simulate.writing import Refusal
from tests.lines import MODBUS_MODELS, bus_config, meter_config
from tests.readers import NOW, NOW_MS, fixed_meter, truth, value_by_value
from tests.running import RunningLogger, command, wait_until
from tests.second_master import SecondMaster

KINDS = ("gateway", "wires")
# What a charging station asks for once a second.
WALLBOX = (Block(0x500C, 6),)
ORDER = (Job.IDENTITY, Job.SLOW, Job.FAST)


def single_values(model: str) -> list[Block]:
    """Return questions for some values of each job, one at a time."""
    known = load(model)
    registers = [one for job in ORDER for one in known.of_job(job)[:4] if one.length > 1]
    return [Block(one.address, one.length) for one in registers]


def as_long_as_ours(model: str) -> list[Block]:
    """Return questions that begin elsewhere than those of the plan, and are as long."""
    meter = fixed_meter(model)
    found = []
    for block in (block for blocks in plans(load(model)).values() for block in blocks[:3]):
        for at in (block.address - 2, block.address + 2, block.address + 1):
            with contextlib.suppress(Refusal):
                meter.read_words(at, block.count, NOW)
                found.append(Block(at, block.count))
    return found or single_values(model)


@contextmanager
def two_masters(
    model: str, kind: str, blocks: Sequence[Block], pause_s: float = 0.0, faster: int = 0
) -> Iterator[tuple[str, VirtualLine, SecondMaster]]:
    """Run a line with a meter at 1 and a second master; gives the port that is ours.

    With `faster` it is a line of 9600 baud so many times faster, else one that takes no time.
    """
    meter = fixed_meter(model)
    quirks = quirks_named(["one-wire" if kind == "wires" else "copies-answers"])
    delay_s = DEFAULT_DELAY_S / faster if faster else 0.0
    with VirtualLine(
        [meter], clock=lambda: NOW, quirks=quirks, paced=bool(faster), delay_s=delay_s
    ) as line:
        meter.identity.baudrate = line.baudrate = 9600 * (faster or 1)
        place: int | str
        if kind == "wires":
            port, place = line.start_pty(), line.start_pty()
            meter.identity.parity = line.parity = "N"
        else:
            place = line.start_tcp()
            port = f"socket://127.0.0.1:{place}"
        with SecondMaster(place, blocks, pause_s=pause_s) as other:
            yield port, line, other


@contextmanager
def reader_at(port: str, model: str, **more: Any) -> Iterator[tuple[Bus, MeterReader]]:
    one = meter_config(1, model)
    parity = "even" if "://" in port else "none"
    given = {"timeout": 0.5, "baudrate": 9600, "parity": parity} | more
    bus = Bus(bus_config(port, one, **given))
    try:
        yield bus, MeterReader(bus, one, load(model), lambda: NOW_MS)
    finally:
        bus.close()


def values_of(reader: MeterReader, right: dict[Any, Any], jobs: int = 3) -> int:
    """Do so many jobs; fail on any value that is not the meter's. Returns how many came."""
    got = 0
    for number in range(jobs):
        reading = reader.read(ORDER[number % 3], NOW_MS)
        assert not {k: (v, right[k]) for k, v in reading.values.items() if right[k] != v}
        got += len(reading.values)
    return got


def read_until_heard(reader: MeterReader, right: dict[Any, Any], heard: Callable[[], bool]) -> None:
    """Do jobs until the other master was `heard`: how often it asks is up to the machine."""

    def read() -> bool:
        values_of(reader, right)
        return heard()

    wait_until(read)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", ["pro380", "pro380-legacy", "grow-701"])
def test_beside_a_master_at_full_speed_no_value_is_wrong(model: str, kind: str) -> None:
    right = truth(fixed_meter(model))
    questions = [as_long_as_ours(model)]
    if not value_by_value(load(model)):  # else these are single values, too
        questions.append(single_values(model))
    for blocks in questions:
        with (
            two_masters(model, kind, blocks) as (port, _, other),
            reader_at(port, model) as (bus, reader),
        ):
            read_until_heard(reader, right, lambda: bus.shared)
            assert other.asked


@pytest.mark.parametrize("shared", [False, True])
def test_values_of_a_legacy_meter_come_beside_one_that_asks_for_two_registers(shared: bool) -> None:
    """Each value takes a request of its own, and the answers of the other are as long."""
    model = "pro380-legacy"
    right = truth(fixed_meter(model))
    with (
        two_masters(model, "gateway", [Block(0x206C, 2)]) as (port, _, other),
        reader_at(port, model, shared=shared) as (_bus, reader),
    ):
        assert values_of(reader, right) >= 0.9 * sum(len(load(model).of_job(job)) for job in ORDER)
        assert reader.left_out == []
        assert other.asked


def test_a_line_of_our_own_costs_what_it_did() -> None:
    """One request a block, all in the lengths of the plan, also on a line said to be shared."""
    for model in ("pro380", "pro380-legacy"):
        right = truth(fixed_meter(model))
        with VirtualLine([fixed_meter(model)], clock=lambda: NOW, paced=False) as line:
            port = f"socket://127.0.0.1:{line.start_tcp()}"
            with reader_at(port, model, timeout=5.0) as (bus, reader):
                values_of(reader, right)
                before = bus.stats.requests
                values_of(reader, right)
                assert bus.stats.requests - before == sum(len(reader.blocks(j)) for j in ORDER)
                assert not bus.shared


def test_a_block_is_cut_between_values_into_lengths_that_nobody_else_uses() -> None:
    model = load("pro380")
    (fast,) = plans(model)[Job.FAST]
    with (
        two_masters("pro380", "gateway", [Block(0x5000, fast.count)]) as (port, line, _),
        reader_at(port, "pro380") as (bus, reader),
    ):
        traffic, right = bus.sharing.traffic, truth(fixed_meter("pro380"))
        read_until_heard(reader, right, lambda: fast.count in traffic.lengths(1, traffic.last))
        values_of(reader, right, 9)
        known = {at for at, _ in values_in(model, fast)}
        ours = [one for one in line.requests if fast.address <= one[2] < fast.end]
        assert {one[2] - fast.address for one in ours} <= known | {-2}
        assert all(one[3] != fast.count for one in ours if one[2] != fast.address)


def test_the_report_comes_once_and_ends_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    traffic, now = Traffic("line"), 0.0
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            traffic.heard(1, 6, now)
            now += 1.0
        assert traffic.shared(now)
        assert traffic.lengths(1, now) == {6}
        assert not traffic.lengths(2, now)
        now += ALONE_AFTER_S
        assert not traffic.shared(now)
        assert not traffic.lengths(1, now)
    told = [one.message for one in caplog.records]
    assert len(told) == 2
    assert "another master asks on this line, too (address 1, 6 registers)" in told[0]
    assert "no other master was heard for 600s" in told[1]


def _config(tmp_path: Path, port: str, model: str, *more: str) -> Path:
    file = tmp_path / "logger.toml"
    parity = "even" if "://" in port else "none"
    lines = [
        '[site]\nname = "home"\n[buffer]\npath = "b.sqlite"',
        '[intervals]\nfast = "2s"\nslow = "10s"',
        f'[[bus]]\nname = "line"\nport = "{port}"\nparity = "{parity}"\ntimeout = "2s"',
        *more,
        f'[[bus.meter]]\nname = "house"\nmodel = "{model}"\naddress = 1\nrole = "load"\n',
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_commands_show_what_the_meter_has_and_say_that_others_ask(tmp_path: Path) -> None:
    model = "pro380-legacy"
    right = {str(quantity): value for quantity, value in truth(fixed_meter(model)).items()}
    with two_masters(model, "gateway", [Block(0x2068, 2)]) as (port, _, _other):
        config = str(_config(tmp_path, port, model))
        shown = command("settings", "show", "house", "--config", config, "--json")
        assert shown.returncode == 0, shown.stderr
        rows = {one["name"]: one["value"] for one in json.loads(shown.stdout)["settings"]}
        assert rows["serial"] == right["serial"]
        read = json.loads(command("read", "house", "--config", config, "--json").stdout)
        for row in read["values"]:
            key = "/".join(one for one in (row["field"], row["phase"], row["tariff"]) if one)
            wanted = right.get(key, right.get(row["field"]))
            assert wanted is not None, key
            assert str(row["value"]) == str(wanted) or float(row["value"]) == float(wanted)
        found = json.loads(command("check", "--meters-only", "--config", config, "--json").stdout)
        said = {one["about"]: one for one in found}
        assert said["shared line"]["verdict"] == "warn"
        assert "shared = true" in said["shared line"]["remedy"]
        # A check beside a master that never pauses may get no answer; a wrong number it never says.
        if "serial number" in said:
            assert str(right["serial"]) in said["serial number"]["text"]
        else:
            assert any(one["verdict"] == "fail" for one in found)
        # Without a pause between its questions nobody can tell whose a refusal is.
        look = ("scan", "--port", port, "--range", "1-1", "--patience", "1s", "--json")
        (scan,) = json.loads(command(*look).stdout)
        named = (scan["model"], scan["serial"])
        assert named == (model, right["serial"]) or (
            named == ("", "") and "another master asks this meter" in scan["note"]
        )


def test_a_scan_names_a_meter_that_another_master_asks_ten_times_a_second() -> None:
    model = "pro380-legacy"
    right = {str(quantity): value for quantity, value in truth(fixed_meter(model)).items()}
    with two_masters(model, "gateway", [Block(0x2068, 2)], pause_s=0.1) as (port, _, _other):
        done = command("scan", "--port", port, "--range", "1-3", "--patience", "1s", "--json")
        assert [
            (one["address"], one["model"], one["serial"]) for one in json.loads(done.stdout)
        ] == [(1, model, right["serial"])], done.stderr


def test_nobody_is_nobody_beside_a_master_of_another_meter() -> None:
    """Its answers are no garbled ones of the meter that is not there."""
    with (
        two_masters("pro380", "gateway", WALLBOX, pause_s=0.02) as (port, _, other),
        reader_at(port, "pro380", timeout=0.1) as (bus, _reader),
    ):

        def nobody() -> bool:
            assert identify(bus, 2, [load("pro380")]) is None
            return bus.shared

        wait_until(nobody)
        assert other.asked


def test_a_running_logger_says_that_its_line_is_shared(tmp_path: Path) -> None:
    with two_masters("pro380", "gateway", WALLBOX, pause_s=0.1) as (port, _, _other):
        with RunningLogger(_config(tmp_path, port, "pro380")) as running:
            running.wait_for("another master asks on this line, too (address 1, 6 registers)")
            running.wait_for("house: answers")
            (bus,) = running.status()["buses"]
            assert bus["shared"]
            wait_until(lambda: running.status()["buses"][0]["foreign"] > 1)
            text = command("status", "--config", str(running.config)).stdout
            assert "shared with another master" in " ".join(text.split())
        assert sum("another master asks" in one for one in running.messages()) == 1


# The long form runs at twelve times the speed of 9600 baud: all that is once a second there
# is as often a twelfth of one.
_FASTER = 12
_ALL, _EACH, _A_START = 10_000, 200, 100


def _asks_beside(model: str, kind: str, pause_s: float, requests: int) -> tuple[int, int]:
    """Ask so many requests beside single values and blocks as long as ours; begin anew now
    and then. Returns how many requests went out and how many values came."""
    right = truth(fixed_meter(model))
    asked = got = 0
    ways = cycle((single_values(model), as_long_as_ours(model)))
    while asked < requests:
        with (
            two_masters(model, kind, next(ways), pause_s, _FASTER) as (port, _, _other),
            reader_at(port, model, baudrate=9600 * _FASTER) as (bus, reader),
        ):
            bus.sharing.watch.seconds = WATCH_S / _FASTER
            while bus.stats.requests < _A_START:
                got += values_of(reader, right)
            asked += bus.stats.requests
    return asked, got


@pytest.mark.long
@pytest.mark.parametrize("pause_s", [0.0, 1.0 / _FASTER], ids=["full speed", "once a second"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_value_is_wrong_in_ten_thousand_requests(kind: str, pause_s: float) -> None:
    """All models, most with the one whose values take a request each, as long as the other's."""
    asked = got = 0
    for model in MODBUS_MODELS:
        if model != "pro380-legacy":
            counts = _asks_beside(model, kind, pause_s, _EACH)
            asked, got = asked + counts[0], got + counts[1]
    counts = _asks_beside("pro380-legacy", kind, pause_s, _ALL - asked)
    asked, got = asked + counts[0], got + counts[1]
    print(f"{kind}, {pause_s:.3f} s: {asked} requests, {got} values")
    assert asked >= _ALL
    assert got > asked / 4
