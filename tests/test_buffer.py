"""The buffer without a server: what goes in, what stays, what goes first at the limit."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.delivery.outlet import BufferOutlet
from logger.domain.datamodel import MEASUREMENTS, Lane
from logger.domain.errors import BufferBusyError, BufferFileError
from logger.points.line import Point
from logger.store.database import Database
from logger.store.rows import Settlement, as_row
from logger.store.schema import MIGRATIONS, SELDOM, VERSION, migrate
from logger.store.verify import verify
from tests import buffers
from tests.buffers import T0, Clock, deliver, energy, lines_of, power, rows_of, take_in, until
from tests.old_buffer import make_version_one, make_version_two

clock, path, make = buffers.clock, buffers.path, buffers.make


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
    buffer = make(commit_interval_s=3600.0)
    for number in range(50):
        buffer.append(power(number))
    assert buffer.exchange.commits == 0
    assert buffer.flush()
    assert buffer.exchange.commits == 1
    assert len(rows_of(path, Lane.FAST)) == 50
    buffer.close()
    again = make(commit_interval_s=0.02)
    again.append(power(50))
    until(lambda: again.exchange.commits == 1)  # by itself
    assert len(rows_of(path, Lane.FAST)) == 51


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
    said = queue.get(timeout=300)
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
    take_in(path)
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
    for name, chosen in SELDOM.items():
        assert MEASUREMENTS[name].lane is Lane.MAIN
        times = f"SELECT first_ms FROM rows WHERE {chosen} AND last_ms >= ? AND first_ms < ?"
        # Quarter hours of counters are kept as long as the counters themselves.
        own = [name, "energy_15m"] if name == "energy" else [name]
        stamps = [(T0 + list(SELDOM).index(each),) for each in own]
        assert sorted(database.rows(times, T0, T0 + 100)) == stamps
        plan = database.rows(f"EXPLAIN QUERY PLAN {times}", T0, T0 + 100)
        assert f"INDEX rows_with_{name} " in str(plan)
        assert database.value(
            f"SELECT count(*) FROM rows INDEXED BY rows_with_{name} WHERE {chosen}"
        ) == len(own)
    database.close()
    assert verify(path).ok


def test_a_closed_buffer_holds_no_file(make: Callable[..., Buffer], path: Path) -> None:
    """Else the medium it is on cannot be unmounted."""

    def held() -> list[str]:
        return [
            str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()
        ]

    buffer = make()
    outlet = BufferOutlet(buffer, Lane.FAST)
    for n in range(3):
        buffer.append(power(n))
        assert buffer.flush()
    outlet.settle(Settlement(outlet.oldest(0, 10, 10**6)))
    assert any(str(path.parent) in name for name in held())
    outlet.close()
    buffer.close()
    assert not [name for name in held() if str(path.parent) in name]
