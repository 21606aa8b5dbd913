"""Two workers of a lane share its backlog; marks of a whole stretch are made at once."""

from __future__ import annotations

import random
import string
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from logger.buffer import Buffer, exchange
from logger.delivery.outlet import BufferOutlet, SecondOutlet
from logger.domain.datamodel import Lane
from logger.points.line import Point
from logger.store.rows import Settlement
from tests.running import PATIENCE_S

T0 = 1_782_037_800_000
ROWS = 12


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    """Twelve waiting rows of the fast lane, one point each."""
    buffer = Buffer(tmp_path / "buffer.sqlite", now_ms=lambda: T0 + 99_000)
    buffer.open()
    for number in range(ROWS):
        tags = {"site": "s", "meter": "m", "phase": "total"}
        buffer.append([Point("power", tags, {"voltage": 230.5 + number}, T0 + 1000 * number)])
    assert buffer.flush()
    yield buffer
    buffer.close()


def _waiting(buffer: Buffer) -> int:
    return buffer.books().lanes[Lane.FAST].waiting


def test_workers_of_a_lane_take_turns_and_none_reads_what_the_other_has(buffer: Buffer) -> None:
    one = BufferOutlet(buffer, Lane.FAST)
    other = SecondOutlet(buffer, Lane.FAST, lambda: True)
    first = one.oldest(0, 4, 10_000)
    second = other.oldest(0, 4, 10_000)
    third = one.oldest(first[-1].id, 4, 10_000)
    taken = [row.id for row in (*first, *second, *third)]
    assert [len(first), len(second), len(third)] == [4, 2, 4]
    assert taken == sorted(set(taken))
    one.close()
    other.close()


def test_rows_that_were_not_sent_are_found_again(buffer: Buffer) -> None:
    one = BufferOutlet(buffer, Lane.FAST)
    other = SecondOutlet(buffer, Lane.FAST, lambda: True)
    failed = one.oldest(0, 4, 10_000)
    good = other.oldest(0, 8, 10_000)
    one.release(failed)
    assert one.oldest(0, 4, 10_000) == failed  # at once by the worker that failed
    one.release(failed)
    rest = other.oldest(good[-1].id, 20, 10_000)
    assert [row.id for row in rest] == [9, 10, 11, 12]
    assert other.oldest(rest[-1].id, 20, 10_000) == []
    assert other.oldest(0, 20, 10_000) == failed  # or by the other one, from the beginning
    one.close()
    other.close()


def test_a_mark_touches_the_rows_that_were_sent_and_no_others(buffer: Buffer) -> None:
    outlet = BufferOutlet(buffer, Lane.FAST)
    rows = outlet.oldest(0, 6, 10_000)
    outlet.settle(Settlement(rows[:2] + rows[3:5]))  # with a gap
    assert buffer.flush()
    assert _waiting(buffer) == ROWS - 4
    outlet.settle(Settlement([rows[2]]))
    outlet.settle(Settlement(rows))  # five of them are marked already
    outlet.settle(Settlement(rows))
    assert buffer.flush()
    assert _waiting(buffer) == ROWS - 6
    assert buffer.books().balanced
    rest = outlet.oldest(0, ROWS, 10_000)
    assert [row.id for row in rest] == [7, 8, 9, 10, 11, 12]
    outlet.settle(Settlement(rest))  # a stretch without a gap
    assert buffer.flush()
    assert _waiting(buffer) == 0
    assert buffer.books().lanes[Lane.FAST].delivered == ROWS
    outlet.close()


def test_what_waits_for_its_mark_keeps_no_text(buffer: Buffer) -> None:
    for number in range(16):
        text = "".join(random.choices(string.ascii_letters, k=100_000))
        tags = {"site": "s", "meter": "m", "kind": "k"}
        buffer.append([Point("event", tags, {"text": text}, T0 + number)])
    assert buffer.flush()
    outlet = BufferOutlet(buffer, Lane.MAIN)
    tracemalloc.start()
    try:
        after = 0
        for _ in range(16):
            (row,) = outlet.oldest(after, 1, 10_000)
            outlet.settle(Settlement([row]))
            after = row.id
        del row
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 600_000  # and not 1,600,000
    assert buffer.flush()
    assert buffer.books().lanes[Lane.MAIN].delivered == 16
    outlet.close()


def test_no_more_is_sent_while_very_many_marks_wait_for_the_medium(
    buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "MOST_SENT", 8)
    one = BufferOutlet(buffer, Lane.FAST)
    other = SecondOutlet(buffer, Lane.FAST, lambda: True)
    first, second = one.oldest(0, 6, 10_000), other.oldest(0, 6, 10_000)
    assert len(first) + len(second) == 9
    assert one.oldest(first[-1].id, 6, 10_000) == other.oldest(0, 6, 10_000) == []
    one.settle(Settlement(first))
    assert one.oldest(0, 6, 10_000) == []  # the mark is not on the medium
    assert buffer.flush()
    assert [row.id for row in one.oldest(0, 6, 10_000)] == [10, 11, 12]
    one.close()
    other.close()


def test_who_waits_for_a_commit_is_not_woken_by_each_request(buffer: Buffer) -> None:
    looked: list[int] = []
    there = threading.Event()

    def until() -> bool:
        looked.append(1)
        there.set()
        return False

    seen = buffer.exchange.commits
    waiter = threading.Thread(target=buffer.exchange.wait, args=(seen, PATIENCE_S, until))
    waiter.start()
    assert there.wait(PATIENCE_S)
    outlet = BufferOutlet(buffer, Lane.FAST)
    for row in outlet.oldest(0, ROWS, 10_000):
        outlet.settle(Settlement([row]))
        outlet.oldest(0, 1, 10_000)  # gives the other thread its turn
    assert buffer.flush()
    waiter.join(PATIENCE_S)
    assert len(looked) == 1
    outlet.close()
