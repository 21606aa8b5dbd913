"""Transactions on a line that does what lines do.

fault                              | what the bus does
silence                            | SilentError after the timeout
exception frame                    | RefusedError with the code, at once
late answer, other length          | skipped, the right one is taken
late answer, same length           | GarbledError until `settle` has matched again
echo                               | skipped, reported once
babble                             | GarbledError within a bounded time
closed, hanging gateway            | PortError, opened again
"""

from __future__ import annotations

import logging
import os
import pty
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from logger import meters
from logger.bus import Bus
from logger.bus.port import Port
from logger.bus.trouble import explain
from logger.errors import GarbledError, PortError, RefusedError, SilentError
from logger.plan import Block
from logger.simulate import VirtualLine, VirtualMeter, quirks_named
from logger.simulate.ledger import Books
from logger.simulate.world import World
from tests.lines import bus_config, honest, scripted, seal, words_at

FAST = Block(0x5002, 48)
NOW = 1_750_000_000.0  # virtual time stands still
PROBES = (Block(0x4000, 2), Block(0x4000, 3), Block(0x4000, 4))


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fixed_meter(model: str = "pro380", address: int = 1) -> VirtualMeter:
    books = Books(World(1), NOW)
    return VirtualMeter(meters.load(model), address, "load", books, fixed=True)


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
        bus.settle(1, PROBES)
        assert not bus.unsure(1)
        assert bus.read(1, Block(0x2008, 2)) == words_at(0x2008, 2)
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
        bus = Bus(bus_config(line.port, timeout=0.03), clock)
        with pytest.raises(SilentError):
            bus.read(1, PROBES[0])
        for _ in range(6):
            clock.now += 60
            with pytest.raises(GarbledError):
                bus.settle(1, PROBES)
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
        bus = Bus(bus_config(line.port, timeout=0.05))
        bus.read(1, FAST)
        with pytest.raises(SilentError):
            bus.write(1, 0x4010, [0x0025], 6)
        bus.close()


def test_a_first_write_on_an_unknown_adapter_works_with_and_without_echo() -> None:
    for copies in (1, 2):
        with scripted(lambda request, copies=copies: [request] * copies) as line:  # type: ignore[misc]
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
    bus.settle(1, PROBES)
    assert bus.read(1, FAST) == list(meter.read_words(FAST.address, FAST.count, NOW))
    bus.close()


def test_a_flood_ends_the_transaction() -> None:
    with scripted(lambda request: [bytes(range(256)) * 64]) as line:
        bus = Bus(bus_config(line.port))
        with pytest.raises(GarbledError) as caught:
            bus.read(1, FAST)
        assert "more)" in caught.value.message
        line.script = lambda request: [honest(request)]
        bus.settle(1, PROBES)
        assert bus.read(1, FAST) == words_at(FAST.address, FAST.count)
        bus.close()


def test_a_closed_gateway_is_opened_again() -> None:
    clock = Clock()
    with scripted(lambda request: [honest(request)]) as line:
        bus = Bus(bus_config(line.port), clock)
        bus.read(1, FAST)
        line.kick()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                bus.read(1, FAST)
            except PortError:
                break
        else:
            pytest.fail("the closed connection was not noticed")
        with pytest.raises(PortError, match="went away"):
            bus.read(1, FAST)  # not before the pause is over
        assert line.connections == 1
        clock.now += 1.01
        assert bus.read(1, FAST) == words_at(FAST.address, FAST.count)
        assert line.connections == 2
        bus.close()


def test_a_gateway_that_is_not_there_is_tried_ever_more_rarely() -> None:
    clock = Clock()
    with scripted(lambda request: [honest(request)]) as line:
        port = line.port
    bus = Bus(bus_config(port), clock)
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
        connections = []
        for _ in range(30):
            with pytest.raises(SilentError):
                bus.read(1, FAST)
            clock.now += 10
            connections.append(line.connections)
        assert [connections.count(number) for number in (1, 2, 3)] == [4, 7, 13]
        line.script = lambda request: [honest(request)]
        bus.settle(1, PROBES)
        assert bus.read(1, FAST) == words_at(FAST.address, FAST.count)
        bus.close()


def test_a_port_named_by_id_is_found_under_another_node(tmp_path: Path) -> None:
    clock = Clock()
    name = tmp_path / "usb-adapter-port0"
    first, second = (VirtualLine([fixed_meter()], clock=lambda: NOW, paced=False) for _ in range(2))
    with second:
        with first:
            name.symlink_to(first.start_pty())
            bus = Bus(bus_config(str(name), parity="none", baudrate=9600), clock)
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
    monkeypatch.setattr("logger.bus.port.serial.serial_for_url", lambda *_, **__: driver)
    port = Port(bus_config("/dev/ttyS9", baudrate=9600))
    if operation != "open":
        port.open()
    driver.armed = True
    with pytest.raises(PortError) as caught:
        call(port)
    assert ("does not take 9600 8E1" in str(caught.value)) == (number == 22)
    assert not port.is_open


def test_closing_a_port_that_went_away_is_closing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = _Refusing("close", 5)
    monkeypatch.setattr("logger.bus.port.serial.serial_for_url", lambda *_, **__: driver)
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

    monkeypatch.setattr("logger.bus.port.serial.serial_for_url", serial_for_url)
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
