"""The main job, end to end: what the virtual meters served is in the database, once."""

from __future__ import annotations

import json
import random
import shutil
import struct
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from logger.points.line import Point
from logger.points.parse import decode
from logger.simulate import Served, VirtualClock, VirtualLine, virtual_site
from logger.store.statefile import StateFile
from tests import journal_reader
from tests.configs import configuration
from tests.conftest import Target
from tests.engines.translator import Answer, Write
from tests.running import PATIENCE_S, RunningLogger, command, wait_until

NOON = 1_782_037_800.0  # 2026-06-21 10:30 UTC
ROUNDS = 48  # of the fast job, one a second
PHASES = ("L1", "L2", "L3")
ADDRESSES = {"grid": 1, "roof": 2}

CONFIG = configuration(
    ("grid", "grid"),
    ("roof", "pv"),
    port="socket://127.0.0.1:{port}",
    timeout="5s",  # no answer of a busy machine comes too late
    intervals={"fast": "1s", "slow": "5s", "identity": "20s"},
    influxdb={
        "url": "{url}",
        "org": "home",
        "bucket": "{bucket}",
        "fast_bucket": "{fast_bucket}",
        "token_file": "token",
    },
    buffer={"path": "state/buffer.sqlite"},
)


class Line:
    """A paced virtual line that remembers every answer it gave."""

    def __init__(self, paced: bool = True) -> None:
        self.served: list[Served] = []
        site = virtual_site(7, start=NOON)
        self.line = VirtualLine(
            site.meters, clock=VirtualClock(NOON), paced=paced, on_served=self.served.append
        )
        self.port = self.line.start_tcp()

    def answers(self, address: int, register: int) -> list[bytes]:
        """Return the register bytes of every answer to a read from `register` on."""
        return [
            one.answer[2:]
            for one in self.served
            if one.address == address
            and one.request[0] == 3
            and int.from_bytes(one.request[1:3], "big") == register
        ]

    def wait_for_rounds(self, count: int) -> None:
        """Wait until every meter has answered the fast job so many times."""
        wait_until(
            lambda: min(len(self.answers(one, 0x5002)) for one in ADDRESSES.values()) >= count,
            10 * PATIENCE_S,
        )


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    with made.line:
        yield made


def configure(tmp_path: Path, line: Line, target: Target) -> Path:
    (tmp_path / "token").write_text(target.translator.token, encoding="utf-8")
    config = tmp_path / "logger.toml"
    config.write_text(
        CONFIG.format(
            port=line.port,
            url=target.url,
            bucket=target.bucket,
            fast_bucket=target.fast_bucket,
        ),
        encoding="utf-8",
    )
    return config


def value(data: bytes, block: int, register: int, scale: int = 1) -> float:
    """Decode one float32 of an answer, independently of the program: numpy's shortest."""
    start = 2 * (register - block)
    number = np.float32(struct.unpack(">f", data[start : start + 4])[0])
    return float(Decimal(str(number)) * scale)


def powers(data: bytes) -> dict[str, dict[str, float]]:
    """Return what the `power` points of one fast answer must say, by phase."""
    found: dict[str, dict[str, float]] = {
        "total": {
            "frequency": value(data, 0x5002, 0x5008),
            "active_power": value(data, 0x5002, 0x5012, 1000),
            "reactive_power": value(data, 0x5002, 0x501A, 1000),
            "apparent_power": value(data, 0x5002, 0x5022, 1000),
            "power_factor": value(data, 0x5002, 0x502A),
        }
    }
    for number, phase in enumerate(PHASES):
        found[phase] = {
            "voltage": value(data, 0x5002, 0x5002 + 2 * number),
            "current": value(data, 0x5002, 0x500C + 2 * number),
            "active_power": value(data, 0x5002, 0x5014 + 2 * number, 1000),
            "reactive_power": value(data, 0x5002, 0x501C + 2 * number, 1000),
            "apparent_power": value(data, 0x5002, 0x5024 + 2 * number, 1000),
            "power_factor": value(data, 0x5002, 0x502C + 2 * number),
        }
    return found


ENERGY = {  # first register of each block of six counters: total, T1, T2, L1, L2, L3
    "active": 0x6000,
    "active_import": 0x600C,
    "active_export": 0x6018,
    "reactive": 0x6024,
    "reactive_import": 0x6030,
    "reactive_export": 0x603C,
}
COLUMNS = (
    ("total", "total"),
    ("total", "T1"),
    ("total", "T2"),
    ("L1", "total"),
    ("L2", "total"),
    ("L3", "total"),
)


def check_power(line: Line, target: Target, meter: str) -> int:
    """Compare every fast answer with the points in the database; return how many."""
    wanted = [powers(data) for data in line.answers(ADDRESSES[meter], 0x5002)]
    for phase in ("total", *PHASES):
        rows = target.rows(
            f"SELECT * FROM power WHERE meter = '{meter}' AND phase = '{phase}' ORDER BY time",
            fast=True,
        )
        found = [{name: row[name] for name in wanted[0][phase]} for row in rows]
        assert found == [one[phase] for one in wanted]
        times = [row["time"] for row in rows]
        assert times == sorted(set(times))
    return len(wanted)


def check_energy(line: Line, target: Target, meter: str) -> int:
    """Compare every slow answer with the points in the database; return how many."""
    wanted = line.answers(ADDRESSES[meter], 0x6000)
    for column, (phase, tariff) in enumerate(COLUMNS):
        rows = target.rows(
            f"SELECT * FROM energy WHERE meter = '{meter}' AND phase = '{phase}' "
            f"AND tariff = '{tariff}' ORDER BY time"
        )
        for name, register in ENERGY.items():
            assert [row[name] for row in rows] == [
                value(data, 0x6000, register + 2 * column) for data in wanted
            ], (name, phase, tariff)
    return len(wanted)


def check_all(line: Line, target: Target, config: Path) -> None:
    # At its end the logger gives the last points a second to go out, and some may be left.
    rest = command("buffer", "backfill", "--config", str(config))
    assert rest.returncode == 0, rest.stderr
    for meter, address in ADDRESSES.items():
        assert check_power(line, target, meter) >= ROUNDS
        assert check_energy(line, target, meter) >= ROUNDS // 6  # one in five seconds
        facts = target.rows(f"SELECT * FROM meter WHERE meter = '{meter}' AND serial != ''")
        assert len(facts) == len(line.answers(address, 0x4000))
        assert {row["model"] for row in facts} == {"pro380"}
    health = target.rows("SELECT * FROM logger WHERE meter = 'grid'")
    assert health[-1]["read_errors"] == 0


@pytest.mark.engine
def test_every_reading_is_there_once(tmp_path: Path, line: Line, target: Target) -> None:
    config = configure(tmp_path, line, target)
    with RunningLogger(config) as logger:
        logger.wait_for("started")
        line.wait_for_rounds(ROUNDS)
        wait_until(lambda: logger.status()["exit"] == 0)
    check_all(line, target, config)
    assert not [one for one in logger.log() if one["level"] in {"warning", "error"}]


@pytest.mark.engine
def test_a_killed_server_costs_nothing(tmp_path: Path, line: Line, own_target: Target) -> None:
    target = own_target
    config = configure(tmp_path, line, target)
    with RunningLogger(config) as logger:
        logger.wait_for("started")
        line.wait_for_rounds(ROUNDS // 3)
        target.translator.down()
        target.engine.kill()
        line.wait_for_rounds(2 * ROUNDS // 3)
        assert logger.alive
        target.engine.start()
        target.translator.up()
        line.wait_for_rounds(ROUNDS)
        wait_until(lambda: logger.status()["buffer"]["waiting"] < 60)
    check_all(line, target, config)
    went, came = [one["message"] for one in logger.log() if "influxdb:" in one["message"]]
    assert target.url in went
    assert "points wait in the buffer" in went
    assert "delivering again" in came


def kept(buffer: Path, *states: str) -> list[str]:
    """Return the lines that are committed, read from a copy by none of the logger's code: all,
    or those in one of `states`."""
    copy = buffer.parent / "copy"
    copy.mkdir(exist_ok=True)
    for file in buffer.parent.glob(f"{buffer.name}*"):
        if file.is_file():
            shutil.copy(file, copy / file.name)
    found = journal_reader.read(copy / buffer.name)
    wanted = [lines for (_, state), lines in found.items() if state in (states or (state,))]
    return [line for lines in wanted for line in lines]


def key(point: Point) -> tuple[str | int | None, ...]:
    """Return what tells a point of meters from all others: measurement, time and tags."""
    tags = (point.tags.get(name) for name in ("meter", "phase", "tariff"))
    return (point.measurement, point.time_ms, *tags)


def in_order(line: Line, meter: str, points: list[Point]) -> int:
    """Find every reading of a meter among its answers, in their order, no answer twice; return
    how many times in a row there are answers without a reading: before a kill, nowhere else."""
    wanted = [powers(data) for data in line.answers(ADDRESSES[meter], 0x5002)]
    readings: dict[int, dict[str, dict[str, object]]] = {}
    for point in points:
        if point.measurement == "power" and point.tags["meter"] == meter:
            phases = readings.setdefault(point.time_ms, {})
            assert point.tags["phase"] not in phases, point
            phases[point.tags["phase"]] = dict(point.fields)
    at, lost, gap = 0, 0, False
    for _, phases in sorted(readings.items()):
        while phases != wanted[at]:
            at, lost, gap = at + 1, lost + (not gap), True
        at, gap = at + 1, False
    return lost + (at < len(wanted))


@pytest.mark.engine
@pytest.mark.parametrize("kills", [8, pytest.param(200, marks=pytest.mark.long)])
def test_killed_while_the_server_comes_and_goes_nothing_is_missing_or_twice(
    tmp_path: Path, target: Target, kills: int
) -> None:
    chance = random.Random(kills)
    line = Line(paced=False)
    committed: set[str] = set()
    config = configure(tmp_path, line, target)
    buffer = tmp_path / "state" / "buffer.sqlite"
    front = target.translator

    def some_acknowledgements_are_lost(_: Write) -> Answer | None:
        return Answer(engine=True, cut=True) if chance.random() < 0.1 else None

    front.judge = some_acknowledgements_are_lost
    with line.line:
        for turn in range(kills):
            logger = RunningLogger(config).start()
            wait_until(buffer.exists)
            if not turn:  # before that there is no buffer to be read
                logger.wait_for("started")
            if turn % 2:  # in the midst of reading, however slowly a busy machine starts
                line.wait_for_rounds(len(line.answers(1, 0x5002)) + chance.randrange(1, 4))
            time.sleep(chance.uniform(0.0, 0.7))  # a random moment
            front.down()
            if chance.random() < 0.5:
                front.up()
            time.sleep(chance.uniform(0.0, 0.7))
            logger.kill()
            committed |= set(kept(buffer))
        front.judge = lambda _: None
        front.down()
        front.up()
        with RunningLogger(config) as logger:
            wait_until(lambda: logger.status().get("readings", 0) >= 2)
            wait_until(lambda: logger.status()["buffer"]["waiting"] < 60)
            wait_until(lambda: logger.status()["exit"] == 0)
    there = kept(buffer)
    assert committed <= set(there)
    points = list(map(decode, there))
    assert sum(in_order(line, meter, points) for meter in ADDRESSES) <= kills * len(ADDRESSES)
    waiting = set(map(key, map(decode, kept(buffer, "waiting"))))
    for name, fast in (("power", True), ("energy", False)):
        wanted = [key(point) for point in points if point.measurement == name]
        assert len(wanted) == len(set(wanted)) > 3 * kills
        found = [
            (name, row["time"], row["meter"], row["phase"], row.get("tariff"))
            for row in target.rows(f"SELECT * FROM {name}", fast=fast)
        ]
        assert len(found) == len(set(found))
        assert set(wanted) - waiting <= set(found) <= set(wanted)
    assert command("buffer", "verify", "--config", str(config)).returncode == 0


def test_a_reboot_of_seconds_is_an_event(tmp_path: Path) -> None:
    """Killed and started again: whatever it missed more than three readings by is told."""
    line = Line(paced=False)
    config = tmp_path / "logger.toml"
    config.write_text(
        configuration(
            ("grid", "grid"),
            port=f"socket://127.0.0.1:{line.port}",
            intervals={"fast": "1s", "slow": "2s"},
            buffer={"path": "state/buffer.sqlite"},
        ),
        encoding="utf-8",
    )

    def explainable() -> bool:
        """Whether what is kept across restarts knows the meter and its counters."""
        kept = [StateFile(one).load() for one in tmp_path.glob("state/**/derived.json")]
        return any(life["energy"] for one in kept if one for life in one["life"].values())

    def told() -> list[dict[str, str]]:
        said = command("events", "--config", str(config), "--json")
        found: list[dict[str, str]] = json.loads(said.stdout)
        return [one for one in found if one["kind"] == "logger_outage"]

    with line.line:
        with RunningLogger(config) as logger:
            wait_until(explainable)
            logger.kill()
        killed = time.monotonic()
        wait_until(lambda: time.monotonic() - killed > 4)
        with RunningLogger(config):
            (outage,) = wait_until(told)
    assert "the meters were on" in outage["text"]
