"""M-Bus lines as they are in buildings: other meters, other makers, networks that stutter."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from logger.bus.mbus import MbusBus
from logger.domain.errors import GarbledError
from logger.mbus import frames
from logger.mbus.frames import CI_VARIABLE, RSP_UD, long
from logger.meter.mbusreader import MbusReader
from logger.meter.reading import Reading
from logger.meter.state import StateStore
from logger.models import Job, available, load
from logger.survey.mbusscan import line_config, sweep
from tests.lines import bus_config, meter_config, scripted
from tests.mbus_telegrams import PRO380_KWH, PRO380_RECORDS
from tests.readers import complete

NOW_MS = 1_750_000_000_000
ACK = b"\xe5"
PATIENCE_S = 0.5  # longer than a script takes on a busy machine
MODELS = [load(name) for name in available()]
Answers = Callable[[bytes], Iterable[bytes | float | None]]


def header(serial: str, maker: bytes = b"\xcd\x25", signature: bytes = b"\0\0") -> bytes:
    return bytes.fromhex(serial)[::-1] + maker + b"\x01\x02\x00\x00" + signature


def telegram(serial: str, records: bytes = PRO380_RECORDS, address: int = 1) -> bytes:
    return long(RSP_UD, address, CI_VARIABLE, header(serial) + records)


def asking(answers: Answers) -> Answers:
    """Return a meter that acknowledges a reset, and answers a question by `answers`."""

    def script(request: bytes) -> Iterable[bytes | float | None]:
        return [ACK] if request[1] == frames.SND_NKE else answers(request)

    return script


def rounds(
    script: Answers, jobs: Iterable[Job], store: StateStore | None = None, **bus: object
) -> list[Reading]:
    """Return what a reader makes of each of `jobs`, 100 s apart."""
    options = {"baudrate": 2400, "protocol": "mbus", "timeout": 2.0} | bus
    now = 0.0
    with scripted(script) as line:
        config = meter_config(1, "pro380-mb")
        master = MbusBus(bus_config(line.port, config, **options))
        reader = MbusReader(
            master,
            config,
            load("pro380-mb"),
            lambda: NOW_MS + round(1000 * now),
            states=store,
            clock=lambda: now,
        )
        found = []
        for job in jobs:
            found.append(reader.read(job, NOW_MS + round(1000 * now)))
            now += 100.0
        master.close()
    return found


def kwh(reading: Reading) -> dict[str, str]:
    return {str(quantity): str(value) for quantity, value in reading.values.items()}


def test_telegrams_of_two_meters_are_never_one_reading() -> None:
    """Both have the address; the first part is from one of them and the rest from the other."""

    def two(request: bytes) -> list[bytes]:
        if request[1] & frames.FRAME_COUNT_BIT:
            return [telegram("22091039", PRO380_RECORDS[:6] + b"\x1f")]
        return [telegram("22091040", PRO380_RECORDS[6:])]

    (reading,) = rounds(asking(two), [Job.SLOW])
    assert not reading.values
    assert "INM 22091039 and INM 22091040" in str(reading.failures[0].error)


def test_another_meter_counts_from_its_identity_on(tmp_path: Path) -> None:
    """A meter was replaced: no value of the new one comes before the news that it is new."""
    serial = iter(["22091039"] * 2 + ["22091040"] * 20)
    jobs = (Job.IDENTITY, Job.SLOW, Job.SLOW, Job.SLOW, Job.IDENTITY, Job.SLOW)
    found = rounds(asking(lambda _: [telegram(next(serial))]), jobs, StateStore(tmp_path))
    assert [bool(one.values) for one in found] == [True, True, False, False, True, True]
    assert "serial number 22091040 answers, it was 22091039" in str(found[2].failures[0].error)
    assert kwh(found[-1]) == PRO380_KWH


def test_two_meters_that_answer_by_turns_are_told(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    rounds(asking(lambda _: [telegram("22091039")]), [Job.IDENTITY], store)
    turns = itertools.cycle(["22091040", "22091039"])
    found = rounds(asking(lambda _: [telegram(next(turns))]), [Job.SLOW, Job.IDENTITY], store)
    assert not any(one.values for one in found)
    assert all(isinstance(one.failures[0].error, GarbledError) for one in found)
    assert "two meters on one address" in found[0].failures[0].error.hint


@pytest.mark.parametrize("gap", [None, 0.2])
def test_a_network_may_bring_a_frame_in_pieces(gap: float | None) -> None:
    """On a network a frame has until the timeout, unless `gap` says when it is over."""
    whole = telegram("22091039")
    pieces: list[bytes | float | None] = [
        whole[:3],
        0.5,
        whole[3:40],
        0.5,
        whole[40:-1],
        0.5,
        whole[-1:],
    ]
    (reading,) = rounds(asking(lambda _: pieces), [Job.SLOW], timeout=3.0, gap=gap)
    assert complete(reading) is (gap is None)
    assert kwh(reading) == (PRO380_KWH if gap is None else {})


def test_a_converter_that_hangs_up_after_each_answer_costs_no_reading() -> None:
    found = rounds(asking(lambda _: [telegram("22091039"), None]), [Job.SLOW] * 8)
    assert all(kwh(one) == PRO380_KWH for one in found)


def test_a_converter_that_hangs_up_instead_of_answering_costs_no_reading() -> None:
    def script() -> Iterator[list[bytes | None]]:
        yield [telegram("22091039")]
        while True:
            yield [None]
            yield [telegram("22091039")]

    steps = script()
    found = rounds(asking(lambda _: next(steps)), [Job.SLOW] * 3)
    assert all(kwh(one) == PRO380_KWH for one in found)


class Line:
    """Several meters on one line, by address: their number and what they answer."""

    def __init__(self, meters: dict[int, tuple[str, bytes]]) -> None:
        self.meters = meters
        self.selected: set[int] = set()

    def __call__(self, request: bytes) -> list[bytes]:
        if len(request) > 5:  # a selection
            pattern = request[7:11][::-1].hex().upper()
            self.selected = {
                address
                for address, (serial, _) in self.meters.items()
                if all(one in ("F", own) for one, own in zip(pattern, serial, strict=True))
            }
            return [ACK] if self.selected else []
        there = self.selected if request[2] == frames.SELECTED else {request[2]} & set(self.meters)
        if not there:
            return []
        if request[1] == frames.SND_NKE:
            return [ACK]
        answers = [self.meters[one][1] for one in there]
        return answers[:1] if len(answers) == 1 else [b"\xff\x68\x00"]


ENCRYPTED = long(
    RSP_UD, 3, CI_VARIABLE, header("33333333", b"\x24\x40", b"\x10\x05") + b"\x12" * 32
)
FIXED = long(RSP_UD, 3, 0x73, bytes.fromhex("33333333") + bytes(12))
TEXT = long(RSP_UD, 3, CI_VARIABLE, header("33333333", b"\x2d\x2c") + bytes.fromhex("0D7FE4010203"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(ENCRYPTED, "encrypted"), (FIXED, "control information 73"), (TEXT, "variable length")],
    ids=["encrypted", "fixed", "text"],
)
def test_scan_says_why_a_meter_is_not_understood(answer: bytes, reason: str) -> None:
    """A heat meter of another maker beside ours is neither a collision nor a bad line."""
    there = {1: ("22091039", telegram("22091039")), 3: ("33333333", answer)}
    with scripted(Line(there)) as line:
        port = f"socket://127.0.0.1:{line.port}"
        found = sweep(line_config(port, 9600), MODELS, [1, 3], patience_s=PATIENCE_S)
    assert [(one.address, one.serial, one.model) for one in found] == [
        (1, "22091039", "pro380-mb"),
        (3, "33333333", ""),
    ]
    assert reason in found[1].note
    assert "several meters" not in found[1].note


def test_scan_finds_meters_that_answer_every_second_question() -> None:
    there = {n: (f"{n}2209104", telegram(f"{n}2209104", address=n)) for n in (1, 2)}
    line, count = Line(there), itertools.count()

    def script(request: bytes) -> list[bytes]:
        return line(request) if next(count) % 2 else []

    with scripted(script) as there_too:
        port = f"socket://127.0.0.1:{there_too.port}"
        found = sweep(line_config(port, 9600), MODELS, [1, 2], patience_s=PATIENCE_S)
    assert [(one.address, one.serial, one.note) for one in found] == [
        (1, "12209104", ""),
        (2, "22209104", ""),
    ]


def test_scan_ends_on_a_line_that_brings_noise_to_every_question() -> None:
    with scripted(lambda request: [bytes((request[-2] ^ 0x55, 0x00, 0x12))]) as line:
        found = sweep(line_config(f"socket://127.0.0.1:{line.port}", 9600), MODELS, [1])
        assert len(line.requests) < 60
    (one,) = found
    assert "the search by number was given up" in one.note


def test_a_meter_that_is_busy_for_a_moment_is_asked_again_and_else_says_so() -> None:
    """A general application error instead of its data."""
    busy = long(RSP_UD, 1, frames.CI_ERROR, b"\x08")
    turns = itertools.count()
    good = telegram("12345678")
    (reading,) = rounds(asking(lambda _: [good if next(turns) else busy]), [Job.SLOW])
    assert complete(reading)
    assert reading.values
    (reading,) = rounds(asking(lambda _: [busy]), [Job.SLOW])
    assert not reading.values
    error = reading.failures[-1].error
    assert "it reports an error: it is too busy to answer" in error.message
    assert "not ready yet" in error.hint
    assert "another maker" not in error.hint
