"""A limit that was lowered is reached beside the commits; a store says how long it lasts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.buffer.overview import report
from logger.domain.datamodel import Lane
from logger.points.line import Point
from logger.runtime.health import buffer_problems
from logger.store.capacity import Capacity, days_left
from logger.store.database import Database
from logger.store.state import BufferState, Lasting
from tests import buffers
from tests.buffers import DAY_MS, T0, Clock, deliver, energy, noise, power, until
from tests.running import command

clock, path, make = buffers.clock, buffers.path, buffers.make

LARGE, SMALL = 30_000_000, 4_000_000


def wide(number: int) -> list[Point]:
    tags = {"meter": "grid", "phase": "total", "site": "s"}
    return [Point("power", tags, {"text": noise(number, 1500)}, T0 + number * 1000)]


def fill(buffer: Buffer, rows: int) -> None:
    for number in range(rows):
        buffer.append(wide(number))
    assert buffer.flush()


def written(path: Path) -> int:
    by_day: dict[str, int] = report(path, SMALL)["written"]
    return sum(by_day.values())


@pytest.mark.parametrize(
    ("delivered", "busy"), [(True, False), (False, True)], ids=["delivered-quiet", "waiting-busy"]
)
def test_a_lowered_limit_is_reached_beside_the_commits(
    make: Callable[..., Buffer], path: Path, clock: Clock, delivered: bool, busy: bool
) -> None:
    buffer = make(max_size=LARGE)
    fill(buffer, 8_000)
    while delivered and deliver(buffer, Lane.FAST):
        pass
    buffer.close()
    before = path.stat().st_size
    assert before > 2 * SMALL
    buffer = make(max_size=SMALL)
    buffer.append([energy(1)])
    assert buffer.flush()
    state = buffer.state()
    assert state.in_memory == 0
    assert state.room_to_make > before // 4  # the commit did not wait for it
    assert report(path, SMALL)["room_to_make"] > 0
    written_before = written(path)
    numbers = count(2)

    def commit() -> None:
        buffer.append([energy(next(numbers))])
        assert buffer.flush()

    def down() -> bool:
        if busy:
            commit()
        return buffer.state().room_to_make == 0 and path.stat().st_size <= Capacity(SMALL).room

    until(down)
    commit()  # books what was written until then
    # pages go many at a time: one at a time writes six times what the file had
    assert written(path) - written_before < 3.5 * before
    books = buffer.books().total
    assert books.balanced
    assert books.dropped == (0 if delivered else buffer.state().dropped)
    assert bool(buffer.state().dropped) != delivered
    buffer.close()
    assert sum(f.stat().st_size for f in path.parent.glob("buffer.sqlite*")) <= SMALL


def test_a_store_says_how_long_it_lasts(path: Path, clock: Clock) -> None:
    buffer = Buffer(path, commit_interval_s=60.0, now_ms=clock, max_size=LARGE, store=True)
    buffer.open()
    for number in range(600):  # ten minutes of a row of 1.6 kB a second
        clock.ms = T0 + number * 1000
        buffer.append(wide(number))
        assert number % 60 or buffer.flush()
    buffer.keeper.maintain_at = 0.0
    assert buffer.flush()
    state = buffer.state()
    assert state.store
    assert state.bytes_per_day is not None
    (problem,) = buffer_problems(state)
    assert "full in about 5 hours" in problem
    assert "the past is deleted" in problem
    buffer.close()
    with closing(Database.open_readonly(path)) as database:
        pages, free = database.size()
    # what was foretold while all lay in the journal is what it takes in the file, packed
    assert state.bytes_per_day == pytest.approx((pages - free) / 600 * 86_400, rel=0.1)
    left = Capacity(LARGE).aim / state.bytes_per_day
    assert state.days_left == pytest.approx(left, rel=0.1)
    found = report(path, LARGE, store=True)
    assert found["days_left"] == pytest.approx(state.days_left, rel=0.1)
    assert "it is the store" in found["problems"][0]
    file = path.parent / "logger.toml"
    text = CONFIG.format(size=LARGE).replace("state/buffer.sqlite", str(path))
    file.write_text(text, encoding="utf-8")
    shown = command("buffer", "status", "--config", str(file)).stdout
    assert "no [influxdb], this file is the store" in shown
    # what the user lets go by age never fills it
    assert report(path, LARGE, store=True, max_age_ms=DAY_MS // 24)["days_left"] is None
    assert report(path, LARGE)["days_left"] is None


def test_the_rate_of_a_store_is_that_of_readings_not_of_windows_and_prices(
    path: Path, clock: Clock
) -> None:
    """A price of the day, or a window, is written with a time long before."""
    buffer = Buffer(path, commit_interval_s=60.0, now_ms=clock, max_size=LARGE, store=True)
    buffer.open()
    prices = [
        Point("price", {"kind": "buy", "site": "s"}, {"spot": 0.1}, T0 - hours * 3_600_000)
        for hours in range(9)
    ]
    for number in range(120):
        clock.ms = T0 + number * 1000
        buffer.append(wide(number) + (prices if number == 60 else []))
        assert buffer.flush()
    buffer.close()
    # each second 1500 characters of base64, which hold 1125 bytes of noise
    rate = report(path, LARGE, store=True)["bytes_per_day"]
    assert rate == pytest.approx(1125 * 86_400, rel=0.2)


def test_days_left_are_told_once_each_and_again_after_a_relief(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lasting = Lasting()
    with caplog.at_level(logging.WARNING):
        for days in (100.0, 31.0, 29.0, 31.0, 29.0, 8.0, 6.9, 7.1, 6.9, 0.5, 0.4, 90.0, 29.0):
            lasting.refresh(days, 1e6)
        lasting.refresh(None, None)
    told = [record.message for record in caplog.records]
    assert [text.split("full in about ")[1].split(" at")[0] for text in told] == [
        "29 days", "7 days", "12 hours", "29 days",
    ]  # fmt: skip


def test_the_days_left_of_a_capacity() -> None:
    capacity = Capacity(2 * 1024**3)
    parts = (capacity.room, capacity.log, capacity.journal, capacity.reserve)
    assert sum(parts) == capacity.max_size
    assert days_left(capacity, 0, None) is None
    assert days_left(capacity, 0, capacity.aim / 10) == 10
    assert days_left(capacity, capacity.max_size, 1.0) == 0
    assert days_left(capacity, 0, 1e6, 30 * DAY_MS) is None
    assert days_left(capacity, 0, 1e9, 30 * DAY_MS) is not None


CONFIG = """\
[site]
name = "home"
[[bus]]
name = "line"
port = "/dev/null"
[[bus.meter]]
name = "grid"
model = "pro380"
address = 1
role = "grid"
[buffer]
path = "state/buffer.sqlite"
max_size = {size}
"""


LEAST = 4 << 20  # the smallest that a configuration may have


@pytest.fixture
def config(tmp_path: Path) -> Callable[[int], str]:
    def write(size: int) -> str:
        path = tmp_path / "logger.toml"
        path.write_text(CONFIG.format(size=size), encoding="utf-8")
        return str(path)

    return write


def test_a_past_without_room_is_no_success(config: Callable[[int], str]) -> None:
    done = command("simulate-past", "--days", "4", "--config", config(LEAST))
    assert done.returncode == 1, done.stderr
    assert "had no room" in done.stderr
    assert "are in" not in done.stdout
    shown = json.loads(command("buffer", "status", "--json", "--config", config(LEAST)).stdout)
    assert f"{shown['books']['total']['dropped']} of " in done.stderr


def test_an_import_without_room_takes_nothing(config: Callable[[int], str], tmp_path: Path) -> None:
    lines = tmp_path / "own.lp"
    lines.write_text("".join(f"{point.line()}\n" for n in range(40_000) for point in power(n)))
    (tmp_path / "state").mkdir()
    done = command("buffer", "import", str(lines), "--config", config(LEAST))
    assert done.returncode != 0
    assert "no room for 80000 points" in done.stderr
    assert not (tmp_path / "state" / "buffer.sqlite").exists()
    done = command("buffer", "import", str(lines), "--config", config(60_000_000))
    assert done.returncode == 0, done.stderr


def test_points_that_went_at_the_limit_are_a_problem() -> None:
    state = BufferState(True, "", 0, 0, None, None, None, 0, 0, 0, 0.5, None, dropped=7)
    assert buffer_problems(state) == ["buffer: 7 points were deleted at max_size since the start"]
