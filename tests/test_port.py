"""Ports that close, hang, move to another node, or are refused by their driver."""

from __future__ import annotations

import os
import pty
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from logger.bus import Bus
from logger.bus.faults import explain
from logger.bus.port import Port
from logger.domain.errors import PortError, SilentError
from logger.models.plan import Block
from logger.simulate import VirtualLine
from tests.engines.process import free_port
from tests.lines import bus_config, honest, scripted, words_at
from tests.readers import NOW, Clock, fixed_meter
from tests.running import wait_until

FAST = Block(0x5002, 48)
PROBES = (Block(0x4000, 2), Block(0x4000, 3), Block(0x4000, 4))


def test_a_gateway_that_is_not_there_is_tried_ever_more_rarely() -> None:
    clock = Clock()
    bus = Bus(bus_config(free_port()), clock)
    for pause in (1, 2, 4, 8, 16, 30, 30):
        with pytest.raises(PortError, match="no connection"):
            bus.read(1, FAST)
        errors = bus.stats.port_errors
        clock.now += pause - 0.01
        with pytest.raises(PortError, match="no connection"):
            bus.read(1, FAST)
        assert bus.stats.port_errors == errors
        clock.now += 0.01


def test_a_gateway_that_hangs_is_connected_anew_with_growing_pauses() -> None:
    clock = Clock()
    with scripted(lambda request: []) as line:
        bus = Bus(bus_config(line.port, timeout=0.02), clock)
        for _ in range(30):
            with pytest.raises(SilentError):
                bus.read(1, FAST)
            clock.now += 10
        wait_until(lambda: len(line.came_by) == 30)
        assert [line.came_by.count(number) for number in (1, 2, 3, 4)] == [4, 7, 13, 6]
        line.script = lambda request: [honest(request)]
        bus.config = bus.config.model_copy(update={"timeout": 5.0})
        bus.resynchronise(1, PROBES)
        assert bus.read(1, FAST) == words_at(FAST.address, FAST.count)
        bus.close()


def test_a_port_named_by_id_is_found_under_another_node(tmp_path: Path) -> None:
    clock = Clock()
    name = tmp_path / "usb-adapter-port0"
    first, second = (VirtualLine([fixed_meter()], clock=lambda: NOW, paced=False) for _ in range(2))
    with second:
        with first:
            name.symlink_to(first.start_pty())
            bus = Bus(bus_config(str(name), parity="none", baudrate=9600, timeout=5.0), clock)
            second.meters[0].identity.parity = second.parity
            words = bus.read(1, FAST)
        name.unlink()
        with pytest.raises(PortError):
            bus.read(1, FAST)
        clock.now += 1.1
        with pytest.raises(PortError, match="no such device"):
            bus.read(1, FAST)
        name.symlink_to(second.start_pty())
        clock.now += 5
        assert bus.read(1, FAST) == words
        bus.close()


def test_a_port_without_parity_says_so() -> None:
    refused = termios.error(22, "Invalid argument")  # what Linux says of a pseudo-terminal
    error = explain(bus_config("/dev/pts/9"), refused)
    assert 'parity = "none"' in error.hint
    assert "does not take 115200 8E1" in error.message


def test_a_pseudo_terminal_with_parity_is_a_port_error_or_works() -> None:
    """Whether it refuses parity depends on the C library; a termios.error never comes out."""
    controller, device = pty.openpty()
    bus = Bus(bus_config(os.ttyname(device), baudrate=9600, timeout=0.02))
    try:
        with pytest.raises((PortError, SilentError)) as caught:
            bus.read(1, FAST)
        assert "no answer" in str(caught.value) or "does not take 9600 8E1" in str(caught.value)
    finally:
        bus.close()
        os.close(controller)
        os.close(device)


class _Refusing:
    """A port whose driver says termios.error: from when it is `armed`, at one operation."""

    def __init__(self, operation: str, number: int) -> None:
        self.operation, self.number = operation, number
        self.armed = operation == "open"
        self.waiting = 0

    def _do(self, operation: str) -> None:
        if self.armed and operation == self.operation:
            raise termios.error(self.number, "as the driver says")

    def open(self) -> None:
        self._do("open")

    def close(self) -> None:
        self._do("close")

    @property
    def timeout(self) -> float:
        return 0.05

    @timeout.setter
    def timeout(self, _: float) -> None:
        self._do("timeout")

    @property
    def in_waiting(self) -> int:
        self._do("in_waiting")
        return 0

    def write(self, data: bytes) -> int:
        self._do("write")
        return len(data)

    def flush(self) -> None:
        self._do("flush")

    def read(self, _: int) -> bytes:
        self._do("read")
        return b""


@pytest.mark.parametrize("number", [22, 5])
@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("open", lambda port: port.open()),
        ("timeout", lambda port: port.read(7)),
        ("in_waiting", lambda port: port.reset_input_buffer()),
        ("write", lambda port: port.write(b"request")),
        ("flush", lambda port: port.flush()),
        ("read", lambda port: port.read(7)),
    ],
)
def test_what_a_driver_refuses_is_a_port_error(
    monkeypatch: pytest.MonkeyPatch, operation: str, call: Callable[[Port], object], number: int
) -> None:
    driver = _Refusing(operation, number)
    monkeypatch.setattr("logger.bus.device.serial.serial_for_url", lambda *_, **__: driver)
    port = Port(bus_config("/dev/ttyS9", baudrate=9600, timeout=0.2))
    if operation != "open":
        port.open()
    driver.armed = True
    with pytest.raises(PortError) as caught:
        call(port)
    assert ("does not take 9600 8E1" in str(caught.value)) == (number == 22)
    assert not port.is_open


def test_closing_a_port_that_went_away_is_closing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = _Refusing("close", 5)
    monkeypatch.setattr("logger.bus.device.serial.serial_for_url", lambda *_, **__: driver)
    port = Port(bus_config("/dev/ttyS9"))
    port.open()
    driver.armed = True
    port.close()
    assert not port.is_open


def test_a_port_belongs_to_one_program() -> None:
    controller, device = pty.openpty()
    path = os.ttyname(device)
    bus = Bus(bus_config(path, baudrate=9600, parity="none", timeout=0.02))
    with pytest.raises(SilentError):
        bus.read(1, FAST)
    with pytest.raises(PortError, match="in use"):
        Bus(bus_config(path, baudrate=9600, parity="none")).read(1, FAST)
    bus.close()
    os.close(controller)
    os.close(device)


def test_a_missing_permission_names_the_group() -> None:
    error = explain(bus_config("/dev/ttyUSB9"), PermissionError(13, "Permission denied"))
    assert "usermod -aG" in error.hint
    assert "no permission" in error.message


class _LoopWithRts:
    """What pyserial offers of a port, as far as RTS by hand needs it."""

    def __init__(self, driver_switches: bool) -> None:
        self.driver_switches = driver_switches
        self.events: list[object] = []
        self.rs485_mode: object = None
        self.timeout = 0.05
        self.in_waiting = 0

    def open(self) -> None:
        if self.rs485_mode is not None and not self.driver_switches:
            raise ValueError("Failed to set RS485 mode: inappropriate ioctl")

    def close(self) -> None:
        self.rs485_mode = None

    def flush(self) -> None:
        self.events.append("flush")

    def write(self, data: bytes) -> int:
        self.events.append(data)
        return len(data)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "rts":
            self.events.append(value)
        object.__setattr__(self, name, value)


@pytest.mark.parametrize(("level", "sending"), [("high", True), ("low", False)])
@pytest.mark.parametrize("driver", [True, False])
def test_rts_is_switched_by_the_driver_or_by_hand(
    monkeypatch: pytest.MonkeyPatch, level: str, sending: bool, driver: bool
) -> None:
    made: list[_LoopWithRts] = []

    def serial_for_url(*_: object, **__: object) -> _LoopWithRts:
        made.append(_LoopWithRts(driver))
        return made[-1]

    monkeypatch.setattr("logger.bus.device.serial.serial_for_url", serial_for_url)
    port = Port(bus_config("/dev/ttyS9", rs485_rts=level))
    port.open()
    port.write(b"request")
    if driver:
        assert made[-1].rs485_mode is not None
        assert made[-1].rs485_mode.rts_level_for_tx is sending  # type: ignore[attr-defined]
        assert made[-1].events == [b"request"]
    else:
        assert made[-1].rs485_mode is None
        assert made[-1].events == [not sending, sending, b"request", "flush", not sending]
