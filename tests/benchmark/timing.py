"""Figures of the line: how much of its time is used, whether jobs come when they are due."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from logger import busload
from logger.bus import Bus
from logger.config import Bus as BusConfig
from logger.config import Config
from logger.meters import Job, load
from logger.plan import Block
from logger.reader import MeterReader
from tests.benchmark.figure import Figure, Result, Series, percentile
from tests.benchmark.line import DELAY_S, LineProcess, Note
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
        config = _config([1], line.ports[0], 1.0).bus[0]
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
                written = logger.watch.written()
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
    day = {"bytes_a_day": 86400 * written / (samples[-1].at_s or 1), "bytes": written}
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
            Figure(
                name="second_written",
                text="one meter every second: bytes to the medium a day",
                unit="MB",
                runs=[day["bytes_a_day"] / 1e6],
                raw=day,
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


def _config(addresses: Sequence[int], port: int, fast_s: float) -> Config:
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


def sixty(short: bool) -> Result:
    """Sixty meters on one line, as often as the calculation allows."""
    addresses = list(range(1, 13 if short else 61))
    rounds = 6 if short else 40
    models = {"pro380": load("pro380")}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with LineProcess(place, [addresses]) as line:
            config = _config(addresses, line.ports[0], 60.0)
            interval = busload.fastest(config, config.bus[0], models)
            assert interval is not None
            plan = Plan(ports=line.ports, lines=[addresses], fast_s=round(interval, 6))
            config = _config(addresses, line.ports[0], round(interval, 6))
            planned = sum(busload.loads(config, config.bus[0], models).values())
            with Logger(plan.write(place)) as logger:
                logger.state()
                time.sleep(interval * 2.2)  # the first round and the identities are over
                before, began = logger.state(), time.monotonic()
                time.sleep(interval * rounds)
                after, ended = logger.state(), time.monotonic()
                logger.stop()
            notes = line.stop()
    bus = config.bus[0]
    jobs = {job: busload.job_s(bus, models["pro380"], job) for job in Job if job in busload.JOBS}
    measured = _periods(notes)
    computed = {
        register: busload.transaction_s(bus, Block(register, count))
        for register, count in {(n.register, n.count) for n in notes}
    }
    wrong = max(abs(computed[key] / measured[key] - 1) for key in measured)
    return Result(
        [
            Figure(
                name="sixty_missed",
                text=f"{len(addresses)} meters on one line every {interval:.2f} s: jobs missed",
                unit="",
                runs=[missed(after) - missed(before)],
                at_most=0,
                raw={"interval_s": interval, "load": planned, "errors": errors(after)},
            ),
            Figure(
                name="sixty_calculation",
                text="calculated time of a transaction against the measured one",
                unit="%",
                runs=[100 * wrong],
                at_most=3,
                raw={"computed_s": computed, "measured_s": measured, "jobs_s": jobs},
            ),
            Figure(
                name="sixty_busy",
                text=f"{len(addresses)} meters on one line: share of time the line is busy",
                unit="%",
                runs=[100 * _busy(before, after, ended - began)],
                raw={"planned": 100 * planned},
            ),
        ]
    )


def _busy(before: dict[str, object], after: dict[str, object], seconds: float) -> float:
    """Return the share of `seconds` that the first bus was busy between two states."""
    total = []
    for state in (before, after):
        buses, started, now = state["buses"], state["started"], state["now"]
        assert isinstance(buses, list)
        assert isinstance(started, int)
        assert isinstance(now, int)
        total.append(buses[0]["busy"] * (now - started) / 1000)
    return float((total[1] - total[0]) / seconds)


def _periods(notes: Sequence[Note]) -> dict[int, float]:
    """Return the median time from one request to the next where they follow at once."""
    found: dict[int, list[float]] = {}
    for one, following in pairwise(notes):
        if one.register == following.register:
            found.setdefault(one.register, []).append(following.at - one.at)
    return {register: statistics.median(gaps) for register, gaps in found.items() if len(gaps) > 4}


def thousand(short: bool) -> Result:
    """A thousand meters on seventeen lines, every ten seconds."""
    count, seconds = (100, 25) if short else (1000, 300)
    numbers = 2 if short else 17
    lines = [list(range(1, 1 + len(range(first, count, numbers)))) for first in range(numbers)]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with LineProcess(place, lines, cheap=True) as line:
            plan = Plan(ports=line.ports, lines=lines, fast_s=10.0, slow_s=600.0)
            with Logger(plan.write(place)) as logger:
                logger.state()
                time.sleep(15 if short else 60)
                before, first = logger.state(), logger.watch.look()
                time.sleep(seconds)
                after, last = logger.state(), logger.watch.look()
                written = logger.watch.written()
                samples = logger.stop()
            line.stop()
    reads = sum(one["reads"] for one in after["meters"]) - sum(
        one["reads"] for one in before["meters"]
    )
    what = f"{count:,} meters on {numbers} TCP lines every 10 s"
    return Result(
        [
            Figure(
                name="thousand_missed",
                text=f"{what}: jobs missed",
                unit="",
                runs=[missed(after) - missed(before)],
                at_most=0,
                raw={"reads": reads, "seconds": seconds, "errors": errors(after)},
            ),
            Figure(
                name="thousand_cpu",
                text=f"{what}: processor time, share of one core",
                unit="%",
                runs=[cpu_share([first, last])],
                at_most=40,
                raw={
                    "cpu_s": last.cpu_s - first.cpu_s,
                    "cpu_ms_a_read": 1000 * (last.cpu_s - first.cpu_s) / reads,
                },
            ),
            Figure(
                name="thousand_memory",
                text=f"{what}: resident memory",
                unit="MiB",
                runs=[max(sample.memory_mib for sample in samples)],
                at_most=120,
                raw={"threads": last.threads, "files": last.files, "bytes_written": written},
            ),
        ],
        [
            Series(
                f"Memory with {what}",
                "time [s]",
                "resident memory [MiB]",
                {"logger": [(sample.at_s, sample.memory_mib) for sample in samples]},
            )
        ],
    )
