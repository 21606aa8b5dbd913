"""A buffer and its delivery against a target, as the application has them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from logger.buffer import Buffer
from logger.config import Influx
from logger.delivery import Delivery
from logger.delivery.delivery import bucket_of
from logger.delivery.outlet import BufferOutlet
from logger.delivery.worker import Worker
from logger.domain.datamodel import Lane
from logger.influx.write import Client
from logger.points.line import Point
from tests.conftest import Target

T0 = 1_700_000_000_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def until(condition: Callable[[], bool], timeout_s: float = 300.0) -> None:
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

    def __init__(self, path: Path, target: Target, *, deliver: bool = True) -> None:
        self.target = target
        self.token_file = path.with_name("token")
        self.token_file.parent.mkdir(parents=True, exist_ok=True)
        self.token_file.write_text(target.translator.token + "\n")
        self.path = path
        self.config = Influx(
            url=target.url,
            org="home",
            bucket=target.bucket,
            fast_bucket=target.fast_bucket,
            token_file=self.token_file,
            timeout=60.0,  # no slow machine is a server that does not answer
        )
        self.open(deliver=deliver)

    def open(self, *, deliver: bool = True) -> None:
        self.buffer = Buffer(self.path, commit_interval_s=0.02, now_ms=now_ms)
        self.buffer.open()
        self.delivery = Delivery(self.buffer, self.config, now_ms=now_ms)
        if deliver:
            self.delivery.start()

    def close(self) -> None:
        self.delivery.stop(1.0)
        self.buffer.close()

    def worker(self, lane: Lane) -> Worker:
        """Return a worker that takes one step when told to, and never pauses."""
        health = self.delivery._health
        client = Client(self.config, bucket_of(self.config, lane))
        outlet = BufferOutlet(self.buffer, lane)
        return Worker(lane, outlet, client.write, health, threading.Event())

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


def expected_fast(numbers: Iterable[int]) -> dict[tuple[int, str], float]:
    return {
        (point.time_ms, point.tags["phase"]): float(point.fields["active_power"])
        for number in numbers
        for point in power(number)
    }
