"""Gateways and networks that bring an answer twice: no value lost, no other master made up."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from logger.bus import Bus, sharing
from logger.bus.twice import Repeats
from logger.meter.session import MeterReader
from logger.models import Job, load
from logger.simulate import VirtualMeter
from logger.simulate.writing import Refusal
from tests.gateways import asked, refused
from tests.lines import answer_to, bus_config, meter_config, scripted, seal
from tests.readers import NOW, NOW_MS, fixed_meter, truth

JOBS = (Job.IDENTITY, Job.SLOW, Job.FAST)
_ROUNDS = 20


def answer_of(meter: VirtualMeter, request: bytes) -> bytes:
    place = asked(request)
    try:
        return answer_to(request, meter.read_words(place.address, place.count, NOW))
    except Refusal as refusal:
        return refused(request, refusal.code)


def over_modbus_tcp(meter: VirtualMeter, request: bytes) -> bytes:
    """Return the answer to a Modbus TCP `request`: unit and PDU behind a header."""
    body = answer_of(meter, seal(*request[6:]))[:-2]
    return request[:4] + len(body).to_bytes(2, "big") + body


@contextmanager
def datagrams(
    answer: Callable[[bytes], bytes], held: Callable[[], bool] = lambda: False
) -> Iterator[int]:
    """Answer every datagram twice on a UDP port; where one is `held`, its second answer
    comes upon the next question, before the answer to that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        number = int(line.getsockname()[1])

        def serve() -> None:
            kept = b""
            while (came := line.recvfrom(512))[0]:
                said = answer(came[0])
                second, now = (b"", said) if held() else (said, b"")
                for one in filter(None, (kept, said, second)):
                    line.sendto(one, came[1])
                kept = now

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield number
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", ("127.0.0.1", number))
        thread.join()


@contextmanager
def port_of(kind: str, meter: VirtualMeter) -> Iterator[str]:
    if kind == "udp":
        with datagrams(lambda request: answer_of(meter, request)) as number:
            yield f"udp://127.0.0.1:{number}"
        return
    scheme, answer = ("tcp", over_modbus_tcp) if kind == "tcp" else ("socket", answer_of)

    def twice(request: bytes) -> list[bytes | float]:
        said = answer(meter, request)
        return [said, 0.01, said] if kind == "later" else [said + said]

    with scripted(twice) as line:
        yield f"{scheme}://127.0.0.1:{line.port}"


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("tcp", "pro380"),
        ("udp", "pro380"),
        ("at once", "pro380"),
        # Each value takes a request of its own: the second answer fits the next question, too.
        ("later", "pro380-legacy"),
    ],
)
def test_answers_that_come_twice_cost_no_value(
    kind: str, model: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The wait for a second answer ends when it has come; a busy machine may be late.
    monkeypatch.setattr(sharing, "_SECOND_S", 1.0)
    meter = fixed_meter(model)
    right, table, one = truth(meter), load(model), meter_config(1, model)
    with caplog.at_level(logging.INFO), port_of(kind, meter) as port:
        bus = Bus(bus_config(port, one, timeout=2.0))
        reader = MeterReader(bus, one, table, lambda: NOW_MS)
        for _ in range(_ROUNDS):  # in the first ones it is found out
            readings = [reader.read(job, NOW_MS) for job in JOBS]
            for reading in readings:
                assert reading.values == {k: right[k] for k in reading.values}
            if not bus.shared and not any(reading.failures for reading in readings):
                break
        assert [len(one.values) for one in readings] == [len(table.of_job(job)) for job in JOBS]
        assert not bus.shared
        assert bus.sharing.repeats.habit == (kind != "tcp")  # there the number tells
        bus.close()
    assert sum("answers come twice" in one for one in caplog.messages) == (kind != "tcp")


def test_a_second_answer_that_comes_late_is_no_other_master(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes when it is waited for no longer, and is as long as the one to the next question."""
    monkeypatch.setattr(sharing, "_SECOND_S", 0.05)
    meter = fixed_meter("pro380-legacy")
    right, table, one = truth(meter), load("pro380-legacy"), meter_config(1, "pro380-legacy")
    late, turns = threading.Event(), itertools.cycle(range(97))
    port = datagrams(
        lambda request: answer_of(meter, request), lambda: late.is_set() and next(turns) == 9
    )
    with caplog.at_level(logging.INFO), port as number:
        bus = Bus(bus_config(f"udp://127.0.0.1:{number}", one, timeout=2.0))
        reader = MeterReader(bus, one, table, lambda: NOW_MS)
        for _ in range(_ROUNDS):
            reader.read(Job.IDENTITY, NOW_MS)
        assert bus.sharing.repeats.habit
        late.set()
        caplog.clear()
        for _ in range(4):
            for job in JOBS:
                reading = reader.read(job, NOW_MS)
                assert reading.values == {k: right[k] for k in reading.values}
        assert not bus.shared
        assert not bus.sharing.traffic.frames
        bus.close()
    assert not [one for one in caplog.messages if "another master asks" in one]


def test_it_takes_some_answers_in_a_row_of_different_bytes() -> None:
    def habit(*answers: tuple[bytes, bool]) -> bool:
        found = Repeats("line")
        for frame, twice in answers:
            found.answered(frame)
            assert not found.again(b"other")
            assert not twice or found.again(frame)
        return found.habit

    a, b = (b"a", True), (b"b", True)
    assert habit(a, b, a)
    assert not habit(a, a, a, a)
    assert not habit(a, b, (b"c", False), a)


def test_another_master_is_heard_where_answers_come_twice(caplog: pytest.LogCaptureFixture) -> None:
    """Its answers are as long as ours whatever we ask for, and come twice as well."""
    meter = fixed_meter("pro380")
    right, one = truth(meter), meter_config(1)
    foreign = {"sends": False}

    def script(request: bytes) -> Iterator[bytes]:
        count = asked(request).count
        theirs = answer_to(request, range(1, count + 1)) if foreign["sends"] else b""
        yield 2 * theirs + 2 * answer_of(meter, request)  # at once, however busy this machine is

    with caplog.at_level(logging.INFO), scripted(script) as line:
        bus = Bus(bus_config(f"socket://127.0.0.1:{line.port}", one, timeout=5.0))
        reader = MeterReader(bus, one, load("pro380"), lambda: NOW_MS)
        for number in range(9):
            foreign["sends"] = number >= 3
            reading = reader.read(JOBS[number % 3], NOW_MS)
            assert reading.values == {k: right[k] for k in reading.values}
            assert bool(reading.values) == (number < 3)
            if number == 2:
                assert bus.sharing.repeats.habit
                assert not bus.shared
        assert bus.shared
        bus.close()
