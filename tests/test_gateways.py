"""Gateways on the network: each way they speak, the wrong mode, connections that close."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger.bus import Bus
from logger.bus.mbap import Mbap
from logger.domain.errors import GarbledError, PortError, RefusedError, SilentError
from logger.models.plan import Block
from tests.gateways import Gateway, scene, whole
from tests.lines import (
    ScriptedLine,
    bus_config,
    honest,
    meter_config,
    scripted,
    seal,
    words_at,
)
from tests.opponents import free_port
from tests.readers import Clock
from tests.running import wait_until

FAST = Block(0x5002, 48)
SHORT = Block(0x4000, 2)


def expected(block: Block) -> list[int]:
    return words_at(block.address, block.count)


def as_rtu(request: bytes) -> bytes:
    """Return the RTU form of a Modbus TCP frame."""
    return seal(*request[6:])


def as_tcp(request: bytes, answer: bytes, number: int | None = None) -> bytes:
    """Return the RTU frame `answer` as the Modbus TCP answer to `request`."""
    head = request[:2] if number is None else number.to_bytes(2, "big")
    body = answer[:-2]
    return head + bytes(2) + len(body).to_bytes(2, "big") + body


def tcp_bus(line: ScriptedLine, **more: object) -> Bus:
    return Bus(bus_config(f"tcp://127.0.0.1:{line.port}", **({"timeout": 5.0} | more)), Clock())


# Modbus TCP.


def test_modbus_tcp_is_read_and_written_as_any_line() -> None:
    def script(request: bytes) -> Iterable[bytes]:
        rtu = as_rtu(request)
        return [as_tcp(request, honest(rtu) if rtu[1] == 3 else seal(*rtu[:6]))]

    with scripted(script) as line:
        bus = tcp_bus(line)
        for address in (1, 247):
            assert bus.read(address, FAST) == expected(FAST)
        bus.write(1, 0x4003, [7], 6)
        bus.write(1, 0x4003, [7, 8], 16)
        bus.close()
    numbers = [request[:2] for request in line.requests]
    assert len(set(numbers)) == 4
    assert all(request[2:4] == b"\0\0" for request in line.requests)
    assert [request[6] for request in line.requests] == [1, 247, 1, 1]
    assert line.connections == 1


def test_a_late_answer_is_told_apart_by_its_transaction_identifier() -> None:
    """Of the same length as the answer asked for, it would pass on a line without them."""
    first: list[bytes] = []

    def script(request: bytes) -> Iterable[bytes]:
        if not first:
            first.append(request)
            return []
        late = as_tcp(first[0], honest(as_rtu(first[0]), salt=9))
        return [late, as_tcp(request, honest(as_rtu(request)))]

    with scripted(script) as line:
        bus = tcp_bus(line)
        with pytest.raises(SilentError):
            bus.read(1, FAST, timeout_s=0.05)
        wait_until(lambda: first)
        assert bus.read(1, FAST) == expected(FAST)
        assert [(one.address, one.count) for one in bus.unsolicited] == [(1, FAST.count)]
        bus.close()


def test_answers_with_a_foreign_transaction_identifier_are_dropped() -> None:
    def script(request: bytes) -> Iterable[bytes]:
        foreign = honest(as_rtu(request), salt=5)
        right = as_tcp(request, honest(as_rtu(request)))
        return [as_tcp(request, foreign, 0xBEEF), right[:9], right[9:]]

    with scripted(script) as line:
        bus = tcp_bus(line)
        for _ in range(5):
            assert bus.read(1, FAST) == expected(FAST)
            assert not bus.unsolicited
        bus.close()


@pytest.mark.parametrize("code", [10, 11])
def test_a_gateway_that_says_the_meter_is_silent_is_no_refusal(code: int) -> None:
    with scripted(lambda asked: [as_tcp(asked, seal(asked[6], 0x83, code))]) as line:
        bus = tcp_bus(line)
        with pytest.raises(SilentError, match="the gateway says that the meter does not answer"):
            bus.read(1, FAST)
        bus.close()


def test_a_refusal_over_modbus_tcp_is_one() -> None:
    with scripted(lambda asked: [as_tcp(asked, seal(asked[6], 0x83, 2))]) as line:
        bus = tcp_bus(line)
        with pytest.raises(RefusedError) as caught:
            bus.read(1, FAST)
        assert caught.value.code == 2
        bus.close()


def test_an_answer_of_another_unit_is_not_believed() -> None:
    def script(request: bytes) -> Iterable[bytes]:
        return [as_tcp(request, honest(seal(9, *request[7:])))]

    with scripted(script) as line:
        bus = tcp_bus(line, timeout=0.3)
        with pytest.raises(GarbledError, match="in the name of unit 9, asked was 1"):
            bus.read(1, FAST)
        assert bus.sharing.traffic.frames == 0  # its number is that of our question
        bus.close()


def test_a_port_behind_rfc2217_that_is_not_there_is_named_once() -> None:
    bus = Bus(bus_config(f"rfc2217://127.0.0.1:{free_port()}"))
    with pytest.raises(PortError) as caught:
        bus.read(1, FAST)
    assert "ign_set_control" not in caught.value.message
    assert caught.value.message.count("rfc2217://") == 1
    assert "refused" in caught.value.message


def test_the_rest_of_a_late_frame_does_not_spoil_the_next() -> None:
    rest: list[bytes] = []

    def script(request: bytes) -> Iterable[bytes]:
        answer = as_tcp(request, honest(as_rtu(request)))
        if not rest:
            rest.append(answer[20:])
            return [answer[:20]]
        return [rest[0], answer]

    with scripted(script) as line:
        bus = tcp_bus(line, timeout=0.3)
        with pytest.raises(GarbledError):
            bus.read(1, FAST)
        assert bus.read(1, SHORT) == expected(SHORT)
        bus.close()


def test_a_heartbeat_before_an_answer_over_modbus_tcp_is_passed_over() -> None:
    def script(request: bytes) -> Iterable[bytes]:
        return [b"\xff" * 8 + as_tcp(request, honest(as_rtu(request)))]

    with scripted(script) as line:
        bus = tcp_bus(line)
        assert bus.read(1, FAST) == expected(FAST)
        bus.close()


class _Pieces:
    """A wire that brings given pieces, then nothing."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.timeout: float | None = 0.0
        self.sent = b""

    @property
    def in_waiting(self) -> int:
        return len(self.pieces[0]) if self.pieces else 0

    def read(self, size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def write(self, data: bytes) -> int:
        self.sent = data
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


@given(st.lists(st.binary(max_size=20), max_size=12), st.integers(1, 40))
def test_whatever_comes_only_an_answer_with_the_right_identifier_is_handed_on(
    junk: list[bytes], cut: int
) -> None:
    question = seal(1, 3, 0x50, 2, 0, 4)
    wire = _Pieces([])
    mbap = Mbap(wire)
    mbap.write(question)
    answer = as_tcp(wire.sent, honest(question))
    whole_answer = [answer[at : at + cut] for at in range(0, len(answer), cut)]
    wire.pieces = [*whole_answer, *junk]
    found = b""
    while wire.pieces:
        found += mbap.read(300)
    assert found.startswith(honest(question))
    # What follows may hold the identifier by chance only; then it has its header, too.
    rest = found[len(honest(question)) :]
    assert not rest or wire.sent[:4] in b"".join(junk)
    mbap.write(question)
    wire.pieces = [b"\xff" * 300, as_tcp(wire.sent, honest(question))]
    while wire.pieces:
        found = mbap.read(300)
    assert len(mbap.junk) <= 512


# The wrong mode.


def test_modbus_tcp_on_a_port_for_rtu_frames_is_recognised() -> None:
    """A gateway that reads what it gets as Modbus TCP and answers in that."""

    def script(request: bytes) -> Iterable[bytes]:
        return [bytes((0, 1, 0, 0, 0, 3, 1, 0x83, 1))]

    with scripted(script) as line:
        bus = Bus(bus_config(line.port))
        with pytest.raises(GarbledError) as caught:
            bus.read(1, FAST)
        assert f'this gateway speaks Modbus TCP: write port = "tcp://127.0.0.1:{line.port}"' in (
            caught.value.hint
        )
        bus.close()


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("answer", [honest(seal(1, 3, 0x50, 2, 0, 48)), seal(1, 0x83, 2)])
def test_rtu_frames_on_a_port_for_modbus_tcp_are_recognised(answer: bytes, closes: bool) -> None:
    """Also when the frame would be the right answer in the other mode."""
    with scripted(lambda _asked: [answer, None] if closes else [answer]) as line:
        bus = tcp_bus(line, timeout=0.3)
        with pytest.raises((GarbledError, PortError)) as caught:
            bus.read(1, FAST)
        assert f'passes RTU frames: write port = "socket://127.0.0.1:{line.port}"' in (
            caught.value.hint
        )
        bus.close()


@pytest.mark.parametrize(
    ("scheme", "other"), [("tcp", "socket://"), ("socket", "tcp://"), ("udp", "")]
)
def test_nobody_with_a_gateway_is_told_to_swap_wires(scheme: str, other: str) -> None:
    with scripted(lambda _asked: []) as line, _datagrams(lambda _asked: []) as number:
        port = number if scheme == "udp" else line.port
        bus = Bus(bus_config(f"{scheme}://127.0.0.1:{port}", timeout=0.05))
        with pytest.raises(SilentError) as caught:
            bus.read(1, FAST)
        assert "A and B" not in caught.value.hint
        assert "in the gateway" in caught.value.hint
        assert other in caught.value.hint
        bus.close()


# Connections that close.


def _idle_closer(line: ScriptedLine) -> None:
    """Close the connection of `line` and wait until it is."""
    line.kick()
    wait_until(lambda: not line.connected)


def test_a_connection_closed_while_idle_costs_no_round_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway()
    with scene(tmp_path, gateway, timeout=5.0) as there, caplog.at_level(logging.INFO):
        reader = there.reader()
        for _ in range(5):
            assert whole(there.round(reader, pause_s=10))
            _idle_closer(gateway.line)
        assert gateway.line.connections == 5
        assert there.bus.stats.port_errors == 0
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_a_gateway_that_closes_after_each_answer_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with scripted(lambda asked: [honest(asked), None]) as line, caplog.at_level(logging.INFO):
        bus = Bus(bus_config(line.port, timeout=5.0), Clock())
        for _ in range(10):
            assert bus.read(1, FAST) == expected(FAST)
        assert line.connections == 10
        bus.close()
    assert not caplog.messages


def test_a_question_lost_with_its_connection_is_asked_again() -> None:
    """The gateway closed the connection while the question was on its way."""
    turns = itertools.count()

    def script(request: bytes) -> Iterable[bytes | None]:
        return [None] if next(turns) % 2 else [honest(request)]

    with scripted(script) as line:
        bus = Bus(bus_config(line.port, timeout=5.0), Clock())
        for _ in range(5):
            assert bus.read(1, FAST) == expected(FAST)
        assert bus.stats.port_errors == 0
        bus.close()


def test_a_write_lost_with_its_connection_is_not_sent_twice() -> None:
    """What a meter counts, such as changes of its CT ratio, it would count twice."""
    answers = iter((honest, None))

    def script(request: bytes) -> Iterable[bytes | None]:
        answer = next(answers)
        return [answer(request) if answer else None]

    with scripted(script) as line:
        bus = Bus(bus_config(line.port, timeout=5.0), Clock())
        bus.read(1, FAST)
        with pytest.raises(PortError, match="went away"):
            bus.write(1, 0x4003, [7], 6)
        assert len(line.requests) == 2
        bus.close()


def test_only_an_answer_ends_the_pauses_before_a_port_is_opened_again() -> None:
    """A gateway that takes a connection and closes it again has not come back."""
    clock = Clock()
    with scripted(lambda _asked: [None]) as line:
        bus = Bus(bus_config(line.port, timeout=5.0), clock)
        for pause in (1, 2, 4, 8, 16, 30, 30):
            connections = line.connections
            with pytest.raises(PortError):
                bus.read(1, FAST)
            assert line.connections == connections + 1
            clock.now += pause - 0.01
            with pytest.raises(PortError):
                bus.read(1, FAST)
            assert line.connections == connections + 1
            clock.now += 0.02
        line.script = lambda asked: [honest(asked)]
        assert bus.read(1, FAST) == expected(FAST)
        bus.close()


# Time and length.


def test_a_frame_on_a_network_has_until_the_deadline() -> None:
    def script(request: bytes) -> Iterable[bytes | float]:
        answer = honest(request)
        return [answer[:2], 0.6, answer[2:40], 0.6, answer[40:]]

    with scripted(script) as line:
        bus = Bus(bus_config(line.port, timeout=60.0))
        # What was learned about a meter's latency shortens the wait for a first byte only.
        for patience_s in (60.0, 0.3):
            assert bus.read(1, FAST, patience_s) == expected(FAST)
        bus.close()
        short = Bus(bus_config(line.port, timeout=60.0, gap="100ms"))
        with pytest.raises(GarbledError):
            short.read(1, FAST)
        short.close()


def test_a_gateway_with_a_longest_block_is_asked_for_no_more(tmp_path: Path) -> None:
    gateway = Gateway()
    with scene(tmp_path, gateway, timeout=5.0, longest_block=29) as there:
        reader = there.reader()
        for _ in range(2):
            assert whole(there.round(reader))
        assert there.bus.stats.garbled == 0
    assert {request[4] for request in gateway.line.requests} == {0}
    assert max(request[5] for request in gateway.line.requests) <= 29


def test_a_line_is_renewed_after_the_time_that_is_configured() -> None:
    clock = Clock()
    with scripted(lambda _asked: []) as line:
        bus = Bus(bus_config(line.port, timeout=0.02, reopen_after="5m"), clock)
        for _ in range(30):
            with pytest.raises(SilentError):
                bus.read(1, FAST)
            clock.now += 10
        assert line.connections == 1
        with pytest.raises(SilentError):
            bus.read(1, FAST)
        with pytest.raises(SilentError):
            bus.read(1, FAST)
        wait_until(lambda: line.connections == 2)
        bus.close()


# Datagrams, and gateways that connect to this machine.


@contextmanager
def _datagrams(script: object) -> Iterator[int]:
    """Answer datagrams on a port as `script` says."""
    assert callable(script)
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.bind(("127.0.0.1", 0))
    number = int(line.getsockname()[1])

    def serve() -> None:
        while True:
            request, peer = line.recvfrom(512)
            if not request:
                return
            for piece in script(request):
                line.sendto(piece, peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield number
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", ("127.0.0.1", number))
        thread.join()
        line.close()


def test_rtu_frames_in_datagrams_are_read() -> None:
    def script(request: bytes) -> Iterable[bytes]:
        return (
            [honest(request)] if request[2] == 0x40 else [honest(request)[:9], honest(request)[9:]]
        )

    with _datagrams(script) as number:
        bus = Bus(bus_config(f"udp://127.0.0.1:{number}", timeout=5.0))
        for block in (FAST, SHORT, FAST):
            assert bus.read(1, block) == expected(block)
        bus.close()


def test_datagrams_that_nobody_takes_are_a_port_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    bus = Bus(bus_config(f"udp://127.0.0.1:{number}", timeout=5.0))
    with pytest.raises(PortError, match="refused"):
        bus.read(1, FAST)
    bus.close()


class DialIn:
    """A gateway that connects to us: says its registration text, then answers."""

    def __init__(self, port: int) -> None:
        self._line = socket.create_connection(("127.0.0.1", port))
        self._line.sendall(b"REGISTER 867,gprs-unit\r\n")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while request := self._line.recv(300):
            self._line.sendall(b"\xff\xff\xff" + honest(request))

    def hang_up(self) -> None:
        self._line.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._line.close()


def test_a_gateway_that_connects_to_this_machine_is_read_whenever_it_comes() -> None:
    port = free_port()
    clock = Clock()
    bus = Bus(bus_config(f"listen://127.0.0.1:{port}", meter_config(), timeout=0.1), clock)
    with pytest.raises(PortError, match="no gateway has connected yet") as caught:
        bus.read(1, FAST)
    assert f"port {port}" in caught.value.hint
    clock.now += 0.5
    first = DialIn(port)
    # No pause has to end for a gateway that is there.
    assert bus.read(1, FAST, 5.0) == expected(FAST)
    # It lost its connection without a word and comes again: the newest counts.
    second = DialIn(port)
    assert bus.read(1, FAST, 5.0) == expected(FAST)
    second.hang_up()
    with pytest.raises(PortError):
        bus.read(1, FAST)
    third = DialIn(port)
    assert bus.read(1, FAST, 5.0) == expected(FAST)
    bus.close()
    for one in (first, third):
        one.hang_up()


@pytest.mark.parametrize("gateways", [1, 2])
def test_two_gateways_that_end_each_others_connection_are_told(
    gateways: int, caplog: pytest.LogCaptureFixture
) -> None:
    """One that hangs up and comes again is none of them."""
    port = free_port()
    bus = Bus(bus_config(f"listen://127.0.0.1:{port}", meter_config(), timeout=0.1), Clock())
    with pytest.raises(PortError):
        bus.read(1, FAST)
    there: list[DialIn] = []
    for _ in range(8):
        if gateways == 1 and there:
            there.pop().hang_up()
        there.append(DialIn(port))
        assert bus.read(1, FAST, 5.0) == expected(FAST)
    bus.close()
    for one in there:
        one.hang_up()
    said = [one for one in caplog.messages if "more than one gateway" in one]
    assert len(said) == gateways - 1
    assert all(f"listen://127.0.0.1:{port}" in one and "[[bus]] of its own" in one for one in said)
