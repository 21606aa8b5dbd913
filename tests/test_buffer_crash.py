"""Killed at any moment, and power cut at any moment: what was committed is there.

- SIGKILL while reading, committing, delivering, acknowledging, purging, vacuuming: no
  committed point is missing, none is invented.
- SIGKILL while a file of an older version is brought forward: the rows are there, the
  version is one of the known.
- The log cut at any byte (power cut): every whole commit before the cut is there, no part
  of one.
- The files copied one after the other, in any order, while they are written: opens by
  itself, books in balance, no row twice, none invented.
"""

from __future__ import annotations

import itertools
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.domain.datamodel import Lane
from logger.store.database import Database
from logger.store.journal import Journal
from logger.store.rows import waiting
from logger.store.schema import VERSION, migrate
from logger.store.tools import summary
from logger.store.verify import verify
from tests.conftest import Target
from tests.engines.rig import T0, Rig, energy, now_ms, power
from tests.old_buffer import make_version_one


def start(path: Path, number: int, *target: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.engines.appender", str(path), str(number), *target]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run_and_kill(path: Path, number: int, chance: random.Random, *target: str) -> int:
    """Let it run, kill it after a random time, return the last number that was committed."""
    process = start(path, number, *target)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first, "the appender ended by itself"
    timer = threading.Timer(chance.uniform(0.0, 0.25), process.kill)
    timer.start()
    said = [first, *process.stdout.read().splitlines()]
    process.wait()
    timer.cancel()
    process.stdout.close()
    return max(int(word) for word in said if word.strip().isdigit())


def test_another_program_that_looks_does_no_harm(tmp_path: Path) -> None:
    """A logger that gave up SQLite's locks by accident would die by SIGBUS here: the
    program that looks would take the shared index for abandoned and truncate it."""
    path = tmp_path / "buffer.sqlite"
    process = start(path, 0)
    assert process.stdout is not None
    assert process.stdout.readline()
    try:
        for _ in range(200):
            with closing(sqlite3.connect(path)) as connection:
                assert connection.execute("SELECT count(*) FROM rows").fetchone()
            assert summary(path).books.total.balanced
            assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert verify(path).problems == ()


def kill_often(path: Path, target: Target, times: int, seed: int) -> None:
    chance = random.Random(seed)
    settings = (target.url, target.bucket, target.translator.token)
    number = 0
    for _ in range(times):
        number = run_and_kill(path, number, chance, *settings) + 1
        # numbers that were read but not committed are read again under the same time
        report = verify(path)
        assert report.problems == ()
    rig = Rig(path, target, deliver=False)
    rig.config = rig.config.model_copy(update={"fast_bucket": ""})
    rig.close()
    rig.open()
    rig.settled()
    books = rig.buffer.books().total
    rig.close()
    assert books.balanced
    assert (books.dropped, books.set_aside) == (0, 0)
    assert not list(path.parent.glob("*.corrupt-*"))
    found = target.rows("SELECT * FROM power")
    stored = {(row["time"], row["phase"]): row["active_power"] for row in found}
    expected = {
        (point.time_ms, point.tags["phase"]): point.fields["active_power"]
        for n in range(number)
        for point in power(n)
    }
    assert {key: stored.get(key) for key in expected} == expected
    assert len(found) == len(stored)
    assert max(time for time, _ in stored) < T0 + (number + 200) * 1000
    counters = {row["time"]: row["active_import"] for row in target.rows("SELECT * FROM energy")}
    for n in range(number):
        assert counters[T0 + n * 1000] == 1000 + n / 100


@pytest.mark.engine
def test_killed_at_random_moments(tmp_path: Path, target: Target) -> None:
    kill_often(tmp_path / "buffer.sqlite", target, 12, seed=4)


@pytest.mark.engine
@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_200_random_moments(tmp_path: Path, target: Target, seed: int) -> None:
    kill_often(tmp_path / "buffer.sqlite", target, 50, seed=100 + seed)


def version_one(path: Path) -> list[str]:
    """Make a file as the first version left it; return its lines."""
    buffer = Buffer(path, commit_interval_s=0.01, now_ms=now_ms)
    buffer.open()
    for number in range(20):
        buffer.append(power(number))
    buffer.close()
    database = Database.open(path)
    with database.transaction():
        make_version_one(database)
    lines = [line for row in database.rows("SELECT body FROM rows") for line in row[0].split("\n")]
    database.close()
    return lines


def test_killed_while_migrating(tmp_path: Path) -> None:
    """The log of a migration is cut at every frame, and in the middle of each."""
    path = tmp_path / "buffer.sqlite"
    lines = version_one(path)
    database = Database.open(path)
    migrate(database)
    wal = path.with_name(path.name + "-wal").read_bytes()
    kept = path.read_bytes()
    database.close()
    for cut in range(32, len(wal) + 1, 2060):
        copy = tmp_path / f"cut{cut}" / "buffer.sqlite"
        copy.parent.mkdir()
        copy.write_bytes(kept)
        copy.with_name(copy.name + "-wal").write_bytes(wal[:cut])
        summary = Database.open_readonly(copy)
        assert summary.value("PRAGMA user_version") in range(1, VERSION + 1)
        summary.close()
        buffer = Buffer(copy, now_ms=now_ms)
        buffer.open()
        assert buffer.state().ok
        buffer.close()
        assert stored(copy) == lines
        assert verify(copy).ok


def stored(path: Path) -> list[str]:
    database = Database.open_readonly(path)
    try:
        return [line for lane in Lane for row in waiting(database, lane, 0) for line in row.lines]
    finally:
        database.close()


def test_power_cut_at_any_byte_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the database's log: commits go there, as those that are too long for a journal."""
    monkeypatch.setattr(Journal, "append", lambda _journal, _commit: None)
    path = tmp_path / "buffer.sqlite"
    buffer = Buffer(path, commit_interval_s=60.0, now_ms=now_ms)
    buffer.open()
    log = path.with_name(path.name + "-wal")
    ends = []  # the length of the log after each commit
    for number in range(30):
        buffer.append(power(number))
        assert buffer.flush()
        ends.append(log.stat().st_size)
    wal, kept = log.read_bytes(), path.read_bytes()
    chance = random.Random(11)
    cuts = [*ends, *(end - 1 for end in ends), *(chance.randrange(len(wal)) for _ in range(60))]
    for number, cut in enumerate(sorted(cuts)):
        copy = tmp_path / str(number) / "buffer.sqlite"
        copy.parent.mkdir()
        copy.write_bytes(kept)
        copy.with_name(copy.name + "-wal").write_bytes(wal[:cut])
        whole = sum(end <= cut for end in ends)
        again = Buffer(copy, now_ms=now_ms)
        again.open()
        assert again.books().total.waiting == 2 * whole
        again.close()
        assert stored(copy) == [point.line() for n in range(whole) for point in power(n)]
        assert verify(copy).ok
        shutil.rmtree(copy.parent)
    buffer.close()


def copy_while_written(tmp_path: Path, rounds: int, seed: int) -> None:
    """Copy the three files in every order while a process writes to them."""
    chance = random.Random(seed)
    path = tmp_path / "buffer.sqlite"
    process = start(path, 0)
    assert process.stdout is not None
    assert process.stdout.readline()
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stdout or ()))
    reader.start()
    try:
        orders = list(itertools.permutations(("", "-wal", ".journal")))
        for number in range(rounds):
            copy = tmp_path / f"copy{number}" / "buffer.sqlite"
            copy.parent.mkdir()
            for tail in orders[number % len(orders)]:
                source = path.with_name(path.name + tail)
                if source.exists():
                    shutil.copyfile(source, copy.with_name(copy.name + tail))
                threading.Event().wait(chance.uniform(0, 0.01))
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
    highest = int(said[-1]) + 10
    known = {point.line() for n in range(highest) for point in [*power(n), *energy(n)]}
    for number in range(rounds):
        copy = tmp_path / f"copy{number}" / "buffer.sqlite"
        again = Buffer(copy, commit_interval_s=0.01, now_ms=now_ms)
        again.open()
        again.append(energy(10**6))
        assert again.flush(), again.state()
        assert again.state().ok
        assert again.books().balanced
        again.close()
        report = verify(copy)
        assert report.problems == ()
        lines = stored(copy)
        assert len(lines) == len(set(lines))
        assert set(lines) - known == {energy(10**6)[0].line()}


def test_files_copied_in_any_order_open_by_themselves(tmp_path: Path) -> None:
    copy_while_written(tmp_path, 18, seed=5)


@pytest.mark.long
def test_files_copied_in_any_order_open_by_themselves_often(tmp_path: Path) -> None:
    copy_while_written(tmp_path, 180, seed=6)
