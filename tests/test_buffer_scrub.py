"""Damage that comes while nobody looks, after a clean stop or under a running logger, is
found: at the start where the file is small, by the scrub where it is large."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.delivery.outlet import BufferOutlet
from logger.domain.datamodel import Lane
from logger.store import check, scrub
from logger.store.database import Database
from logger.store.rows import COLUMNS, RowState, Settlement, as_row
from logger.store.verify import verify
from tests.buffers import energy, power, until
from tests.old_buffer import make_version_two

NOW = 1_700_001_000_000


def start(path: Path) -> Buffer:
    buffer = Buffer(path, commit_interval_s=60.0, now_ms=lambda: NOW)
    buffer.open()
    return buffer


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file closed in order, with rows in every state in both lanes."""
    buffer = start(tmp_path_factory.mktemp("stopped") / "buffer.sqlite")
    for number in range(300):
        buffer.append([*power(number), energy(number)])
        assert number % 20 or buffer.flush()
    assert buffer.flush()
    for lane in Lane:
        outlet = BufferOutlet(buffer, lane)
        rows = outlet.oldest(0, 200, 10**9)
        outlet.settle(Settlement(rows[:-2]))
        outlet.settle(Settlement(rows[-2:-1], {rows[-2].id: {0: "the server's reason"}}))
        outlet.release(rows[-1:])
        outlet.close()
    assert buffer.flush()
    buffer.close()
    assert not buffer.path.with_name("buffer.sqlite-wal").exists()
    return buffer.path


def lines(path: Path) -> dict[RowState, Counter[str]]:
    """Return the lines of all intact rows by state."""
    found: dict[RowState, Counter[str]] = {state: Counter() for state in RowState}
    database = Database.open_readonly(path)
    try:
        for state, *values in database.rows(f"SELECT state, {COLUMNS} FROM rows"):
            row = as_row(values)
            if row.intact:
                found[RowState(state)].update(row.lines)
    finally:
        database.close()
    return found


def judge(
    path: Path, before: dict[RowState, Counter[str]], buffer: Buffer, said: str
) -> tuple[int, bool]:
    """Check that nothing differs unsaid, or is missing uncounted; return the lines missing
    and whether there was damage."""
    state, books = buffer.state(), buffer.books()
    buffer.close()
    after = lines(path)
    damages = state.damages
    assert after == before or damages
    # what waits may have become delivered only if it was: it may be sent twice, not lost
    missing = sum((before[RowState.WAITING] - after[RowState.WAITING]).values())
    aside = before[RowState.SET_ASIDE] - after[RowState.SET_ASIDE]
    missing += sum((aside - after[RowState.WAITING]).values())
    assert missing <= sum(damage.lost or 0 for damage in damages)
    assert bool(damages) == ("damaged" in said)
    assert state.ok
    assert books.balanced
    assert verify(path).problems == ()
    return missing, bool(damages)


def flipped(source: Path, target: Path, chance: random.Random) -> Path:
    target.parent.mkdir()
    data = bytearray(source.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    target.write_bytes(data)
    return target


def flips(
    stopped: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int, whole: bool
) -> int:
    """Flip one bit `count` times, each in a fresh copy; return how often that was damage."""
    chance = random.Random(count)
    before = lines(stopped)
    mended = 0

    def scrubbed(buffer: Buffer) -> bool:
        return buffer.state().scrub.done_ms > 0

    for number in range(count):
        path = flipped(stopped, tmp_path / str(number) / "buffer.sqlite", chance)
        caplog.clear()
        buffer = start(path)
        if whole:
            until(partial(scrubbed, buffer))
        mended += judge(path, before, buffer, caplog.text)[1]
        shutil.rmtree(path.parent)
    return mended


@pytest.mark.parametrize("count", [50, pytest.param(200, marks=pytest.mark.long)])
def test_flips_after_a_clean_stop(
    stopped: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    assert flips(stopped, tmp_path, caplog, count, whole=False) > count // 2


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file be too large to be checked at the start; scrub without pauses."""
    monkeypatch.setattr(check, "_AFTER_STOP", 0)
    monkeypatch.setattr(check, "_FEW_POINTS", 0)
    monkeypatch.setattr(scrub, "STEP_S", 0.0)


def sql(text: str, *values: object) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        database = Database.open(path)
        database.run("PRAGMA ignore_check_constraints=1")
        database.run(text, *values)
        database.checkpoint(truncate=True)
        database.close()

    return damage


def index_bit(path: Path) -> None:
    """Change the state of one entry in the index that delivery reads."""
    database = Database.open_readonly(path)
    root = int(database.value("SELECT rootpage FROM sqlite_schema WHERE name='rows_by_state'"))
    database.close()
    data = bytearray(path.read_bytes())
    # the root's first child, and there the last cell: (state, lane, id)
    at = (root - 1) * 4096
    while data[at] == 0x02:
        cell = at + int.from_bytes(data[at + 12 : at + 14], "big")
        at = (int.from_bytes(data[cell : cell + 4], "big") - 1) * 4096
    place = data.index(b"main", at, at + 4096)
    data[place] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "state, delivered": sql("UPDATE rows SET state=1 WHERE id=(SELECT max(id) FROM rows)"),
    "state, unknown": sql("UPDATE rows SET state=5 WHERE id=(SELECT max(id) FROM rows)"),
    "time of the state": sql("UPDATE rows SET changed_ms=changed_ms+1 WHERE id=7"),
    "text": sql("UPDATE rows SET body=replace(body, 'grid', 'grit') WHERE id=500"),
    "text, delivered": sql("UPDATE rows SET body=replace(body, 'grid', 'grit') WHERE id=5"),
    "points": sql("UPDATE rows SET points=points+4 WHERE id=500"),
    "counters": sql("UPDATE rows SET counters=1-counters WHERE id=500"),
    "lane": sql("UPDATE rows SET lane='fbst' WHERE id=500"),
    "index": index_bit,
}


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_the_scrub_finds_damage_of_a_large_file(
    stopped: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    before = lines(stopped)
    path = Path(shutil.copyfile(stopped, tmp_path / "buffer.sqlite"))
    damage(path)
    assert not verify(path).ok
    buffer = start(path)
    until(lambda: buffer.state().scrub.done_ms > 0)
    state = buffer.state()
    assert state.damages
    assert state.scrub.done_damaged == 1
    assert state.scrub.done_ms == NOW
    judge(path, before, buffer, caplog.text)
    again = start(path)
    assert again.state().damages == ()
    assert again.state().scrub.done_damaged == 1  # of the last whole pass
    again.close()


@pytest.mark.usefixtures("large")
def test_flips_in_a_large_file(
    stopped: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert flips(stopped, tmp_path, caplog, 30, whole=True) > 10


@pytest.mark.usefixtures("large")
def test_the_scrub_goes_on_beside_commits_and_over_restarts(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub, "STEP_ROWS", (7, 7))
    monkeypatch.setattr(scrub, "STEP_S", 3600.0)
    path = Path(shutil.copyfile(stopped, tmp_path / "buffer.sqlite"))
    buffer = start(path)
    for number in (1000, 1001):
        buffer.append(power(number))
        buffer.keeper.scrub_at = 0.0  # a step is due, behind the commit
        assert buffer.flush()
    reached = buffer.state().scrub
    assert 7 <= reached.after < 600
    buffer.close()
    monkeypatch.setattr(scrub, "STEP_S", 0.0)
    again = start(path)
    assert again.state().scrub.after >= reached.after or again.state().scrub.done_ms
    until(lambda: again.state().scrub.done_ms > 0)
    found = again.state()
    assert found.scrub.done_rows >= 600
    assert found.scrub.done_damaged == 0
    assert found.damages == ()
    again.close()


@pytest.mark.usefixtures("large")
def test_an_old_file_is_carried_over_and_sealed(stopped: Path, tmp_path: Path) -> None:
    path = Path(shutil.copyfile(stopped, tmp_path / "buffer.sqlite"))
    before = lines(path)
    database = Database.open(path)
    with database.transaction():
        make_version_two(database)
    database.close()
    buffer = start(path)
    until(lambda: buffer.state().scrub.done_ms > 0)
    assert buffer.state().damages == ()
    buffer.close()
    assert lines(path) == before
    assert verify(path).ok
    database = Database.open_readonly(path)
    assert database.value("SELECT count(*) FROM rows WHERE seal IS NULL") == 0
    schema = str(database.value("SELECT sql FROM sqlite_schema WHERE name='rows'"))
    assert "checksum of crc, state, changed_ms" in schema
    database.close()
