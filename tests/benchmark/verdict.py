"""What a soak must have left behind: the books, the database, the values."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from logger.points.parse import decode
from tests import journal_reader
from tests.benchmark.rig import ROOT
from tests.engines import InfluxServer

Counts = dict[str, dict[str, int]]


def command(config: Path, *arguments: str) -> dict[str, Any]:
    """Run a command of the logger with `--json`; return what it printed, with `exit`."""
    done = subprocess.run(
        [sys.executable, "-m", "logger", *arguments, "--json", "--config", str(config)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
        check=False,
    )
    try:
        found = json.loads(done.stdout.strip().splitlines()[-1] if done.stdout else "{}")
    except ValueError:
        found = json.loads(done.stdout)
    if not isinstance(found, dict):
        found = {"items": found}
    return {**found, "exit": done.returncode, "stderr": done.stderr[-500:]}


def in_file(buffer: Path) -> Counts:
    """Count the different values of all delivered points in the file, by measurement and field."""
    seen: dict[str, set[tuple[str, str, int]]] = defaultdict(set)
    found = journal_reader.read(buffer)
    for lane in ("main", "fast"):
        for line in found[lane, "delivered"]:
            point = decode(line)
            series = ",".join(f"{key}={value}" for key, value in sorted(point.tags.items()))
            for name in point.fields:
                seen[point.measurement].add((name, series, point.time_ms))
    return {
        measurement: dict(Counter(name for name, _, _ in values))
        for measurement, values in seen.items()
    }


def in_database(engine: InfluxServer, buckets: Mapping[str, str], names: list[str]) -> Counts:
    """Count the values in the database likewise; `buckets` by measurement, "" for the rest."""
    found: Counts = {}
    for name in names:
        bucket = buckets.get(name, buckets[""])
        rows = engine.rows(f'SELECT count(*) FROM "{name}"', bucket)
        found[name] = {
            key.removeprefix("count_"): int(value)
            for row in rows
            for key, value in row.items()
            if key.startswith("count_") and value is not None
        }
    return found


def powers_in(engine: InfluxServer, bucket: str, meters: Iterable[str]) -> int:
    """Count the points of `power`; a partial reading may leave one with any of its fields."""
    return sum(
        len(
            engine.rows(f"SELECT * FROM power WHERE meter = '{name}' AND phase = '{phase}'", bucket)
        )
        for name in meters
        for phase in ("total", "L1", "L2", "L3")
    )


def served(path: Path) -> dict[tuple[int, int], set[float]]:
    """Return every total active power in W that each meter sent, by (line, address)."""
    found: dict[tuple[int, int], set[float]] = defaultdict(set)
    record = struct.Struct(">BBf")
    for line, address, power in record.iter_unpack(path.read_bytes()):
        # The shortest decimal of the float32, by its printed form with 6 to 9 digits.
        text = next(
            text
            for digits in range(6, 10)
            if struct.unpack(">f", struct.pack(">f", float(text := f"{power:.{digits}g}")))[0]
            == power
        )
        found[line, address].add(float(Decimal(text) * 1000))
    return found


def strangers(
    engine: InfluxServer, bucket: str, meters: Mapping[str, tuple[int, int]], sent: Path
) -> tuple[int, list[str]]:
    """Return how many powers are in the database, and those that no meter ever sent."""
    known = served(sent)
    count, wrong = 0, []
    for name, place in meters.items():
        rows = engine.rows(
            f"SELECT active_power FROM power WHERE meter = '{name}' AND phase = 'total'", bucket
        )
        count += len(rows)
        wrong += [f"{name}: {row}" for row in rows if row["active_power"] not in known[place]]
    return count, wrong
