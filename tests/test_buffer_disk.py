"""Disk faults: reading goes on, nothing that can be kept is lost, nobody has to help."""

from __future__ import annotations

import base64
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.delivery.outlet import BufferOutlet
from logger.domain.datamodel import Lane
from logger.domain.errors import BufferCorruptError, BufferDiskError
from logger.points.line import Point
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from logger.store.database import Database
from logger.store.rows import Settlement, waiting
from logger.store.verify import verify
from tests.configs import configuration
from tests.engines.process import program
from tests.engines.rig import energy, now_ms, until
from tests.engines.rig import power as terse
from tests.running import PATIENCE_S, RunningLogger


def power(number: int) -> list[Point]:
    """Points with text that cannot be packed into much less."""
    noise = base64.b64encode(random.Random(number).randbytes(270)).decode()
    return [
        replace(point, fields={**point.fields, "text": noise + point.tags["phase"]})
        for point in terse(number)
    ]


def mount(*words: str) -> None:
    done = subprocess.run([program("mount", "mount"), *words], capture_output=True, text=True)
    if done.returncode:
        if "CI" in os.environ:
            raise RuntimeError(f"mount {' '.join(words)}: {done.stderr}")
        pytest.skip(f"this user may not mount: {done.stderr.strip()}")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=12m", "none", str(place))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Path]:
    """A real file system on a loop device, that can be made to fail like an SD card."""
    image, place = tmp_path / "card.img", tmp_path / "card"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(24 * 1024**2)
    subprocess.run([program("mkfs.ext4", "e2fsprogs"), "-q", str(image)], check=True)
    mount("-o", "loop,errors=remount-ro", str(image), str(place))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def reopen(path: Path) -> Buffer:
    buffer = Buffer(path, commit_interval_s=0.01, now_ms=now_ms)
    buffer.open()
    return buffer


def lines_of(path: Path) -> list[str]:
    database = Database.open_readonly(path)
    try:
        return [line for lane in Lane for row in waiting(database, lane, 0) for line in row.lines]
    finally:
        database.close()


def all_lines(numbers: range) -> list[str]:
    return [point.line() for number in numbers for point in power(number)]


def fill(place: Path, leave: int) -> Path:
    """Take all space but `leave` bytes."""
    filler = place / "filler"
    status = os.statvfs(place)
    free = status.f_bavail * status.f_bsize
    with filler.open("wb") as file:
        file.write(bytes(max(0, free - leave)))
    return filler


@pytest.mark.parametrize("leave", range(0, 400_000, 50_000))
def test_the_disk_is_full(small: Path, leave: int) -> None:
    full_disk(small, leave)


@pytest.mark.long
@pytest.mark.parametrize("leave", range(0, 50 * 8192, 8192))
def test_the_disk_is_full_at_any_of_50_moments(small: Path, leave: int) -> None:
    full_disk(small, leave)


def full_disk(small: Path, leave: int) -> None:
    buffer = reopen(small / "state" / "buffer.sqlite")
    filler = fill(small, leave)
    for number in range(6000):
        buffer.append(power(number))
        if number % 500 == 0:
            buffer.flush()
    assert not buffer.flush()
    state = buffer.state()
    assert "no space" in state.problem
    assert state.waiting == 12_000
    assert 0 < state.in_memory < 12_000  # the reserve took a part of them
    assert buffer.books().balanced
    filler.unlink()
    until(lambda: buffer.flush())
    assert buffer.state().ok
    books = buffer.books().total
    assert (books.waiting, books.dropped) == (12_000, 0)
    buffer.close()
    assert lines_of(buffer.path) == all_lines(range(6000))
    assert verify(buffer.path).ok


@pytest.mark.parametrize("leave", [0, 40_960, 61_440])
def test_killed_and_the_disk_is_full_at_the_next_start(
    small: Path, tmp_path: Path, leave: int
) -> None:
    """Killed once more then: nothing of the journal was overwritten, and commits went on."""
    live = reopen(tmp_path / "buffer.sqlite")
    for number in range(20):
        live.append(power(number))
        assert live.flush()
    for tail in ("", "-wal", ".journal", ".reserve"):
        shutil.copyfile(f"{live.path}{tail}", small / f"buffer.sqlite{tail}")
    live.close()
    filler = fill(small, leave)
    buffer = reopen(small / "buffer.sqlite")
    for number in range(20, 23):
        buffer.append(power(number))
        assert buffer.flush()
    for tail in ("", "-wal", ".journal"):
        shutil.copyfile(f"{buffer.path}{tail}", tmp_path / f"again.sqlite{tail}")
    filler.unlink()
    buffer.close()
    again = reopen(tmp_path / "again.sqlite")
    assert again.state().damages == ()
    again.close()
    assert sorted(lines_of(again.path)) == sorted(all_lines(range(23)))
    assert lines_of(buffer.path) == lines_of(again.path)


def test_a_full_disk_is_in_the_log_once(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    buffer = reopen(small / "buffer.sqlite")
    buffer.append(power(0))
    assert buffer.flush()
    filler = fill(small, 0)
    for number in range(1, 9000):
        buffer.append(power(number))
    until(lambda: not buffer.state().ok)
    for _ in range(3):
        buffer.flush()
    filler.unlink()
    until(lambda: buffer.flush())
    lines = [record.getMessage() for record in caplog.records if "buffer" in record.name]
    assert [line.split(":")[1].strip().split(" after")[0] for line in lines] == [
        "not writable",
        "writing again",
    ]
    buffer.close()


def test_a_stop_that_loses_points_is_not_well(tmp_path: Path) -> None:
    config, state, noon = tmp_path / "logger.toml", tmp_path / "state", 1_782_037_800.0
    with VirtualLine(
        virtual_site(7, start=noon).meters, clock=VirtualClock(noon), paced=False
    ) as line:
        text = configuration(
            ("grid", "grid"),
            port=f"socket://127.0.0.1:{line.start_tcp()}",
            intervals={"fast": "500ms", "slow": "5s"},
            buffer={"path": str(state / "buffer.sqlite"), "commit_interval": "20ms"},
        )
        config.write_text(text, encoding="utf-8")
        logger = RunningLogger(config).start()
        try:
            logger.wait_for("meter grid: answers")
            state.rename(tmp_path / "elsewhere")
            state.write_text("a file where the directory was")
            logger.wait_for("not writable")
            logger.process.send_signal(signal.SIGTERM)
            assert logger.process.wait(PATIENCE_S) == 1
        finally:
            logger.process.kill()
    (told,) = (one for one in logger.messages() if "points are lost" in one)
    lost = int(re.search(r"(\d+) points are lost", told)[1])  # type: ignore[index]
    last = config.with_suffix(".log").read_text(encoding="utf-8").splitlines()[-2:]
    assert lost > 0
    assert f"{state / 'buffer.sqlite'}: the disk took nothing more; {lost} points" in last[0]
    assert "make room" in last[1]
    assert verify(tmp_path / "elsewhere" / "buffer.sqlite").ok


def test_on_a_full_disk_delivered_rows_make_room(small: Path) -> None:
    buffer = reopen(small / "buffer.sqlite")
    for number in range(2000):
        buffer.append(power(number))
    assert buffer.flush()
    outlet = BufferOutlet(buffer, Lane.FAST)
    outlet.settle(Settlement(outlet.oldest(0, 10**6, 10**9)))
    assert buffer.flush()
    outlet.close()
    buffer.close()
    buffer = reopen(small / "buffer.sqlite")
    buffer.append(power(2000))
    assert buffer.flush()
    fill(small, 0)
    for number in range(2001, 3000):
        buffer.append(power(number))
        if number % 50 == 0:
            until(lambda: buffer.flush())
    until(lambda: buffer.flush())
    assert buffer.books().total.dropped == 0
    assert buffer.books().total.waiting == 2000
    buffer.close()
    assert lines_of(buffer.path) == all_lines(range(2000, 3000))


def test_a_card_that_turns_read_only(card: Path) -> None:
    buffer = reopen(card / "buffer.sqlite")
    for number in range(100):
        buffer.append(power(number))
    assert buffer.flush()
    device = subprocess.run(
        ["findmnt", "-n", "-o", "SOURCE", str(card)], capture_output=True, text=True, check=True
    )
    name = Path(device.stdout.strip()).name
    Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("1")
    for number in range(100, 200):
        buffer.append(power(number))
    until(lambda: not buffer.flush())
    state = buffer.state()
    assert not state.ok
    assert (state.waiting, state.in_memory) == (400, 200)
    outlet = BufferOutlet(buffer, Lane.FAST)
    rows = outlet.oldest(0, 10**6, 10**9)  # what is on the card can still be delivered
    assert sum(row.points for row in rows) == 200
    outlet.release(rows)
    outlet.close()
    buffer.close(1.0)
    again = reopen(card / "buffer.sqlite")  # nothing is raised
    assert not again.state().ok
    again.append(power(500))
    assert not again.flush()
    again.close(1.0)


def test_a_read_only_file_system_at_the_start(small: Path) -> None:
    path = small / "buffer.sqlite"
    first = reopen(path)
    first.append(power(1))
    first.close()
    mount("-o", "remount,ro", str(small))
    buffer = reopen(path)
    assert "read-only" in buffer.state().problem
    buffer.append(power(2))
    assert not buffer.flush()
    assert buffer.state().in_memory == 2
    mount("-o", "remount,rw", str(small))
    until(lambda: buffer.flush())
    buffer.close()
    assert lines_of(path) == all_lines(range(1, 3))


def test_writes_that_fail(tmp_path: Path) -> None:
    """No file of the process may grow: each write beyond is an error to SQLite."""
    path = tmp_path / "buffer.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.engines.appender", str(path), "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip().isdigit()
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (8192, hard))
    while (line := process.stdout.readline()) and "fault" not in line:
        pass
    assert line.startswith("fault")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    while (line := process.stdout.readline()) and "fault" in line:
        pass
    last = int(line)
    process.kill()
    process.wait()
    process.stdout.close()
    report = verify(path)
    assert report.problems == ()
    stored = set(lines_of(path))
    expected = {point.line() for n in range(last + 1) for point in [*terse(n), *energy(n)]}
    assert expected <= stored


def test_the_file_is_deleted_under_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "buffer.sqlite"
    buffer = reopen(path)
    for number in range(50):
        buffer.append(power(number))
    assert buffer.flush()
    for file in tmp_path.glob("buffer.sqlite*"):
        file.unlink()
    for number in range(50, 60):
        buffer.append(power(number))
    assert buffer.flush()
    outlet = BufferOutlet(buffer, Lane.FAST)
    assert len(outlet.oldest(0, 10**6, 10**9)) == 60
    outlet.close()
    buffer.close()
    assert "was deleted" in caplog.text
    assert lines_of(path) == all_lines(range(60))
    assert verify(path).ok


def test_the_directory_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "state" / "buffer.sqlite"
    buffer = reopen(path)
    buffer.append(power(0))
    assert buffer.flush()
    path.parent.rename(tmp_path / "elsewhere")
    buffer.append(power(1))
    until(lambda: buffer.flush())
    assert buffer.books().total.waiting == 4
    shutil.rmtree(path.parent)
    path.parent.write_text("a file where the directory was")
    buffer.append(power(2))
    assert not buffer.flush()
    path.parent.unlink()
    until(lambda: buffer.flush())
    buffer.close()
    assert verify(path).ok
    assert lines_of(path) == all_lines(range(3))


def test_an_older_copy_is_put_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "buffer.sqlite"
    first = reopen(path)
    first.append(power(0))
    first.close()
    shutil.copyfile(path, tmp_path / "backup")
    buffer = reopen(path)
    buffer.append(power(1))
    assert buffer.flush()
    for file in tmp_path.glob("buffer.sqlite*"):
        file.unlink()
    shutil.copyfile(tmp_path / "backup", path)
    buffer.append(power(2))
    assert buffer.flush()
    buffer.close()
    assert sorted(lines_of(path)) == sorted(all_lines(range(3)))
    assert verify(path).ok


def test_another_program_locks_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logger.store.database.LOCK_WAIT_S", 0.05)
    path = tmp_path / "buffer.sqlite"
    buffer = reopen(path)
    other = Database.open(path)
    with other.transaction():
        buffer.append(power(1))
        assert not buffer.flush()
        assert "locked" in buffer.state().problem
    until(lambda: buffer.flush())
    other.close()
    buffer.close()
    assert lines_of(path) == all_lines(range(1, 2))


def test_what_is_committed_is_not_written_again_when_its_log_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []

    def refuse(database: Database, **_: object) -> None:
        refused.append(database)
        raise BufferDiskError("no room to grow")

    buffer = Buffer(tmp_path / "b.sqlite", max_size=6_000_000, now_ms=now_ms)
    buffer.open()
    with monkeypatch.context() as patched:
        patched.setattr(Database, "checkpoint", refuse)
        for number in range(3000):  # the log passes the length at which it is moved
            buffer.append(power(number))
            if number % 100 == 0:
                buffer.flush()
    assert refused
    until(lambda: buffer.flush())
    points = buffer.books().total.read
    assert points == 6000
    buffer.close()
    database = Database.open_readonly(tmp_path / "b.sqlite")
    lines = [line for row in waiting(database, Lane.FAST, 0) for line in row.lines]
    database.close()
    assert len(lines) == len(set(lines)) == points


def test_what_is_committed_is_not_written_again_when_a_look_at_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = Database.size
    failed: list[int] = []

    def refuse(database: Database) -> tuple[int, int]:
        """Fail once, in the first look after a commit."""
        if buffer._writer.file.journal.pending and not failed:
            failed.append(1)
            raise BufferCorruptError("unreadable")
        return size(database)

    buffer = Buffer(tmp_path / "b.sqlite", now_ms=now_ms)
    buffer.open()
    monkeypatch.setattr(Database, "size", refuse)
    buffer.append(power(1))
    until(lambda: buffer.flush() and bool(failed) and buffer.books().total.waiting > 0)
    assert buffer.books().total.waiting == 2
    buffer.close()
    database = Database.open_readonly(tmp_path / "b.sqlite")
    assert [row.points for row in waiting(database, Lane.FAST, 0)] == [2]
    database.close()
