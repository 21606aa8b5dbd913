"""From virtual meters through pipeline and buffer to the reports: equal to the ledger."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from logger.cli import app
from logger.config.demandrule import BUILT_IN, When, load_rule
from logger.config.derive import Events
from logger.derive.pipeline import Derive
from logger.domain.errors import ConfigError, ReportError
from logger.domain.times import midnight_ms
from logger.points.line import Point
from logger.report import energy as energy_report
from logger.report.quarters import quarter_hours
from logger.report.source import BufferSource
from logger.simulate import Incident, Trouble, virtual_site
from logger.simulate.ledger import Ledger
from logger.simulate.past import Past, PastSpan
from logger.store.query import StoredLines
from tests.conftest import Target
from tests.derive_rig import T0, events, fast, info, of, slow
from tests.report_rig import in_memory, write_buffer, write_influx

CONFIG = """\
[site]
name = "home"
timezone = "Europe/Amsterdam"
[[bus]]
name = "b"
port = "socket://127.0.0.1:1"
[[bus.meter]]
name = "house"
model = "pro380"
address = 1
role = "grid"
[[bus.meter]]
name = "roof"
model = "pro380"
address = 2
role = "pv"
[buffer]
path = "{path}"
[[prices.valid]]
since = 2026-01-01
buy = 0.30
buy_t1 = 0.40
buy_t2 = 0.20
sell = 0.10
"""
ZONE = ZoneInfo("Europe/Amsterdam")
DAY = "2026-06-18"
DAYS = ("--from", DAY, "--to", DAY)
QUARTER = 900_000


class Shell:
    def __init__(self, directory: Path, extra: str = "") -> None:
        self.buffer = directory / "buffer.sqlite"
        self.config = directory / "logger.toml"
        self.config.write_text(CONFIG.format(path=self.buffer) + extra, encoding="utf-8")

    def __call__(self, *words: str, columns: int = 200) -> str:
        result = CliRunner().invoke(
            app, [*words, "--config", str(self.config)], env={"COLUMNS": str(columns)}
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    def demand(self, *words: str) -> Any:
        return json.loads(self("report", "demand", *words, "--json"))


class World:
    """A morning and noon of a house that draws on L3 what it feeds back on L1 and L2."""

    def __init__(self) -> None:
        self.start = midnight_ms(dt.date.fromisoformat(DAY), ZONE) // 1000 + 9 * 3600
        self.end = self.start + 3 * 3600
        car = Incident(
            kind=Trouble.LOAD, start=self.start + 3600 + 600,
            end=self.start + 3 * 3600, phase=3, value=5000.0,
        )  # fmt: skip
        site = virtual_site(
            3, start=self.start, meters={1: "grid", 2: "pv"}, zone=str(ZONE),
            incidents=[car], step_s=5,
        )  # fmt: skip
        past = Past(site, {1: "house", 2: "roof"}, "home")
        span = PastSpan(
            start_ms=self.start * 1000, end_ms=self.end * 1000 + 30_000,
            fast_ms=20_000, slow_ms=60_000,
        )  # fmt: skip
        self.points = [
            point
            for found in past.points(span)
            for point in found
            if point.measurement in {"energy_15m", "event", "meter"}
            or (point.measurement == "energy" and point.tags["phase"] == "total")
        ]
        self.ledger: Ledger = site.meters[0].ledger

    def quarters(self) -> Iterator[int]:
        yield from range(self.start, self.end, 900)

    def peaks(self, quantity: str, per: int = 1) -> list[tuple[float, int]]:
        """Return demand (kW) and beginning of each window of `per` quarters, highest first."""
        groups = groupby(self.quarters(), key=lambda at: at // (900 * per) * 900 * per)
        sums = [
            (sum(self.ledger.quarter(at, quantity) for at in own) * 4 / per, begin)
            for begin, own in groups
        ]
        return sorted(sums, reverse=True)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def shell(world: World, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    made = Shell(tmp_path_factory.mktemp("day"))
    write_buffer(made.buffer, world.points)
    return made


def test_quarters_equal_the_ledger_and_net_over_the_phases(world: World) -> None:
    found = of(world.points, "energy_15m")
    assert [p.time_ms // 1000 for p in found if p.tags["meter"] == "house"] == [*world.quarters()]
    sums = dict.fromkeys(("net_import", "net_export"), 0.0)
    for point in found:
        if point.tags["meter"] != "house":
            continue
        at, fields = point.time_ms // 1000, point.fields
        for name, quantity, slack in (
            ("import", "active_import", 0.012), ("export", "active_export", 0.012),
            ("import_netted", "net_import", 0.02), ("export_netted", "net_export", 0.02),
        ):  # fmt: skip
            truth = world.ledger.quarter(at, quantity)
            assert float(fields[name]) == pytest.approx(truth, abs=slack), (name, at)
        sums["net_import"] += float(fields["import_netted"])
        sums["net_export"] += float(fields["export_netted"])
        low, high = float(fields["netted_low"]), float(fields["netted_high"])
        assert low - 0.012 <= world.ledger.quarter(at, "net_import") <= high + 0.012
        assert fields["sure"] is True
    for quantity, energy in sums.items():
        truth = sum(world.ledger.quarter(at, quantity) for at in world.quarters())
        counted = sum(world.ledger.quarter(at, f"active_{quantity[4:]}") for at in world.quarters())
        assert energy == pytest.approx(truth, rel=0.02)
        assert counted > 1.1 * truth, "netting matters here, or this test shows nothing"


def test_energy_of_quarters_and_hours_is_that_of_the_counters(
    shell: Shell, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(by: str) -> Any:
        found = json.loads(shell("report", "energy", *DAYS, "--by", by, "--netted", "--json"))
        return found["rows"], found["total"]

    known = {by: rows(by) for by in ("quarter", "hour", "day")}
    monkeypatch.setattr(energy_report, "fine", lambda _shown: False)
    for by in ("quarter", "hour"):
        assert rows(by) == known[by], "one figure, whichever way it is found"
    own, total = known["quarter"]
    by_start = {row["start"]: row for row in own}
    for at in world.quarters():
        row = by_start[dt.datetime.fromtimestamp(at, dt.UTC).isoformat()]
        truth = world.ledger.quarter(at, "active_import")
        assert row["import_kwh"] == pytest.approx(truth, abs=0.012)
        assert row["import_netted_kwh"] == pytest.approx(
            world.ledger.quarter(at, "net_import"), abs=0.02
        )
    for name in ("import_kwh", "import_netted_kwh", "export_netted_kwh", "pv_kwh", "cost"):
        for by in ("quarter", "hour", "day"):
            there, sum_ = known[by]
            assert sum_[name] == pytest.approx(total[name])
            assert sum(row[name] or 0 for row in there) == pytest.approx(total[name])
    net = total["import_netted_kwh"] - total["export_netted_kwh"]
    assert net == pytest.approx(total["import_kwh"] - total["export_kwh"])
    assert "netted import" in shell("report", "energy", *DAYS, "--netted")
    assert "netted import" not in shell("report", "energy", *DAYS)


@pytest.mark.parametrize(
    ("words", "quantity", "per"),
    [
        ([], "net_import", 1),
        (["--phases"], "active_import", 1),
        (["--by", "hour"], "net_import", 4),
        (["--by", "hour", "--phases"], "active_import", 4),
    ],
)
def test_the_highest_windows_are_those_of_the_ledger(
    shell: Shell, world: World, words: list[str], quantity: str, per: int
) -> None:
    (row,) = shell.demand(*DAYS, *words, "--limit", "1.0", "--top", "3")["rows"]
    truth = world.peaks(quantity, per)
    assert len(row["peaks"]) == 3
    for peak, (kilowatts, _) in zip(row["peaks"], truth, strict=False):
        assert peak["demand_kw"] == pytest.approx(kilowatts, abs=0.08)
        at = int(dt.datetime.fromisoformat(peak["start"]).timestamp())
        assert peak["demand_kw"] == pytest.approx({b: kw for kw, b in truth}[at], abs=0.08)
    assert row["value_kw"] == row["peaks"][0]["demand_kw"]
    sharp = [kw for kw, _ in truth if abs(kw - 1.0) < 0.08]
    assert abs(row["above_limit"] - sum(kw > 1.0 for kw, _ in truth)) <= len(sharp)


def test_every_form_tells_the_same(shell: Shell, tmp_path: Path) -> None:
    page = tmp_path / "demand.html"
    words = ("report", "demand", *DAYS, "--rule", "belgium", "--html", str(page), "--force")
    (row,) = shell.demand(*DAYS, "--rule", "belgium")["rows"]
    table = shell(*words)
    lines = list(csv.DictReader(shell(*words, "--csv").splitlines()))
    text = page.read_text(encoding="utf-8")
    for rank, peak in enumerate(row["peaks"]):
        shown = f"{peak['demand_kw']:.2f} kW"
        day = f"{dt.datetime.fromisoformat(peak['start']):%a %Y-%m-%d %H:%M}"
        assert f"{shown} {day}" in text
        assert shown in table
        assert float(lines[rank]["demand_kw"]) == peak["demand_kw"]
        assert lines[rank]["start"] == peak["start"]
    assert "Netting over the phases is an estimate" in table
    assert "Netting over the phases is an estimate" in text
    assert row["value_kw"] >= 2.5


@pytest.mark.engine
def test_influxdb_tells_what_the_buffer_tells(
    shell: Shell, world: World, target: Target, tmp_path: Path
) -> None:
    write_influx(target.engine.url, target.bucket, world.points)
    token = tmp_path / "token"
    token.write_text("t0ken")
    influx = f'[influxdb]\nurl = "{target.engine.url}"\nbucket = "{target.bucket}"\n'
    other = Shell(tmp_path, f'{influx}token_file = "{token}"\n')
    for kind in (("demand",), ("energy", "--by", "quarter")):
        words = ("report", *kind, *DAYS, "--json")
        assert json.loads(other(*words)) == json.loads(shell(*words))


def quarter(at_ms: int, kilowatts: float, **more: Any) -> Point:
    fields = {
        "import": kilowatts / 4, "export": 0.0, "import_netted": kilowatts / 4,
        "export_netted": 0.0, "coverage": 1.0, "sure": True, **more,
    }  # fmt: skip
    return Point("energy_15m", {"site": "home", "meter": "house", "role": "grid"}, fields, at_ms)


def two_months() -> list[Point]:
    """Return quarters of October and some of November 2026, 1 kW but for some peaks; the clock goes
    back on 25 October."""
    peaks = {
        "2026-10-05 17:15": 6.0, "2026-10-05 17:30": 6.5, "2026-10-05 18:00": 5.5,
        "2026-10-14 03:00": 7.5, "2026-10-17 12:00": 5.0, "2026-10-25 02:45": 4.5,
        "2026-11-02 08:00": 3.25,
    }  # fmt: skip
    at = {
        round(dt.datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() * 1000): kilowatts
        for text, kilowatts in peaks.items()
    }
    begin, end = midnight_ms(dt.date(2026, 10, 1), ZONE), midnight_ms(dt.date(2026, 11, 6), ZONE)
    return [quarter(when, at.get(when, 1.0)) for when in range(begin, end, QUARTER)]


@pytest.fixture(scope="module")
def autumn(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    made = Shell(tmp_path_factory.mktemp("autumn"))
    write_buffer(made.buffer, two_months())
    return made


MONTHS = ("--from", "2026-10-01", "--to", "2026-11-05")


def test_the_rules_of_three_countries(autumn: Shell) -> None:
    first, second = autumn.demand(*MONTHS, "--rule", "belgium")["rows"]
    assert (first["value_kw"], second["value_kw"]) == (7.5, 3.25)
    assert second["billed_kw"] == (7.5 + 3.25) / 2
    assert first["peaks"][0]["start"] == "2026-10-14T03:00:00+02:00"
    first, second = autumn.demand(*MONTHS, "--rule", "norway")["rows"]
    hours = [(6.0 + 6.5 + 1 + 1) / 4, (7.5 + 3) / 4, (5.0 + 3) / 4]
    assert [peak["demand_kw"] for peak in first["peaks"]] == hours
    assert first["value_kw"] == pytest.approx(sum(hours) / 3)
    assert [peak["start"][:16] for peak in first["peaks"]] == [
        "2026-10-05T17:00", "2026-10-14T03:00", "2026-10-17T12:00",
    ]  # fmt: skip
    (year,) = autumn.demand(*MONTHS, "--rule", "germany")["rows"]
    assert (year["period"], year["value_kw"], year["peaks"][1]["demand_kw"]) == ("2026", 7.5, 6.5)


@pytest.mark.parametrize(
    ("words", "kilowatts"),
    [
        (["--days", "mon-fri", "--hours", "07:00-22:00"], [6.5, 6.0, 5.5]),
        (["--hours", "22:00-06:00"], [7.5, 4.5, 1.0]),
        (["--days", "sat,sun"], [5.0, 4.5, 1.0]),
        (["--months", "11-3"], [3.25, 1.0, 1.0]),
        (["--different-days", "--highest", "3"], [7.5, 6.5, 5.0]),
    ],
)
def test_windows_of_weekday_hour_and_season(
    autumn: Shell, words: list[str], kilowatts: list[float]
) -> None:
    row = autumn.demand(*MONTHS, *words)["rows"][0]
    assert [peak["demand_kw"] for peak in row["peaks"]] == kilowatts
    assert row["missing_quarters"] == 0
    assert row["sure"]


def test_what_the_limit_cost(autumn: Shell) -> None:
    first, second = autumn.demand(*MONTHS, "--limit", "5")["rows"]
    assert (first["above_limit"], second["above_limit"]) == (4, 0)
    table = autumn("report", "demand", *MONTHS, "--limit", "5")
    assert "above 5 kW" in table
    assert "Wed 2026-10-14 03:00" in " ".join(table.split())


def test_a_quarter_that_came_twice_or_not_at_all_is_marked(tmp_path: Path) -> None:
    made = Shell(tmp_path)
    begin = midnight_ms(dt.date(2026, 11, 2), ZONE)
    points = [quarter(begin + n * QUARTER, 1.0) for n in range(40) if n != 7]
    # The clock was set back in the 20th: it went on for 25 minutes, at 3 kW.
    points[18] = quarter(begin + 19 * QUARTER, 2.0, coverage=2 / 3, sure=False)
    points.append(quarter(begin + 19 * QUARTER + 1, 3.0, coverage=1.0, sure=False))
    points += points[:3]  # sent again
    write_buffer(made.buffer, points)
    (row,) = made.demand("--from", "2026-11-02", "--to", "2026-11-02")["rows"]
    assert row["peaks"][0]["demand_kw"] == pytest.approx((2.0 + 3.0) / (5 / 3))
    assert (row["peaks"][0]["sure"], row["missing_quarters"], row["sure"]) == (False, 1, False)
    assert "1 quarter hours are missing" in made(
        "report", "demand", "--from", "2026-11-02", "--to", "2026-11-02"
    )


def test_a_rule_of_ones_own(autumn: Shell, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'title = "office hours"\nleast = 4.0\n[[when]]\ndays = "mon-fri"\nhours = "07:00-17:00"\n'
        '[[when]]\ndays = "sat"\n',
        encoding="utf-8",
    )
    found = autumn.demand(*MONTHS, "--rule", str(own))
    assert [row["value_kw"] for row in found["rows"]] == [5.0, 4.0]
    assert found["rule"]["title"] == "office hours"


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_bundled_rules_load_and_name_their_source(name: str) -> None:
    assert load_rule(name).source.startswith("https://")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('window = "minute"', "window"),
        ("highest = 0", "highest"),
        ('[[when]]\ndays = "mon-fry"', "'mon-fry'"),
        ('[[when]]\nhours = "7-22"', "whole quarters"),
        ('[[when]]\nmonths = "0-13"', "expected 1 to 12"),
        ("colour = 1", "colour"),
        ("= 1", "not TOML"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_its_place(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "rule.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rule\.toml") as caught:
        load_rule(str(file))
    assert expected in str(caught.value)


def test_a_rule_that_is_not_there_and_days_without_quarters(autumn: Shell) -> None:
    with pytest.raises(ConfigError, match="no rule of demand"):
        autumn("report", "demand", "--rule", "atlantis")
    with pytest.raises(ReportError, match="no quarter hours"):
        autumn("report", "demand", "--from", "2020-01-01", "--to", "2020-01-02")


def test_ranges_go_round() -> None:
    night = When(days="fri-mon", hours="22:00-06:00,12:00-12:15", months="11-2")
    for text, expected in (
        ("2026-11-06 23:45", True), ("2026-11-06 12:00", True), ("2026-11-06 12:15", False),
        ("2026-11-04 23:45", False), ("2026-10-30 23:45", False), ("2027-01-04 05:45", True),
        ("2027-01-04 06:00", False),
    ):  # fmt: skip
        assert night.holds(dt.datetime.fromisoformat(text)) is expected, text


def live(kilowatts: list[tuple[int, float]], limit: float = 5.0) -> list[Point]:
    """Play minutes of power, (how many, kW), every ten seconds from a border on."""
    config = Events(demand_high=limit)
    derive = Derive([info(fast_ms=10_000)], "s", config)
    points, at, drawn = [], T0 - 60_000, 100.0
    for minutes, power in [(1, kilowatts[0][1]), *kilowatts]:
        for _ in range(minutes):
            points += derive.feed(slow(at, round(drawn, 4), 50.0))
            for offset in range(0, 60_000, 10_000):
                points += derive.feed(fast(at + offset + 200, kilowatts=power))
            at, drawn = at + 60_000, drawn + power / 60
    return points


def test_the_demand_of_the_running_quarter_and_its_forecast() -> None:
    points = live([(15, 4.0), (16, 1.0)])
    found = {(p.time_ms - T0) // 1000: p.fields for p in of(points, "site") if "demand" in p.fields}
    assert found[0]["demand_forecast"] == pytest.approx(4.0, abs=0.01)
    assert found[450]["demand"] == pytest.approx(2.0, abs=0.01)
    assert found[890]["demand"] == pytest.approx(4 * 890 / 900, abs=0.01)
    assert found[1790]["demand_forecast"] == pytest.approx(1.0, abs=0.05)
    (first, second) = [p.fields for p in of(points, "energy_15m") if p.time_ms >= T0]
    assert [first["demand"], second["demand"]] == pytest.approx([4, 1], abs=0.06)
    assert not events(points)


@pytest.mark.parametrize("kilowatts", [5.5, 8.0, 20.0, 60.0])
def test_the_event_comes_before_the_limit_is_passed(kilowatts: float) -> None:
    points = live([(15, 1.0), (14, kilowatts), (20, 0.5)])
    (found,) = [one for one in events(points) if one.kind == "demand_high"]
    passed = min(p.time_ms for p in of(points, "site") if float(p.fields.get("demand", 0.0)) > 5.0)
    assert T0 + QUARTER <= found.start_ms < passed
    lead = (passed - found.start_ms) / 1000
    # Five minutes before, or soon after the power rose, if it is less than that.
    assert lead >= min(300, (passed - T0 - QUARTER) / 1000 - 90) - 15
    assert found.end_ms is not None
    assert found.extreme is not None
    assert found.extreme > 5.0


def test_a_short_peak_early_in_the_quarter_is_no_event() -> None:
    assert not events(live([(15, 1.0), (3, 7.0), (27, 1.0)]))


def test_an_event_survives_a_restart_and_ends() -> None:
    config = Events(demand_high=5.0)
    derive = Derive([info(fast_ms=10_000)], "s", config)
    points: list[Point] = []
    for at in range(-60_000, 1_000_000, 10_000):
        if at == 500_000:
            state = json.loads(json.dumps(derive.state(stopping=True)))
            derive = Derive([info(fast_ms=10_000)], "s", config)
            assert derive.restore(state)
        kilowatts = 9.0 if at < 900_000 else 0.0
        points += derive.feed(fast(T0 + at, kilowatts=kilowatts))
    (found,) = [one for one in events(points) if one.kind == "demand_high"]
    assert found.end_ms is not None
    assert found.end_ms > T0 + 900_000


def test_quarters_are_read_alike_from_lines_and_from_a_buffer(tmp_path: Path) -> None:
    points = two_months()[:500]
    write_buffer(tmp_path / "b.sqlite", points)
    stored = BufferSource(StoredLines(tmp_path / "b.sqlite"))
    span = (points[0].time_ms, points[400].time_ms)
    assert quarter_hours(stored, span, {}) == quarter_hours(in_memory(points), span, {})
