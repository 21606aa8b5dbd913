"""The fault campaign against a server: whatever happens to it, each case ends with the
books in balance and the data in the database equal to what was read."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from logger.buffer import Buffer
from logger.delivery.worker import BATCH_LINES
from logger.domain.datamodel import Lane
from logger.points.line import Point
from logger.store.rows import NewRow
from logger.store.verify import verify
from tests.conftest import Target
from tests.engines import Answer
from tests.engines.rig import T0, Rig, energy, expected_fast, power, until
from tests.engines.translator import Write

pytestmark = pytest.mark.engine

BACKLOG = 1_000_000  # lines: a week of one meter every five seconds and then some
SHORT_BACKLOG = 60_000


@pytest.fixture
def rig(tmp_path: Path, target: Target) -> Iterator[Rig]:
    rig = Rig(tmp_path / "buffer.sqlite", target)
    yield rig
    finish(rig)


@pytest.fixture
def own_rig(tmp_path: Path, own_target: Target) -> Iterator[Rig]:
    rig = Rig(tmp_path / "buffer.sqlite", own_target)
    yield rig
    finish(rig)


def finish(rig: Rig) -> None:
    rig.close()
    report = verify(rig.path)
    assert report.problems == ()
    assert report.books is not None
    assert report.books.balanced


POISON = {
    "field type conflict": 'power,meter=grid,phase=L9 active_power="text" {time}',
    "integer for float": "power,meter=grid,phase=L9 active_power=5i {time}",
    "bad escape": "power,meter=grid,phase=L9\\ active_power=5 {time}",
    "unbalanced quotes": 'power,meter=grid,phase=L9 note="open {time}',
    "missing value": "power,meter=grid,phase=L9 active_power= {time}",
    "no field": "power,meter=grid,phase=L9 {time}",
    "tag without a value": "power,meter=,phase=L9 active_power=5 {time}",
    "timestamp out of range": "power,meter=grid,phase=L9 active_power=5 {time}0000000000",
    "not a number": "power,meter=grid,phase=L9 active_power=NaN {time}",
}


def raw(buffer: Buffer, lines: list[str], lane: Lane = Lane.FAST) -> None:
    """Put lines into the buffer that no part of the logger would make."""
    buffer.exchange.add(
        [NewRow(lane, len(lines), T0, T0, False, "\n".join(lines))], buffer.exchange.pending.drops
    )


@pytest.mark.parametrize("kind", POISON)
@pytest.mark.parametrize("where", ["alone", "first", "last", "ten"])
def test_a_poison_line_is_set_aside_and_all_others_arrive(rig: Rig, kind: str, where: str) -> None:
    rig.delivery.stop()
    rig.buffer.append(power(1))  # the type of the field is known to the server
    rig.buffer.flush()
    worker = rig.worker(Lane.FAST)
    while worker.step() is not None:
        pass
    size = {"alone": 0, "ten": 10_000}.get(where, 500)
    places = {"alone": [0], "first": [0], "last": [size]}.get(where, list(range(5, 10_005, 1000)))
    good = [f"power,meter=grid,phase=L2 active_power={n}.5 {T0 + n}" for n in range(size)]
    bad = [POISON[kind].format(time=T0 + 10**6 + n) for n in range(len(places))]
    lines = list(good)
    for place, line in zip(places, bad, strict=True):
        lines.insert(place, line)
    for start in range(0, len(lines), 50):
        raw(rig.buffer, lines[start : start + 50])
    assert rig.buffer.flush()
    sent = len(rig.target.translator.writes)
    while worker.step() is not None:
        pass
    assert rig.buffer.flush()
    books = rig.buffer.books().lanes[Lane.FAST]
    assert (books.set_aside, books.waiting) == (len(bad), 0)
    rows = rig.target.rows("SELECT active_power FROM power WHERE phase='L2'", fast=True)
    stored = [row["active_power"] for row in rows]
    assert stored == [n + 0.5 for n in range(size)]
    assert len(rig.target.translator.writes) - sent < 350


def test_points_out_of_retention_are_set_aside_at_once(rig: Rig) -> None:
    rig.target.engine.query(
        f'ALTER RETENTION POLICY "autogen" ON "{rig.target.fast_bucket}" '
        "DURATION 1h SHARD DURATION 1h"
    )
    now = time.time_ns() // 1_000_000
    fresh = Point("power", {"phase": "L1"}, {"active_power": 1.5}, now)
    rig.delivery.stop()
    for number in range(2000):
        rig.buffer.append(power(number))
    rig.buffer.append([fresh])
    rig.buffer.flush()
    worker = rig.worker(Lane.FAST)
    while worker.step() is not None:
        pass
    rig.buffer.flush()
    books = rig.buffer.books().lanes[Lane.FAST]
    assert (books.set_aside, books.delivered) == (4000, 1)
    assert len(rig.target.translator.writes) < 100
    assert rig.target.rows("SELECT active_power FROM power", fast=True)[0]["time"] == now


def test_killed_in_the_middle_of_writes(own_rig: Rig) -> None:
    """The engine is killed while it takes writes; what it had not acknowledged comes again."""
    engine = own_rig.target.engine
    number = 0
    for _ in range(3):
        for _ in range(300):
            own_rig.buffer.append(power(number) + energy(number))
            number += 1
        until(lambda: own_rig.delivery.state()[Lane.FAST].ok)
        engine.kill()
        for _ in range(50):
            own_rig.buffer.append(power(number) + energy(number))
            number += 1
        own_rig.buffer.flush()
        engine.start()
    own_rig.settled()
    assert own_rig.fast() == expected_fast(range(number))
    assert len(own_rig.main()) == number


def test_acknowledgements_lost_again_and_again(rig: Rig) -> None:
    lost = [Answer(engine=True, cut=True), Answer(engine=True, status=502)] * 8
    rig.target.translator.judge = lambda write: lost.pop() if lost else None
    for number in range(400):
        rig.buffer.append(power(number))
    rig.settled()
    assert not lost
    assert rig.fast() == expected_fast(range(400))
    count = rig.target.rows("SELECT count(active_power) AS n FROM power", fast=True)[0]["n"]
    assert count == 800  # sent many times, there once
    assert rig.buffer.books().lanes[Lane.FAST].delivered == 800


def test_a_bucket_is_deleted_and_recreated(rig: Rig) -> None:
    for number in range(100):
        rig.buffer.append(power(number))
    rig.settled()
    rig.target.engine.drop_bucket(rig.target.fast_bucket)
    for number in range(100, 200):
        rig.buffer.append(power(number))
    until(lambda: rig.delivery.state()[Lane.FAST].status == "wrong target")
    rig.target.engine.create_bucket(rig.target.fast_bucket)
    rig.settled()
    assert rig.fast() == expected_fast(range(100, 200))  # the first hundred went with it


def test_two_minutes_of_every_fault_in_short(rig: Rig) -> None:
    """Faults of all kinds, one after the other, while points keep coming."""
    answers = [
        Answer(status, {"Retry-After": "0"})
        for status in (500, 502, 503, 504, 429, 408, 200, 301, 405, 418)
    ]
    answers += [Answer(cut=True), Answer(reset=True), Answer(engine=True, cut=True)]
    rig.target.translator.judge = lambda write: answers.pop() if answers else None
    for number in range(300):
        rig.buffer.append(power(number) + energy(number))
        threading.Event().wait(0.005)
    rig.settled()
    assert not answers
    assert rig.fast() == expected_fast(range(300))
    assert len(rig.main()) == 300


def backlog(rig: Rig, lines: int, record: list[str]) -> None:
    """Deliver a backlog while new points come; see when the newest is there."""
    rig.target.translator.down()
    began = time.monotonic()
    count = lines // 7
    phases = ("total", "L1", "L2", "L3", "L1-L2", "L1-L3", "L2-L3")
    for number in range(count):
        rig.buffer.append(
            [
                Point(
                    "power",
                    {"meter": "grid", "phase": phase, "role": "grid", "site": "home"},
                    {"voltage": 230.1 + place, "current": 1.5, "active_power": number + place / 10},
                    T0 + number * 5000,
                )
                for place, phase in enumerate(phases)
            ]
        )
        if rig.buffer.state().in_memory > 20_000:
            rig.buffer.flush()
    assert rig.buffer.flush()
    append_s = time.monotonic() - began
    until(lambda: not rig.delivery.state()[Lane.FAST].ok)
    process = psutil.Process(os.getpid())
    before = peak = process.memory_info().rss
    newest = T0 + count * 5000
    rig.buffer.append([Point("power", {"phase": "live"}, {"active_power": 1.25}, newest)])
    assert rig.buffer.flush()
    before_live = 0
    live = threading.Event()

    def note(write: Write) -> None:
        nonlocal before_live
        if any(",phase=live " in line for line in write.lines):
            live.set()
        elif not live.is_set():
            before_live += len(write.lines)

    rig.target.translator.judge = note
    rig.target.translator.up()
    returned = time.monotonic()
    live_s = drain_s = 0.0
    while not drain_s:
        peak = max(peak, process.memory_info().rss)
        if not live_s and rig.target.rows("SELECT * FROM power WHERE phase='live'", fast=True):
            live_s = time.monotonic() - returned
        if live_s and rig.drained():
            drain_s = time.monotonic() - returned
        time.sleep(0.02)
        rig.target.translator.writes.clear()
    rig.buffer.flush()
    record.append(
        f"{count * 7} lines: appended at {count * 7 / append_s:.0f} lines/s, newest point there "
        f"after {live_s:.2f} s, drained in {drain_s:.1f} s at {count * 7 / drain_s:.0f} lines/s, "
        f"memory grew by {(peak - before) / 2**20:.1f} MiB, file "
        f"{rig.path.stat().st_size / 2**20:.0f} MiB"
    )
    assert rig.target.engine.count("power", "active_power", rig.target.fast_bucket) == count * 7 + 1
    total = rig.target.rows("SELECT sum(active_power) AS s FROM power WHERE phase='L3'", fast=True)
    assert total[0]["s"] == pytest.approx(count * (count - 1) / 2 + 0.3 * count)
    books = rig.buffer.books().total
    assert (books.delivered, books.waiting, books.dropped) == (count * 7 + 1, 0, 0)
    # both workers of the lane may be half way through a batch of the backlog
    assert before_live <= 2 * BATCH_LINES
    assert peak - before < 30 * 2**20


def test_a_backlog_follows_while_the_newest_points_are_live(
    rig: Rig, record_property: Callable[[str, object], None]
) -> None:
    record: list[str] = []
    backlog(rig, SHORT_BACKLOG, record)
    record_property("campaign", record[0])


@pytest.mark.long
def test_a_week_of_backlog(rig: Rig, record_property: Callable[[str, object], None]) -> None:
    record: list[str] = []
    backlog(rig, BACKLOG, record)
    record_property("campaign", record[0])
    print(record[0])


@pytest.mark.long
def test_a_server_that_takes_ten_seconds_a_request(rig: Rig) -> None:
    """With a timeout of two seconds: the patience grows until the server is given its time."""
    rig.close()
    rig.config = rig.config.model_copy(update={"timeout": 2.0})
    rig.open()
    rig.target.translator.always = Answer(engine=True, delay_s=10.0)
    for number in range(2000):
        rig.buffer.append(power(number))
    until(lambda: rig.buffer.flush() and rig.drained(), 300.0)
    assert rig.fast() == expected_fast(range(2000))
    rig.target.translator.always = None
