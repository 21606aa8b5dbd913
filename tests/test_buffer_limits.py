"""How long the buffer keeps what, and what it lets go when it must."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger.buffer import Buffer
from logger.buffer.pending import Pending
from logger.domain.datamodel import Lane
from logger.points.line import Point
from logger.points.split import series
from logger.store.database import Database
from logger.store.limits import thinned
from logger.store.medium import Medium
from logger.store.rows import NewRow
from logger.store.schema import load_ledger
from logger.store.verify import verify
from tests import buffers
from tests.buffers import (
    DAY_MS,
    T0,
    Clock,
    deliver,
    energy,
    lines_of,
    noise,
    power,
    rows_of,
    take_in,
    until,
)

clock, path, make = buffers.clock, buffers.path, buffers.make


def test_delivered_rows_are_kept_for_a_while(
    make: Callable[..., Buffer], path: Path, clock: Clock
) -> None:
    buffer = make(keep_s=2 * 86_400.0)
    for number in range(20):
        buffer.append(power(number))
    buffer.flush()
    deliver(buffer, Lane.FAST, 20)
    clock.ms += DAY_MS
    deliver(buffer, Lane.FAST, 10)
    buffer.close()
    clock.ms += DAY_MS + 3_600_001  # the first ten rows are an hour past their two days
    buffer = make(keep_s=2 * 86_400.0)
    until(lambda: verify(path).rows == 10)
    books = buffer.books().lanes[Lane.FAST]
    assert (books.delivered, books.waiting, books.dropped) == (30, 10, 0)


def test_max_age_drops_and_counts(make: Callable[..., Buffer], clock: Clock) -> None:
    buffer = make()
    for number in range(10):
        buffer.append(power(number))
    buffer.close()
    clock.ms = T0 + 3_604_500
    buffer = make(max_age_s=3600.0)
    until(lambda: buffer.books().total.drops == {"age": 10})
    assert buffer.books().total.waiting == 10


LIMIT = 4_000_000


def wide(number: int) -> list[Point]:
    """A fast job with more text, to fill a file sooner."""
    return [
        Point(
            "power",
            {"meter": "grid", "phase": phase, "site": "s"},
            {"active_power": number / 10, "text": noise(number, 500) + phase},
            T0 + number * 1000,
        )
        for phase in ("total", "L1")
    ]


def total_size(path: Path) -> int:
    return sum(
        file.stat().st_size for file in path.parent.iterdir() if not file.name.endswith("-shm")
    )


def test_at_the_limit_delivered_points_go_first(
    make: Callable[..., Buffer], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = make(max_size=LIMIT)
    for start in range(0, 9000, 300):
        for number in range(start, start + 300):
            buffer.append(wide(number))
        assert buffer.flush()
        deliver(buffer, Lane.FAST)
        assert total_size(path) < LIMIT
    books = buffer.books().total
    assert (books.delivered, books.dropped, books.waiting) == (18_000, 0, 0)
    assert 1000 < verify(path).points / 2 < 5000  # the newest are still there
    # what one step makes room for is much of so small a file
    assert 1 <= caplog.text.count("80 % of max_size in use") < 10


def test_at_the_limit_fast_points_are_thinned_and_counters_stay(
    make: Callable[..., Buffer], path: Path
) -> None:
    buffer = make(max_size=LIMIT)
    for number in range(12_000):
        buffer.append(wide(number))
        if number % 60 == 0:
            buffer.append([energy(number)])
        if number % 100 == 0:
            assert buffer.flush()
            assert total_size(path) < LIMIT
    assert buffer.flush()
    books = buffer.books()
    assert books.balanced
    assert books.lanes[Lane.MAIN].waiting == 200  # every counter
    fast = books.lanes[Lane.FAST]
    assert fast.drops == {"limit": 24_000 - fast.waiting}
    stamps = sorted({int(line.rsplit(" ", 1)[1]) for line in lines_of(path, Lane.FAST)})
    assert stamps[-1] == T0 + 11_999_000
    gaps = [after - before for before, after in itertools.pairwise(stamps)]
    assert min(gaps[:100]) >= 40_000  # the oldest are one a minute
    assert set(gaps[-1000:]) == {1000}  # the newest are whole
    assert max(gaps) <= 120_000


def counter(number: int) -> Point:
    plain = energy(number)
    return Point("energy", plain.tags, {**plain.fields, "text": noise(number, 160)}, plain.time_ms)


def test_counters_go_last(make: Callable[..., Buffer], path: Path) -> None:
    buffer = make(max_size=LIMIT)
    for number in range(8_000):
        text = Point("event", {"kind": "k"}, {"text": noise(number, 500)}, T0 + number)
        buffer.append([text])
        buffer.append([counter(number), *power(number)])
        if number % 100 == 0:
            assert buffer.flush()
    assert buffer.flush()
    assert buffer.books().balanced
    kinds = Counter(line.split(",")[0] for line in lines_of(path, Lane.MAIN))
    assert kinds["energy"] == 8_000
    assert kinds["event"] < 8_000 / 2
    assert not [row for row in rows_of(path, Lane.FAST) if row.last_ms < T0 + 4_000_000]
    for number in range(8_000, 24_000):
        buffer.append([counter(number)])
        if number % 100 == 0:
            assert buffer.flush()
    assert buffer.flush()
    kept = lines_of(path, Lane.MAIN)
    assert {line.split(",")[0] for line in kept} == {"energy"}
    assert kept[-1] == counter(23_999).line()  # and of the counters the oldest go
    assert total_size(path) < LIMIT


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 600)), max_size=60),
)
def test_thinning_keeps_the_first_of_each_minute_and_series(
    found: list[tuple[str, int]],
) -> None:
    lines = [f"power,meter={meter} v=1 {T0 + 1000 * second}" for meter, second in found]
    kept = thinned(lines, set())
    keys = [(meter, (T0 + 1000 * second) // 60_000) for meter, second in found]
    firsts = [line for n, line in enumerate(lines) if keys[n] not in keys[:n]]
    assert kept == firsts


def test_a_series_may_hold_escaped_spaces() -> None:
    assert series(r'power,meter=big\ hall v="a b" 17') == r"power,meter=big\ hall"


def test_free_pages_are_used_again(make: Callable[..., Buffer], path: Path, clock: Clock) -> None:
    buffer = make(keep_s=1.0, max_size=LIMIT)
    sizes = []
    for batch in range(8):
        for number in range(batch * 1000, (batch + 1) * 1000):
            buffer.append(power(number))
        buffer.flush()
        deliver(buffer, Lane.FAST, 10**6)
        clock.ms += 2000
        buffer.keeper.maintain_at = 0.0
        buffer.flush()
        sizes.append(path.stat().st_size)
    assert sizes[-1] <= sizes[2] * 1.3


def test_bytes_to_the_medium_are_those_of_the_files(
    make: Callable[..., Buffer], path: Path
) -> None:
    buffer = make(commit_interval_s=30.0)
    buffer.append(power(0))
    assert buffer.flush()
    file = buffer._writer.file
    medium, before = Medium(path), file.written
    buffer.append(power(1))
    assert buffer.flush()
    assert (medium.committed(), file.written - before) == (0, 4096)  # a block of the journal
    take_in(path)
    assert 3 * 4096 <= medium.committed() <= 8 * 4120  # row, index and books; a page each
    wal = path.with_name(path.name + "-wal").stat().st_size
    assert wal == 32 + medium.frames() * 4120
    buffer.append(power(2))
    assert buffer.flush()
    buffer.close()
    database = Database.open_readonly(path)
    days = load_ledger(database).written
    database.close()
    assert list(days) == ["2023-11-14"]
    assert days["2023-11-14"] >= 3 * 4096


def test_memory_is_bounded_and_what_goes_is_counted() -> None:
    pending = Pending(10_000)
    for number in range(100):
        lane = Lane.MAIN if number % 10 == 0 else Lane.FAST
        pending.add([NewRow(lane, 3, number, number, number % 20 == 0, "x" * 500)])
    assert pending.size <= 10_000
    rows, drops = pending.take(1000)
    assert sum(row.points for row in rows) + drops.total() == 300
    assert [row.first_ms for row in rows if row.lane is Lane.MAIN] == list(range(0, 100, 10))
    assert rows[-1].first_ms == 99
    pending.failed()
    assert pending.take(1000)[0] == rows
    pending.committed(drops)
    assert (pending.size, len(pending), pending.drops.total()) == (0, 0, 0)
