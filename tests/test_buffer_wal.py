"""A damaged log costs no commit unsaid; a torn one, and frames of the past, are no damage."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.domain.datamodel import Lane
from logger.store.journal import Journal
from logger.store.verify import verify
from logger.store.wal import FRAME, FRAME_HEADER, HEADER
from tests.buffers import lines_of, power

COMMITS = 100
NOW = 1_700_001_000_000


def start(path: Path) -> Buffer:
    buffer = Buffer(path, commit_interval_s=60.0, now_ms=lambda: NOW)
    buffer.open()
    return buffer


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


@pytest.fixture(scope="module", autouse=True)
def straight() -> Iterator[None]:
    """Commits go straight into the database, as those that are too long for a journal."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Journal, "append", lambda _journal, _commit: None)
        yield


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that a kill after 100 commits leaves."""
    directory = tmp_path_factory.mktemp("killed")
    buffer = start(directory / "live.sqlite")
    for number in range(COMMITS):
        buffer.append(power(number))
        assert buffer.flush()
    copy(buffer.path, directory / "buffer.sqlite")
    buffer.close()
    return directory / "buffer.sqlite"


def copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(exist_ok=True)
    for tail in ("", "-wal", ".journal"):
        shutil.copyfile(f"{source}{tail}", f"{target}{tail}")
    return target


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
    assert "log is damaged" in damage.text
    assert any("damaged" in record.message for record in caplog.records)
    assert list(path.parent.glob("*.corrupt-*"))
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


@pytest.mark.parametrize("share", [0.02, 0.25, 0.5, 0.75, 0.98])
def test_one_flipped_bit_in_the_log_discards_no_commit(
    killed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, share: float
) -> None:
    path = copy(killed, tmp_path / "buffer.sqlite")
    flip(log_of(path), int(log_of(path).stat().st_size * share))
    assert len(everything() - is_mended(path, caplog)) <= 2 * 100


# magic, version, page size, sequence, both salts, both checksums
@pytest.mark.parametrize("at", [0, 3, 6, 10, 14, 17, 22, 25, 30])
def test_one_flipped_bit_in_the_header_of_the_log_discards_no_commit(
    killed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, at: int
) -> None:
    path = copy(killed, tmp_path / "buffer.sqlite")
    flip(log_of(path), at)
    assert is_mended(path, caplog) == everything()


@pytest.mark.parametrize("at", [1, 6, 9, 14, 18, 22, 24, 2000, FRAME - 1])
def test_one_flipped_bit_in_the_last_frame_is_no_power_cut(
    killed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, at: int
) -> None:
    path = copy(killed, tmp_path / "buffer.sqlite")
    flip(log_of(path), log_of(path).stat().st_size - FRAME + at)
    assert len(everything() - is_mended(path, caplog)) <= 2


def test_a_log_that_a_power_cut_tore_is_no_damage(killed: Path, tmp_path: Path) -> None:
    """The last commit is cut off, or lacks the blocks that had not reached the medium."""
    whole = log_of(killed).read_bytes()
    ends = [
        at + FRAME
        for at in range(HEADER, len(whole), FRAME)
        if any(whole[at + 4 : at + 8])  # the frame ends a commit
    ]
    assert len(ends) >= COMMITS
    before, last = ends[-2], ends[-1]
    block = (before // 4096 + 1) * 4096
    torn = {
        "in a header": whole[: before + 10],
        "in the page": whole[: last - 1],
        "before the page": whole[: last - FRAME + FRAME_HEADER],
        "no first block": whole[:before] + bytes(block - before) + whole[block:],
        "no last block": whole[: last - 2048] + bytes(2048),
        "nothing of it": whole[:before] + bytes(last - before),
    }
    for number, data in enumerate(torn.values()):
        path = copy(killed, tmp_path / str(number) / "buffer.sqlite")
        log_of(path).write_bytes(data)
        assert everything() - is_in_order(path) == {point.line() for point in power(COMMITS - 1)}


def test_frames_from_before_a_checkpoint_are_no_damage(tmp_path: Path) -> None:
    """The log began anew: behind its end lie whole frames, with an older salt."""
    buffer = Buffer(
        tmp_path / "live.sqlite", commit_interval_s=60.0, max_size=400_000, now_ms=lambda: NOW
    )
    buffer.open()
    sizes = []
    for number in range(60):
        buffer.append(power(number))
        assert buffer.flush()
        path = copy(buffer.path, tmp_path / str(number) / "buffer.sqlite")
        log = log_of(path).read_bytes()
        sizes.append(sum(log[at + 8 : at + 16] == log[16:24] for at in range(32, len(log), FRAME)))
        assert is_in_order(path) == everything(number + 1)
    buffer.close()
    assert sum(after < before for before, after in pairwise(sizes)) >= 2
    assert len(log) > HEADER + sizes[-1] * FRAME  # there are frames of the past


def test_a_torn_end_is_not_taken_for_damage_later(killed: Path, tmp_path: Path) -> None:
    """A new commit may overwrite a part of a torn one: what is left of it must not count."""
    path = copy(killed, tmp_path / "buffer.sqlite")
    data = bytearray(log_of(path).read_bytes())
    data[-3 * FRAME : -2 * FRAME] = bytes(FRAME)
    log_of(path).write_bytes(data)
    buffer = start(path)
    kept = buffer.books().total.waiting
    assert buffer.state().damages == ()
    for number in range(3):
        buffer.append(power(COMMITS + number))
        assert buffer.flush()
        again = copy(path, tmp_path / str(number) / "buffer.sqlite")
        assert len(is_in_order(again)) == kept + 2 * (number + 1)
    buffer.close()


@pytest.mark.parametrize("count", [50, pytest.param(200, marks=pytest.mark.long)])
def test_random_flips_after_a_kill(
    killed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    chance = random.Random(count)
    mended = 0
    for number in range(count):
        path = copy(killed, tmp_path / str(number) / "buffer.sqlite")
        file = path if chance.random() < path.stat().st_size / 500_000 else log_of(path)
        flip(file, chance.randrange(file.stat().st_size), chance.randrange(8))
        caplog.clear()
        buffer = start(path)
        state, books = buffer.state(), buffer.books()
        buffer.close()
        missing = len(everything() - set(lines_of(path, Lane.FAST)))
        assert missing <= sum(damage.lost or 0 for damage in state.damages)
        assert bool(state.damages) == ("damaged" in caplog.text)
        assert state.ok
        assert books.balanced
        assert verify(path).ok
        mended += bool(state.damages)
        shutil.rmtree(path.parent)
    assert mended > count // 2
