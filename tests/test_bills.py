"""Numbers to bill by, through the command line: files from elsewhere, then reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from logger.cli import app

CASES = Path(__file__).parent / "cases"
CONFIG = """\
[site]
name = "home"
timezone = "UTC"
[[bus]]
name = "b"
port = "socket://127.0.0.1:1"
[[bus.meter]]
name = "grid"
model = "pro380"
address = 1
role = "grid"
[[bus.meter]]
name = "roof"
model = "pro380"
address = 2
role = "pv"
[[bus.meter]]
name = "cellar"
model = "pro380"
address = 3
role = "battery"
[buffer]
path = "{path}"
"""
DAYS = ("--from", "2026-09-21", "--to", "2026-09-23")
START = 1_789_948_800_000  # 2026-09-21 00:00 UTC
HOUR = 3_600_000


class House:
    """A configuration, no buffer yet, and the command line on it."""

    def __init__(self, directory: Path, extra: str = "") -> None:
        self.buffer = directory / "buffer.sqlite"
        self.config = directory / "logger.toml"
        self.config.write_text(CONFIG.format(path=self.buffer) + extra, encoding="utf-8")
        self.directory = directory

    def run(self, *words: str, columns: int = 200) -> Result:
        return CliRunner().invoke(
            app, [*words, "--config", str(self.config)], env={"COLUMNS": str(columns)}
        )

    def __call__(self, *words: str, columns: int = 200) -> str:
        result = self.run(*words, columns=columns)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    def take(self, *names: str) -> None:
        for name in names:
            self("buffer", "import", str(CASES / f"{name}.lp"))

    def take_text(self, text: str | bytes, *words: str) -> Result:
        file = self.directory / "own.lp"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.run("buffer", "import", str(file), "--json", *words)

    def energy(self, by: str = "day", days: Sequence[str] = DAYS) -> dict[str, Any]:
        return dict(json.loads(self("report", "energy", *days, "--by", by, "--json")))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.mark.parametrize("by", ["hour", "day", "month"])
@pytest.mark.parametrize(
    ("case", "kwh"),
    [
        ("two-sites", 72.0),
        ("swap-unmarked", 71.0),
        ("roll-over", 72.0),
        ("roll-over-in-a-gap", 72.0),
        ("large-ct", 59_500.0),
    ],
)
def test_energy_is_the_same_at_every_resolution(
    house: House, case: str, kwh: float, by: str
) -> None:
    house.take(case)
    found = house.energy(by)
    assert found["total"]["import_kwh"] == kwh
    assert sum(row["import_kwh"] for row in found["rows"]) == pytest.approx(kwh, abs=1e-9)


@pytest.mark.parametrize(
    ("case", "begin", "end"),
    [
        ("swap-unmarked", "2026-09-22T05:00:00+00:00", "2026-09-22T06:00:00+00:00"),
        ("large-ct", "2026-09-21T09:00:00+00:00", "2026-09-21T10:00:00+00:00"),
    ],
)
def test_the_hour_of_a_break_is_marked(house: House, case: str, begin: str, end: str) -> None:
    house.take(case)
    for by in ("hour", "day", "month"):
        found = house.energy(by)
        assert found["breaks"] == [{"meter": "grid", "begin": begin, "end": end}]
        unsure = [row for row in found["rows"] if not row["sure"]]
        assert len(unsure) == 1
        assert found["total"]["sure"] is False
        if by == "hour":
            assert unsure[0]["start"] == begin
    table = house("report", "energy", *DAYS)
    assert f"{begin[:10]} ?" in table
    assert "energy there may be missing" in table


@pytest.mark.parametrize("case", ["roll-over", "roll-over-in-a-gap", "two-sites"])
def test_what_is_known_is_not_marked(house: House, case: str) -> None:
    house.take(case)
    found = house.energy()
    assert found["breaks"] == []
    assert all(row["sure"] for row in found["rows"])


def test_the_amps_of_the_meter_bound_what_a_restarted_counter_counted(house: House) -> None:
    """2000 kWh in an hour are believed of 2.5 MW, not of a meter of 100 A."""
    house.take("large-ct")
    tags = "meter,meter=grid,role=grid,site=home"
    assert house.take_text(f'{tags} meter_amps=100i,ct_ratio="0005" {START}').exit_code == 0
    assert house.energy("day", ("--from", "2026-09-21", "--to", "2026-09-21"))["total"][
        "import_kwh"
    ] == pytest.approx(57_500.0)


def test_a_quality_window_counts_once_however_often_it_is_imported(house: House) -> None:
    house.take("quality-day", "quality-day", "quality-day")
    found = json.loads(house("report", "quality", *DAYS, "--json"))
    lines = {line["phase"]: (line["windows"], line["valid"]) for line in found["lines"]}
    assert lines == dict.fromkeys(("L1", "L2", "L3"), (144, 144))


def test_of_a_window_that_was_stored_twice_the_last_counts(house: House) -> None:
    house.take("quality-day")
    window = "quality_voltage,meter=grid,phase=L1,role=grid,site=home"
    fields = "mean=261.0,min=229.5,max=265.0,samples=120i,valid=true"
    assert house.take_text(f"{window} {fields} {START}").exit_code == 0
    found = json.loads(house("report", "quality", *DAYS, "--json"))
    line = next(line for line in found["lines"] if line["phase"] == "L1")
    assert (line["windows"], line["valid"], line["highest_seen_v"]) == (144, 144, 265.0)
    assert line["share_plus_minus_10_percent"] == pytest.approx(143 / 144)


def test_quality_and_events_are_those_of_the_site(house: House) -> None:
    other = (CASES / "quality-day.lp").read_text().replace("site=home", "site=barn")
    assert house.take_text(other).exit_code == 0
    result = house.run("report", "quality", *DAYS)
    assert "no quality windows" in str(result.exception)
    event = 'event,kind=logger_outage,site=barn state="begin",text="x"'
    assert house.take_text(f"{event} {START}").exit_code == 0
    assert json.loads(house("events", *DAYS, "--json")) == []


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [
        ("2026-09-01", "2026-09-03", False),
        ("2026-09-04", "2026-09-06", True),  # it begins
        ("2026-09-10", "2026-09-12", True),  # it spans all of it
        ("2026-09-14", "2026-09-15", True),  # it ends
        ("2026-09-16", "2026-09-18", False),
    ],
)
def test_an_event_is_shown_wherever_it_lasted(
    house: House, first: str, last: str, shown: bool
) -> None:
    house.take("events-over-the-edge", "events-over-the-edge")
    found = json.loads(house("events", "--from", first, "--to", last, "--json"))
    outage = ("logger_outage", "2026-09-05T00:00:00+00:00", "2026-09-15T00:00:00+00:00")
    assert [(one["kind"], one["begin"], one["end"]) for one in found] == [outage] * shown
    table = house("events", "--from", first, "--to", last)
    assert "goes on" not in table
    assert ("no events" in table) is not shown


def test_an_event_of_another_program_is_none_of_ours(house: House) -> None:
    house.take("events-over-the-edge")
    assert json.loads(house("events", *DAYS, "--json")) == []


def test_an_event_that_goes_on_is_shown_ever_after(house: House) -> None:
    event = 'event,kind=logger_outage,site=home state="begin",text="x"'
    assert house.take_text(f"{event} {START}").exit_code == 0
    assert "goes on" in house("events", "--from", "2026-10-01", "--to", "2026-10-02")
    assert "no events" in house("events", "--from", "2026-09-01", "--to", "2026-09-02")
