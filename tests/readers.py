"""Virtual meters on a line, and readers of them, at a time that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from logger import models
from logger.bus import Bus
from logger.domain.quantity import Quantity
from logger.meter.reading import Reading
from logger.meter.session import MeterReader
from logger.meter.state import StateStore
from logger.models import Job, Model, Value
from logger.models.decode import value_of
from logger.models.plan import plans
from logger.simulate import Quirk, VirtualLine, VirtualMeter
from logger.simulate.ledger import Books
from logger.simulate.world import World
from tests.lines import bus_config, meter_config

NOW = 1_750_000_000.0  # virtual time stands still
NOW_MS = 1_750_000_000_000
SILENCE_S = 1.0
JOBS = (Job.FAST, Job.SLOW, Job.IDENTITY)


def complete(reading: Reading) -> bool:
    """Return whether every block was read and every value believed."""
    return not reading.failures and not reading.rejected


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fixed_meter(model: str = "pro380", address: int = 1, **more: Any) -> VirtualMeter:
    books = Books(World(1), NOW)
    return VirtualMeter(models.load(model), address, "load", books, fixed=True, **more)


def real_meter(model: str = "pro380", address: int = 1, **more: Any) -> VirtualMeter:
    return VirtualMeter(models.load(model), address, "grid", Books(World(1), NOW), **more)


def value_by_value(model: Model) -> bool:
    """Return whether each value of `model` takes a request of its own: lengths repeat then."""
    return all(block.count <= 2 for blocks in plans(model).values() for block in blocks)


def truth(meter: VirtualMeter) -> dict[Quantity, Value]:
    """Return what the meter's registers hold, read without a line."""
    found = {}
    for register in meter.model.registers:
        words = meter.read_words(register.address, register.length, NOW)
        found[register.quantity] = value_of(register, words)
    return found


class Setup:
    """A line, a bus and readers of the meters on it.

    Where all answer a slow machine has time for it; who waits for silence gives a shorter
    `timeout`, such as `SILENCE_S`.
    """

    def __init__(self, line: VirtualLine, *, states: StateStore | None, **bus: Any) -> None:
        self.line = line
        self.clock = Clock()
        self.now_ms = NOW_MS
        self.states = states
        configs = [meter_config(m.address, m.model.name) for m in line.meters]
        port = line.start_tcp()
        self.config = bus_config(port, *configs, **({"timeout": 2.0, "baudrate": 9600} | bus))
        self.bus = Bus(self.config, self.clock)
        self.readers = [self.reader(number) for number in range(len(configs))]

    def reader(self, number: int = 0, model: str | None = None) -> MeterReader:
        meter = self.config.meter[number]
        return MeterReader(
            self.bus,
            meter,
            models.load(model or meter.model),
            lambda: self.now_ms,
            states=self.states,
            clock=self.clock,
        )


@contextmanager
def line_of(
    *meters_there: VirtualMeter,
    quirks: tuple[Quirk, ...] = (),
    states: StateStore | None = None,
    **bus: Any,
) -> Iterator[Setup]:
    with VirtualLine(meters_there, clock=lambda: NOW, paced=False, quirks=quirks) as line:
        setup = Setup(line, states=states, **bus)
        try:
            yield setup
        finally:
            setup.bus.close()
