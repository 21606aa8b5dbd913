"""Scripted gateways with real meters behind them, and readers of those."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from logger import models
from logger.bus import Bus
from logger.config import Meter as MeterConfig
from logger.meter.reading import Reading
from logger.meter.session import MeterReader
from logger.meter.state import StateStore
from logger.models import Job
from logger.models.plan import Block
from logger.simulate.writing import Refusal
from tests.lines import ScriptedLine, answer_to, bus_config, meter_config, seal, words_at
from tests.readers import NOW, NOW_MS, Clock, complete, real_meter

FAST = Block(0x5002, 48)
SHORT = Block(0x4000, 2)


class Gateway:
    """A scripted gateway with real PRO380s behind it. `mood` may answer in their place.

    It gets a request and returns the bytes to send, b"" for silence or None to let the
    meter answer. `spoil` changes what the meter answers. Answers take `latency_s`.
    """

    def __init__(self, *addresses: int, **settings: Any) -> None:
        self.meter = real_meter(settings=settings)
        self.mood: Callable[[bytes], bytes | None] = lambda _request: None
        self.spoil: Callable[[bytes], bytes] = lambda answer: answer
        self.latency_s = 0.0
        self.line = ScriptedLine(self._script)
        self._addresses = addresses or (1,)

    def _script(self, request: bytes) -> Iterator[bytes | float]:
        answer = self.mood(request)
        if answer is None and request[0] in self._addresses:
            place = asked(request)
            try:
                words = self.meter.read_words(place.address, place.count, NOW)
                answer = self.spoil(answer_to(request, words))
            except Refusal as refusal:
                answer = refused(request, refusal.code)
        if self.latency_s:
            yield self.latency_s
        if answer:
            yield answer


def asked(request: bytes) -> Block:
    return Block(int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big"))


def refused(request: bytes, code: int = 2) -> bytes:
    return seal(request[0], request[1] | 0x80, code)


def whole(readings: list[Reading]) -> bool:
    """Tell whether every job gave all its values."""
    return all(complete(reading) and reading.values for reading in readings)


class Scene:
    """A gateway, a bus and readers on it, at a time that stands still until told."""

    def __init__(self, tmp_path: Path, gateway: Gateway, **bus: Any) -> None:
        self.gateway = gateway
        self.clock = Clock()
        self.now_ms = NOW_MS
        self.states = StateStore(tmp_path / "states")
        self.bus = Bus(bus_config(gateway.line.port, **({"timeout": 2.0} | bus)), self.clock)

    def reader(self, meter: MeterConfig | None = None) -> MeterReader:
        meter = meter or meter_config()
        return MeterReader(
            self.bus,
            meter,
            models.load(meter.model),
            lambda: self.now_ms,
            states=self.states,
            clock=self.clock,
        )

    def round(self, reader: MeterReader, pause_s: float = 1.0) -> list[Reading]:
        """Read every job once, as the schedule begins."""
        self.clock.now += pause_s
        self.now_ms += round(pause_s * 1000)
        return [reader.read(job, NOW_MS) for job in (Job.IDENTITY, Job.SLOW, Job.FAST)]

    def cuts(self) -> int:
        known = self.states.load("m1")
        return 0 if known is None else len(known.cuts)


@contextmanager
def scene(tmp_path: Path, gateway: Gateway | None = None, **bus: Any) -> Iterator[Scene]:
    gateway = gateway or Gateway()
    there = Scene(tmp_path, gateway, **bus)
    try:
        yield there
    finally:
        there.bus.close()
        gateway.line.close()


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


@contextmanager
def datagrams(script: object) -> Iterator[int]:
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
