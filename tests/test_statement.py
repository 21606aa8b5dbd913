"""The chain of days and statements: equal to the ledger, and what is tampered with is named."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from logger.cli import app
from logger.derive.clock import Step
from logger.derive.pipeline import Derive
from logger.domain.errors import ConfigError, ExportError
from logger.domain.times import midnight_ms
from logger.points.line import Point
from logger.simulate import Incident, Trouble, virtual_site
from logger.simulate.past import Past, PastSpan
from tests.conftest import Target
from tests.derive_rig import fast, info, of, slow
from tests.report_rig import write_buffer, write_influx

ZONE = ZoneInfo("Europe/Amsterdam")
START = midnight_ms(dt.date(2026, 10, 22), ZONE)
MINUTE, QUARTER, DAY = 60_000, 900_000, 86_400_000


def feed(derive: Derive, at_ms: int) -> list[Point]:
    """Feed a moment: 1.2 kW drawn for ever."""
    drawn = round(100 + (at_ms - START) / 3_600_000 * 1.2, 3)
    points = derive.feed(slow(at_ms + 200, drawn, 50.0))
    return points + derive.feed(fast(at_ms + 300, kilowatts=1.2))


def house() -> Derive:
    return Derive([info(fast_ms=300_000, slow_ms=300_000)], "home", zone=str(ZONE))


def run(derive: Derive, start_ms: int, end_ms: int) -> list[Point]:
    return [one for at in range(start_ms, end_ms, QUARTER) for one in feed(derive, at)]


def chain(points: Sequence[Point]) -> list[Point]:
    return of(points, "day_digest")


def test_each_day_has_one_digest_over_the_day_before() -> None:
    points = run(house(), START, START + 6 * DAY)
    found = chain(points)
    days = [str(point.fields["day"]) for point in found]
    assert days == [f"2026-10-{day}" for day in (22, 23, 24, 25, 26)]
    # The clocks go back on the 25th: a day of 25 hours.
    counts = [str(point.fields["covers"]).split("*")[-1] for point in found]
    assert counts == ["96", "96", "96", "100", "96"]
    assert [point.time_ms for point in found] == [
        midnight_ms(dt.date.fromisoformat(day), ZONE) for day in days
    ]
    assert [point.fields["number"] for point in found] == [1, 2, 3, 4, 5]
    before = ["", *(point.fields["digest"] for point in found)]
    assert [point.fields["previous"] for point in found] == before[:-1]
    closing = {
        p.time_ms: p.fields["active_import"]
        for p in of(points, "energy")
        if (p.tags["phase"], p.tags["tariff"]) == ("total", "total")
    }
    assert [p.fields["import"] for p in found] == [closing[int(p.fields["read"])] for p in found]


def test_a_restart_and_a_kill_leave_the_chain_whole(tmp_path: Path) -> None:
    derive, points = house(), []
    for at in range(START, START + 4 * DAY, QUARTER):
        if (at - START) % (7 * 3_600_000) == 0:
            saved = json.loads(json.dumps(derive.state()))
        points += feed(derive, at)
        if (at - START) % (11 * 3_600_000) == 0:
            derive = house()  # killed: the state is hours old, what it gave comes again
            assert derive.restore(saved)
    shell = Shell(tmp_path)
    write_buffer(shell.buffer, points)
    found = shell.verify()
    assert found["problems"] == []
    assert found["days"] == 3


def test_a_clock_set_back_over_midnight_leaves_the_chain_whole(tmp_path: Path) -> None:
    derive, late = house(), START + DAY + 3_600_000
    points = run(derive, START, late)
    points += derive.clock_step(Step(late, late - 3 * 3_600_000))
    points += run(derive, late - 3 * 3_600_000, START + 3 * DAY + 3_600_000)
    found = chain(points)
    assert [point.fields["day"] for point in found[:2]] == ["2026-10-22", "2026-10-23"]
    shell = Shell(tmp_path)
    write_buffer(shell.buffer, points)
    checked = shell.verify()
    assert checked["problems"] == []
    assert checked["days"] == len(found) > 3


class Shell:
    """A configuration without a database, its buffer, and the commands that use it."""

    def __init__(self, directory: Path, extra: str = "") -> None:
        directory.mkdir(exist_ok=True)
        self.directory, self.buffer = directory, directory / "buffer.sqlite"
        self.config = directory / "logger.toml"
        self.config.write_text(CONFIG.format(path=self.buffer) + extra, encoding="utf-8")

    def __call__(self, *words: str, code: int = 0) -> str:
        result = CliRunner().invoke(
            app, [*words, "--config", str(self.config)], env={"COLUMNS": "200"}
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    def take(self, points: Sequence[Point]) -> None:
        self.take_lines([f"{point.line()}" for point in points])

    def take_lines(self, lines: Sequence[str]) -> None:
        file = self.directory / "points.lp"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self("buffer", "import", str(file))

    def lines(self) -> list[str]:
        file = self.directory / "out.lp"
        self("buffer", "export", "--out", str(file), "--force")
        return file.read_text(encoding="utf-8").splitlines()

    def verify(self, code: int = 0) -> Any:
        return json.loads(self("buffer", "verify", "--json", code=code))


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
[buffer]
path = "{path}"
"""


@pytest.fixture(scope="module")
def days() -> list[Point]:
    """Return five days, of the counters the totals near midnight only."""
    return [
        point
        for point in run(house(), START, START + 5 * DAY)
        if point.measurement in {"energy_15m", "day_digest"}
        or (
            point.measurement == "energy"
            and point.tags["phase"] == "total"
            and (point.time_ms - START + 3_600_000) % DAY < 3 * 3_600_000
        )
    ]


@pytest.fixture(scope="module")
def stored(days: list[Point], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    shell = Shell(tmp_path_factory.mktemp("days"))
    shell.take(days)
    assert shell.verify()["problems"] == []
    return shell.lines()


def line_of(lines: Sequence[str], measurement: str, stamp_ms: int) -> int:
    return next(
        place
        for place, line in enumerate(lines)
        if line.startswith(f"{measurement},")
        and stamp(line) == stamp_ms
        and ("tariff=" not in line or "phase=total,role=grid,site=home,tariff=total" in line)
    )


def stamp(line: str) -> int:
    return int(line.rsplit(" ", 1)[1][:13])


QUARTER_OF_24 = START + 2 * DAY + 40 * QUARTER


def changed_quarter(lines: list[str]) -> None:
    place = line_of(lines, "energy_15m", QUARTER_OF_24)
    lines[place] = re.sub(r"import=[0-9.]+", "import=0.2", lines[place], count=1)


def dropped_quarter(lines: list[str]) -> None:
    del lines[line_of(lines, "energy_15m", QUARTER_OF_24)]


def moved_quarter(lines: list[str]) -> None:
    place = line_of(lines, "energy_15m", QUARTER_OF_24)
    lines[place] = lines[place].replace(str(QUARTER_OF_24), str(QUARTER_OF_24 + 5))


def added_quarter(lines: list[str]) -> None:
    place = line_of(lines, "energy_15m", QUARTER_OF_24)
    lines.append(lines[place].replace(str(QUARTER_OF_24), str(QUARTER_OF_24 + 5)))


def changed_counter(lines: list[str]) -> None:
    place = line_of(lines, "energy", START + 3 * DAY + 500)
    lines[place] = re.sub(r"active_import=[0-9.]+", "active_import=99.0", lines[place])


def dropped_counter(lines: list[str]) -> None:
    del lines[line_of(lines, "energy", START + 3 * DAY + 500)]


def changed_digest(lines: list[str]) -> None:
    place = line_of(lines, "day_digest", START + 2 * DAY)
    lines[place] = re.sub(r"([ ,])import=[0-9.]+", r"\1import=99.0", lines[place])


def dropped_digest(lines: list[str]) -> None:
    del lines[line_of(lines, "day_digest", START + 2 * DAY)]


def moved_digest(lines: list[str]) -> None:
    place = line_of(lines, "day_digest", START + 2 * DAY)
    lines[place] = lines[place].replace(str(START + 2 * DAY), str(START + 2 * DAY + 60_000))


def dropped_day(lines: list[str]) -> None:
    begin, end = START + 2 * DAY, START + 3 * DAY
    lines[:] = [line for line in lines if not begin + MINUTE <= stamp(line) < end]
    for name in ("energy_15m", "day_digest"):
        del lines[line_of(lines, name, begin)]


TAMPERED = [
    changed_quarter, dropped_quarter, moved_quarter, added_quarter, changed_counter,
    dropped_counter, changed_digest, dropped_digest, moved_digest, dropped_day,
]  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERED)
def test_the_first_day_that_was_tampered_with_is_named(
    stored: list[str], tmp_path: Path, tamper: Callable[[list[str]], None]
) -> None:
    lines = list(stored)
    tamper(lines)
    assert lines != stored
    shell = Shell(tmp_path)
    shell.take_lines(lines)
    assert shell.verify(code=1)["first_bad_day"] == "2026-10-24"
    assert "2026-10-24: house: " in shell("buffer", "verify", code=1)


class World:
    """Three hours of a virtual site, the meter silent for a while."""

    def __init__(self) -> None:
        day = midnight_ms(dt.date(2026, 6, 18), ZONE) // 1000
        self.start, self.end = day + 9 * 3600, day + 12 * 3600
        silent = Incident(
            kind=Trouble.METER_SILENT, start=self.start + 4000, end=self.start + 7000, meter=1
        )
        site = virtual_site(
            3, start=self.start, meters={1: "grid", 2: "pv"}, zone=str(ZONE),
            incidents=[silent], step_s=20,
        )  # fmt: skip
        past = Past(site, {1: HOUSE, 2: "roof"}, "home", str(ZONE))
        span = PastSpan(
            start_ms=self.start * 1000, end_ms=self.end * 1000 + 30_000,
            fast_ms=20_000, slow_ms=60_000,
        )  # fmt: skip
        wanted = {"energy_15m", "event", "meter", "day_digest"}
        self.points = [
            point
            for found in past.points(span)
            for point in found
            if point.measurement in wanted
            or (point.measurement == "energy" and point.tags["phase"] == "total")
        ]
        self.ledger = site.meters[0].ledger
        self.serial = next(
            str(point.fields["serial"])
            for point in of(self.points, "meter")
            if point.tags["meter"] == HOUSE and "serial" in point.fields
        )

    def energy(self, quantity: str) -> float:
        return sum(self.ledger.quarter(at, quantity) for at in range(self.start, self.end, 900))


HOUSE = "<b>=house & co"
METERS = """\
cost_centre = "Flat 1"
[[bus.meter]]
name = "roof"
model = "pro380"
address = 2
role = "pv"
cost_centre = "Roof"
[prices]
currency = "EUR"
[[prices.valid]]
since = 2026-01-01
buy = 0.30
buy_t1 = 0.40
buy_t2 = 0.20
sell = 0.10
"""
DAY_18 = ("--from", "2026-06-18", "--to", "2026-06-18")


def shop(directory: Path, extra: str = "") -> Shell:
    """Return a shell with two meters, of two cost centres, and prices."""
    shell = Shell(directory)
    text = shell.config.read_text(encoding="utf-8").replace('"house"', json.dumps(HOUSE))
    text = text.replace('role = "grid"\n', f'role = "grid"\n{METERS}')
    shell.config.write_text(text + extra, encoding="utf-8")
    return shell


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def shell(world: World, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    made = shop(tmp_path_factory.mktemp("statement"))
    write_buffer(made.buffer, world.points)
    return made


def test_a_statement_equals_the_ledger_and_its_readings(shell: Shell, world: World) -> None:
    found = json.loads(shell("report", "statement", *DAY_18, "--meter", HOUSE, "--json"))
    assert "not" in found["note"]
    assert "certified" in found["note"]
    (own,) = found["statements"]
    assert own["serials"][0]["serial"] == world.serial
    total = own["total"]
    for name in ("import", "export"):
        truth = world.energy(f"active_{name}")
        assert total[f"{name}_kwh"] == pytest.approx(truth, abs=0.03)
    registers = {one["register"]: one for one in own["registers"]}
    assert {"import", "export", "import_t1", "import_t2"} <= set(registers)
    readings = {
        (p.time_ms, p.tags["tariff"]): p.fields
        for p in of(world.points, "energy")
        if p.tags["meter"] == HOUSE
    }
    for name, one in registers.items():
        rise = one["closing_kwh"] - one["opening_kwh"]
        if not name.startswith("export_t"):
            assert rise == pytest.approx(total[f"{name}_kwh"], abs=1e-6)
        at = round(dt.datetime.fromisoformat(one["opening"]).timestamp() * 1000)
        tariff = name[-2:].upper() if "_t" in name else "total"
        field = f"active_{name.split('_')[0]}"
        assert readings[at, tariff][field] == one["opening_kwh"]
    cost = 0.4 * total["import_t1_kwh"] + 0.2 * total["import_t2_kwh"]
    assert total["cost"] == pytest.approx(cost, abs=0.01)
    assert total["revenue"] == pytest.approx(0.1 * total["export_kwh"])
    assert "meter_silent" in {one["kind"] for one in own["events"]}
    assert not own["sure"]
    assert any(one["import_kwh"] for one in own["estimates"])
    page = shell("report", "statement", *DAY_18, "--meter", HOUSE)
    assert f"{len(own['estimates'])} part" in page
    assert own["estimates"][0]["text"] in page


def test_cost_centres_choose_meters(shell: Shell) -> None:
    def meters(*words: str) -> list[str]:
        found = json.loads(shell("report", "statement", *DAY_18, *words, "--json"))
        return [one["meter"] for one in found["statements"]]

    assert meters("--cost-centre", "Roof") == ["roof"]
    assert meters("--cost-centre", "Roof", "--meter", HOUSE) == [HOUSE, "roof"]
    assert meters() == [HOUSE, "roof"]
    with pytest.raises(ConfigError, match="no meter has cost_centre = 'Roff'"):
        meters("--cost-centre", "Roff")


def test_forms_of_a_statement_agree(shell: Shell, tmp_path: Path) -> None:
    words = ("report", "statement", *DAY_18)
    found = json.loads(shell(*words, "--json"))["statements"]
    for comma in (False, True):
        text = shell(*words, "--csv", *(["--decimal-comma"] if comma else []))
        lines = list(csv.DictReader(text.splitlines(), delimiter=";" if comma else ","))
        totals = [line for line in lines if line["period"] == "total"]
        for own, line in zip(found, totals, strict=True):
            value = line["import_kwh"]
            assert ("," in value) is comma
            assert float(value.replace(",", ".")) == own["total"]["import_kwh"]
            assert line["opening_import"] == own["registers"][1]["opening"]
        assert list(lines[0])[-1] == "kind"
        (every,) = [line for line in lines if line["kind"] == "all"]
        assert every == lines[-1]
        assert (every["meter"], every["period"]) == ("", "all meters")
        for column in ("import_kwh", "export_kwh"):
            sums = {
                kind: sum(
                    Decimal(line[column].replace(",", "."))
                    for line in lines
                    if line["kind"] == kind and line[column]
                )
                for kind in ("period", "meter", "all")
            }
            assert sums["meter"] == pytest.approx(sums["all"]) == pytest.approx(sums["period"])
            assert sums["all"] > 0
    html = tmp_path / "statement.html"
    table = shell(*words, "--html", str(html))
    own = sum(Decimal(str(one["total"]["import_kwh"])) for one in found)
    whole = json.loads(shell(*words, "--json"))["total"]
    assert whole["import_kwh"] == pytest.approx(float(own))
    assert "all meters" in table
    assert f"{whole['import_kwh']:.2f}" in table.partition("all meters")[2]
    page = html.read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "&lt;b&gt;=house &amp; co" in page
    assert "@media print" in page
    for text in (page, table):
        assert f"{found[0]['total']['import_kwh']:.2f}" in text
        assert "certified" in text
        assert "meter silent" in text
    with pytest.raises(ExportError, match="exists already"):
        shell(*words, "--html", str(html))


def test_a_statement_names_the_day_that_was_changed(stored: list[str], tmp_path: Path) -> None:
    words = ("report", "statement", "--from", "2026-10-22", "--to", "2026-10-26", "--verify")
    honest = Shell(tmp_path / "honest")
    honest.take_lines(stored)
    found = json.loads(honest(*words, "--json"))["chain"]
    assert (found["ok"], found["days"]["house"]) == (True, 4)
    day = found["digests"]["house"]
    assert day["day"] == "2026-10-25"
    page = tmp_path / "page.html"
    honest(*words, "--html", str(page))
    assert day["digest"] in page.read_text(encoding="utf-8")
    lines = list(stored)
    changed_quarter(lines)
    forged = Shell(tmp_path / "forged")
    forged.take_lines(lines)
    found = json.loads(forged(*words, "--json", code=1))["chain"]
    assert found["first_bad_day"] == "2026-10-24"


@pytest.mark.engine
def test_influxdb_and_the_buffer_give_one_statement(
    shell: Shell, world: World, days: list[Point], target: Target, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken")
    influx = f'[influxdb]\nurl = "{target.engine.url}"\nbucket = "{target.bucket}"\n'
    other = shop(tmp_path, f'{influx}token_file = "{token}"\n')
    write_influx(target.engine.url, target.bucket, world.points)
    words = ("report", "statement", *DAY_18, "--json")
    assert json.loads(other(*words)) == json.loads(shell(*words))
    write_influx(target.engine.url, target.bucket, days)
    whole = ("--from", "2026-10-22", "--to", "2026-10-26", "--meter", "house", "--verify", "--json")
    found = json.loads(other("report", "statement", *whole))["chain"]
    assert (found["ok"], found["days"]) == (True, {"house": 4})
    bad = next(p for p in of(days, "energy_15m") if p.time_ms == QUARTER_OF_24)
    bad = Point(bad.measurement, bad.tags, {**bad.fields, "import": 0.2}, bad.time_ms)
    write_influx(target.engine.url, target.bucket, [bad])
    found = json.loads(other("report", "statement", *whole, code=1))["chain"]
    assert found["first_bad_day"] == "2026-10-24"
