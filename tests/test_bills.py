"""Numbers to bill by, through the command line: files from elsewhere, then reports."""

from __future__ import annotations

import csv
import gzip
import html
import json
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from logger.cli import app
from logger.domain.errors import BufferFileError
from logger.models import Model, available, load
from logger.points.line import Point
from logger.points.parse import decode
from tests.configs import configuration

CASES = Path(__file__).parent / "cases"
CONFIG = configuration(
    ("grid", "grid"), ("roof", "pv"), ("cellar", "battery"), zone="UTC", buffer={"path": "{path}"}
)
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


ROLLING = [model for model in map(load, available()) if model.counter_max is not None]


@pytest.mark.parametrize("model", ROLLING, ids=lambda model: str(model.name))
def test_the_counter_of_each_model_goes_on_behind_its_own_maximum(
    house: House, model: Model
) -> None:
    """A kWh an hour, and the maximum after a day and a half, in a gap of five hours."""
    text = house.config.read_text(encoding="utf-8").replace('"pro380"', f'"{model.name}"')
    if model.protocol == "mbus":
        text = text.replace("[[bus]]\n", '[[bus]]\nprotocol = "mbus"\nbaudrate = 2400\n')
        text = text.replace("[site]", '[intervals]\nfast = "1m"\n[site]')
    house.config.write_text(text, encoding="utf-8")
    most = model.counter_max
    assert most is not None
    around = most + Decimal(1).scaleb(most.as_tuple().exponent)  # type: ignore[arg-type]
    hours = [hour for hour in range(73) if not 34 < hour < 40]
    done = house.take_text(
        "".join(
            "energy,site=home,meter=grid,phase=total,role=grid,tariff=total "
            f"active_import={(most - 36 + hour) % around},active_export=0.0 "
            f"{START + HOUR * hour}\n"
            for hour in hours
        )
    )
    assert done.exit_code == 0, done.output
    found = house.energy("month")
    assert found["total"]["import_kwh"] == 72.0
    assert found["breaks"] == []


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


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_line(house: House) -> None:
    house.take("bom")
    assert house.energy()["total"]["import_kwh"] == 1.5
    assert house("buffer", "export", "--out", "-", "--format", "lp").count("\nenergy,") == 1


def test_two_blanks_are_one(house: House) -> None:
    house.take("two-blanks")
    assert house.energy()["total"]["import_kwh"] == 2.0
    assert "  " not in house("buffer", "export", "--out", "-", "--format", "lp")


def test_fields_that_come_one_by_one_are_those_of_one_point(house: House) -> None:
    house.take("one-field-a-line")
    total = house.energy()["total"]
    assert (total["import_kwh"], total["export_kwh"]) == (24.0, 12.0)
    out = house("buffer", "export", "--out", "-", "--format", "csv").splitlines()
    assert len(out) == 26
    assert "100.0,7.0" in out[1]


def test_events_and_windows_are_read_one_field_a_line_and_in_two_files(house: House) -> None:
    event = "event,kind=logger_outage,site=home "
    window = "quality_voltage,meter=grid,phase=L1,role=grid,site=home "
    lines = [f'{event}state="begin" {START}', f"{window}mean=250.0 {START}"]
    more = [f"{window}{field} {START}" for field in ("min=249.0", "max=251.0", "samples=9i")]
    assert house.take_text("\n".join([*lines, *more, f"{window}valid=t {START}"])).exit_code == 0
    assert house.take_text(f'{event}text="a text" {START}').exit_code == 0
    (found,) = json.loads(house("events", *DAYS, "--json"))
    assert (found["kind"], found["text"]) == ("logger_outage", "a text")
    (line,) = json.loads(house("report", "quality", *DAYS, "--json"))["lines"]
    assert (line["windows"], line["valid"], line["highest_seen_v"]) == (1, 1, 251.0)


ENERGY = "energy,meter=grid,phase=total,role=grid,site=home,tariff=total"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("quality_voltage,role=grid,site=home mean=230.0 1789948800000", "without meter"),
        ("energy,meter=grid active_import=1.0 1789948800000", "without role and site"),
        (f"{ENERGY},active_import=5 active_import=1.0 1789948800000", "name of a field"),
        (f"{ENERGY},samples=5 active_import=1.0,samples=2i 1789948800000", "name of a field"),
        ("x,time=5 y=1.0 1789948800000", "called 'time'"),
        ("x,a=5 y=1.0", "no timestamp"),
        ('x,a=5 y="two\tblanks', "without its closing quote"),
        ("x,a=5\x01 y=1.0 1789948800000", "line protocol can hold"),
    ],
)
def test_what_would_mislead_later_is_refused_with_line_and_reason(
    house: House, line: str, reason: str
) -> None:
    result = house.take_text(f"{ENERGY} active_import=1.0 1789948800000\n{line}\n")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["points"] == 0
    assert found["bad"][0].startswith("line 2: ")
    assert reason in found["bad"][0]
    assert not house.buffer.exists()


def test_of_two_points_in_one_millisecond_the_second_is_refused(house: House) -> None:
    ns = START * 1_000_000
    lines = [f"{ENERGY} active_import={value} {ns + more}" for value, more in ((1.0, 0), (2.0, 7))]
    found = json.loads(house.take_text("\n".join(lines)).stdout)
    assert "line 2: active_import has another value in line 1" in found["bad"][0]
    found = json.loads(house.take_text("\n".join([lines[0], lines[0]])).stdout)
    assert (found["points"], found["repeated"], found["bad"]) == (1, 1, [])


def test_a_compressed_file_is_read_and_a_torn_one_is_named(house: House) -> None:
    packed = gzip.compress((CASES / "roll-over.lp").read_bytes())
    assert house.take_text(packed).exit_code == 0
    assert house.energy()["total"]["import_kwh"] == 72.0
    result = house.take_text(packed[:-20])
    assert "damaged gzip data" in str(result.exception)


def test_what_one_machine_exports_the_next_one_takes_before_it_has_run(
    house: House, tmp_path: Path
) -> None:
    house.take("two-sites")
    saved = tmp_path / "saved.lp"
    house("buffer", "export", "--out", str(saved))
    fresh = House(tmp_path)
    fresh.buffer = tmp_path / "data" / "new" / "buffer.sqlite"
    fresh.config.write_text(CONFIG.format(path=fresh.buffer), encoding="utf-8")
    assert "points imported: they are kept" in fresh("buffer", "import", str(saved))
    assert fresh.energy()["total"]["import_kwh"] == 72.0
    books = fresh("buffer", "status")  # nobody waits for a database that is not there
    assert "oldest kept point" in books
    assert "waiting" not in books
    astray = fresh.run(
        "buffer", "import", str(saved), "--file", str(tmp_path / "typo" / "b.sqlite")
    )
    assert isinstance(astray.exception, BufferFileError)
    assert not (tmp_path / "typo").exists()


def test_a_swap_can_be_marked_by_hand(house: House) -> None:
    """To a meter that stands higher nothing else would tell it."""
    lines = [f"{ENERGY} active_import={100.0 + h} {START + h * HOUR}" for h in range(5)]
    lines += [f"{ENERGY} active_import={900.0 + h} {START + h * HOUR}" for h in range(5, 9)]
    house.take_text("\n".join(lines))
    assert house.energy()["total"]["import_kwh"] == 808.0
    event = 'event,kind=meter_swapped,meter=grid,role=grid,site=home state="end",text="by hand"'
    house.take_text(f"{event} {START + 5 * HOUR}")
    found = house.energy()
    assert found["total"]["import_kwh"] == 7.0
    assert len(found["breaks"]) == 1


def test_an_export_keeps_tags_and_fields_of_one_name_apart(house: House) -> None:
    lines = f"one,place=roof x=1.0 {START}\ntwo,x=tag,measurement=m place=2.0 {START}\n"
    assert house.take_text(lines).exit_code == 0
    rows = list(
        csv.DictReader(house("buffer", "export", "--out", "-", "--format", "csv").splitlines())
    )
    assert [(row["place"], row["x"], row["x_value"], row["place_value"]) for row in rows] == [
        ("roof", "", "1.0", ""),
        ("", "tag", "", "2.0"),
    ]
    assert [(row["measurement"], row["measurement_tag"]) for row in rows] == [
        ("one", ""), ("two", "m"),
    ]  # fmt: skip


def test_a_full_disk_behind_the_output_is_said_without_a_traceback(house: House) -> None:
    house.take("roll-over", "events-over-the-edge")
    for words in (("report", "energy", *DAYS), ("events", *DAYS, "--json"), ("version",)):
        config = () if words == ("version",) else ("--config", str(house.config))
        with Path("/dev/full").open("w") as full:
            found = subprocess.run(
                [sys.executable, "-m", "logger", *words, *config],
                stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert (found.returncode, found.stderr) == (
            1,
            "error: the output cannot be written: No space left on device\n",
        )


def test_one_name_in_two_spellings_is_refused_twice(tmp_path: Path) -> None:
    text = CONFIG.replace('"roof"', '"Z\u00e4hler"').replace('"cellar"', '"Za\u0308hler"')
    house = House(tmp_path)
    house.config.write_text(text.format(path=house.buffer), encoding="utf-8")
    assert "names must differ" in str(house.run("events", *DAYS).exception)


PRICED = """\
[prices]
currency = "IDR"
[[prices.valid]]
since = 2026-09-22
buy = 1500.5
buy_t1 = 2000
sell = 100
"""


def test_money_is_the_same_at_every_resolution_and_marked_without_a_price(tmp_path: Path) -> None:
    house = House(tmp_path, PRICED)
    lines = []
    for h in range(73):
        at = START + h * HOUR
        lines.append(f"{ENERGY} active_import={100 + h * 1.08!r},active_export={h / 2!r} {at}")
        for name, share in (("T1", 0.6), ("T2", 0.4)):
            lines.append(f"{ENERGY[:-5]}{name} active_import={10 + h * share!r} {at}")
    assert house.take_text("\n".join(lines)).exit_code == 0
    # 0.6 kWh at the price of T1, 0.4 + 0.08 kWh at the common one, in each of 48 hours.
    cost = 48 * (0.6 * 2000 + 0.48 * 1500.5)
    for by in ("hour", "day", "month"):
        found = house.energy(by)
        total = found["total"]
        assert total["cost"] == pytest.approx(cost, rel=1e-9)
        assert sum(row["cost"] or 0 for row in found["rows"]) == pytest.approx(cost, rel=1e-9)
        assert total["revenue"] == pytest.approx(2400.0)
        assert total["unpriced_kwh"] == pytest.approx(24 * 1.58)
    days = house.energy()["rows"]
    assert [row["cost"] is None for row in days] == [True, False, False]
    assert "(part)" in house("report", "energy", *DAYS)


def test_a_battery_charged_from_the_grid_balances_with_an_independent_ledger(house: House) -> None:
    """The ledger knows what flowed where in each hour; the meters see only their sums."""
    # kWh an hour: PV to load, to battery, to grid; grid to load, to battery; battery to
    # load, to grid. The battery loses some of it.
    flows = [
        (0.0, 0.0, 0.0, 1.0, 5.0, 0.0, 0.0),  # charged from the grid at night
        (0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 2.0),  # which is fed back in the morning
        (1.0, 3.0, 2.0, 0.0, 0.0, 0.0, 0.0),  # noon
        (0.0, 0.0, 0.0, 0.5, 0.0, 2.5, 1.0),  # evening
    ]
    sums = dict.fromkeys(("drawn", "fed", "pv", "charge", "discharge", "load"), 0.0)
    lines = []
    for hour in range(73):
        at = START + hour * HOUR
        for meter, role, drawn, fed in (
            ("grid", "grid", "drawn", "fed"),
            ("roof", "pv", "", "pv"),
            ("cellar", "battery", "charge", "discharge"),
        ):
            tags = f"energy,meter={meter},phase=total,role={role},site=home,tariff=total"
            values = (100 + sums.get(drawn, 0.0), 200 + sums[fed])
            lines.append(f"{tags} active_import={values[0]!r},active_export={values[1]!r} {at}")
        if hour < 72:
            pl, pb, pg, gl, gb, bl, bg = flows[hour % 4]
            for name, more in {
                "drawn": gl + gb, "fed": pg + bg, "pv": pl + pb + pg, "charge": pb + gb,
                "discharge": bl + bg, "load": pl + gl + bl,
            }.items():  # fmt: skip
                sums[name] += more
    assert house.take_text("\n".join(lines)).exit_code == 0
    for by in ("hour", "day", "month"):
        found = house.energy(by)
        total = found["total"]
        assert total["load_kwh"] == pytest.approx(sums["load"])
        assert total["self_consumed_kwh"] == pytest.approx(sums["pv"] - sums["fed"])
        assert total["charge_kwh"] == pytest.approx(sums["charge"])
        assert total["discharge_kwh"] == pytest.approx(sums["discharge"])
        assert total["self_sufficiency"] == pytest.approx(1 - sums["drawn"] / sums["load"])
        for name in ("load_kwh", "self_consumed_kwh", "charge_kwh"):
            assert sum(row[name] for row in found["rows"]) == pytest.approx(total[name])
    table = house("report", "energy", *DAYS)
    for head in ("charged", "discharged", f"{sums['charge']:.2f}", f"{sums['discharge']:.2f}"):
        assert head in table
    morning = house.energy("hour")["rows"][1]
    assert morning["self_consumed_kwh"] == pytest.approx(0.5 - 2.0)
    # Never more than the PV that truly stayed: what the battery fed back counts against it.
    stayed = sum(flow[0] + flow[1] for flow in flows) * 18
    assert total["self_consumed_kwh"] <= stayed


NAMES = (
    "O'Brien's \"roof\"",
    "Roof [west]",
    "Keller [/b]",
    "a\\,b c=d",
    "=SUM(A1)",
    "{{x}}",
    "电" * 30,
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_the_same_wherever_it_is_shown(house: House, name: str) -> None:
    tags = {"meter": name, "phase": "L1", "role": "grid", "site": "home"}
    fields = {"mean": 230.0, "min": 229.0, "max": 231.0, "samples": 120, "valid": True}
    event = Point(
        "event",
        {"kind": "meter_swapped", "meter": name, "role": "grid", "site": "home"},
        {"state": "end", "text": f"{name}: swapped"},
        START,
    )
    lines = [Point("quality_voltage", tags, fields, START).line(), event.line()]
    assert house.take_text("\n".join(lines)).exit_code == 0
    (line,) = json.loads(house("report", "quality", *DAYS, "--json"))["lines"]
    assert line["meter"] == name
    (found,) = csv.DictReader(house("report", "quality", *DAYS, "--csv").splitlines())
    assert found["meter"] == ("'=SUM(A1)" if name.startswith("=") else name)  # no formula
    page = house.directory / "quality.html"
    table = house("report", "quality", *DAYS, "--html", str(page))
    assert name in table.replace("\\\\", "\\")
    assert html.escape(name) in page.read_text(encoding="utf-8")
    assert name in house("events", *DAYS).replace("\\\\", "\\")
    exported = house("buffer", "export", "--out", "-", "--format", "lp").splitlines()
    assert {decode(each).tags["meter"] for each in exported} == {name}
