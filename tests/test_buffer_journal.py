"""The journal of a buffer: a damaged one costs no commit unsaid, a torn one is no damage, and
whoever reads sees what it holds."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.delivery.outlet import BufferOutlet
from logger.domain.datamodel import Lane
from logger.store.database import Database
from logger.store.row import RowState, Settlement, StoredRow
from logger.store.tools import between, summary
from logger.store.verify import verify
from tests import buffers, journal_reader
from tests.buffers import Clock, energy, lines_of, power, rows_of, take_in

clock, path, make = buffers.clock, buffers.path, buffers.make
BLOCK = 4096
COMMITS = 100
NOW = 1_700_001_000_000


def start(path: Path) -> Buffer:
    buffer = Buffer(path, commit_interval_s=60.0, now_ms=lambda: NOW)
    buffer.open()
    return buffer


def journal_of(path: Path) -> Path:
    return path.with_name(path.name + ".journal")


def copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(exist_ok=True)
    for tail in ("", "-wal", ".journal"):
        shutil.copyfile(f"{source}{tail}", f"{target}{tail}")
    return target


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that a kill after 100 commits leaves, one block each."""
    directory = tmp_path_factory.mktemp("killed")
    buffer = start(directory / "live.sqlite")
    for number in range(COMMITS):
        buffer.append(power(number))
        assert buffer.flush()
    copy(buffer.path, directory / "buffer.sqlite")
    buffer.close()
    return directory / "buffer.sqlite"


def everything(commits: int = COMMITS) -> set[str]:
    return {point.line() for number in range(commits) for point in power(number)}


def flip(file: Path, at: int, bit: int = 0) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1 << bit
    file.write_bytes(data)


def is_mended(path: Path, caplog: pytest.LogCaptureFixture) -> set[str]:
    """Open the file, which must say its damage everywhere; return the lines it has."""
    report = verify(path)
    assert any("damaged" in problem for problem in report.problems)
    caplog.clear()
    buffer = start(path)
    state, books = buffer.state(), buffer.books()
    buffer.close()
    assert state.ok
    (damage,) = state.damages
    assert "of the journal is damaged" in damage.text
    assert any("damaged" in record.message for record in caplog.records)
    aside = [file.name for file in path.parent.glob("*.corrupt-*")]
    assert any(name.endswith(".journal") for name in aside)
    assert books.balanced
    lines = set(lines_of(path, Lane.FAST))
    missing = len(everything() - lines)
    assert missing <= books.total.drops.get("damaged", 0) == damage.lost
    assert verify(path).ok
    return lines


def is_in_order(path: Path) -> set[str]:
    assert verify(path).ok
    buffer = start(path)
    state = buffer.state()
    buffer.close()
    assert state.ok
    assert state.damages == ()
    assert not list(path.parent.glob("*.corrupt-*"))
    return set(lines_of(path, Lane.FAST))


# magic, checksum, salt, number, time, length, flags, books, text, the last frame
PLACES = [0, 5, 11, 16, 27, 33, 36, 60, 700, (COMMITS - 1) * BLOCK + 100]


@pytest.mark.parametrize("at", PLACES)
def test_one_flipped_bit_loses_nothing(
    killed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, at: int
) -> None:
    path = copy(killed, tmp_path / "buffer.sqlite")
    flip(journal_of(path), (COMMITS // 4 * BLOCK if at < BLOCK else 0) + at, at % 8)
    assert is_mended(path, caplog) == everything()


@pytest.mark.parametrize("first", [0, 50, 97])
def test_a_block_that_is_gone_is_counted(
    killed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, first: int
) -> None:
    path = copy(killed, tmp_path / "buffer.sqlite")
    with journal_of(path).open("r+b") as file:
        file.seek(first * BLOCK)
        file.write(bytes(2 * BLOCK))
    found = is_mended(path, caplog)
    assert everything() - found == {p.line() for n in (first, first + 1) for p in power(n)}


def test_a_journal_that_a_power_cut_tore_is_no_damage(killed: Path, tmp_path: Path) -> None:
    """The last commit did not reach the medium, or a part of it did."""
    whole = journal_of(killed).read_bytes()
    at = (COMMITS - 1) * BLOCK
    for number, cut in enumerate((0, 8, 512, 700)):
        path = copy(killed, tmp_path / str(number) / "buffer.sqlite")
        journal_of(path).write_bytes(whole[: at + cut] + bytes(len(whole) - at - cut))
        assert is_in_order(path) == everything(COMMITS - 1)


def test_frames_of_the_past_are_no_damage(tmp_path: Path) -> None:
    """The journal began anew: behind its end lie whole frames with lower numbers."""
    buffer = Buffer(
        tmp_path / "live.sqlite", commit_interval_s=60.0, max_size=800_000, now_ms=lambda: NOW
    )
    buffer.open()
    begins = set()
    for number in range(40):
        buffer.append(power(number))
        assert buffer.flush()
        begins.add(journal_of(buffer.path).read_bytes()[16:24])
        if number % 5 == 0:
            path = copy(buffer.path, tmp_path / str(number) / "buffer.sqlite")
            assert is_in_order(path) == everything(number + 1)
    buffer.close()
    assert len(begins) >= 3


@pytest.mark.parametrize("count", [25, pytest.param(200, marks=pytest.mark.long)])
def test_random_flips_after_a_kill(
    killed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    chance = random.Random(count)
    mended = 0
    for number in range(count):
        path = copy(killed, tmp_path / str(number) / "buffer.sqlite")
        flip(journal_of(path), chance.randrange(COMMITS * BLOCK), chance.randrange(8))
        caplog.clear()
        buffer = start(path)
        state, books = buffer.state(), buffer.books()
        buffer.close()
        assert set(lines_of(path, Lane.FAST)) == everything()  # many bits are of no use
        assert bool(state.damages) == ("damaged" in caplog.text)
        assert state.ok
        assert books.balanced
        mended += bool(state.damages)
        shutil.rmtree(path.parent)
    assert mended


def test_a_journal_that_is_gone_after_a_kill_is_said(
    killed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = copy(killed, tmp_path / "buffer.sqlite")
    take_in(path)  # from here on the books know that it was not closed in order
    journal_of(path).unlink()
    buffer = start(path)
    (damage,) = buffer.state().damages
    assert "journal" in damage.text
    assert "its journal is gone" in caplog.text
    buffer.close()


def deliver_some(buffer: Buffer, lane: Lane, count: int) -> None:
    outlet = BufferOutlet(buffer, lane)
    rows = outlet.oldest(0, 10**6, 10**9)
    outlet.settle(Settlement(rows[:count]))
    outlet.release(rows[count:])
    outlet.close()
    assert buffer.flush()


def test_whoever_reads_sees_what_only_the_journal_has(
    make: Callable[..., Buffer], path: Path
) -> None:
    buffer = make()
    for number in range(6):
        buffer.append([*power(number), energy(number)])
        assert buffer.flush()
    deliver_some(buffer, Lane.FAST, 2)
    database = Database.open_readonly(path)
    assert database.value("SELECT count(*) FROM rows") == 0
    for state, count in ((RowState.DELIVERED, 2), (RowState.WAITING, 10), (RowState.SET_ASIDE, 0)):
        assert len(list(between(database, [state], None, None))) == count
    database.close()
    before = (rows_of(path, Lane.FAST), rows_of(path, Lane.MAIN), buffer.books())
    assert [row.first_ms - buffers.T0 for row in before[0]] == [2000, 3000, 4000, 5000]
    found = summary(path)
    assert (found.books, found.oldest_ms) == (before[2], before[0][0].first_ms - 2000)
    report = verify(path)
    assert (report.problems, report.rows, report.books) == ((), 12, before[2])
    take_in(path)
    assert buffer.flush()
    assert (rows_of(path, Lane.FAST), rows_of(path, Lane.MAIN), buffer.books()) == before
    deliver_some(buffer, Lane.FAST, 3)  # rows of the tables, marked in the journal
    assert len(rows_of(path, Lane.FAST)) == 1
    assert verify(path).problems == ()


def test_what_came_together_is_packed_and_nobody_notices(
    make: Callable[..., Buffer], path: Path, clock: Clock
) -> None:
    buffer = make(commit_interval_s=60.0)
    count = 8000
    for number in range(count):
        buffer.append([*power(number), energy(number)])
        if number % 500 == 0:
            assert buffer.flush()
    assert buffer.flush()
    buffer.close()
    database = Database.open_readonly(path)
    packed = database.value("SELECT count(*) FROM rows WHERE typeof(body)='blob'")
    stored = database.value("SELECT sum(length(body)) FROM rows WHERE typeof(body)='blob'")
    text = sum(
        len(line) + 1
        for lane in Lane
        for row in rows_of(path, lane)
        if row.packed is not None
        for line in row.lines
    )
    database.close()
    assert 0 < packed < 100
    assert stored * 4 < text
    assert sorted(lines_of(path, Lane.MAIN)) == sorted(energy(n).line() for n in range(count))
    assert set(lines_of(path, Lane.FAST)) == everything(count)
    assert verify(path).problems == ()
    again = make(commit_interval_s=60.0)
    deliver_some(again, Lane.FAST, 10**6)
    outlet = BufferOutlet(again, Lane.MAIN)
    first = outlet.oldest(0, 10**6, 10**9)
    refused = {first[0].id: {0: "the server's reason"}}
    outlet.settle(Settlement(first, refused))
    outlet.close()
    assert again.flush()
    books = again.books()
    assert books.balanced
    assert books.lanes[Lane.FAST].waiting == 0
    assert (books.lanes[Lane.MAIN].set_aside, books.lanes[Lane.MAIN].waiting) == (1, 0)


def test_a_commit_is_one_block_and_one_flush(
    make: Callable[..., Buffer], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = make(commit_interval_s=60.0)
    buffer.append(power(0))
    assert buffer.flush()
    written: list[int] = []
    pwrite = os.pwrite

    def noted(file: int, data: bytes, at: int) -> int:
        written.append(len(data))
        return pwrite(file, data, at)

    monkeypatch.setattr(os, "pwrite", noted)
    log = path.with_name(path.name + "-wal")
    before = (log.stat().st_size, path.stat().st_mtime_ns)
    for number in range(1, 20):
        buffer.append(power(number))
        assert buffer.flush()
    deliver_some(buffer, Lane.FAST, 5)
    assert written == [BLOCK] * 20
    assert (log.stat().st_size, path.stat().st_mtime_ns) == before


def test_a_stranger_reads_everything(make: Callable[..., Buffer], path: Path) -> None:
    """docs/buffer-format.md and an independent reader of it say the same."""
    buffer = make(commit_interval_s=60.0)
    for number in range(1200):
        buffer.append([*power(number), energy(number)])
        if number % 50 == 0:
            assert buffer.flush()
    assert buffer.flush()
    deliver_some(buffer, Lane.FAST, 7)
    outlet = BufferOutlet(buffer, Lane.MAIN)
    rows = outlet.oldest(0, 10_000, 10**9)
    outlet.settle(Settlement(rows[:1], {rows[0].id: {0: "refused"}}))
    outlet.release(rows[1:])
    outlet.close()
    buffer.append([*power(9999), energy(9999)])
    assert buffer.flush()
    found = journal_reader.read(path)
    for lane in Lane:
        lines = [line for row in rows_of(path, lane) for line in row.lines]
        assert sorted(found[lane.value, "waiting"]) == sorted(lines)
    books = buffer.books()
    assert len(found["fast", "delivered"]) == books.lanes[Lane.FAST].delivered
    assert len(found["main", "set aside"]) == 1


def test_rows_that_are_packed_while_they_are_fetched_are_sent_once(
    path: Path, make: Callable[..., Buffer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packing gives rows other numbers: what was read before is not to be sent by the old ones."""
    buffer = make(commit_interval_s=60.0)
    for number in range(3000):
        buffer.append(power(number))
        if number % 500 == 499:
            assert buffer.flush()
    outlet = BufferOutlet(buffer, Lane.FAST)
    read, found = outlet._read, []

    def packed_meanwhile(
        after: int, lines: int, size: int | None, *, newest: bool
    ) -> list[StoredRow]:
        found.append(read(after, lines, size, newest=newest))
        if len(found) == 1:
            buffer.append([energy(number) for number in range(3000)])
            assert buffer.flush()
        return found[-1]

    monkeypatch.setattr(outlet, "_read", packed_meanwhile)
    rows = outlet.oldest(0, 10**6, 10**9)
    assert len(rows) < len(found[0])  # they were packed
    outlet.settle(Settlement(rows))
    outlet.close()
    assert buffer.flush()
    books = buffer.books().lanes[Lane.FAST]
    assert (books.waiting, books.delivered) == (0, 3000 * len(power(0)))
