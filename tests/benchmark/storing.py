"""Figures of the buffer: how fast it commits. What that costs the medium: `wear`."""

from __future__ import annotations

import struct
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import cycle
from pathlib import Path

from logger.buffer import Buffer
from logger.derive.measured import measured
from logger.meter.reading import Reading, ReadingBuilder
from logger.models import Job, load
from logger.models.plan import plans
from logger.points.encode import points
from logger.points.line import Point
from logger.simulate import virtual_site
from tests.benchmark.figure import Figure, Result
from tests.benchmark.rig import DISK

START = 1_795_000_000.0
_DIFFERENT = 512  # readings with values of their own, more than gzip looks back


def samples(job: Job = Job.FAST, count: int = _DIFFERENT, step_s: float = 1.0) -> list[list[Point]]:
    """Return the points of `count` readings of one virtual meter, `step_s` apart."""
    model = load("pro380")
    meter = virtual_site(7, start=START).meter(1)
    found = []
    for number in range(count):
        at = START + number * step_s
        stamp = int(at * 1000)
        builder = ReadingBuilder()
        for block in plans(model)[job]:
            answer = meter.answer(struct.pack(">BHH", 3, block.address, block.count), at)
            words = struct.unpack(f">{block.count}H", answer[2:])
            builder.take(model, model.of_job(job), block, words, stamp)
        reading = Reading(
            meter="m00-001",
            role="grid",
            model=model.name,
            job=job,
            taken_ms=stamp,
            round_ms=stamp,
            values=builder.values,
        )
        found.append(points(measured(reading, model), "bench"))
    return found


def readings(until_ms: int, count: int) -> Iterator[list[Point]]:
    """Yield `count` readings a second apart, the last one at `until_ms`."""
    different = cycle(samples())
    for number in range(count):
        stamp = until_ms - 1000 * (count - 1 - number)
        yield [replace(point, time_ms=stamp) for point in next(different)]


def _now_ms() -> int:
    return int(time.time() * 1000)


def commits(short: bool) -> Result:
    """Give readings as fast as they are committed, a commit a second."""
    seconds, count = (4.0, 1) if short else (15.0, 3)
    given = list(readings(_now_ms(), 20_000))
    rates, lines, booked = [], [], []
    for _ in range(count):
        with tempfile.TemporaryDirectory(dir=DISK) as name:
            buffer = Buffer(Path(name) / "b.sqlite", commit_interval_s=1.0, now_ms=_now_ms)
            buffer.open()
            began, number, feed = time.perf_counter(), 0, cycle(given)
            while time.perf_counter() - began < seconds:
                if (
                    buffer.state().in_memory > 40_000
                ):  # points: what is not committed waits in memory
                    time.sleep(0.005)
                    continue
                buffer.append(next(feed))
                number += 1
            buffer.flush(30.0)
            took = time.perf_counter() - began
            state = buffer.state()
            if state.in_memory or state.waiting < number:
                raise RuntimeError(f"{state.in_memory} points were not committed: {state.problem}")
            rates.append(number / took)
            lines.append(state.waiting / took)
            booked.append(state.file_size)
            buffer.close()
    return Result(
        [
            Figure(
                name="buffer_rate",
                text="buffer: committed readings a second, a commit a second",
                unit="1/s",
                runs=rates,
                at_least=2000,
                raw={
                    "points_a_second": lines,
                    "seconds": seconds,
                    "file_size": booked,
                    "line_protocol": _size(given),
                },
            ),
        ]
    )


def _size(given: list[list[Point]]) -> Decimal | float:
    lines = [point.line() for reading in given[:_DIFFERENT] for point in reading]
    return sum(len(line) + 1 for line in lines) / _DIFFERENT
