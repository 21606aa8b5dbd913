"""A buffer is a database, its log and its journal: one without the others, or with those of
another time or another buffer. What can be read is carried over, what is lost is said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.delivery.outlet import BufferOutlet
from logger.domain.datamodel import Lane
from logger.domain.errors import BufferCorruptError
from logger.store.database import Database
from logger.store.rows import Settlement
from logger.store.tools import changing, summary
from logger.store.verify import verify
from tests import journal_reader
from tests.buffers import Clock, deliver, lines_of, noise, power, rows_of, take_in
from tests.running import command

NOW = 1_700_001_000_000
BEFORE, COMMITS = 10, 20  # commits of a life that ended in order, and of one that did not


def start(path: Path) -> Buffer:
    buffer = Buffer(path, commit_interval_s=60.0, now_ms=lambda: NOW)
    buffer.open()
    return buffer


def commit(buffer: Buffer, numbers: range) -> None:
    for number in numbers:
        buffer.append(power(number))
        assert buffer.flush()


def journal_of(path: Path) -> Path:
    return path.with_name(path.name + ".journal")


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    for tail in ("", "-wal", ".journal"):
        if (file := Path(f"{source}{tail}")).exists():
            shutil.copyfile(file, f"{target}{tail}")
    return target


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies there after a kill in the first life ("first") and in the second one
    ("second"), after a stop in order ("stopped"), and of another buffer ("other")."""
    root = tmp_path_factory.mktemp("files")
    live = root / "live.sqlite"
    buffer = start(live)
    commit(buffer, range(BEFORE))
    copy(live, root / "first" / "buffer.sqlite")
    buffer.close()
    buffer = start(live)
    commit(buffer, range(BEFORE, BEFORE + COMMITS))
    copy(live, root / "second" / "buffer.sqlite")
    buffer.close()
    copy(live, root / "stopped" / "buffer.sqlite")
    other = start(root / "live other.sqlite")
    commit(other, range(500, 505))
    copy(other.path, root / "other" / "buffer.sqlite")
    other.close()
    return root


def everything(numbers: range) -> set[str]:
    return {point.line() for number in numbers for point in power(number)}


def lines(path: Path) -> set[str]:
    found = lines_of(path, Lane.FAST)
    assert len(found) == len(set(found))
    return set(found)


JOURNALS: dict[str, tuple[str, Callable[[Path, Path], object]]] = {
    "deleted": ("is gone", lambda file, _: file.unlink()),
    "empty": ("is gone", lambda file, _: os.truncate(file, 0)),
    "of another buffer": ("not its own", lambda file, other: shutil.copyfile(other, file)),
    "of zeros": ("not its own", lambda file, _: file.write_bytes(bytes(file.stat().st_size))),
    "cut": ("was cut off", lambda file, _: os.truncate(file, 5 * 4096 + 100)),
}


@pytest.mark.parametrize("life", ["first", "second"])
@pytest.mark.parametrize("kind", JOURNALS)
def test_what_only_the_journal_had_is_missed(
    files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, life: str, kind: str
) -> None:
    path = copy(files / life / "buffer.sqlite", tmp_path / "buffer.sqlite")
    text, change = JOURNALS[kind]
    change(journal_of(path), journal_of(files / "other" / "buffer.sqlite"))
    assert any(text in problem for problem in verify(path).problems)
    assert text in summary(path).damage
    buffer = start(path)
    (damage,) = buffer.state().damages
    assert text in damage.text
    assert "how many points that were is not known" in damage.text
    assert damage.lost is None  # and not none at all
    assert text in caplog.text
    assert buffer.state().ok
    commit(buffer, range(100, 101))
    buffer.close()
    kept = range(0 if life == "first" else BEFORE)
    fresh = lines(path) - everything(range(100, 101))
    assert fresh >= everything(kept)
    assert fresh <= everything(range(BEFORE + COMMITS))
    assert bool(fresh - everything(kept)) == (kind == "cut")
    assert verify(path).ok
    again = start(path)
    assert again.state().damages == ()  # it is said once
    again.close()


@pytest.mark.parametrize("how", ["deleted", "empty"])
@pytest.mark.parametrize("log", [True, False])
def test_a_journal_without_its_database_is_carried_over(
    files: Path, tmp_path: Path, how: str, log: bool
) -> None:
    path = copy(files / "second" / "buffer.sqlite", tmp_path / "buffer.sqlite")
    path.unlink() if how == "deleted" else os.truncate(path, 0)
    if not log:
        log_of(path).unlink(missing_ok=True)
    if how == "empty":
        before = [file.read_bytes() for file in tmp_path.glob("*-wal")]
        with pytest.raises(BufferCorruptError, match="is empty"):
            summary(path)
        assert any("is empty" in problem for problem in verify(path).problems)
        assert [file.read_bytes() for file in tmp_path.glob("*-wal")] == before
    with pytest.raises(BufferCorruptError, match="start the logger"), changing(path, new=True):
        pass
    buffer = start(path)
    (damage,) = buffer.state().damages
    books = buffer.books()
    buffer.close()
    assert "empty, but there is a" in damage.text
    assert lines(path) >= everything(range(BEFORE, BEFORE + COMMITS))
    missing = everything(range(BEFORE + COMMITS)) - lines(path)
    assert len(missing) == damage.lost == books.total.drops.get("damaged", 0)
    assert books.balanced
    assert verify(path).ok


def test_a_database_that_is_empty_after_a_stop_is_counted(files: Path, tmp_path: Path) -> None:
    path = copy(files / "stopped" / "buffer.sqlite", tmp_path / "buffer.sqlite")
    os.truncate(path, 0)
    buffer = start(path)
    (damage,) = buffer.state().damages
    assert damage.lost == buffer.books().total.dropped == 2 * (BEFORE + COMMITS)
    buffer.close()


def test_who_removes_a_buffer_that_was_stopped_begins_anew(files: Path, tmp_path: Path) -> None:
    path = copy(files / "stopped" / "buffer.sqlite", tmp_path / "buffer.sqlite")
    path.unlink()
    buffer = start(path)
    assert buffer.state().damages == ()
    assert buffer.books().total.read == 0
    buffer.close()


@pytest.mark.parametrize("lost", ["-wal", ".journal"])
def test_a_buffer_that_was_stopped_needs_its_database_only(
    files: Path, tmp_path: Path, lost: str
) -> None:
    path = copy(files / "stopped" / "buffer.sqlite", tmp_path / "buffer.sqlite")
    path.with_name(path.name + lost).unlink(missing_ok=True)
    assert verify(path).ok
    buffer = start(path)
    assert buffer.state().damages == ()
    buffer.close()
    assert lines(path) == everything(range(BEFORE + COMMITS))


def test_the_first_life_needs_no_log(files: Path, tmp_path: Path) -> None:
    """The tables are in the database before the first commit."""
    path = copy(files / "first" / "buffer.sqlite", tmp_path / "buffer.sqlite")
    log_of(path).unlink()
    buffer = start(path)
    assert buffer.state().damages == ()
    buffer.close()
    assert lines(path) == everything(range(BEFORE))


def test_three_files_that_replace_those_of_a_running_logger_stay_together(
    files: Path, tmp_path: Path
) -> None:
    path = tmp_path / "buffer.sqlite"
    buffer = start(path)
    commit(buffer, range(200, 203))
    copy(files / "second" / "buffer.sqlite", tmp_path / "new.sqlite")
    for tail in ("-wal", ".journal", ""):
        if (file := Path(f"{tmp_path / 'new.sqlite'}{tail}")).exists():
            file.replace(f"{path}{tail}")
    commit(buffer, range(203, 204))
    assert buffer.state().damages == ()
    buffer.close()
    assert lines(path) == everything(range(BEFORE + COMMITS)) | everything(range(200, 204))
    assert verify(path).ok


def test_whoever_looks_while_a_commit_fails_sees_the_one_that_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clock = tmp_path / "buffer.sqlite", Clock()
    buffer = Buffer(path, commit_interval_s=60.0, keep_s=0.0, max_size=1_000_000, now_ms=clock)
    buffer.open()
    for number in range(40):
        text = {"text": noise(number, 10_000)}
        buffer.append([replace(point, fields=text) for point in power(number)])
    assert buffer.flush()
    assert deliver(buffer, Lane.FAST)
    clock.ms += 1000
    buffer.keeper.maintain_at = (
        0.0  # unused pages are left: a fault takes the journal in for no other
    )
    assert buffer.flush()
    commit(buffer, range(2))
    flush, failing = os.fdatasync, [2]

    def fails(file: int) -> None:
        if failing[0]:
            failing[0] -= 1
            assert rows_of(path, Lane.FAST)  # it reads what is in the file at this moment
            raise OSError(5, "Input/output error")
        flush(file)

    monkeypatch.setattr(os, "fdatasync", fails)
    buffer.append(power(2))
    assert not buffer.flush()
    for number in range(3, 60):  # a longer frame in the same place
        buffer.append(power(number))
    assert buffer.flush()
    commit(buffer, range(60, 62))
    assert lines(path) == everything(range(62))
    buffer.close()
    assert lines(path) == everything(range(62))


def refused(buffer: Buffer) -> None:
    """Let the first line of the oldest row be refused, and all others be delivered."""
    outlet = BufferOutlet(buffer, Lane.FAST)
    rows = outlet.oldest(0, 10**6, 10**9)
    outlet.settle(Settlement(rows, {rows[0].id: {0: "refused"}}))
    outlet.close()
    assert buffer.flush()


def test_a_row_that_was_split_does_not_come_again_with_a_rebuild(tmp_path: Path) -> None:
    """Its image from before the split is still in the log."""
    buffer = start(tmp_path / "live.sqlite")
    commit(buffer, range(5))
    take_in(buffer.path)
    refused(buffer)
    path = copy(buffer.path, tmp_path / "buffer.sqlite")
    buffer.close()
    data = bytearray(log_of(path).read_bytes())
    data[100] ^= 1
    log_of(path).write_bytes(data)
    again = start(path)
    (damage,) = again.state().damages
    books = again.books().total
    again.close()
    assert damage.lost == 0
    assert (books.read, books.delivered, books.set_aside, books.waiting) == (10, 9, 1, 0)
    found = [line for lines in journal_reader.read(path).values() for line in lines]
    assert sorted(found) == sorted(everything(range(5)))


def test_tables_that_are_older_than_what_the_journal_goes_on_from(tmp_path: Path) -> None:
    """The log lacks a commit that went into the tables alone."""
    buffer = start(tmp_path / "live.sqlite")
    commit(buffer, range(5))
    take_in(buffer.path)
    path = copy(buffer.path, tmp_path / "buffer.sqlite")
    refused(buffer)
    commit(buffer, range(5, 8))
    shutil.copyfile(journal_of(buffer.path), journal_of(path))
    buffer.close()
    assert any("the tables lack" in problem for problem in verify(path).problems)
    again = start(path)
    (damage,) = again.state().damages
    again.close()
    assert "the tables lack" in damage.text
    assert again.books().balanced
    assert verify(path).ok
    assert lines(path) == everything(range(8))


def test_a_row_with_a_text_for_a_number_is_told_by_commands(tmp_path: Path) -> None:
    path = tmp_path / "buffer.sqlite"
    buffer = start(path)
    commit(buffer, range(3))
    buffer.close()
    database = Database.open(path)
    database.run("UPDATE rows SET last_ms='none' WHERE id=3")
    database.close()
    done = command("buffer", "status", "--file", str(path))
    assert done.returncode == 1
    assert "start the logger: it mends its buffer" in done.stderr
    assert "Traceback" not in done.stderr
