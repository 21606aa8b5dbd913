"""Transactions on a line that does what lines do.

fault                              | what the bus does
silence                            | SilentError after the timeout
exception frame                    | RefusedError with the code, at once
late answer, other length          | skipped, the right one is taken
late answer, same length           | GarbledError until `resynchronise` has matched again
echo                               | skipped, reported once
babble                             | GarbledError within a bounded time
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence

import pytest

from logger.bus import Bus
from logger.domain.errors import GarbledError, RefusedError, SilentError
from logger.models.plan import Block
from logger.simulate import VirtualLine, quirks_named
from tests.lines import bus_config, honest, scripted, seal, words_at
from tests.readers import NOW, Clock, fixed_meter

FAST = Block(0x5002, 48)
PROBES = (Block(0x4000, 2), Block(0x4000, 3), Block(0x4000, 4))


@pytest.fixture
def line() -> Iterator[VirtualLine]:
    with VirtualLine([fixed_meter()], clock=lambda: NOW, paced=False) as found:
        yield found


def test_words_are_what_the_meter_holds(line: VirtualLine) -> None:
    bus = Bus(bus_config(line.start_tcp(), baudrate=9600))
    expected = list(line.meters[0].read_words(FAST.address, FAST.count, NOW))
    assert len(set(expected)) > 40
    assert bus.read(1, FAST) == expected
    assert (bus.stats.requests, bus.stats.answered) == (1, 1)
    assert bus.latency_s is not None
    assert not bus.echo
    bus.close()


def test_a_refusal_is_told_from_silence(line: VirtualLine) -> None:
    bus = Bus(bus_config(line.start_tcp(), baudrate=9600))
    with pytest.raises(RefusedError, match="exception 2") as refused:
        bus.read(1, Block(0x0010, 2))
    assert refused.value.code == 2
    assert not bus.unsure(1)
    with pytest.raises(SilentError, match="address 9"):
        bus.read(9, FAST, timeout_s=0.05)
    assert bus.unsure(9)
    assert (bus.stats.refused, bus.stats.silent) == (1, 1)
    bus.close()


def test_a_gateway_that_answers_for_a_silent_meter_is_understood() -> None:
    with scripted(lambda request: [seal(request[0], 0x83, 0x0B)]) as line:
        bus = Bus(bus_config(line.port))
        with pytest.raises(SilentError, match="the gateway says"):
            bus.read(1, FAST)
        bus.close()


@pytest.mark.parametrize(
    ("register", "words", "function", "frame"),
    [
        (0x4003, [0x000A], 6, "01 06 40 03 00 0A"),
        (0x4004, [9600], 6, "01 06 40 04 25 80"),
        (0x400D, [0x4120, 0x0000], 16, "01 10 40 0D 00 02 04 41 20 00 00"),
        (0x401F, [0x9995, 0x0005], 16, "01 10 40 1F 00 02 04 99 95 00 05"),
        (0x6049, [0, 0], 16, "01 10 60 49 00 02 04 00 00 00 00"),
    ],
)
def test_writes_are_the_manuals_frames_byte_for_byte(
    register: int, words: list[int], function: int, frame: str
) -> None:
    body = bytes.fromhex(frame)

    def script(request: bytes) -> Iterable[bytes]:
        yield request if function == 6 else seal(*request[:6])

    with scripted(script) as line:
        bus = Bus(bus_config(line.port))
        bus.write(1, register, words, function)
        bus.close()
        assert line.requests == [seal(*body)]


def test_a_write_that_cannot_be_is_refused_before_the_line() -> None:
    with scripted(lambda request: [request]) as line:
        bus = Bus(bus_config(line.port))
        with pytest.raises(ValueError, match="one meter"):
            bus.write(0, 0x4003, [1], 6)
        with pytest.raises(ValueError, match="does not write"):
            bus.write(1, 0x4003, [1, 2], 6)
        with pytest.raises(ValueError, match="does not write"):
            bus.write(1, 0x4003, [1], 5)
        assert not line.requests


def test_a_late_answer_of_another_length_is_skipped() -> None:
    held: list[bytes] = []

    def script(request: bytes) -> Iterable[bytes]:
        late = held.pop() if held else b""
        if request[4:6] == bytes((0, 2)):
            held.append(honest(request))
            return
        yield late + honest(request)

    with scripted(script) as line:
        bus = Bus(bus_config(line.port))
        with pytest.raises(SilentError):
            bus.read(1, PROBES[0], 0.05)
        assert bus.read(1, FAST) == words_at(FAST.address, FAST.count)
        bus.close()


def test_a_late_answer_of_the_same_length_is_not_believed() -> None:
    held: list[bytes] = []

    def script(request: bytes) -> Iterable[bytes]:
        """Be one answer behind until a question of three registers comes."""
        if request[5] == 3:
            held.clear()
            yield honest(request)
            return
        held.append(honest(request))
        if len(held) > 1:
            yield held.pop(0)

    with scripted(script) as line:
        bus = Bus(bus_config(line.port))
        with pytest.raises(SilentError):
            bus.read(1, Block(0x1000, 2), 0.05)
        with pytest.raises(GarbledError, match="earlier question"):
            bus.read(1, Block(0x2008, 2))
        line.script = lambda request: [honest(request)]
        bus.resynchronise(1, PROBES)
        assert not bus.unsure(1)
        assert bus.read(1, Block(0x2008, 2)) == words_at(0x2008, 2)
        bus.close()


@pytest.mark.parametrize(
    ("counts", "late", "believed"), [((2, 3, 4), 3, True), ((2, 2, 4), 2, False)]
)
def test_a_late_answer_settles_its_question_and_those_before(
    counts: Sequence[int], late: int, believed: bool
) -> None:
    """Meters answer in order: what is older than an answer will not be answered any more."""
    asked: list[bytes] = []

    def script(request: bytes) -> Iterable[bytes]:
        """Answer an earlier question instead of the third, and from then on at once."""
        asked.append(request)
        if len(asked) == 3:
            yield honest(seal(1, 3, 0x20, 0, 0, late))
        elif len(asked) > 3:
            yield honest(request)

    with scripted(script) as line:
        bus = Bus(bus_config(line.port, timeout=5.0), Clock())  # no question grows too old
        for count, timeout in zip(counts, (0.05, 0.05, 1.0), strict=True):
            with pytest.raises((SilentError, GarbledError)):
                bus.read(1, Block(0x1000, count), timeout)
        if believed:
            assert bus.read(1, Block(0x1000, 2)) == words_at(0x1000, 2)
        else:
            with pytest.raises(GarbledError, match="earlier question"):
                bus.read(1, Block(0x1000, 2))
        bus.close()


def test_questions_of_one_length_are_believed_again_however_often_they_are_put() -> None:
    """Where other masters ask for all lengths but one no other question tells more. Put once
    a second, each left its own answer in doubt, and the meter was never believed again."""
    answers: list[bytes] = []
    clock = Clock()

    def script(request: bytes) -> Iterable[bytes]:
        answers.append(honest(request))
        if len(answers) > 1:
            yield answers[-1]

    with scripted(script) as line:
        bus = Bus(bus_config(line.port, timeout=5.0), clock)
        with pytest.raises(SilentError):
            bus.read(1, Block(0x1000, 1), 0.05)
        for _ in range(20):
            clock.now += 1.0
            with contextlib.suppress(GarbledError):
                assert bus.read(1, Block(0x1000, 1)) == words_at(0x1000, 1)
                break
        else:
            pytest.fail("a meter that answers is not believed")
        bus.close()


def test_settling_needs_two_matches() -> None:
    """A meter that is always one answer behind never settles, however long the pauses."""
    held: list[bytes] = []
    clock = Clock()

    def script(request: bytes) -> Iterable[bytes]:
        held.append(honest(request))
        if len(held) > 1:
            yield held.pop(0)

    with scripted(script) as line:
        bus = Bus(bus_config(line.port, timeout=2.0), clock)
        with pytest.raises(SilentError):
            bus.read(1, PROBES[0], 0.05)
        for _ in range(6):
            clock.now += 60
            with pytest.raises(GarbledError):
                bus.resynchronise(1, PROBES)
        assert bus.unsure(1)
        bus.close()


@pytest.mark.parametrize("echo", ["auto", True])
def test_echo_is_skipped_in_reads_and_writes_and_reported_once(
    echo: str | bool, caplog: pytest.LogCaptureFixture
) -> None:
    meter = fixed_meter()
    with VirtualLine(
        [meter], clock=lambda: NOW, paced=False, quirks=quirks_named(["echo"])
    ) as line:
        bus = Bus(bus_config(line.start_tcp(), baudrate=9600, local_echo=echo))
        expected = list(meter.read_words(0x4000, 32, NOW))
        with caplog.at_level(logging.INFO, "logger.bus"):
            assert bus.read(1, Block(0x4000, 32)) == expected
            assert bus.read(1, FAST) == list(meter.read_words(FAST.address, FAST.count, NOW))
            bus.write(1, 0x4010, [0x0025], 6)
            bus.write(1, 0x400D, [0x4120, 0x0000], 16)
        assert bus.echo
        assert bus.read(1, Block(0x4010, 1)) == [0x0025]
        assert sum("echoes" in record.message for record in caplog.records) == (echo == "auto")
        with pytest.raises(SilentError):
            bus.read(5, FAST, 0.05)
        with pytest.raises(RefusedError):
            bus.read(1, Block(0x0001, 1))
        bus.close()


def test_an_echoed_write_that_nobody_answers_is_no_success() -> None:
    def script(request: bytes) -> Iterable[bytes]:
        yield request
        if request[1] == 3:
            yield honest(request)

    with scripted(script) as line:
        bus = Bus(bus_config(line.port, timeout=5.0))
        bus.read(1, FAST)
        with pytest.raises(SilentError):
            bus.write(1, 0x4010, [0x0025], 6, 0.05)
        bus.close()


@pytest.mark.parametrize("copies", [1, 2])
def test_a_first_write_on_an_unknown_adapter_works_with_and_without_echo(copies: int) -> None:
    with scripted(lambda request: [request] * copies) as line:
        bus = Bus(bus_config(line.port))
        bus.write(1, 0x4010, [0x0025], 6)
        bus.close()


def test_endless_babble_never_blocks(line: VirtualLine) -> None:
    line.set_quirks(quirks_named(["babble"]))
    bus = Bus(bus_config(line.start_tcp(), timeout=0.1, baudrate=9600))
    meter = line.meters[0]
    for _ in range(3):
        try:
            words = bus.read(1, FAST)
        except (GarbledError, SilentError):
            continue
        assert words == list(meter.read_words(FAST.address, FAST.count, NOW))
    assert bus.stats.busy_s < 3 * 3
    line.set_quirks([])
    bus.resynchronise(1, PROBES)
    assert bus.read(1, FAST) == list(meter.read_words(FAST.address, FAST.count, NOW))
    bus.close()


def test_a_flood_ends_the_transaction() -> None:
    with scripted(lambda request: [bytes(range(256)) * 64]) as line:
        bus = Bus(bus_config(line.port))
        with pytest.raises(GarbledError) as caught:
            bus.read(1, FAST)
        assert "more)" in caught.value.message
        line.script = lambda request: [honest(request)]
        bus.resynchronise(1, PROBES)
        assert bus.read(1, FAST) == words_at(FAST.address, FAST.count)
        bus.close()
