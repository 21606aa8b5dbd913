"""Figures of the line: how much of its time is used, whether jobs come when they are due."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from logger.bus import Bus
from logger.config import Bus as BusConfig
from logger.config import Config
from logger.meter.session import MeterReader
from logger.models import Job, load
from logger.models.plan import Block
from tests.benchmark.figure import Figure, Result, Series, percentile
from tests.benchmark.line import DELAY_S, LineProcess
from tests.benchmark.rig import Logger, Plan, Sample, cpu_share, errors, missed

_FAST = 0x5002


def least_s(bus: BusConfig, blocks: Sequence[Block]) -> float:
    """Return the time that the bytes of `blocks` and the meter's delay take on the wire.

    8 bytes to ask, 5 and two a register to answer (Modbus over serial line, V1.02).
    """
    return sum((8 + 5 + 2 * block.count) * bus.character_s + DELAY_S for block in blocks)


def efficiency(short: bool) -> Result:
    """Read one meter, job by job, and compare with what the wire needs at least."""
    model = load("pro380")
    reads, runs = (4, 1) if short else (50, 5)
    result = Result()
    with tempfile.TemporaryDirectory() as name, LineProcess(Path(name), [[1]]) as line:
        config = config_for([1], line.ports[0], 1.0).bus[0]
        bus = Bus(config)
        reader = MeterReader(bus, config.meter[0], model, lambda: int(time.time() * 1000))
        reader.read(Job.FAST, 0)  # opens the port
        for job in (Job.FAST, Job.SLOW):
            least = least_s(config, reader.blocks(job))
            idle, dense, raw = [], [], []
            for _ in range(runs):
                alone, began = [], time.perf_counter()
                for _ in range(reads):
                    alone.append(reader.read(job, 0).elapsed_ms / 1000)
                dense.append((time.perf_counter() - began) / reads / least)
                apart = []
                for _ in range(max(3, reads // 5)):
                    time.sleep(0.02)
                    apart.append(reader.read(job, 0).elapsed_ms / 1000)
                idle.append(statistics.median(apart) / least)
                raw.append([statistics.median(alone), statistics.median(apart)])
            blocks = [str(block) for block in reader.blocks(job)]
            base = {"least_s": least, "blocks": blocks, "median_s_dense_and_apart": raw}
            result.figures += [
                Figure(
                    name=f"line_{job}",
                    text=f"time of a {job} job over wire time and answer delay",
                    unit="",
                    runs=idle,
                    at_most=1.05,
                    raw=base,
                ),
                Figure(
                    name=f"line_{job}_dense",
                    text=f"the same, {job} jobs back to back (with the silence between frames)",
                    unit="",
                    runs=dense,
                    at_most=1.05,
                    raw=base,
                ),
            ]
        bus.close()
    return result


def one_meter(short: bool) -> Result:
    """Read one meter every second from a real logger; look when the requests arrive."""
    seconds = 20 if short else 600
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with LineProcess(place, [[1]]) as line:
            plan = Plan(ports=line.ports, lines=[[1]], fast_s=1.0)
            with Logger(plan.write(place)) as logger:
                logger.state()
                time.sleep(seconds + 2.5)
                state = logger.state()
                samples = logger.stop()
            notes = line.stop()
    fast = [note for note in notes if note.register == _FAST]
    late = [1000 * (note.at % 1.0) for note in fast]
    missing = _missing([note.at for note in fast], 1.0)
    steady = samples[len(samples) // 4 :]
    minute = max(5, len(late) // 10)
    drift = statistics.median(late[-minute:]) - statistics.median(late[:minute])
    memory = max(sample.memory_mib for sample in samples)
    raw = {"requests": len(fast), "seconds": seconds, "missed_by_status": missed(state)}
    spread = {
        "p50_ms": percentile(late, 0.5),
        "p90_ms": percentile(late, 0.9),
        "max_ms": max(late),
    }
    growth = {"first": _memory(steady[:20]), "last": _memory(steady[-20:])}
    return Result(
        [
            Figure(
                name="second_missed",
                text="one meter every second: requests missed",
                unit="",
                runs=[missing + missed(state) + errors(state)],
                at_most=0,
                raw=raw,
            ),
            Figure(
                name="second_late",
                text="one meter every second: lateness of requests, 99th percentile",
                unit="ms",
                runs=[percentile(late, 0.99)],
                at_most=20,
                raw=spread,
            ),
            Figure(
                name="second_drift",
                text="one meter every second: drift, last tenth against first",
                unit="ms",
                runs=[abs(drift)],
                at_most=2.0,
                raw={"first_ms": late[:minute], "last_ms": late[-minute:]},
            ),
            Figure(
                name="second_cpu",
                text="one meter every second: processor time, share of one core",
                unit="%",
                runs=[cpu_share(steady)],
                at_most=2,
                raw={"cpu_s": steady[-1].cpu_s - steady[0].cpu_s},
            ),
            Figure(
                name="second_memory",
                text="one meter every second: resident memory",
                unit="MiB",
                runs=[memory],
                at_most=70,
                raw=growth,
            ),
        ],
        [
            Series(
                "Lateness of the requests of one meter read every second",
                "time [s]",
                "after the full second [ms]",
                {
                    "requests": [
                        (note.at - fast[0].at, ms) for note, ms in zip(fast, late, strict=True)
                    ]
                },
            )
        ],
    )


def _memory(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.memory_mib for sample in samples)


def _missing(times: Sequence[float], interval_s: float) -> int:
    """Return how many turns between the first and the last have no request."""
    turns = {round(at // interval_s) for at in times}
    return round(times[-1] // interval_s) - round(times[0] // interval_s) + 1 - len(turns)


def config_for(addresses: Sequence[int], port: int, fast_s: float) -> Config:
    return Config.model_validate(
        {
            "site": {"name": "bench"},
            "intervals": {"fast": fast_s},
            "bus": [
                {
                    "name": "line",
                    "port": f"socket://127.0.0.1:{port}",
                    "meter": [
                        {"name": f"m{one}", "model": "pro380", "address": one, "role": "load"}
                        for one in addresses
                    ],
                }
            ],
            "buffer": {"path": "unused"},
        }
    )
