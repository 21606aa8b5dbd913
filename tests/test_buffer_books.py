"""The books of the buffer, and what happens to rows behind the back of who sends them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.buffer.exchange import Exchange
from logger.buffer.pending import Drops, Pending
from logger.buffer.writer import Writer
from logger.delivery.backfill import LeasedOutlet
from logger.delivery.outlet import BufferOutlet
from logger.domain.datamodel import Lane
from logger.points.line import Point
from logger.store import seal
from logger.store.database import Database
from logger.store.ledger import Account, Books, LaneBooks, Ledger, Scrub
from logger.store.rows import (
    COLUMNS,
    LEASE_MS,
    RowState,
    Settlement,
    StoredRow,
    as_row,
    new_rows,
    row_checksum,
    waiting,
)
from logger.store.schema import load_ledger, save_ledger
from logger.store.verify import verify
from tests import buffers
from tests.buffers import DAY_MS, T0, Clock, lines_of, power, rows_of, take_in

clock, path, make = buffers.clock, buffers.path, buffers.make


@pytest.mark.parametrize("read", range(8, 13))
def test_books_balance_only_when_every_point_is_somewhere(read: int) -> None:
    lane = LaneBooks(read, 4, 3, 2, {"limit": 1})
    assert lane.balanced is (read == 10)
    assert Books({Lane.MAIN: lane, Lane.FAST: LaneBooks(5, 5)}).balanced is (read == 10)
    # what one lane has too many the other one must not make up for
    other = LaneBooks(20 - read, 10)
    assert Books({Lane.MAIN: lane, Lane.FAST: other}).balanced is (read == 10)


def test_books_of_lanes_add_up_reason_by_reason() -> None:
    main = LaneBooks(20, 4, 3, 2, {"limit": 1, "age": 10})
    fast = LaneBooks(100, 30, 20, 10, {"limit": 40})
    total = Books({Lane.MAIN: main, Lane.FAST: fast}).total
    assert total == LaneBooks(120, 34, 23, 12, {"limit": 41, "age": 10})
    assert total.dropped == 51
    assert total.balanced


def test_a_drop_comes_out_of_what_waited_or_of_what_was_set_aside() -> None:
    account = Account(read=10, waiting=6, set_aside=4)
    account.drop("age", 2)
    account.drop("age", 1)
    account.drop("discarded", 3, waiting=False)
    account.drops["limit"] = 0
    assert account.frozen() == LaneBooks(10, 0, 3, 1, {"age": 3, "discarded": 3})
    assert account.frozen().balanced


@pytest.mark.parametrize("more", [-1, 1])
def test_a_check_finds_one_point_too_many_or_too_few(
    more: int, make: Callable[..., Buffer], path: Path
) -> None:
    buffer = make()
    buffer.append(power(1))
    buffer.close()
    take_in(path)  # the journal has the books, too
    with closing(Database.open(path)) as database:
        ledger = load_ledger(database)
        ledger.lanes[Lane.FAST].read += more
        save_ledger(database, ledger)
        (problem,) = verify(path).problems
        assert f"fast: {2 + more} read is not 0 delivered + 2 waiting" in problem
        ledger.lanes[Lane.FAST].read -= more
        save_ledger(database, ledger)


def test_the_bytes_of_eight_days_are_kept() -> None:
    ledger = Ledger()
    days = [f"2026-11-{day:02d}" for day in range(1, 12)]
    for day in days:
        ledger.wrote(day, 100)
        ledger.wrote(day, 11)
    assert ledger.written == dict.fromkeys(days[-8:], 111)


def filled() -> Ledger:
    ledger = Ledger(commit=7, next_id=12, thinned_id=3, clean=False, written={"2026-11-02": 99})
    ledger.journal, ledger.folded = "00ff", 5
    ledger.lanes[Lane.MAIN] = Account(10, 4, 3, 2)
    ledger.lanes[Lane.FAST] = Account(9, 1, 2, 3)
    ledger.lanes[Lane.FAST].drops.update({"limit": 2, "age": 1})
    return ledger


def test_a_ledger_comes_back_as_it_was_stored() -> None:
    assert Ledger.loads(filled().dumps()) == filled()
    assert json.loads(filled().dumps()) == {
        "commit": 7,
        "next_id": 12,
        "thinned_id": 3,
        "counters_id": 0,
        "clean": False,
        "stamped_ms": None,
        "next_parked": 1,
        "released_id": 0,
        "written": {"2026-11-02": 99},
        "scrub": asdict(Scrub()),
        "journal": "00ff",
        "folded": 5,
        "journal_size": 0,
        "lanes": {
            "main": {"read": 10, "delivered": 4, "waiting": 3, "set_aside": 2, "drops": {}},
            "fast": {
                "read": 9, "delivered": 1, "waiting": 2, "set_aside": 3,
                "drops": {"limit": 2, "age": 1},
            },
        },
    }  # fmt: skip
    fresh = Ledger()
    assert (fresh.commit, fresh.next_id, fresh.thinned_id, fresh.clean) == (0, 1, 0, True)
    assert fresh.books().total == LaneBooks()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.pop("lanes"),
        lambda data: data["lanes"].pop("main"),
        lambda data: data["lanes"]["fast"].pop("read"),
        lambda data: data.update(commit=None),
        lambda data: data.update(written=[]),
        lambda data: data["lanes"]["main"].update(drops=[1]),
        lambda data: data.update(next_id=float("inf")),
        lambda data: data.update(lanes="main"),
        lambda data: data.update(journal="xy"),
    ],
)
def test_what_is_no_ledger_is_refused(spoil: Callable[[dict[str, object]], object]) -> None:
    data = json.loads(filled().dumps())
    spoil(data)
    with pytest.raises(ValueError):
        Ledger.loads(json.dumps(data))
    with pytest.raises(ValueError):
        Ledger.loads("[" * 100_000)


@pytest.fixture
def buffer(make: Callable[..., Buffer]) -> Buffer:
    """A buffer with three rows of two points each."""
    made = make()
    for number in (1, 2, 3):
        made.append(power(number))
        assert made.flush()
    return made


@pytest.fixture
def outlet(buffer: Buffer) -> Iterator[BufferOutlet]:
    found = BufferOutlet(buffer, Lane.FAST)
    yield found
    found.close()


def change(path: Path, row: StoredRow, body: str) -> None:
    """Change a row as another process does: whole, with the checksum that belongs to it."""
    crc = row_checksum(row.id, row.lane, row.points, row.first_ms, row.last_ms, body)
    take_in(path)
    with closing(Database.open(path)) as database:
        database.run(
            f"UPDATE rows SET body=?, crc=?, seal={seal.sql('?')} WHERE id=?",
            body,
            crc,
            crc,
            row.id,
        )


@pytest.mark.parametrize("refused", [False, True])
def test_a_row_that_changed_since_it_was_sent_is_not_settled(
    refused: bool, buffer: Buffer, outlet: BufferOutlet, path: Path
) -> None:
    sent = outlet.oldest(0, 100, 10**6)
    changed = sent[1].body.replace("active_power", "voltage")
    change(path, sent[1], changed)
    reasons = {sent[0].id: {0: "bad"}, sent[1].id: {0: "bad"}} if refused else {}
    outlet.settle(Settlement(sent, reasons))
    assert buffer.flush()
    books = buffer.books().lanes[Lane.FAST]
    assert (books.delivered, books.waiting, books.set_aside) == (4 - refused, 2, int(refused))
    assert lines_of(path, Lane.FAST) == changed.split("\n")


def test_only_rows_that_still_wait_are_settled(
    buffer: Buffer, outlet: BufferOutlet, path: Path
) -> None:
    sent = outlet.oldest(0, 100, 10**6)
    take_in(path)
    with closing(Database.open(path)) as database, database.transaction():
        database.run("DELETE FROM rows WHERE id=?", sent[1].id)
        ledger = load_ledger(database)
        ledger.lanes[Lane.FAST].drop("discarded", 2)
        save_ledger(database, ledger)
    outlet.settle(Settlement(sent))
    assert buffer.flush()
    books = buffer.books().lanes[Lane.FAST]
    assert (books.delivered, books.waiting, books.dropped) == (4, 0, 2)


def test_rows_between_those_that_were_sent_go_on_waiting(
    buffer: Buffer, outlet: BufferOutlet, path: Path
) -> None:
    first, middle, last = outlet.oldest(0, 100, 10**6)
    outlet.settle(Settlement([first, last]))
    outlet.release([middle])
    assert buffer.flush()
    assert [row.id for row in rows_of(path, Lane.FAST)] == [middle.id]
    assert buffer.books().lanes[Lane.FAST].delivered == 4


def test_rows_of_both_lanes_may_be_settled_together(make: Callable[..., Buffer]) -> None:
    buffer = make()
    buffer.append([*power(1), buffers.energy(1)])
    assert buffer.flush()
    outlets = [BufferOutlet(buffer, lane) for lane in Lane]
    rows = [row for outlet in outlets for row in outlet.oldest(0, 100, 10**6)]
    buffer.exchange.settle(Settlement(rows))
    assert buffer.flush()
    found = buffer.books().lanes
    assert (found[Lane.MAIN].delivered, found[Lane.FAST].delivered) == (1, 2)
    for outlet in outlets:
        outlet.close()


def test_refused_lines_are_kept_by_reason_with_the_time_of_the_answer(
    buffer: Buffer, outlet: BufferOutlet, path: Path, clock: Clock
) -> None:
    sent = outlet.oldest(0, 100, 10**6)
    clock.ms += 5000
    outlet.settle(
        Settlement(sent, {sent[0].id: {0: "one", 1: "other"}, sent[2].id: {1: "one", 0: "one"}})
    )
    assert buffer.flush()
    with closing(Database.open_readonly(path)) as database:
        found = database.rows(
            "SELECT state, reason, points, first_ms, last_ms, changed_ms, body "
            "FROM rows ORDER BY id"
        )
    lines = [row.lines for row in sent]
    at = clock.ms
    assert found == [
        (RowState.DELIVERED, None, 2, T0 + 2000, T0 + 2000, at, sent[1].body),
        (RowState.SET_ASIDE, "one", 1, T0 + 1000, T0 + 1000, at, lines[0][0]),
        (RowState.SET_ASIDE, "other", 1, T0 + 1000, T0 + 1000, at, lines[0][1]),
        (RowState.SET_ASIDE, "one", 2, T0 + 3000, T0 + 3000, at, sent[2].body),
    ]


def test_counters_stay_known_as_counters_when_their_row_is_split(
    make: Callable[..., Buffer], path: Path
) -> None:
    buffer = make()
    event = Point("event", {"kind": "k"}, {"text": "x"}, T0)
    buffer.append([event, buffers.energy(1)])
    buffer.append([event, buffers.energy(2)])
    assert buffer.flush()
    outlet = BufferOutlet(buffer, Lane.MAIN)
    first, second = outlet.oldest(0, 100, 10**6)
    outlet.settle(Settlement([first, second], {first.id: {0: "bad"}, second.id: {1: "bad"}}))
    assert buffer.flush()
    outlet.close()
    with closing(Database.open_readonly(path)) as database:
        found = database.rows("SELECT counters, body LIKE 'energy%' FROM rows ORDER BY id")
    assert found == [(1, 1), (0, 0), (0, 0), (1, 1)]


@pytest.mark.parametrize(
    ("later_ms", "free"),
    [(0, False), (LEASE_MS, False), (LEASE_MS + 1, True), (-1, True), (-DAY_MS, True)],
)
def test_a_lease_holds_for_its_time_and_not_longer_when_the_clock_goes_back(
    later_ms: int, free: bool, buffer: Buffer, outlet: BufferOutlet, path: Path, clock: Clock
) -> None:
    """A lease that ends later than any that is given now was given by a wrong clock."""
    with closing(Database.open(path)) as database:
        leased = LeasedOutlet(database, Lane.FAST, clock)
        taken = leased.oldest(0, 4, 10**6)
        assert len(taken) == 2
        clock.ms += later_ms
        found = outlet.oldest(0, 100, 10**6)
        assert [row.id for row in found] == ([1, 2, 3] if free else [3])
        outlet.release(found)
        leased.release(taken)
    assert len(outlet.oldest(0, 100, 10**6)) == 3


def test_a_lease_is_of_one_lane_and_its_rows_alone(
    make: Callable[..., Buffer], path: Path, clock: Clock
) -> None:
    buffer = make()
    for number in (1, 2, 3):
        buffer.append([*power(number), buffers.energy(number)])
        assert buffer.flush()
    with closing(Database.open(path)) as database:
        leased = LeasedOutlet(database, Lane.FAST, clock)
        (first,) = leased.oldest(0, 2, 10**6)
        found = {lane: list(waiting(database, lane, clock.ms)) for lane in Lane}
        assert len(found[Lane.MAIN]) == 3
        assert first.id not in {row.id for row in found[Lane.FAST]}
        assert len(found[Lane.FAST]) == 2
        newest = [row.id for row in waiting(database, Lane.MAIN, clock.ms, newest=True)]
        assert newest == sorted(newest, reverse=True)
        above = [row.id for row in waiting(database, Lane.MAIN, clock.ms, after=newest[1])]
        assert above == [newest[0]]


def test_rows_that_are_being_sent_do_not_leave_by_age(path: Path) -> None:
    exchange = Exchange(Pending(), 1.0)
    writer = Writer(path, keep_ms=DAY_MS, max_size=10**9, max_age_ms=3_600_000)
    path.parent.mkdir()
    writer.open(T0)
    for number in range(4):
        exchange.add(new_rows(Lane.FAST, [f"m v=1 {T0 + number}"], [T0 + number]), Drops())
    batch = exchange.take()
    writer.commit(batch, T0)
    exchange.committed(batch)
    sent = exchange.claim(rows_of(path, Lane.FAST)[1:3])
    late = T0 + 3_600_003  # the last row is not older than an hour
    writer.maintain(exchange.busy(), late)
    assert writer.state.books.lanes[Lane.FAST].drops == {"age": 1}
    assert [row.id for row in rows_of(path, Lane.FAST)] == [2, 3, 4]
    exchange.settle(Settlement(sent))
    batch = exchange.take()
    writer.commit(batch, late)
    exchange.committed(batch)
    writer.maintain(exchange.busy(), late + 1)
    books = writer.state.books.lanes[Lane.FAST]
    assert (books.delivered, books.drops, books.waiting) == (2, {"age": 2}, 0)
    writer.close(late)
    assert verify(path).ok


def test_lines_become_one_row_that_has_counters_if_one_of_them_does() -> None:
    volts, energy = "power,meter=a voltage=230 2", "energy,meter=a active_import=1 1"
    (mixed,) = new_rows(Lane.MAIN, [volts, energy], [2, 1])
    assert (mixed.lane, mixed.points, mixed.first_ms, mixed.last_ms) == (Lane.MAIN, 2, 1, 2)
    assert mixed.counters
    assert not mixed.joined  # to the row before: only who appends knows of one
    (quarters,) = new_rows(Lane.MAIN, ["energy_15m,meter=a import=1 3"], [3])
    (without,) = new_rows(Lane.FAST, [volts], [2])
    assert (quarters.counters, without.counters) == (True, False)


def test_very_many_lines_are_several_rows_each_with_its_own_times() -> None:
    lines = [f"power,meter=a voltage=230 {at}" for at in range(1001)]
    rows = new_rows(Lane.FAST, lines, range(1001))
    assert [(row.points, row.first_ms, row.last_ms) for row in rows] == [
        (500, 0, 499),
        (500, 500, 999),
        (1, 1000, 1000),
    ]


def test_a_ledger_of_an_older_version_has_checked_nothing_yet() -> None:
    saved = json.loads(Ledger().dumps())
    del saved["scrub"]
    assert set(asdict(Ledger.loads(json.dumps(saved)).scrub).values()) == {0}


@pytest.mark.parametrize("damage", ["lane='nowhere'", "first_ms='later'", "crc='none'"])
def test_a_row_with_a_field_that_cannot_be_is_not_intact(
    damage: str, make: Callable[..., Buffer], path: Path
) -> None:
    buffer = make()
    buffer.append([buffers.energy(1)])
    assert buffer.flush()
    buffers.take_in(path)
    found: list[tuple[object, ...]] = []
    with (
        closing(Database.open(path)) as database,
        contextlib.suppress(InterruptedError),
        database.transaction(),
    ):
        database.run(f"UPDATE rows SET {damage}")
        found += database.rows(f"SELECT {COLUMNS} FROM rows")
        raise InterruptedError  # nothing of it is kept
    (row,) = map(as_row, found)
    assert not row.intact
    assert row.lane is Lane.MAIN
    assert row.first_ms == (0 if "first_ms" in damage else T0 + 1000)
