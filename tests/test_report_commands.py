"""`report` and `events` as a user calls them, on a buffer file and on InfluxDB."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import json
import sqlite3
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from logger.cli import app
from logger.domain.errors import BufferFileError, ConfigError, ExportError, ReportError
from logger.domain.times import midnight_ms
from logger.points.line import Point
from tests.configs import configuration
from tests.conftest import Target
from tests.report_rig import write_buffer, write_influx

CONFIG = (
    configuration(
        ("house", "grid"),
        site="s",
        zone="Europe/Amsterdam",
        buffer={"path": "{path}"},
        prices={"currency": "EUR"},
    )
    + """
[[prices.valid]]
since = 2026-01-01
buy = 0.30
buy_t1 = 0.40
buy_t2 = 0.20
sell = 0.10
"""
)
INFLUX = """\
[influxdb]
url = "{url}"
bucket = "{bucket}"
token_file = "{token}"
"""
ZONE = ZoneInfo("Europe/Amsterdam")
DAYS = ("--from", "2026-10-24", "--to", "2026-10-26")


def points() -> list[Point]:
    made = []
    for place, day in enumerate((24, 25, 26, 27)):
        at = midnight_ms(dt.date(2026, 10, day), ZONE) + 400
        for meter, role, drawn, fed in (("house", "grid", 8, 2), ("roof", "pv", 0, 6)):
            tags = {"site": "s", "meter": meter, "role": role, "phase": "total"}
            fields: dict[str, Any] = {
                "active_import": 100.5 + drawn * place,
                "active_export": 50.25 + fed * place,
            }
            made.append(Point("energy", {**tags, "tariff": "total"}, fields, at))
            if role == "grid":
                for tariff, share in (("T1", 5), ("T2", 3)):
                    fields = {"active_import": 20.5 + share * place}
                    made.append(Point("energy", {**tags, "tariff": tariff}, fields, at))
    start = midnight_ms(dt.date(2026, 10, 24), ZONE)
    for number in range(288):
        tags = {"site": "s", "meter": "house", "role": "grid", "phase": "L1"}
        fields = {
            "mean": 231.0 + number / 100, "min": 229.0, "max": 235.0, "samples": 60, "valid": True,
        }  # fmt: skip
        made.append(Point("quality_voltage", tags, fields, start + number * 600_000))
    tags = {"site": "s", "meter": "house", "role": "grid", "kind": "voltage_high", "phase": "L1"}
    begin = start + 3_600_000
    text = "house, L1: voltage (mean of 10 min) was above 253 V for 20 min, highest 255.4 V"
    made += [
        Point("event", tags, {"state": "begin", "text": "begins", "extreme": 254.1}, begin),
        Point(
            "event", tags,
            {"state": "end", "text": text, "extreme": 255.4, "duration_s": 1200.0},
            begin + 1_200_000,
        ),
        Point(
            "event", {"site": "s", "kind": "logger_outage"},
            {"state": "begin", "text": "the logger stopped reading"}, begin + 7_200_000,
        ),
    ]  # fmt: skip
    return made


class Shell:
    def __init__(self, directory: Path, extra: str = "") -> None:
        self.buffer = directory / "buffer.sqlite"
        self.config = directory / "logger.toml"
        self.config.write_text(CONFIG.format(path=self.buffer) + extra, encoding="utf-8")

    def __call__(self, *words: str) -> str:
        result = CliRunner().invoke(
            app, [*words, "--config", str(self.config)], env={"COLUMNS": "200"}
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout


@pytest.fixture(params=["buffer", pytest.param("influx", marks=pytest.mark.engine)])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    if request.param == "buffer":
        made = Shell(tmp_path)
        write_buffer(made.buffer, points())
    else:
        target: Target = request.getfixturevalue("target")
        write_influx(target.engine.url, target.bucket, points())
        token = tmp_path / "token"
        token.write_text("t0ken")
        made = Shell(
            tmp_path,
            INFLUX.format(url=target.engine.url, bucket=target.bucket, token=token),
        )
    return made


def test_energy_as_json(shell: Shell) -> None:
    found = json.loads(shell("report", "energy", *DAYS, "--json"))
    assert (found["site"], found["timezone"], found["by"]) == ("s", "Europe/Amsterdam", "day")
    assert [row["period"] for row in found["rows"]] == ["2026-10-24", "2026-10-25", "2026-10-26"]
    row = found["rows"][1]
    assert (row["start"], row["end"]) == ("2026-10-24T22:00:00+00:00", "2026-10-25T23:00:00+00:00")
    total = found["total"]
    assert {name: total[name] for name in total if name.endswith("_kwh")} == {
        "import_kwh": 24.0, "export_kwh": 6.0, "import_t1_kwh": 15.0, "import_t2_kwh": 9.0,
        "pv_kwh": 18.0, "self_consumed_kwh": 12.0, "load_kwh": 36.0, "charge_kwh": None,
        "discharge_kwh": None, "unpriced_kwh": 0.0, "divided_kwh": 0.0,
        "import_netted_kwh": None, "export_netted_kwh": None,
    }  # fmt: skip
    assert total["self_consumption"] == pytest.approx(12 / 18)
    assert total["self_sufficiency"] == pytest.approx(12 / 36)
    assert total["cost"] == pytest.approx(15 * 0.4 + 9 * 0.2)
    assert total["revenue"] == pytest.approx(0.6)


def test_energy_as_table_and_csv(shell: Shell) -> None:
    table = shell("report", "energy", *DAYS)
    assert "2026-10-25" in table
    assert "66.7 %" in table
    assert "self-used / PV" in table
    rows = list(csv.DictReader(io.StringIO(shell("report", "energy", *DAYS, "--csv"))))
    assert [row["import_kwh"] for row in rows] == ["8.0"] * 3
    months = json.loads(shell("report", "energy", *DAYS, "--by", "month", "--json"))
    assert [row["period"] for row in months["rows"]] == ["2026-10"]


@pytest.mark.parametrize("columns", [40, 60])
def test_energy_on_a_narrow_terminal_leaves_out_nothing(tmp_path: Path, columns: int) -> None:
    """A column that does not fit is in a further table, with the same periods."""
    shell = Shell(tmp_path)
    tags = {"site": "s", "meter": "cellar", "role": "battery", "phase": "total", "tariff": "total"}
    stored = [
        Point(
            "energy", tags,
            {"active_import": 5.25 * day, "active_export": 4.75 * day},
            midnight_ms(dt.date(2026, 10, 24 + day), ZONE) + 400,
        )
        for day in range(4)
    ]  # fmt: skip
    write_buffer(shell.buffer, [*points(), *stored])
    narrow = CliRunner().invoke(
        app,
        ["report", "energy", *DAYS, "--config", str(shell.config)],
        env={"COLUMNS": str(columns)},
    )
    assert narrow.exit_code == 0, narrow.output
    words = narrow.stdout.split()
    for word in ("import", "T1", "T2", "export", "PV", "charged", "discharged", "load", "revenue"):
        assert word in words
    assert {"5.25", "4.75", "15.75", "14.25"} <= set(words)
    assert all(len(line) <= columns for line in narrow.stdout.splitlines()[:20])
    assert narrow.stdout.count("2026-10-25") > 1
    assert "left out" not in narrow.stdout
    wide = CliRunner().invoke(
        app, ["report", "energy", *DAYS, "--config", str(shell.config)], env={"COLUMNS": "200"}
    )
    assert wide.stdout.count("2026-10-25") == 1


def test_no_text_in_csv_is_a_formula(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    named = [
        Point(one.measurement, {**one.tags, "meter": "=house"}, one.fields, one.time_ms)
        if one.tags.get("meter") == "house"
        else one
        for one in points()
    ]
    write_buffer(shell.buffer, named)
    for words in (("report", "quality"), ("events",)):
        rows = list(csv.DictReader(io.StringIO(shell(*words, *DAYS, "--csv"))))
        assert "'=house" in {row["meter"] for row in rows}
        assert "=house" not in {row["meter"] for row in rows}


def test_a_page_leaves_out_windows_that_lack_what_is_drawn(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    windows = tmp_path / "windows.lp"
    at = midnight_ms(dt.date(2026, 10, 24), ZONE)
    tags, fields = "meter=house,role=grid,site=s", "min=229.0,max=232.0,samples=60i"
    lines = [
        f"quality_voltage,{tags},phase=L1 {fields},mean=230.0,valid=true {at}",
        f"quality_voltage,{tags},phase=L1 {fields},mean=230.5,valid=true {at + 600_000}",
        f"quality_voltage,{tags},phase=L1 min=222.5,max=232.0,valid=true {at + 1_200_000}",
        f"quality_voltage,{tags},phase=L1 {fields},mean=231.0 {at + 1_800_000}",
        f"quality_voltage,{tags} {fields},mean=231.0,valid=true {at}",
    ]
    windows.write_text("\n".join(lines), encoding="utf-8")
    shell("buffer", "import", str(windows))
    page = tmp_path / "quality.html"
    found = json.loads(shell("report", "quality", *DAYS, "--json", "--html", str(page)))
    (week,) = found["lines"]
    assert (week["windows"], week["valid"], week["lowest_seen_v"]) == (3, 2, 222.5)
    assert page.read_text(encoding="utf-8").count("<svg") == 1


def test_quality_in_every_form(shell: Shell, tmp_path: Path) -> None:
    page = tmp_path / "quality.html"
    found = json.loads(shell("report", "quality", *DAYS, "--json", "--html", str(page)))
    assert "not an EN 50160 measurement" in found["note"]
    assert len(found["reasons"]) >= 4
    whole = page.read_bytes()
    page.write_text("of somebody else", encoding="utf-8")
    with pytest.raises(ExportError, match="exists already"):
        shell("report", "quality", *DAYS, "--html", str(page))
    assert page.read_text(encoding="utf-8") == "of somebody else"
    shell("report", "quality", *DAYS, "--html", str(page), "--force")
    assert len(page.read_bytes()) == len(whole)
    (week,) = found["lines"]
    assert (week["period"], week["phase"], week["windows"]) == ("2026-W43", "L1", 288)
    assert week["share_plus_minus_10_percent"] == 1.0
    assert week["highest_seen_v"] == 235.0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    table = shell("report", "quality", *DAYS)
    assert "not an EN 50160 measurement" in table
    assert "100 %" in table
    assert "2026-W43" in shell("report", "quality", *DAYS, "--csv")


def test_events_in_every_form(shell: Shell) -> None:
    found = json.loads(shell("events", *DAYS, "--json"))
    assert [(one["kind"], one["duration_s"]) for one in found] == [
        ("voltage_high", 1200.0),
        ("logger_outage", None),
    ]
    assert found[0]["begin"] == "2026-10-24T01:00:00+02:00"
    assert found[1]["end"] is None
    table = shell("events", *DAYS)
    assert "highest 255.4 V" in table
    assert "goes on" in table
    only = shell("events", *DAYS, "--kind", "logger_outage", "--csv")
    assert only.count("\n") == 2


def test_from_buffer_goes_past_influxdb(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken")
    made = Shell(tmp_path, INFLUX.format(url="http://127.0.0.1:9", bucket="b", token=token))
    write_buffer(made.buffer, points())
    assert json.loads(made("events", *DAYS, "--json", "--from-buffer"))
    with pytest.raises(ReportError, match="cannot be reached"):
        made("events", *DAYS)


@pytest.mark.parametrize(
    "command",
    ["report energy", "report energy --by hour", "report quality", "report statement --verify"],
)
def test_a_damaged_row_is_counted_once_however_often_it_is_read(
    tmp_path: Path, command: str
) -> None:
    """A report looks into the file for several kinds of points, and for some more than once."""
    shell = Shell(tmp_path)
    for _ in range(3):
        write_buffer(shell.buffer, points())
    with contextlib.closing(sqlite3.connect(shell.buffer)) as database, database:
        database.execute("UPDATE rows SET crc = crc + 1 WHERE id = (SELECT min(id) FROM rows)")
    words = [*command.split(), *DAYS, "--json", "--config", str(shell.config)]
    assert CliRunner().invoke(app, words).stderr.splitlines()[0] == "1 damaged row was left out"


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    made = Shell(tmp_path)
    with pytest.raises(BufferFileError, match="no such buffer file"):
        made("report", "energy", *DAYS)
    write_buffer(made.buffer, points()[:1])
    with pytest.raises(ReportError, match="no counters"):
        made("report", "energy", "--from", "2025-01-01", "--to", "2025-01-02")
    with pytest.raises(ReportError, match="no quality windows"):
        made("report", "quality", *DAYS)
    assert "no events" in made("events", *DAYS)


@pytest.mark.parametrize(
    "words",
    [
        ("read", "huose"),
        ("settings", "show", "huose"),
        ("settings", "set", "huose", "modbus_id", "7"),
        ("events", "--meter", "huose"),
        ("report", "quality", "--meter", "house", "--meter", "huose"),
    ],
)
def test_a_meter_that_nobody_knows_is_refused_by_every_command(
    shell: Shell, words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        shell(*words)
    assert caught.value.message.endswith("logger.toml: no meter is called 'huose'")
    assert caught.value.hint == "did you mean 'house'?"


def test_a_meter_of_former_days_is_still_found(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "former.lp"
    file.write_text(
        'event,site=s,kind=meter_silent,meter=barn,role=load state="end",duration_s=5.0,'
        'text="no answer" 1792800000000\n',
        encoding="utf-8",
    )
    shell("buffer", "import", str(file))
    found = json.loads(
        shell("events", "--meter", "barn", "--from", "2001", "--from-buffer", "--json")
    )
    assert [event["meter"] for event in found] == ["barn"]


@pytest.mark.parametrize("name", ["quality", "demand", "statement"])
def test_a_page_that_cannot_be_written_is_told_before_the_work(tmp_path: Path, name: str) -> None:
    made = Shell(tmp_path)
    for place, reason in ((tmp_path, "Is a directory"), (tmp_path / "no" / "x.html", "No such")):
        with pytest.raises(ExportError, match=reason):
            made("report", name, "--html", str(place))


@pytest.mark.parametrize(
    "words",
    [
        ("report", "energy", "--by", "fortnight"),
        ("report", "energy", "--from", "2026-10-32"),
        ("report", "energy", "--from", "2026-10-05", "--to", "2026-10-04"),
        ("report", "energy", "--from", "2000", "--to", "2090"),
        ("events", "--kind", "nonsense"),
    ],
)
def test_mistakes_in_the_command_end_with_code_2(tmp_path: Path, words: tuple[str, ...]) -> None:
    made = Shell(tmp_path)
    result = CliRunner().invoke(app, [*words, "--config", str(made.config)])
    assert result.exit_code == 2


@pytest.mark.engine
def test_a_read_token_goes_before_the_writing_one(
    tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_influx(target.engine.url, target.bucket, points())
    missing = tmp_path / "no such file"
    extra = INFLUX.format(url=target.engine.url, bucket=target.bucket, token=missing)
    made = Shell(tmp_path, extra)
    with pytest.raises(ConfigError, match="token_file"):
        made("events", *DAYS)
    monkeypatch.setenv("INFLUXDB_READ_TOKEN", "r3ad")
    assert "highest 255.4 V" in made("events", *DAYS)


@pytest.mark.engine
def test_a_database_that_is_not_shown_to_this_token_is_told_with_what_to_do(
    tmp_path: Path, target: Target
) -> None:
    """InfluxDB 2 says "database not found" to a token that may only write."""
    token = tmp_path / "token"
    token.write_text("t0ken")
    made = Shell(tmp_path, INFLUX.format(url=target.engine.url, bucket="nowhere", token=token))
    with pytest.raises(ReportError, match="database not found") as caught:
        made("report", "energy", *DAYS)
    assert "INFLUXDB_READ_TOKEN" in caught.value.hint
    assert "--from-buffer" in caught.value.hint
