"""Gateways on the network: the wrong mode, connections that close, time and length."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable
from pathlib import Path

import pytest

from logger.bus import Bus
from logger.domain.errors import GarbledError, PortError, SilentError
from tests.gateways import (
    FAST,
    Gateway,
    datagrams,
    expected,
    scene,
    tcp_bus,
    whole,
)
from tests.lines import (
    ScriptedLine,
    bus_config,
    honest,
    scripted,
    seal,
)
from tests.readers import Clock
from tests.running import wait_until

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
        bus = tcp_bus(line, timeout=2.0)
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
    with scripted(lambda _asked: []) as line, datagrams(lambda _asked: []) as number:
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
        return [answer[:2], 1.5, answer[2:40], 1.5, answer[40:]]

    with scripted(script) as line:
        bus = Bus(bus_config(line.port, timeout=60.0))
        # What was learned about a meter's latency shortens the wait for a first byte only.
        for patience_s in (60.0, 2.0):  # of three seconds and more
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
        wait_until(lambda: line.connections)
        assert line.connections == 1
        with pytest.raises(SilentError):
            bus.read(1, FAST)
        with pytest.raises(SilentError):
            bus.read(1, FAST)
        wait_until(lambda: line.connections == 2)
        bus.close()
