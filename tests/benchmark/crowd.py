"""Many meters: as many as a line bears, and a thousand on seventeen lines."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from logger.bus import busload
from logger.models import Job, load
from logger.models.plan import Block
from tests.benchmark.figure import Figure, Result, Series
from tests.benchmark.front import Front
from tests.benchmark.line import LineProcess, Note
from tests.benchmark.rig import DISK, Logger, Plan, cpu_share, errors, missed
from tests.benchmark.timing import config_for
from tests.engines import InfluxServer


def sixty(short: bool) -> Result:
    """Sixty meters on one line, as often as the calculation allows."""
    addresses = list(range(1, 13 if short else 61))
    rounds = 6 if short else 40
    models = {"pro380": load("pro380")}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with LineProcess(place, [addresses]) as line:
            config = config_for(addresses, line.ports[0], 60.0)
            interval = busload.fastest(config, config.bus[0], models)
            if interval is None:
                raise RuntimeError("the counters alone fill the line")
            interval = math.ceil(interval * 1000) / 1000
            plan = Plan(ports=line.ports, lines=[addresses], fast_s=interval)
            config = config_for(addresses, line.ports[0], interval)
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
    """A thousand meters on seventeen lines, every ten seconds, delivered to InfluxDB."""
    count, lines, seconds = (100, 2, 25) if short else (1000, 17, 300)
    promises = {"missed": 0, "cpu": 40, "memory": 120}
    return _many("thousand", count, lines, 15 if short else 60, seconds, promises)


def ten_thousand(short: bool) -> Result:
    """Ten thousand meters on a hundred and seventy lines, in the same way: too many for one
    process of Python, so nothing is promised."""
    count, lines, seconds = (200, 4, 25) if short else (10_000, 170, 120)
    return _many("ten_thousand", count, lines, 15 if short else 120, seconds, {})


def _many(
    name: str,
    count: int,
    numbers: int,
    warm_s: float,
    seconds: float,
    promises: Mapping[str, float],
) -> Result:
    """Read `count` meters on so many lines; what happens in the first `warm_s`, when all are
    new, does not count but for memory."""
    lines = [list(range(1, 1 + len(range(first, count, numbers)))) for first in range(numbers)]
    with tempfile.TemporaryDirectory(dir=DISK) as directory:
        place = Path(directory)
        with InfluxServer(place / "influx") as engine:
            for bucket in ("energy", "live"):
                engine.create_bucket(bucket)
            front = Front(engine.port)
            front.up()
            try:
                with LineProcess(place, lines, cheap=True) as line:
                    plan = Plan(
                        ports=line.ports,
                        lines=lines,
                        fast_s=10.0,
                        slow_s=600.0,
                        influx_url=front.url,
                    )
                    with Logger(plan.write(place)) as logger:
                        logger.state()
                        time.sleep(warm_s)
                        before, first = logger.state(), logger.watch.look()
                        time.sleep(seconds)
                        after, last = logger.state(), logger.watch.look()
                        samples = logger.stop()
                    line.stop()
            finally:
                front.down()
    reads = sum(one["reads"] for one in after["meters"]) - sum(
        one["reads"] for one in before["meters"]
    )
    what = f"{count:,} meters on {numbers} TCP lines every 10 s, delivered"
    return Result(
        [
            Figure(
                name=f"{name}_missed",
                text=f"{what}: jobs missed",
                unit="",
                runs=[missed(after) - missed(before)],
                at_most=promises.get("missed"),
                raw={"reads": reads, "seconds": seconds, "errors": errors(after)},
            ),
            Figure(
                name=f"{name}_cpu",
                text=f"{what}: processor time, share of one core",
                unit="%",
                runs=[cpu_share([first, last])],
                at_most=promises.get("cpu"),
                raw={"cpu_s": last.cpu_s - first.cpu_s},
            ),
            Figure(
                name=f"{name}_reading",
                text=f"{what}: processor time a reading",
                unit="ms",
                runs=[1000 * (last.cpu_s - first.cpu_s) / reads],
            ),
            Figure(
                name=f"{name}_memory",
                text=f"{what}: resident memory",
                unit="MiB",
                runs=[max(sample.memory_mib for sample in samples)],
                at_most=promises.get("memory"),
                raw={"threads": last.threads, "files": last.files},
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
