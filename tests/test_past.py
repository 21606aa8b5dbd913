"""The virtual past: what a logger would have read, to the last digit of the counters."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from logger.buffer import Buffer
from logger.cli.past import simulate_past
from logger.domain.datamodel import MEASUREMENTS
from logger.domain.field import FieldType
from logger.points.line import Point
from logger.simulate import Trouble, virtual_site
from logger.simulate.past import Past, PastSpan, troubles
from tests.running import command

START = 1_780_272_000  # 2026-06-01 00:00 UTC
NAMES = {1: "grid", 2: "roof"}
CONFIG = """
[site]
name = "demo"
[[bus]]
name = "virtual"
port = "socket://127.0.0.1:1"
[[bus.meter]]
name = "house"
model = "pro380"
address = 1
role = "grid"
[[bus.meter]]
name = "sun"
model = "pro380"
address = 2
role = "pv"
[buffer]
path = "buffer.sqlite"
"""


def points_of(hours: int, seed: int = 5) -> list[Point]:
    site = virtual_site(seed, start=START, step_s=10)
    span = PastSpan(
        start_ms=START * 1000,
        end_ms=(START + hours * 3600) * 1000,
        fast_ms=60_000,
        slow_ms=300_000,
    )
    return list(itertools.chain.from_iterable(Past(site, NAMES, "home").points(span)))


def test_every_measurement_is_there_in_its_own_types() -> None:
    found = points_of(3)
    assert {p.measurement for p in found} == set(MEASUREMENTS) - {
        "event",
        "day_digest",
        "price",
        "cost_15m",
    }  # no day ends, and no prices were imported
    kinds = {
        FieldType.FLOAT: float,
        FieldType.INTEGER: int,
        FieldType.TEXT: str,
        FieldType.BOOLEAN: bool,
    }
    for point in found:
        measurement = MEASUREMENTS[point.measurement]
        assert set(point.tags) <= {"site", *measurement.tags}
        for name, value in point.fields.items():
            assert type(value) is kinds[measurement.fields[name].kind], name


def test_counters_are_those_of_the_virtual_meter() -> None:
    site = virtual_site(5, start=START, step_s=10)
    before = site.meter(2).ledger.energy("active_export")
    last = [
        p.fields["active_export"]
        for p in points_of(12)
        if p.measurement == "energy"
        and p.tags["meter"] == "roof"
        and p.tags["phase"] == p.tags["tariff"] == "total"
    ]
    assert last[0] == pytest.approx(before, abs=0.01)
    site.books.advance(START + 12 * 3600 - 300)
    after = site.meter(2).ledger.energy("active_export")
    assert last[-1] == pytest.approx(after, abs=0.01)
    assert after - before > 5


def test_the_same_seed_gives_the_same_past() -> None:
    one, two, other = points_of(2), points_of(2), points_of(2, seed=6)
    assert [p.line() for p in one] == [p.line() for p in two]
    assert [p.line() for p in one] != [p.line() for p in other]


def test_no_two_points_share_a_place() -> None:
    keys = Counter(
        (p.measurement, tuple(sorted(p.tags.items())), p.time_ms, name)
        for p in points_of(6)
        for name in p.fields
    )
    assert max(keys.values()) == 1


def test_one_trouble_of_each_kind_makes_the_demo_worth_seeing() -> None:
    end = START + 40 * 86400
    found = troubles(end)
    assert {t.kind for t in found} == set(Trouble) - {Trouble.LOAD, Trouble.PV}
    assert all(end - 30 * 86400 < t.start < t.end < end for t in found)


def test_the_buffer_is_filled_once(tmp_path: Path) -> None:
    config = tmp_path / "logger.toml"
    config.write_text(CONFIG, encoding="utf-8")
    app = typer.Typer()
    app.command()(simulate_past)

    def run() -> str:
        arguments = ["--config", str(config), "--days", "1"]
        arguments += ["--listen", "tcp://127.0.0.1:0", "--for", "200ms"]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def waiting() -> int:
        buffer = Buffer(tmp_path / "buffer.sqlite", now_ms=lambda: START * 1000)
        buffer.open()
        try:
            return buffer.books().total.waiting
        finally:
            buffer.close()

    output = run()
    assert "virtual meters at socket://127.0.0.1:" in output
    filled = waiting()
    assert f"{filled} points of 1 day are in" in output
    assert filled > 30_000
    assert "filled before" in run()
    assert waiting() == filled


def test_a_meter_without_a_neutral_has_windows_between_its_phases() -> None:
    """As the logger that goes on from there has them."""
    site = virtual_site(5, start=START, step_s=10, model="grow-701")
    begin = START * 1000
    span = PastSpan(start_ms=begin, end_ms=begin + 1_500_000, fast_ms=60_000, slow_ms=300_000)
    past = Past(site, NAMES, "home", wirings={1: "3P3W"})
    phases: dict[str, set[str]] = {"grid": set(), "roof": set()}
    for point in itertools.chain.from_iterable(past.points(span)):
        if point.measurement == "quality_voltage":
            phases[point.tags["meter"]].add(point.tags["phase"])
    assert phases == {"grid": {"L1-L2", "L1-L3", "L2-L3"}, "roof": {"L1", "L2", "L3"}}


def test_who_has_no_terminal_is_told_how_far_it_is(tmp_path: Path) -> None:
    config = tmp_path / "logger.toml"
    config.write_text(CONFIG, encoding="utf-8")
    done = command("simulate-past", "--config", str(config), "--from", "3h")
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert told[0] == "filling 3 hours of the past"
    assert told[1:] == [f"the past: {percent} %" for percent in range(10, 101, 10)]
    assert " points of 3 hours are in " in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_quarter_hours_of_the_past_are_sure(tmp_path: Path) -> None:
    """Counters are read at their borders, so that a statement has nothing that is estimated."""
    config = tmp_path / "logger.toml"
    config.write_text(CONFIG, encoding="utf-8")
    assert command("simulate-past", "--config", str(config), "--from", "2d").returncode == 0
    words = ("report", "statement", "--from", "yesterday", "--to", "yesterday", "--json")
    found = json.loads(command(*words, "--config", str(config)).stdout)["statements"]
    assert [one["meter"] for one in found] == ["house", "sun"]
    assert [one["estimates"] for one in found] == [[], []]
