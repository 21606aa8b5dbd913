"""From append to database: what every kind of answer does to the points."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.buffer.verify import verify
from logger.config.models import Influx
from logger.datamodel import Lane
from logger.delivery import Delivery
from logger.lineprotocol import Point
from tests.conftest import Target
from tests.engines import Answer

pytestmark = pytest.mark.engine

T0 = 1_700_000_000_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Return once the condition holds; fail loudly if it never does."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def power(number: int, meter: str = "grid") -> list[Point]:
    """Points of one fast job: two phases, every value different."""
    return [
        Point(
            "power",
            {"site": "s", "meter": meter, "phase": phase},
            {"active_power": number * 10.0 + offset},
            T0 + number * 1000,
        )
        for offset, phase in enumerate(("total", "L1"))
    ]


def energy(number: int) -> list[Point]:
    return [
        Point(
            "energy",
            {"site": "s", "meter": "grid", "phase": "total", "tariff": "total"},
            {"active_import": 1000 + number / 100},
            T0 + number * 1000,
        )
    ]


class Rig:
    """A buffer and its delivery, as the application has them."""

    def __init__(self, path: Path, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INFLUXDB_TOKEN", target.translator.token)
        self.target = target
        self.path = path
        self.config = Influx(
            url=target.url,
            org="home",
            bucket=target.bucket,
            fast_bucket=target.fast_bucket,
            timeout=2.0,
        )
        self.open()

    def open(self, *, deliver: bool = True) -> None:
        self.buffer = Buffer(self.path, commit_interval_s=0.02, now_ms=now_ms)
        self.buffer.open()
        self.delivery = Delivery(self.buffer, self.config, now_ms=now_ms)
        if deliver:
            self.delivery.start()

    def close(self) -> None:
        self.delivery.stop(1.0)
        self.buffer.close()

    def drained(self) -> bool:
        total = self.buffer.books().total
        return total.waiting == 0 and self.buffer.state().in_memory == 0

    def settled(self) -> None:
        """Wait until nothing waits; marks of deliveries are committed by a flush."""
        until(lambda: self.buffer.flush() and self.drained())

    def fast(self) -> dict[tuple[int, str], float]:
        rows = self.target.rows("SELECT * FROM power", fast=True)
        return {(row["time"], row["phase"]): row["active_power"] for row in rows}

    def main(self) -> dict[int, float]:
        rows = self.target.rows("SELECT * FROM energy")
        return {row["time"]: row["active_import"] for row in rows}


@pytest.fixture
def rig(tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    rig = Rig(tmp_path / "state" / "buffer.sqlite", target, monkeypatch)
    yield rig
    rig.close()
    report = verify(rig.path)
    assert report.problems == ()


def expected_fast(numbers: range) -> dict[tuple[int, str], float]:
    return {
        (point.time_ms, point.tags["phase"]): float(point.fields["active_power"])
        for number in numbers
        for point in power(number)
    }


def test_every_point_arrives_in_its_bucket(rig: Rig) -> None:
    for number in range(50):
        rig.buffer.append(power(number) + (energy(number) if number % 10 == 0 else []))
    rig.settled()
    assert rig.fast() == expected_fast(range(50))
    assert rig.main() == {T0 + n * 1000: 1000 + n / 100 for n in range(0, 50, 10)}
    books = rig.buffer.books()
    assert (books.lanes[Lane.FAST].delivered, books.lanes[Lane.MAIN].delivered) == (100, 5)
    assert books.balanced
    states = rig.delivery.state()
    assert [states[lane].status for lane in Lane] == ["ok", "ok"]
    assert states[Lane.FAST].delivered == 100


def test_a_request_that_hangs_does_not_hold_the_stop(rig: Rig) -> None:
    release = threading.Event()
    rig.target.translator.always = Answer(delay=release)
    rig.buffer.append(power(1))
    until(lambda: bool(rig.target.translator.writes))
    began = time.monotonic()
    rig.close()
    assert time.monotonic() - began < 5
    release.set()
    rig.target.translator.always = None
    rig.open()
    rig.settled()
    assert rig.fast() == expected_fast(range(1, 2))
