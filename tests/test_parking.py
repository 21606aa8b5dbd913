"""Readings taken while the clock was not set: what becomes of them, whatever ends the run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from logger.buffer import Buffer, Parked
from logger.bus.elapsed import elapsed
from logger.store.parked import load
from logger.store.recover import rebuild
from tests.buffers import T0, power
from tests.counting_meter import CONFIG, ROUNDING_MS, Answered, Meter, stored, voltages
from tests.lines import scripted
from tests.odd_machine import OddMachine
from tests.running import RunningLogger, command, wait_until

NOT_SET = "the clock of this machine is not set yet"
BEFORE_THE_RELEASE_S = 10 * 365 * 86_400.0


def parked(directory: Path, least: int = 0) -> list[float]:
    """Return the voltages of L1 in the readings that wait in the file, if `least` do."""
    found = [json.loads(one.body) for one in load(directory / "buffer.sqlite", 0, 100_000)]
    volts = [float(one["values"]["voltage/L1"][0]) for one in found if one["job"] == "fast"]
    return volts if len(volts) >= least else []


def check(answers: list[Answered], directory: Path) -> None:
    """Compare the voltages in the buffer, and their times, with the meter's own account."""
    times = voltages(directory)
    counts = Counter(
        point.fields["voltage"]
        for point in stored(directory)
        if point.tags["phase"] == "L1" and "voltage" in point.fields
    )
    assert set(counts.values()) == {1}
    for answer in answers:
        if answer.voltage in times:
            at_ms = times[answer.voltage]
            assert answer.sent_ms - ROUNDING_MS <= at_ms <= answer.before_ms + ROUNDING_MS


@pytest.mark.parametrize("end", [RunningLogger.stop, RunningLogger.kill], ids=["stop", "kill"])
def test_what_was_read_before_a_restart_gets_its_time_when_the_clock_is_set(
    tmp_path: Path, end: Callable[[RunningLogger], None]
) -> None:
    meter = Meter()
    machine = OddMachine(tmp_path / "machine.json", behind_s=BEFORE_THE_RELEASE_S)
    with scripted(meter.script) as line:
        config = tmp_path / "logger.toml"
        config.write_text(CONFIG.format(port=line.port, fast=1), encoding="utf-8")
        for readings in (3, 6):
            logger = RunningLogger(config, under=machine.under).start()
            logger.wait_for(NOT_SET)
            logger.wait_for("started")
            wait_until(partial(parked, tmp_path, readings))
            assert not stored(tmp_path)
            end(logger)
        waiting = parked(tmp_path)
        with RunningLogger(config, under=machine.under) as logger:
            logger.wait_for("answers", 3)
            machine.set(behind_s=0.0)
            wait_until(lambda: len(voltages(tmp_path)) >= len(waiting) + 5)
            assert logger.status()["buffer"]["parked"] == 0
    found = voltages(tmp_path)
    assert set(waiting) <= set(found)
    if end is RunningLogger.stop:  # not even the last reading before each stop is missing
        whole = [answer.voltage for answer in meter.answers if answer.voltage]
        assert set(whole[:-1]) - set(found) == set()
    check(meter.answers, tmp_path)
    assert command("buffer", "verify", "--config", str(config)).returncode == 0


def test_a_clock_that_was_set_meanwhile_gives_the_time_at_the_next_start(tmp_path: Path) -> None:
    meter = Meter()
    machine = OddMachine(tmp_path / "machine.json", behind_s=BEFORE_THE_RELEASE_S)
    with scripted(meter.script) as line:
        config = tmp_path / "logger.toml"
        config.write_text(CONFIG.format(port=line.port, fast=1), encoding="utf-8")
        with RunningLogger(config, under=machine.under) as logger:
            logger.wait_for("started")
            wait_until(lambda: len(parked(tmp_path)) >= 3)
        waiting = parked(tmp_path)
        machine.set(behind_s=0.0)
        with RunningLogger(config, under=machine.under) as logger:
            logger.wait_for("started")
            wait_until(lambda: len(voltages(tmp_path)) >= len(waiting) + 2)
    assert set(waiting) <= set(voltages(tmp_path))
    assert not parked(tmp_path)
    check(meter.answers, tmp_path)


def test_what_was_read_in_an_earlier_boot_is_counted_and_gets_no_time(tmp_path: Path) -> None:
    meter = Meter()
    machine = OddMachine(tmp_path / "machine.json", behind_s=BEFORE_THE_RELEASE_S)
    with scripted(meter.script) as line:
        config = tmp_path / "logger.toml"
        config.write_text(CONFIG.format(port=line.port, fast=1), encoding="utf-8")
        with RunningLogger(config, under=machine.under) as logger:
            logger.wait_for("started")
            wait_until(lambda: len(parked(tmp_path)) >= 3)
        waiting = parked(tmp_path)
        machine.set(boot="another", started_s=elapsed() - 1)
        with RunningLogger(config, under=machine.under) as logger:
            logger.wait_for("started")
            wait_until(lambda: len(parked(tmp_path)) >= len(waiting) + 2)
            machine.set(behind_s=0.0)
            logger.wait_for("readings have no time and are dropped")
            wait_until(lambda: len(voltages(tmp_path)) >= 4)
    found = voltages(tmp_path)
    assert not set(waiting) & set(found)
    assert not parked(tmp_path)
    check(meter.answers, tmp_path)
    told = json.loads(command("buffer", "status", "--json", "--config", str(config)).stdout)
    assert told["balanced"]
    assert told["books"]["fast"]["drops"]["no time"] >= 4 * len(waiting)
    assert command("buffer", "verify", "--config", str(config)).returncode == 0


def kept(directory: Path) -> Buffer:
    """Return an open buffer in which ten readings waited and the first four became points."""
    buffer = Buffer(directory / "buffer.sqlite", now_ms=lambda: T0)
    buffer.open()
    for number in range(10):
        assert buffer.park(Parked(0, "boot", 1000 * number, f"reading {number}"))
    assert buffer.flush()
    buffer.append(power(1), released=4)
    assert buffer.flush()
    return buffer


def test_readings_without_a_time_outlast_damage_to_the_file(tmp_path: Path) -> None:
    buffer = kept(tmp_path)
    buffer.close()
    rebuild(buffer.path, T0)
    left = load(buffer.path, 0, 100)
    assert [one.body for one in left] == [f"reading {number}" for number in range(4, 10)]
    buffer = Buffer(buffer.path, now_ms=lambda: T0)
    buffer.open()
    assert buffer.state().parked == 6
    assert buffer.park(Parked(0, "boot", 99, "later"))
    assert [one.id for one in buffer.parked(0, 100)][-1] == left[-1].id + 1
    buffer.close()


def test_readings_without_a_time_go_on_in_a_file_that_replaced_theirs(tmp_path: Path) -> None:
    other = Buffer(tmp_path / "other.sqlite", now_ms=lambda: T0)
    other.open()
    other.close()
    buffer = kept(tmp_path)
    other.path.replace(buffer.path)
    buffer.append(power(2))
    assert buffer.flush()
    assert [one.body for one in buffer.parked(0, 100)] == [f"reading {n}" for n in range(4, 10)]
    buffer.close()


def test_the_oldest_readings_without_a_time_go_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logger.store.parked.LIMIT", 5)
    buffer = kept(tmp_path)
    assert buffer.park(Parked(0, "boot", 99, "later"))
    left = [one.body for one in buffer.parked(0, 100)]
    assert left == [*(f"reading {number}" for number in range(6, 10)), "later"]
    assert buffer.state().parked == 5
    buffer.close()
