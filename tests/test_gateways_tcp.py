"""Gateways that speak Modbus TCP: identifiers, late and foreign answers, what is not a frame."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger.bus import Bus
from logger.bus.mbap import Mbap
from logger.domain.errors import GarbledError, PortError, RefusedError, SilentError
from tests.engines.process import free_port
from tests.gateways import (
    FAST,
    SHORT,
    as_rtu,
    as_tcp,
    expected,
    tcp_bus,
)
from tests.lines import (
    bus_config,
    honest,
    scripted,
    seal,
)
from tests.running import wait_until


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
        bus = tcp_bus(line, timeout=2.0)
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
        bus = tcp_bus(line, timeout=2.0)
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

    def fileno(self) -> int:
        raise OSError("no file")

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
