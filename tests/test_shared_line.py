"""Lines that others use, too: never a wrong value, whoever asks for what beside us."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from logger.bus import Bus
from logger.meter.session import MeterReader
from logger.models import Job, load
from logger.models.plan import Block
from logger.simulate import VirtualLine, quirks_named
from tests.lines import bus_config, meter_config
from tests.readers import NOW, NOW_MS, fixed_meter, truth
from tests.second_master import SecondMaster

# What a wallbox asks for, what a reader of single values does, and what reads blocks that
# begin elsewhere than ours and are as long.
WALLBOX = (Block(0x500C, 6),)


def as_long_as_ours(model: str) -> Sequence[Block]:
    """Return questions that a meter of `model` answers, as long as those of its plan."""
    known = load(model)
    found = []
    for job in (Job.FAST, Job.SLOW, Job.IDENTITY):
        for register in known.of_job(job)[:4]:
            found.append(Block(register.address, register.length))
    return found


@contextmanager
def two_masters(
    model: str, kind: str, blocks: Sequence[Block], pause_s: float = 0.0, **bus: Any
) -> Iterator[tuple[MeterReader, SecondMaster]]:
    meter = fixed_meter(model)
    on_pty = kind == "pty"
    quirks = quirks_named(["one-wire" if on_pty else "copies-answers"])
    with VirtualLine([meter], clock=lambda: NOW, paced=False, quirks=quirks) as line:
        if on_pty:
            port: int | str = line.start_pty()
            place: int | str = line.start_pty()
            meter.identity.parity = line.parity = "N"
            bus["parity"] = "none"
        else:
            port = place = line.start_tcp()
        one = meter_config(1, model)
        wire = Bus(bus_config(port, one, **({"timeout": 0.5, "baudrate": 9600} | bus)))
        reader = MeterReader(wire, one, load(model), lambda: NOW_MS)
        with SecondMaster(place, blocks, pause_s=pause_s) as other:
            try:
                yield reader, other
            finally:
                wire.close()


def read_on(reader: MeterReader, right: dict[Any, Any], jobs: int) -> int:
    """Do so many jobs; fail on any value that is not the meter's. Returns the values read."""
    got = 0
    for number in range(jobs):
        reading = reader.read((Job.IDENTITY, Job.SLOW, Job.FAST)[number % 3], NOW_MS)
        wrong = {k: (v, right[k]) for k, v in reading.values.items() if right[k] != v}
        assert not wrong
        got += len(reading.values)
    return got


@pytest.mark.parametrize("kind", ["gateway", "pty"])
@pytest.mark.parametrize("model", ["pro380", "pro380-legacy", "grow-701"])
def test_beside_a_master_that_asks_for_as_much_no_value_is_wrong(model: str, kind: str) -> None:
    right = truth(fixed_meter(model))
    with two_masters(model, kind, as_long_as_ours(model)) as (reader, other):
        read_on(reader, right, 6)
        assert other.asked
