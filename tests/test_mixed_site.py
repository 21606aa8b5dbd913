"""A site of many meters in virtual time: what is reported is what the meters counted.

Two Modbus lines, a GROW and a one-phase meter among them, and an M-Bus line with twenty
meters, where answers collide, checksums are wrong and one meter answers every second
question only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from logger.models import load
from logger.points.parse import decode
from logger.simulate import MbusLine, Quirk, VirtualLine, VirtualMbusMeter, VirtualMeter
from logger.simulate.ledger import Books
from logger.simulate.quirk import Pieces
from logger.simulate.quirks import quirks_named
from logger.simulate.world import World
from tests.benchmark import virtual
from tests.benchmark.clockfile import Time
from tests.running import command

MIDNIGHT = 1_795_046_400.0  # 2026-11-19 00:00 UTC
HOUR = 3600
BEFORE = 600  # seconds of run before the period
MBUS_METERS = 20
LAZY = 7  # answers every second question
# A counter's last digit, kWh.
RESOLUTION = {
    "pro380": 0.01,
    "pro1": 0.01,
    "grow-701": 0.001,
    "pro380-mb": 0.01,
    "ambition-2pu-mb": 0.001,
}
CONFIG = """\
[site]
name = "works"
timezone = "UTC"
[intervals]
fast = "5m"
slow = "10m"
identity = "2h"
[buffer]
path = "buffer.sqlite"
"""
BUS = """\
[[bus]]
name = "{name}"
protocol = "{protocol}"
port = "socket://127.0.0.1:{port}"
baudrate = 9600
timeout = "{timeout}"
"""
METER = """\
[[bus.meter]]
name = "{name}"
model = "{model}"
address = {address}
role = "{role}"
"""


class Collisions(Quirk):
    """Now and then another meter answers at the same time: a 0 wins over a 1."""

    name = "collisions"
    hits = 0

    def spoiled(self, frame: bytes) -> Pieces:
        if len(frame) < 20 or not self.dice.chance(0.02):
            return [(0.0, frame)]
        self.hits += 1
        other = frame[30:] + frame[:30]
        return [(0.0, bytes(a & b for a, b in zip(frame, other, strict=True)))]


class WrongChecksums(Quirk):
    """Now and then the checksum of a telegram is wrong."""

    name = "wrong-checksums"
    hits = 0

    def spoiled(self, frame: bytes) -> Pieces:
        if len(frame) < 20 or not self.dice.chance(0.02):
            return [(0.0, frame)]
        self.hits += 1
        return [(0.0, frame[:-2] + bytes((frame[-2] ^ 0x40, frame[-1])))]


@dataclass
class Meters:
    """The meters of one line, each with a share of its own of what its role measures."""

    name: str
    meters: list[VirtualMeter]

    def text(self, port: int, protocol: str, timeout: str) -> str:
        """Return the line as the configuration says it."""
        head = BUS.format(name=self.name, protocol=protocol, port=port, timeout=timeout)
        return head + "".join(
            METER.format(
                name=f"{self.name}{one.address}",
                model=one.model.name,
                address=one.address,
                role=one.role,
            )
            for one in self.meters
        )


def _meter(
    books: Books, model: str, address: int, role: str, share: float = 1.0, **settings: str
) -> VirtualMeter:
    table = load(model)
    kind = VirtualMbusMeter if table.protocol == "mbus" else VirtualMeter
    return kind(table, address, role, books, gains=(share, share, share), settings=settings or None)


def _site() -> list[Meters]:
    books = Books(World(7), MIDNIGHT - HOUR, 60)
    roof = [_meter(books, "pro380", 2, "pv", 0.5)]
    mbus = [
        _meter(
            books,
            ("pro380-mb", "ambition-2pu-mb")[address % 2],
            address,
            "pv" if address <= 5 else "load",
            0.02 * address,
            serial=f"{22_091_000 + address}",
        )
        for address in range(1, MBUS_METERS + 1)
    ]
    second = [
        _meter(books, "grow-701", 1, "load", 0.7),
        _meter(books, "pro1", 2, "load", 0.9),
        _meter(books, "grow-701", 3, "pv", 0.2),
    ]
    return [
        Meters("cellar", [_meter(books, "pro380", 1, "grid"), *roof]),
        Meters("hall", second),
        Meters("flats", mbus),
    ]


@pytest.mark.parametrize(
    ("first", "hours"), [(14, 1), pytest.param(0, 24, marks=pytest.mark.long)], ids=["hour", "day"]
)
def test_reports_equal_the_ledgers_of_the_meters(tmp_path: Path, first: int, hours: int) -> None:
    begin = MIDNIGHT + first * HOUR
    end = begin + hours * HOUR
    clock = Time(tmp_path / "time", begin - BEFORE)
    cellar, hall, flats = site = _site()
    collisions, checksums = Collisions(3), WrongChecksums(5)
    lazy = quirks_named([f"every-second@{LAZY}"])
    options: dict[str, Any] = {"clock": lambda: clock.now, "paced": False, "delay_s": 0.0}
    with (
        VirtualLine(cellar.meters, **options) as one,
        VirtualLine(hall.meters, **options) as two,
        MbusLine(flats.meters, quirks=[*lazy, collisions, checksums], **options) as three,
    ):
        config = tmp_path / "logger.toml"
        config.write_text(
            CONFIG
            + cellar.text(one.start_tcp(), "modbus", "2s")
            + hall.text(two.start_tcp(), "modbus", "2s")
            + flats.text(three.start_tcp(), "mbus", "500ms")
        )
        virtual.run(config, clock, end + 60, lambda: False)
    assert collisions.hits
    assert checksums.hits
    _compare_report(config, site, begin, end)
    _compare_counters(config, site, begin, end)


def _compare_report(config: Path, site: Iterable[Meters], begin: float, end: float) -> None:
    """The sums of the site, as the report shows them."""
    span = ("--from", _local(begin), "--to", _local(end), "--by", "hour")
    done = command("report", "energy", *span, "--json", "--config", str(config))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["total"]
    meters = [meter for line in site for meter in line.meters]
    for name, role, field in (
        ("import_kwh", "grid", "active_import"),
        ("export_kwh", "grid", "active_export"),
        ("pv_kwh", "pv", "active_export"),
    ):
        those = [meter for meter in meters if meter.role == role]
        counted = sum(meter.ledger.between(begin, end, field) for meter in those)
        digits = sum(RESOLUTION[meter.model.name] for meter in those)
        assert found[name] == pytest.approx(counted, abs=digits), name
        assert counted > digits, name


def _compare_counters(config: Path, site: Iterable[Meters], begin: float, end: float) -> None:
    """The counters of every meter, as they were stored."""
    out = config.with_name("energy.lp")
    done = command("buffer", "export", "-o", str(out), "-m", "energy", "--config", str(config))
    assert done.returncode == 0, done.stderr
    stored: dict[str, list[tuple[int, dict[str, float]]]] = {}
    for text in out.read_text(encoding="utf-8").splitlines():
        point = decode(text)
        if (point.tags["phase"], point.tags["tariff"]) != ("total", "total"):
            continue
        row = (point.time_ms, {name: float(value) for name, value in point.fields.items()})
        stored.setdefault(point.tags["meter"], []).append(row)
    for line in site:
        for meter in line.meters:
            rows = stored[f"{line.name}{meter.address}"]
            for field in ("active_import", "active_export"):
                if not any(field in values for _, values in rows):
                    continue
                values = [_at(rows, field, at) for at in (begin, end)]
                counted = meter.ledger.between(begin, end, field)
                digit = RESOLUTION[meter.model.name]
                assert float(values[1] - values[0]) == pytest.approx(counted, abs=digit + 1e-9), (
                    line.name,
                    meter.address,
                    field,
                )


def _at(rows: list[tuple[int, dict[str, float]]], field: str, at: float) -> Decimal:
    """Return the first counter that was read in the minute from `at` on."""
    found = [
        values[field]
        for time_ms, values in sorted(rows, key=lambda row: row[0])
        if field in values and 0 <= time_ms / 1000 - at < 60
    ]
    assert found, (field, at)
    return Decimal(str(found[0]))


def _local(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M")
