"""A week of backlog into a real engine, beside curl posting the same gzip batches."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from logger.buffer import Buffer
from tests.benchmark.figure import Figure, Result, Series
from tests.benchmark.front import Front
from tests.benchmark.line import LineProcess
from tests.benchmark.rig import DISK, Logger, Plan
from tests.benchmark.storing import readings
from tests.engines import InfluxServer

_LINES_A_READING = 4


def fill(path: Path, count: int) -> int:
    """Make a buffer with at least `count` waiting lines; return how many it has."""
    buffer = Buffer(path, now_ms=lambda: int(time.time() * 1000))
    buffer.open()
    for reading in readings(int(time.time() * 1000) - 600_000, count // _LINES_A_READING):
        while buffer.state().in_memory > 40_000:
            buffer.flush()
        buffer.append(reading)
    buffer.flush(30.0)
    waiting = buffer.state().waiting
    buffer.close()
    return waiting


@dataclass(slots=True)
class _Run:
    """One outage and its end; seconds, MiB."""

    newest_s: float = 0.0
    drained_s: float = 0.0
    memory_before: float = 0.0
    memory_most: float = 0.0
    waiting: list[tuple[float, float]] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)


def backlog(short: bool) -> Result:
    """Let a logger deliver the backlog, then let curl post the same bodies; repeat."""
    count, repeats = (40_000, 1) if short else (1_000_000, 3)
    runs, curls, straight, bodies = [], [], [], []
    with tempfile.TemporaryDirectory(dir=DISK) as name:
        place = Path(name)
        master = place / "master.sqlite"
        lines = fill(master, count)
        with InfluxServer(place / "influx") as engine:
            for number in range(repeats):
                kept = place / f"bodies{number}"
                kept.mkdir()
                runs.append(_deliver(place, master, engine, kept))
                files = sorted(kept.iterdir())
                bodies.append(
                    {"requests": len(files), "bytes": sum(f.stat().st_size for f in files)}
                )
                front = Front(engine.port)
                front.up()
                curls.append(
                    _curl(engine, files, f"{front.url}/api/v2/write?precision=ms&bucket=", place)
                )
                front.down()
                straight.append(_curl(engine, files, f"{engine.url}/write?precision=ms&db=", place))
                shutil.rmtree(kept)
    rates = [lines / run.drained_s for run in runs]
    raw = {
        "lines": lines,
        "lines_a_second": rates,
        "curl_lines_a_second": [lines / took for took in curls],
        "curl_without_front": [lines / took for took in straight],
        "bodies": bodies,
    }
    ratio = [100 * rate * took / lines for rate, took in zip(rates, curls, strict=True)]
    what = f"backlog of {lines:,} lines"
    return Result(
        [
            Figure(
                name="backlog_ratio",
                text=f"{what}: rate against curl posting the same batches",
                unit="%",
                runs=ratio,
                at_least=60,
                raw=raw,
            ),
            Figure(name="backlog_rate", text=f"{what}: lines delivered", unit="1/s", runs=rates),
            Figure(
                name="backlog_memory",
                text=f"{what}: memory growth",
                unit="MiB",
                runs=[run.memory_most - run.memory_before for run in runs],
                at_most=30,
                raw={
                    "before": [run.memory_before for run in runs],
                    "most": [run.memory_most for run in runs],
                },
            ),
            Figure(
                name="backlog_newest",
                text=f"{what}: newest point visible after the server's return",
                unit="s",
                runs=[run.newest_s for run in runs],
                at_most=2,
            ),
        ],
        [
            Series(
                f"{what} after the server's return",
                "time [s]",
                "points waiting",
                {f"run {n + 1}": run.waiting for n, run in enumerate(runs)},
            ),
            Series(
                "Memory meanwhile",
                "time [s]",
                "resident memory [MiB]",
                {f"run {n + 1}": run.memory for n, run in enumerate(runs)},
            ),
        ],
    )


def _deliver(place: Path, master: Path, engine: InfluxServer, kept: Path) -> _Run:
    """Start a logger on a copy of the backlog while the server is away; let it return."""
    run = _Run()
    front = Front(engine.port, kept)
    for bucket in ("energy", "live"):
        engine.create_bucket(bucket)
    home = place / "logger"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    shutil.copy(master, home / "buffer.sqlite")
    try:
        with LineProcess(home, [[1]]) as line:
            plan = Plan(ports=line.ports, lines=[[1]], fast_s=1.0, influx_url=front.url)
            with Logger(plan.write(home)) as logger:
                logger.state()
                time.sleep(5)
                first = len(logger.watch.samples)
                run.memory_before = max(
                    one.memory_mib for one in logger.watch.samples[first // 2 :]
                )
                front.up()
                _follow(run, logger, engine)
                run.memory_most = max(one.memory_mib for one in logger.watch.samples[first:])
                began = logger.watch.samples[first].at_s
                run.memory = [
                    (one.at_s - began, one.memory_mib) for one in logger.watch.samples[first:]
                ]
                logger.stop()
    finally:
        front.down()
        for bucket in ("energy", "live"):
            engine.drop_bucket(bucket)
    return run


def _follow(run: _Run, logger: Logger, engine: InfluxServer) -> None:
    """Wait until the newest point is there, then until next to nothing waits."""
    began, looked = time.time(), 0.0
    while True:
        now = time.time()
        if not run.newest_s and _newest(engine) > began - 1.5:
            run.newest_s = now - began
        pause = 0.1 if now - began < 10 else 0.5  # a short backlog is over in a second or two
        if now - looked > pause:
            looked = now
            waiting = logger.state()["buffer"]["waiting"]
            run.waiting.append((now - began, waiting))
            if waiting < 50 and run.newest_s:
                run.drained_s = now - began
                return
        if now - began > 600:
            raise RuntimeError(f"{waiting} points still wait: {logger.problems()[-3:]}")
        time.sleep(0.02)


def _newest(engine: InfluxServer) -> float:
    found = engine.rows("SELECT last(active_power) FROM power WHERE phase = 'total'", "live")
    return float(found[0]["time"]) / 1000 if found else 0.0


def _curl(engine: InfluxServer, files: list[Path], url: str, place: Path) -> float:
    """Post `files` one after the other over one connection; return the seconds it took."""
    for bucket in ("energy", "live"):
        engine.create_bucket(bucket)
    took = posted_by_curl(files, url, place)
    for bucket in ("energy", "live"):
        engine.drop_bucket(bucket)
    return took


def posted_by_curl(files: list[Path], url: str, place: Path) -> float:
    """Post `files` to `url` and the bucket that each is named after; return the seconds."""
    parts = [
        f'url = "{url}{file.stem.split("-")[1]}"\ndata-binary = "@{file}"\n'
        'header = "Content-Encoding: gzip"\nfail\nsilent\nshow-error\n'
        for file in files
    ]
    (place / "curl.conf").write_text("next\n".join(parts), encoding="utf-8")
    began = time.perf_counter()
    subprocess.run(["curl", "-K", str(place / "curl.conf")], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
