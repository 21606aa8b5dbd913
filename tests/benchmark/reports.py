"""How long reports take over a year of two meters, from InfluxDB and from the buffer."""

from __future__ import annotations

import datetime as dt
import gzip
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import urllib3

from logger.buffer import Buffer
from logger.points.line import Point
from tests.benchmark.figure import Figure, Result
from tests.benchmark.rig import DISK, ROOT
from tests.configs import configuration
from tests.engines import InfluxServer

FIRST = dt.datetime(2025, 11, 20, tzinfo=dt.UTC)
SLOW_S, VOLTAGE_S, FREQUENCY_S, QUARTER_S = 300, 600, 10, 900
# Columns of a PRO380's counters.
_COLUMNS = (
    ("total", "total"),
    ("total", "T1"),
    ("total", "T2"),
    ("L1", "total"),
    ("L2", "total"),
    ("L3", "total"),
)
_FIELDS = (
    "active",
    "active_import",
    "active_export",
    "reactive",
    "reactive_import",
    "reactive_export",
)
_METERS = {"grid": "grid", "roof": "pv"}
CONFIG = (
    configuration(
        ("grid", "grid"),
        ("roof", "pv"),
        site="bench",
        zone="Europe/Amsterdam",
        influxdb={"url": "{url}", "bucket": "energy", "token_file": "token", "timeout": "30s"},
        buffer={"path": "buffer.sqlite", "keep": "800d", "max_size": "8GiB"},
    )
    + """
[[prices.valid]]
since = 2025-01-01
buy = 0.31
sell = 0.09
"""
)


def readings(days: int) -> Iterator[list[Point]]:
    """Yield what reading, minute by minute, leaves behind in `days`; oldest first.

    Counters every five minutes, voltage every ten, frequency every ten seconds, and what
    its windows of each quarter hour add up to.
    """
    begin = int(FIRST.timestamp())
    quarters: dict[str, list[float]] = {meter: [] for meter in _METERS}
    for second in range(0, 86_400 * days, FREQUENCY_S):
        at = 1000 * (begin + second)
        for meter, role in _METERS.items():
            tags = {"site": "bench", "meter": meter, "role": role}
            hertz = 50.0 + (second // 10 * 7919 % 200 - 100) / 1000
            mean = {"mean": hertz, "samples": 10, "valid": True}
            if second % QUARTER_S == 0 and (own := quarters[meter]):
                yield [Point("quality_frequency_15m", tags, _quarter(own), at - 1000 * QUARTER_S)]
                own.clear()
            quarters[meter].append(hertz)
            yield [Point("quality_frequency", tags, mean, at)]
            if second % SLOW_S == 0:
                yield list(_counters(tags, second, at))
            if second % VOLTAGE_S == 0:
                yield [
                    Point("quality_voltage", {**tags, "phase": phase}, _window(second, number), at)
                    for number, phase in enumerate(("L1", "L2", "L3"))
                ]


def _quarter(means: list[float]) -> dict[str, float | int | bool]:
    count = len(means)
    return {
        "windows": count, "valid": count, "normal": count, "wide": count,
        "min": min(means), "max": max(means), "whole": True,
    }  # fmt: skip


def _counters(tags: dict[str, str], second: int, at: int) -> Iterator[Point]:
    for number, (phase, tariff) in enumerate(_COLUMNS):
        share = (1.0, 0.6, 0.4, 0.3, 0.3, 0.4)[number]
        values = {
            name: round(1000 + share * second * (0.0001 + 0.00001 * place), 2)
            for place, name in enumerate(_FIELDS)
        }
        yield Point("energy", {**tags, "phase": phase, "tariff": tariff}, dict(values), at)


def _window(second: int, number: int) -> dict[str, float | int | bool]:
    volts = 230.0 + ((second // 600 * 31 + number * 17) % 300 - 150) / 10
    return {"mean": volts, "min": volts - 1.5, "max": volts + 1.5, "samples": 600, "valid": True}


def reports(short: bool) -> Result:
    """Fill both stores with the same points, then time the commands."""
    days, repeats = (10, 1) if short else (365, 5)
    last = (FIRST + dt.timedelta(days=days - 1)).date().isoformat()
    span = ["--from", FIRST.date().isoformat(), "--to", last]
    result = Result()
    with tempfile.TemporaryDirectory(dir=DISK) as name:
        place = Path(name)
        with InfluxServer(place / "influx") as engine:
            engine.create_bucket("energy")
            (place / "token").write_text("none", encoding="utf-8")
            config = place / "logger.toml"
            config.write_text(CONFIG.format(url=engine.url), encoding="utf-8")
            raw = _fill(place / "buffer.sqlite", engine, days)
            for kind, more in (("energy", ["--by", "month"]), ("quality", [])):
                for source in ("InfluxDB", "the buffer"):
                    arguments = ["report", kind, *span, *more, "--json", "--config", str(config)]
                    arguments += ["--from-buffer"] if source == "the buffer" else []
                    runs = [_timed(arguments) for _ in range(repeats)]
                    result.figures.append(
                        Figure(
                            name=f"report_{kind}_{source.split()[-1].lower()}",
                            text=f"report {kind} over {days} days of two meters, from {source}",
                            unit="s",
                            runs=runs,
                            at_most=5,
                            raw=raw,
                        )
                    )
    return result


def _timed(arguments: list[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "logger", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    took = time.perf_counter() - began
    if done.returncode or len(done.stdout) < 200:
        raise RuntimeError(f"{arguments}: {done.stderr or done.stdout}")
    return took


def _fill(path: Path, engine: InfluxServer, days: int) -> dict[str, float]:
    """Put the points of `days` into a buffer file and into the engine."""
    end = int((FIRST + dt.timedelta(days=days)).timestamp() * 1000)
    buffer = Buffer(path, keep_s=800 * 86_400, max_size=8 << 30, now_ms=lambda: end)
    buffer.open()
    pool = urllib3.PoolManager()
    lines = 0
    for part in _parts(readings(days), 5000):
        for reading in part:
            buffer.append(reading)
        text = "\n".join(point.line() for reading in part for point in reading)
        lines += text.count("\n") + 1
        answer = pool.request(
            "POST",
            f"{engine.url}/write?db=energy&precision=ms",
            body=gzip.compress(text.encode(), 1),
            headers={"Content-Encoding": "gzip"},
        )
        if answer.status != 204:
            raise RuntimeError(f"{answer.status}: {answer.data!r}")
        while buffer.state().in_memory > 40_000:
            buffer.flush(60.0)
    buffer.flush(60.0)
    state = buffer.state()
    buffer.close()
    if state.waiting != lines:
        raise RuntimeError(f"{state.waiting} of {lines} points in the buffer")
    return {"lines": lines, "buffer_mib": round(state.file_size / 2**20)}


def _parts(found: Iterator[list[Point]], size: int) -> Iterator[list[list[Point]]]:
    while part := list(itertools.islice(found, size)):
        yield part
