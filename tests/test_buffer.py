"""The buffer without a server: what goes in, what stays, what goes first at the limit."""

from __future__ import annotations

import itertools
import multiprocessing
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger.buffer import Buffer
from logger.buffer.database import Database
from logger.buffer.limits import series, thinned
from logger.buffer.medium import Medium
from logger.buffer.pending import Pending
from logger.buffer.rows import NewRow, Row, Settlement, as_row, waiting
from logger.buffer.schema import MIGRATIONS, SELDOM, VERSION, load_ledger, migrate
from logger.buffer.verify import verify
from logger.datamodel import MEASUREMENTS, Lane
from logger.delivery.outlet import BufferOutlet
from logger.errors import BufferBusyError, BufferFileError
from logger.lineprotocol import Point
from tests.old_buffer import make_version_one, make_version_two

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


def rows_of(path: Path, lane: Lane) -> list[Row]:
    database = Database.open_readonly(path)
    try:
        return list(waiting(database, lane, 0))
    finally:
        database.close()


def lines_of(path: Path, lane: Lane) -> list[str]:
    return [line for row in rows_of(path, lane) for line in row.lines]


def deliver(buffer: Buffer, lane: Lane, lines: int = 10_000) -> int:
    """Take what waits and mark it delivered, as the delivery does."""
    outlet = BufferOutlet(buffer, lane)
    rows = outlet.oldest(0, lines, 10**9)
    outlet.settle(Settlement(rows))
    outlet.close()
    assert buffer.flush()
    return len(rows)


def test_a_call_is_one_row_a_lane(make: Callable[..., Buffer], path: Path) -> None:
    buffer = make()
    buffer.append([*power(1), energy(1)])
    buffer.append(power(2))
    assert buffer.flush()
    fast, main = rows_of(path, Lane.FAST), rows_of(path, Lane.MAIN)
    assert [row.lines for row in fast] == [[p.line() for p in power(n)] for n in (1, 2)]
    assert [row.lines for row in main] == [[energy(1).line()]]
    assert (fast[0].first_ms, fast[0].last_ms) == (T0 + 1000, T0 + 1000)
    books = buffer.books()
    assert (books.lanes[Lane.FAST].waiting, books.lanes[Lane.MAIN].waiting) == (4, 1)


def test_points_are_counted_before_they_are_on_the_disk(make: Callable[..., Buffer]) -> None:
    buffer = make(commit_interval_s=60.0)
    buffer.append(power(1))
    state = buffer.state()
    assert (state.waiting, state.in_memory, state.ok) == (2, 2, True)
    assert buffer.books().total.read == 2
    assert buffer.books().balanced
    assert state.oldest_ms == state.newest_ms == T0 + 1000
    assert buffer.flush()
    assert buffer.state().in_memory == 0


def test_a_point_that_cannot_be_written_is_counted(
    make: Callable[..., Buffer], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = make()
    bad = Point("power", {"phase": "a\x01b"}, {"active_power": 1.0}, T0)
    text = Point("event", {"kind": "k"}, {"text": "two\nlines"}, T0)
    buffer.append([*power(1), bad, text])
    assert buffer.flush()
    assert buffer.books().lanes[Lane.FAST].drops == {"invalid": 1}
    assert buffer.books().balanced
    assert "cannot hold" in caplog.text
    assert lines_of(path, Lane.MAIN) == [f'event,kind=k text="two lines" {T0}']


def test_commits_are_batched(make: Callable[..., Buffer], path: Path) -> None:
    buffer = make(commit_interval_s=0.3)
    for number in range(50):
        buffer.append(power(number))
    assert buffer.exchange.wait(0, 5.0, lambda: False) == 1
    assert len(rows_of(path, Lane.FAST)) == 50


def test_everything_is_there_after_reopening(make: Callable[..., Buffer], path: Path) -> None:
    buffer = make()
    for number in range(10):
        buffer.append([*power(number), energy(number)])
    buffer.flush()
    deliver(buffer, Lane.FAST, 6)
    before = buffer.books()
    buffer.close()
    again = make()
    assert again.books() == before
    assert again.books().lanes[Lane.FAST].delivered == 6
    again.append(power(99))
    again.flush()
    ids = [row.id for row in rows_of(path, Lane.FAST)]
    assert len(set(ids)) == len(ids)


def _open_and_report(path: Path, queue: multiprocessing.Queue[str]) -> None:
    buffer = Buffer(path, now_ms=lambda: T0)
    try:
        buffer.open()
        queue.put("opened")
    except BufferBusyError as err:
        queue.put(str(err))


def test_a_second_process_is_refused(make: Callable[..., Buffer], path: Path) -> None:
    buffer = make()
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[str] = context.Queue()
    process = context.Process(target=_open_and_report, args=(path, queue))
    process.start()
    said = queue.get(timeout=30)
    process.join()
    assert "is logging to this buffer" in said
    assert "buffer.path" in said
    buffer.append(power(1))
    assert buffer.flush()


def test_another_programs_database_is_left_alone(path: Path, clock: Clock) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(BufferFileError, match="another program"):
        Buffer(path, now_ms=clock).open()
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(path: Path, clock: Clock) -> None:
    path.parent.mkdir()
    database = Database.open(path)
    migrate(database)
    database.run(f"PRAGMA user_version={VERSION + 1}")
    database.close()
    with pytest.raises(BufferFileError, match="newer version"):
        Buffer(path, now_ms=clock).open()


def test_an_older_schema_is_brought_forward_with_its_rows(path: Path, clock: Clock) -> None:
    buffer = Buffer(path, commit_interval_s=0.02, now_ms=clock)
    buffer.open()
    buffer.append(power(1))
    buffer.close()
    database = Database.open(path)
    make_version_one(database)
    database.close()
    again = Buffer(path, now_ms=clock)
    again.open()
    assert again.books().total.waiting == 2
    again.close()
    database = Database.open(path)
    assert database.value("PRAGMA user_version") == VERSION == len(MIGRATIONS)
    assert database.value("SELECT count(*) FROM leases") == 0
    database.close()
    assert verify(path).ok


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
    clock.ms += DAY_MS + 1  # the first ten rows were delivered more than two days ago
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


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


LIMIT = 4_000_000


def wide(number: int) -> list[Point]:
    """A fast job with more text, to fill a file sooner."""
    return [
        Point(
            "power",
            {"meter": "grid", "phase": phase, "site": "s"},
            {"active_power": number / 10, "text": f"{number:0500d}"},
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
    assert 1000 < verify(path).rows < 3000  # the newest are still there
    assert caplog.text.count("80 % of max_size") == 1


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


def test_counters_go_last(make: Callable[..., Buffer], path: Path) -> None:
    buffer = make(max_size=LIMIT)
    for number in range(8_000):
        text = Point("event", {"kind": "k"}, {"text": f"{number:0500d}"}, T0 + number)
        buffer.append([text])
        buffer.append([energy(number), *power(number)])
        if number % 100 == 0:
            assert buffer.flush()
    assert buffer.flush()
    assert buffer.books().balanced
    kinds = Counter(line.split(",")[0] for line in lines_of(path, Lane.MAIN))
    assert kinds["energy"] == 8_000
    assert kinds["event"] < 8_000 / 2
    assert not [row for row in rows_of(path, Lane.FAST) if row.last_ms < T0 + 4_000_000]
    for number in range(8_000, 24_000):
        buffer.append([energy(number)])
        if number % 100 == 0:
            assert buffer.flush()
    assert buffer.flush()
    kept = lines_of(path, Lane.MAIN)
    assert {line.split(",")[0] for line in kept} == {"energy"}
    assert kept[-1] == energy(23_999).line()  # and of the counters the oldest go
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
        buffer.flush(20.0)
        deliver(buffer, Lane.FAST, 10**6)
        clock.ms += 2000
        buffer._maintain_at = 0.0
        buffer.flush()
        sizes.append(path.stat().st_size)
    assert sizes[-1] <= sizes[2] * 1.3


def test_bytes_to_the_medium_are_those_of_the_files(
    make: Callable[..., Buffer], path: Path
) -> None:
    buffer = make(commit_interval_s=30.0)
    buffer.append(power(0))
    assert buffer.flush()
    medium = Medium(path)
    before = medium.frames()
    buffer.append(power(1))
    assert buffer.flush()
    assert medium.frames() > before
    written = medium.committed()
    assert 3 * 4096 <= written <= 8 * 4120  # row, index and books; a page each
    wal = path.with_name(path.name + "-wal").stat().st_size
    assert wal == 32 + medium.frames() * 4120
    buffer.close()
    database = Database.open_readonly(path)
    days = load_ledger(database).written
    database.close()
    assert list(days) == ["2023-11-14"]
    assert days["2023-11-14"] > 4 * 4096


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


def test_a_changed_row_is_noticed(make: Callable[..., Buffer], path: Path) -> None:
    buffer = make()
    buffer.append(power(1))
    buffer.append(power(2))
    buffer.flush()
    row = rows_of(path, Lane.FAST)[0]
    values = [row.id, row.lane.value, row.points, row.first_ms, row.last_ms, row.crc, row.body]
    assert as_row(values).intact
    for position, other in ((0, 77), (1, "main"), (2, 3), (3, 1), (4, 1), (6, row.body + " ")):
        changed = [*values[:position], other, *values[position + 1 :]]
        assert not as_row(changed).intact
    database = Database.open(path)
    database.run("UPDATE rows SET body=replace(body, '1.', '9.') WHERE id=?", row.id)
    assert not verify(path).ok
    outlet = BufferOutlet(buffer, Lane.FAST)
    sent = outlet.oldest(0, 100, 10**6)
    assert [row.first_ms for row in sent] == [T0 + 2000]  # the other one is never sent
    outlet.release(sent)
    buffer.flush()
    books = buffer.books().lanes[Lane.FAST]
    assert (books.waiting, books.set_aside) == (2, 2)
    reasons = database.rows("SELECT reason FROM rows WHERE state=2")
    assert reasons == [("the row fails its checksum",)]
    outlet.close()
    database.close()


def test_settling_twice_counts_once(make: Callable[..., Buffer]) -> None:
    buffer = make()
    buffer.append(power(1))
    buffer.append(power(2))
    buffer.flush()
    outlet = BufferOutlet(buffer, Lane.FAST)
    rows = outlet.oldest(0, 100, 10**6)
    assert outlet.oldest(0, 100, 10**6) == []  # claimed
    outlet.settle(Settlement(rows[:1], {rows[0].id: {1: "bad"}}))
    outlet.settle(Settlement(rows))
    outlet.settle(Settlement(rows))
    buffer.flush()
    books = buffer.books().lanes[Lane.FAST]
    assert (books.delivered, books.set_aside, books.waiting) == (3, 1, 0)
    assert books.balanced
    outlet.close()


def test_what_reports_seek_over_years_has_an_index(path: Path, clock: Clock) -> None:
    """An older file gets the indexes with its rows, and a search for times uses them."""
    buffer = Buffer(path, commit_interval_s=0.02, now_ms=clock)
    buffer.open()
    tags = {"site": "s", "meter": "grid", "role": "grid"}
    for number, name in enumerate([*SELDOM, "quality_frequency", "site"]):
        buffer.append([Point(name, tags, {"x": float(number)}, T0 + number)])
    buffer.close()
    database = Database.open(path)
    make_version_two(database)
    migrate(database)
    for number, (name, chosen) in enumerate(SELDOM.items()):
        assert MEASUREMENTS[name].lane is Lane.MAIN
        times = f"SELECT first_ms FROM rows WHERE {chosen} AND last_ms >= ? AND first_ms < ?"
        assert database.rows(times, T0, T0 + 100) == [(T0 + number,)]
        plan = database.rows(f"EXPLAIN QUERY PLAN {times}", T0, T0 + 100)
        assert f"INDEX rows_with_{name} " in str(plan)
        assert (
            database.value(f"SELECT count(*) FROM rows INDEXED BY rows_with_{name} WHERE {chosen}")
            == 1
        )
    database.close()
    assert verify(path).ok
