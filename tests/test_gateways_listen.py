"""Gateways that send datagrams, and gateways that connect to this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable

import pytest

from logger.bus import Bus
from logger.domain.errors import PortError
from tests.engines.process import free_port
from tests.gateways import (
    FAST,
    SHORT,
    datagrams,
    expected,
)
from tests.lines import (
    bus_config,
    honest,
    meter_config,
)
from tests.readers import Clock

# Datagrams, and gateways that connect to this machine.


def test_rtu_frames_in_datagrams_are_read() -> None:
    def script(request: bytes) -> Iterable[bytes]:
        return (
            [honest(request)] if request[2] == 0x40 else [honest(request)[:9], honest(request)[9:]]
        )

    with datagrams(script) as number:
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
