"""A damaged file is put aside by itself; every row that can be read is carried over."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logger.buffer import Buffer
from logger.delivery.outlet import BufferOutlet
from logger.domain.datamodel import Lane
from logger.domain.errors import BufferCorruptError
from logger.points.line import Point
from logger.store.database import PAGE, Database
from logger.store.ledger import Ledger
from logger.store.recover import rebuild
from logger.store.rows import RowState, Settlement, waiting
from logger.store.salvage import SavedRow, saved
from logger.store.verify import verify
from tests.engines.rig import T0, energy, now_ms, power, until

ROWS = 300


def reopen(path: Path, commit_interval_s: float = 0.01) -> Buffer:
    # a small limit: the log is moved into the database often
    buffer = Buffer(path, commit_interval_s=commit_interval_s, now_ms=now_ms, max_size=1_300_000)
    buffer.open()
    return buffer


def deliver(buffer: Buffer, lines: int) -> None:
    outlet = BufferOutlet(buffer, Lane.FAST)
    outlet.settle(Settlement(outlet.oldest(0, lines, 10**9)))
    assert buffer.flush()
    outlet.close()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as a kill leaves it: with a log, delivered, waiting and refused rows, and
    one row of many pages."""
    directory = tmp_path_factory.mktemp("original")
    # What lies in which of its files depends on the commits: none but those asked for.
    buffer = reopen(directory / "live" / "buffer.sqlite", commit_interval_s=3600.0)
    for number in range(ROWS):
        buffer.append(power(number))
        if number % 10 == 9:
            buffer.flush()
    buffer.append([Point("event", {"kind": "long"}, {"text": "x" * 50_000}, T0)])
    assert buffer.flush()
    deliver(buffer, 200)
    outlet = BufferOutlet(buffer, Lane.FAST)
    rows = outlet.oldest(0, 2, 10**6)
    outlet.settle(Settlement(rows, {rows[0].id: {1: "the server's reason"}}))
    buffer.append(energy(7))
    assert buffer.flush()
    outlet.close()
    copy = directory / "copy" / "buffer.sqlite"
    copy.parent.mkdir()
    for tail in ("", "-wal", ".journal"):
        source = buffer.path.with_name(buffer.path.name + tail)
        shutil.copyfile(source, copy.with_name(copy.name + tail))
    buffer.close()
    return copy


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    for tail in ("", "-wal", ".journal"):
        shutil.copyfile(original.with_name(original.name + tail), tmp_path / f"buffer.sqlite{tail}")
    return tmp_path / "buffer.sqlite"


def lines_of(path: Path) -> set[str]:
    database = Database.open_readonly(path)
    try:
        return {line for lane in Lane for row in waiting(database, lane, 0) for line in row.lines}
    finally:
        database.close()


def everything() -> set[str]:
    return {point.line() for number in range(ROWS) for point in power(number)}


def test_all_rows_are_found_without_sqlite(path: Path) -> None:
    rows: dict[int, SavedRow] = {}
    ledgers: list[Ledger] = []
    for found in saved(path):
        if isinstance(found, Ledger):
            ledgers.append(found)
        elif isinstance(found, SavedRow):
            rows[found.row.id] = found
    lines = [line for one in rows.values() for line in one.row.lines]
    assert everything() <= set(lines)
    assert any(len(line) > 50_000 for line in lines)  # along its overflow pages
    states = {state: sum(one.state is state for one in rows.values()) for state in RowState}
    # the row that was split is still seen on older pages, as it was
    assert states[RowState.SET_ASIDE] == 1
    assert states[RowState.DELIVERED] >= 100
    assert max(ledgers, key=lambda ledger: ledger.commit).books().balanced


def damage_header(data: bytearray, chance: random.Random) -> None:
    data[:100] = chance.randbytes(100)


def damage_first_page(data: bytearray, chance: random.Random) -> None:
    data[:PAGE] = chance.randbytes(PAGE)


def damage_truncate(data: bytearray, chance: random.Random) -> None:
    del data[len(data) // 2 + 100 :]


def damage_tear_page(data: bytearray, chance: random.Random) -> None:
    at = PAGE * chance.randrange(4, len(data) // PAGE) + 512
    data[at : at + PAGE - 512] = bytes(PAGE - 512)


def damage_zero_middle(data: bytearray, chance: random.Random) -> None:
    middle = len(data) // PAGE // 2 * PAGE
    data[middle : middle + 4 * PAGE] = bytes(4 * PAGE)


def damage_all(data: bytearray, chance: random.Random) -> None:
    data[:] = chance.randbytes(len(data))


def damage_text(data: bytearray, chance: random.Random) -> None:
    data[:] = b"this is not a database\n" * 500


def damage_empty(data: bytearray, chance: random.Random) -> None:
    data.clear()


DAMAGES = [
    damage_header,
    damage_first_page,
    damage_truncate,
    damage_tear_page,
    damage_zero_middle,
    damage_all,
    damage_text,
    damage_empty,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("with_log", [True, False])
def test_a_damaged_file_mends_itself(
    path: Path,
    damage: Callable[[bytearray, random.Random], None],
    with_log: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = path.with_name(path.name + "-wal")
    if not with_log:
        log.unlink()
    data = bytearray(path.read_bytes())
    damage(data, random.Random(3))
    path.write_bytes(data)
    buffer = reopen(path)
    buffer.append(power(9999))
    assert buffer.flush(), buffer.state()
    outlet = BufferOutlet(buffer, Lane.FAST)
    until(lambda: taken(outlet, buffer) is not None)
    outlet.close()
    assert buffer.flush()
    assert buffer.books().balanced
    read = buffer.books().total.read
    buffer.close()
    report = verify(path)
    assert report.problems == ()
    lines = lines_of(path)
    assert {point.line() for point in power(9999)} <= lines
    aside = [file for file in path.parent.iterdir() if ".corrupt-" in file.name]
    assert bool(aside) == ("set aside as" in caplog.text)
    if with_log:
        # where the log has every page that was hit, SQLite takes them from there
        assert aside or report.points > 2 * ROWS
        assert read >= 2 * ROWS  # the log has the books: they know how many there had been
    if damage in {damage_header, damage_first_page, damage_tear_page}:
        assert len(lines & everything()) >= 300


def taken(outlet: BufferOutlet, buffer: Buffer) -> int | None:
    """Read every waiting row once, as the delivery does; None while that fails."""
    try:
        rows = outlet.oldest(0, 10**6, 10**9)
    except BufferCorruptError:
        return None
    buffer.exchange.release(rows)
    return len(rows)


@pytest.mark.parametrize("seed", range(12))
def test_damage_under_a_running_logger(path: Path, seed: int) -> None:
    """Pages turn bad while the file is open: a dying SD card."""
    chance = random.Random(seed)
    buffer = reopen(path)
    with path.open("r+b") as file:
        pages = path.stat().st_size // PAGE
        for _ in range(3):
            file.seek(PAGE * chance.randrange(pages) + chance.randrange(200))
            file.write(chance.randbytes(2000))
    outlets = [BufferOutlet(buffer, lane) for lane in Lane]
    for number in range(400, 420):
        buffer.append(power(number))
        until(lambda: buffer.flush())
        taken(outlets[number % 2], buffer)
    until(lambda: all(taken(outlet, buffer) is not None for outlet in outlets))
    for outlet in outlets:
        outlet.close()
    buffer.close()
    again = reopen(path)
    assert again.state().ok
    assert again.books().balanced
    again.close()
    fresh = {point.line() for number in range(400, 420) for point in power(number)}
    assert fresh <= lines_of(path)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=300)), max_size=8))
def test_whatever_is_overwritten_the_rest_is_carried_over(
    original: Path, tmp_path_factory: pytest.TempPathFactory, wounds: list[tuple[float, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("wound") / "buffer.sqlite"
    data = bytearray(original.read_bytes())
    wal = bytearray(original.with_name(original.name + "-wal").read_bytes())
    for place, junk in wounds:
        target = wal if place < 0.5 else data
        at = int(place % 0.5 * 2 * (len(target) - len(junk)))
        target[at : at + len(junk)] = junk
    path.write_bytes(data)
    path.with_name(path.name + "-wal").write_bytes(wal)
    result = rebuild(path, now_ms())
    assert result.aside.read_bytes() == data
    report = verify(path)
    assert report.problems == ()
    assert report.books is not None
    assert report.books.balanced
    lines = lines_of(path)
    # one wound of 300 bytes spoils the rows of two pages at most, and there are two images
    assert len(everything() & lines) >= 2 * ROWS - 200 - 2 - 60 * len(wounds)


def test_a_rebuild_broken_off_at_any_step_is_completed(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)
    rebuild(path, now_ms())
    (aside,) = (
        f
        for f in path.parent.iterdir()
        if ".corrupt-" in f.name and not f.name.endswith(("-wal", ".journal"))
    )
    whole = path.read_bytes()
    look = reopen(path)
    waiting_points = look.books().total.waiting
    look.close()
    assert waiting_points > 0
    # power fails between the renames: the new file is ready, the old one still in place
    path.rename(path.with_name(path.name + ".rebuild"))
    shutil.copyfile(aside, path)
    buffer = reopen(path)
    assert buffer.books().total.waiting == waiting_points
    buffer.close()
    # or: the old one is away already
    path.with_name(path.name + ".rebuild").write_bytes(whole)
    path.unlink()
    buffer = reopen(path)
    assert buffer.books().total.waiting == waiting_points
    buffer.close()
    # or: the new one was not ready
    path.with_name(path.name + ".rebuild-draft").write_bytes(b"half")
    buffer = reopen(path)
    assert buffer.books().total.waiting == waiting_points
    buffer.close()
    assert verify(path).ok
