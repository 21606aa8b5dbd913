"""Whatever page of the file is overwritten, at whatever time: what can be read goes on."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.delivery.outlet import BufferOutlet
from logger.domain.datamodel import Lane
from logger.domain.errors import BufferFileError
from logger.store import check
from logger.store.database import PAGE
from logger.store.ledger import Ledger, checksum
from logger.store.verify import verify
from tests.buffers import energy, power, take_in

NOW = 1_700_001_000_000
RANDOM = random.Random(5)
NEW: Mapping[str, Callable[[bytes], bytes]] = {
    "zeros": lambda _: bytes(PAGE),
    "ones": lambda _: b"\xff" * PAGE,
    "noise": lambda _: RANDOM.randbytes(PAGE),
    "words": lambda page: page[:8] + RANDOM.randbytes(40) + page[48:],
}


def start(path: Path) -> Buffer:
    buffer = Buffer(path, commit_interval_s=60.0, now_ms=lambda: NOW)
    buffer.open()
    return buffer


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that was closed in order."""
    buffer = start(tmp_path_factory.mktemp("pages") / "buffer.sqlite")
    for number in range(150):
        buffer.append([*power(number), energy(number)])
        assert number % 20 or buffer.flush()
    buffer.close()
    return buffer.path


@pytest.fixture
def path(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(stopped, tmp_path / "buffer.sqlite"))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of this size count as large: they are not wholly checked at the start."""
    for name in ("_AFTER_CRASH", "_AFTER_STOP"):
        monkeypatch.setattr(check, name, 0)
    monkeypatch.setattr(check, "_FEW_POINTS", -1)


def overwrite(path: Path, pages: tuple[int, ...], kind: str) -> None:
    """Overwrite pages, of which the first is number 1."""
    data = bytearray(path.read_bytes())
    for number in pages:
        place = slice((number - 1) * PAGE, number * PAGE)
        data[place] = NEW[kind](bytes(data[place]))
    with path.open("r+b") as file:  # the same file: a buffer may have it open
        file.write(data)


def works(buffer: Buffer) -> None:
    """Read as the delivery does, append, and check all of the file: in the end all is well."""
    for lane in Lane:
        outlet = BufferOutlet(buffer, lane)
        for _ in range(3):
            with suppress(BufferFileError):
                outlet.release(outlet.newest(0, 100))
                outlet.release(outlet.oldest(0, 1000, 10**9))
            buffer.flush()
        outlet.close()
    buffer.append(power(10**6))
    assert buffer.flush(), buffer.state().problem
    while True:
        buffer.keeper.scrub_at = 0.0
        assert buffer.flush(), buffer.state().problem
        if buffer.state().scrub.done_ms and not buffer.state().scrub.after:
            break
    books = buffer.books()
    assert books.balanced
    assert books.total.read == 452
    buffer.close()
    assert verify(buffer.path).problems == ()


def pages_of(stopped: Path) -> int:
    return stopped.stat().st_size // PAGE


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize("pages", [(1,), (2, 3), (3,), (4,), (5, 6, 7)])
def test_pages_overwritten_while_no_logger_ran(
    path: Path, pages: tuple[int, ...], kind: str
) -> None:
    overwrite(path, pages, kind)
    buffer = start(path)
    works(buffer)
    assert buffer.state().damages


@pytest.mark.parametrize("kind", ["noise", "words"])
@pytest.mark.parametrize("pages", [(3,), (4,), (7,), (9,)])
def test_pages_overwritten_under_a_running_logger(
    path: Path, pages: tuple[int, ...], kind: str
) -> None:
    buffer = start(path)
    overwrite(path, pages, kind)
    works(buffer)


@pytest.mark.long
@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize("running", [False, True])
def test_every_single_page(stopped: Path, tmp_path: Path, kind: str, running: bool) -> None:
    for number in range(1, pages_of(stopped) + 1):
        path = tmp_path / f"{number}" / "buffer.sqlite"
        path.parent.mkdir()
        shutil.copy(stopped, path)
        if not running:
            overwrite(path, (number,), kind)
        buffer = start(path)
        if running:
            overwrite(path, (number,), kind)
        works(buffer)


def test_a_number_that_is_there_already_is_damage(path: Path) -> None:
    """Another program, or a flip that the books do not see, put a row where the next goes."""
    buffer = start(path)
    buffer.append(power(1000))
    assert buffer.flush()
    take_in(path)
    with closing(sqlite3.connect(path)) as other, other:
        (text,) = other.execute("SELECT value FROM ledger").fetchone()
        ledger = Ledger.loads(text)
        ledger.next_id -= 1
        text = ledger.dumps()
        other.execute("UPDATE ledger SET value=?, crc=?", (text, checksum(text)))
    buffer.append(power(1001))
    assert buffer.flush()
    (damage,) = buffer.state().damages
    assert "number" in damage.text
    assert damage.lost == 0
    assert buffer.books().total.waiting == 454
    buffer.close()
    assert verify(path).problems == ()


def test_damage_that_comes_again_and_again_is_the_mediums(path: Path) -> None:
    buffer = start(path)
    for _ in range(20):
        overwrite(path, (3,), "zeros")
        buffer.keeper.scrub_at = 0.0
        if not buffer.flush():
            break
    assert "the medium fails" in buffer.state().problem
    buffer.close()
    assert 1 <= len(list(path.parent.glob("*.corrupt-*Z*"))) <= 10
