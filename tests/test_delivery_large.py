"""A line that is too large for the server by itself does not keep the others from it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from logger.domain.datamodel import Lane
from logger.points.line import Point
from tests.conftest import Target
from tests.engines.rig import T0, Rig, expected_fast, power, until

pytestmark = pytest.mark.engine
LIMIT = 8_000  # bytes of a request


@pytest.fixture
def rig(tmp_path: Path, target: Target) -> Iterator[Rig]:
    rig = Rig(tmp_path / "buffer.sqlite", target, deliver=False)
    yield rig
    target.translator.max_body = None
    rig.close()


def huge(number: int) -> list[Point]:
    """A point whose text no compression makes small."""
    text = random.Random(number).randbytes(LIMIT).hex()
    return [Point("power", {"site": "s", "meter": "note"}, {"text": text}, T0 + number)]


def start(rig: Rig, target: Target, limit: int) -> None:
    assert rig.buffer.flush()
    rig.close()
    target.translator.max_body = limit
    rig.open()


def test_it_is_set_aside_and_said_once(
    rig: Rig, target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(40):
        rig.buffer.append(power(number))
        if number in {10, 30}:
            rig.buffer.append(huge(number))
    start(rig, target, LIMIT)
    until(lambda: rig.buffer.flush() and rig.buffer.books().total.waiting == 0)
    books = rig.buffer.books().total
    assert (books.delivered, books.set_aside, books.dropped) == (80, 2, 0)
    assert rig.fast() == expected_fast(range(40))
    said = [r.message for r in caplog.records if "set aside" in r.message]
    assert len(said) == 1
    assert "413" in said[0]
    assert "too large alone" in said[0]
    assert rig.delivery.state()[Lane.FAST].status == "ok"


def test_it_is_set_aside_when_nothing_else_waits(rig: Rig, target: Target) -> None:
    rig.buffer.append(huge(1))
    start(rig, target, LIMIT)
    until(lambda: rig.delivery.state()[Lane.FAST].status == "wrong target")
    assert rig.buffer.books().total.set_aside == 0  # who knows what is at fault?
    rig.buffer.append(power(2))  # this one is taken, and so it was the line

    def settled() -> bool:
        rig.buffer.append(power(2))  # the pause after a failure ends at some time
        return rig.buffer.flush() and rig.buffer.books().total.set_aside == 1

    until(settled)
    until(lambda: rig.buffer.flush() and rig.buffer.books().total.waiting == 0)
    assert rig.fast() == expected_fast([2])


def test_a_server_that_finds_everything_too_large_gets_it_later(rig: Rig, target: Target) -> None:
    for number in range(20):
        rig.buffer.append(power(number))
    start(rig, target, 10)
    until(lambda: rig.delivery.state()[Lane.FAST].status == "wrong target")
    assert rig.buffer.flush()
    assert (rig.buffer.books().total.waiting, rig.buffer.books().total.set_aside) == (40, 0)
    target.translator.max_body = None
    rig.close()  # what is tried slowly is tried at the next start
    rig.open()
    until(lambda: rig.buffer.flush() and rig.buffer.books().total.delivered == 40)
    assert rig.fast() == expected_fast(range(20))
