"""Independent Modbus programs to test against: pymodbus's RTU server as a meter."""

from __future__ import annotations

import asyncio
import os
import select
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import count, groupby

from pymodbus import FramerType
from pymodbus.server import ModbusBaseServer, ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.engines.process import free_port

PATIENCE_S = 300.0
# Serves a meter; gives the name of its port for the configuration.
Serve = Callable[[SimDevice], AbstractContextManager[str]]


def device(address: int, words: Mapping[int, int]) -> SimDevice:
    """Return a meter at `address` that holds `words` by register, and no other register."""
    numbers = count()
    data = []
    for _, run in groupby(sorted(words), key=lambda register: register - next(numbers)):
        registers = list(run)
        values = [words[register] for register in registers]
        data.append(SimData(registers[0], values=values, datatype=DataType.REGISTERS))
    return SimDevice(address, simdata=data)


@contextmanager
def tcp_meter(meter: SimDevice) -> Iterator[str]:
    """Serve `meter` as RTU over TCP; gives the port's name for the configuration."""
    port = free_port()

    def make() -> ModbusTcpServer:
        return ModbusTcpServer(meter, framer=FramerType.RTU, address=("127.0.0.1", port))

    with _served(make):
        yield f"socket://127.0.0.1:{port}"


@contextmanager
def modbus_tcp_meter(meter: SimDevice) -> Iterator[str]:
    """Serve `meter` as Modbus TCP; gives the port's name for the configuration."""
    port = free_port()

    def make() -> ModbusTcpServer:
        return ModbusTcpServer(meter, framer=FramerType.SOCKET, address=("127.0.0.1", port))

    with _served(make):
        yield f"tcp://127.0.0.1:{port}"


@contextmanager
def pty_meter(meter: SimDevice) -> Iterator[str]:
    """Serve `meter` on a pseudo-terminal; gives the path of the other end."""
    ours, our_end = os.openpty()
    theirs, their_end = os.openpty()
    for end in (our_end, their_end):
        tty.setraw(end)
    stop, woken = os.pipe()[::-1]
    relay = threading.Thread(target=_relay, args=(ours, theirs, woken), daemon=True)
    relay.start()

    def make() -> ModbusSerialServer:
        return ModbusSerialServer(
            meter, framer=FramerType.RTU, port=os.ttyname(their_end), baudrate=9600, parity="N"
        )

    try:
        with _served(make):
            yield os.ttyname(our_end)
    finally:
        os.write(stop, b"x")
        relay.join()
        for one in (ours, our_end, theirs, their_end, stop, woken):
            os.close(one)


def _relay(one: int, other: int, woken: int) -> None:
    """Carry bytes between two terminals until something comes from `woken`."""
    while True:
        ready, _, _ = select.select([one, other, woken], [], [])
        if woken in ready:
            return
        for source, target in ((one, other), (other, one)):
            if source in ready:
                os.write(target, os.read(source, 4096))


@contextmanager
def _served(make: Callable[[], ModbusBaseServer]) -> Iterator[None]:
    """Run a pymodbus server in a thread with its own event loop."""
    ready = threading.Event()
    started: list[tuple[ModbusBaseServer, asyncio.AbstractEventLoop]] = []

    async def main() -> None:
        server = make()
        started.append((server, asyncio.get_running_loop()))
        task = asyncio.ensure_future(server.serve_forever(background=False))
        while not server.is_active() and not task.done():
            await asyncio.sleep(0.01)
        ready.set()
        try:
            await task
        except asyncio.CancelledError:
            return

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield
    finally:
        ((server, loop),) = started
        ending = server.shutdown()  # type: ignore[no-untyped-call]  # it has no types
        future = asyncio.run_coroutine_threadsafe(ending, loop)
        future.result(PATIENCE_S)
        thread.join(PATIENCE_S)
