"""A buffer for tests: its clock, its file, points for it, and what is in the file."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.delivery.outlet import BufferOutlet
from logger.domain.datamodel import Lane
from logger.points.line import Point
from logger.store import fold
from logger.store.database import Database
from logger.store.rows import Settlement, StoredRow, waiting
from logger.store.verify import verify

T0 = 1_700_000_000_000
DAY_MS = 86_400_000


class Clock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.ms = T0

    def __call__(self) -> int:
        return self.ms


def power(number: int, step_ms: int = 1000, meter: str = "grid") -> list[Point]:
    return [
        Point(
            "power",
            {"meter": meter, "phase": phase, "site": "s"},
            {"active_power": number + offset / 10},
            T0 + number * step_ms,
        )
        for offset, phase in enumerate(("total", "L1"))
    ]


def energy(number: int) -> Point:
    tags = {"meter": "grid", "phase": "total", "site": "s"}
    return Point("energy", tags, {"active_import": number / 100}, T0 + number * 1000)


def noise(number: int, count: int) -> str:
    """Text that cannot be packed into much less."""
    return base64.b64encode(random.Random(number).randbytes(count * 3 // 4)).decode()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "buffer.sqlite"


@pytest.fixture
def make(path: Path, clock: Clock) -> Iterator[Callable[..., Buffer]]:
    made: list[Buffer] = []

    def build(
        commit_interval_s: float = 0.02,
        keep_s: float = 2 * 86_400.0,
        max_size: int = 10**9,
        max_age_s: float | None = None,
    ) -> Buffer:
        buffer = Buffer(
            path,
            commit_interval_s=commit_interval_s,
            keep_s=keep_s,
            max_size=max_size,
            max_age_s=max_age_s,
            now_ms=clock,
        )
        buffer.open()
        made.append(buffer)
        return buffer

    yield build
    for buffer in made:
        buffer.close()
    report = verify(path)
    assert report.problems == ()


def rows_of(path: Path, lane: Lane) -> list[StoredRow]:
    database = Database.open_readonly(path)
    try:
        return list(waiting(database, lane, 0))
    finally:
        database.close()


def lines_of(path: Path, lane: Lane) -> list[str]:
    return [line for row in rows_of(path, lane) for line in row.lines]


def take_in(path: Path) -> None:
    """Take what the journal holds into the tables, as a command does that changes the file."""
    database = Database.open(path)
    try:
        with database.transaction():
            fold.begin(database)
    finally:
        database.close()


def deliver(buffer: Buffer, lane: Lane, lines: int = 10_000) -> int:
    """Take what waits and mark it delivered, as the delivery does."""
    outlet = BufferOutlet(buffer, lane)
    rows = outlet.oldest(0, lines, 10**9)
    outlet.settle(Settlement(rows))
    outlet.close()
    assert buffer.flush()
    return len(rows)


def until(condition: Callable[[], bool], timeout_s: float = 300.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)
