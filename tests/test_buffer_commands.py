"""The buffer commands, beside a running logger and without one."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from logger.buffer import Buffer
from logger.buffer.overview import report
from logger.cli.buffer import app
from logger.domain.datamodel import Lane
from logger.domain.errors import ConfigError, ExportError, LoggerError
from logger.points.line import FieldValue, Point, encode
from logger.points.parse import decode
from logger.store.schema import VERSION
from logger.store.verify import verify
from tests.configs import configuration
from tests.conftest import Target
from tests.engines import Answer
from tests.engines.rig import T0, Rig, energy, expected_fast, power
from tests.old_buffer import write_version

CONFIG = configuration(
    ("grid", "grid"),
    site="s",
    zone="Europe/Amsterdam",
    buffer={"path": "{path}", "max_size": "64MiB"},
)
INFLUX = """\
[influxdb]
url = "{url}"
org = "home"
bucket = "{bucket}"
fast_bucket = "{fast}"
token_file = "{token}"
timeout = "60s"
"""


class Shell:
    """Runs commands with a configuration file."""

    def __init__(self, directory: Path, rig: Rig | None, path: Path) -> None:
        self.config = directory / "logger.toml"
        text = CONFIG.format(path=path)
        if rig is not None:
            text += INFLUX.format(
                url=rig.target.url,
                bucket=rig.target.bucket,
                fast=rig.target.fast_bucket,
                token=rig.token_file,
            )
        self.config.write_text(text)

    def __call__(self, *words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, [*words, "--config", str(self.config)])
        if isinstance(result.exception, LoggerError):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self(*words, "--json", code=code))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Buffer]:
    """A buffer without a server, with points of two minutes."""
    buffer = Buffer(tmp_path / "buffer.sqlite", commit_interval_s=0.02, now_ms=lambda: T0)
    buffer.open()
    for number in range(0, 120, 10):
        buffer.append([*power(number), *energy(number)])
    assert buffer.flush()
    yield buffer
    buffer.close()
    assert verify(buffer.path).problems == ()


@pytest.fixture
def shell(tmp_path: Path, store: Buffer) -> Shell:
    return Shell(tmp_path, None, store.path)


def test_status_shows_the_books_beside_a_running_logger(shell: Shell, store: Buffer) -> None:
    found = shell.json("status")
    assert found["running"] is True
    assert found["books"]["fast"]["waiting"] == 24
    assert found["books"]["total"]["read"] == 36
    assert found["balanced"]
    assert found["problems"] == []
    text = shell("status")
    assert "a logger is running" in text
    assert "36" in text
    store.close()
    assert shell.json("status")["running"] is False


def test_what_the_running_logger_has_checked_counts(store: Buffer) -> None:
    """What is written in the file is as old as the last commit."""
    live = {"problem": "", "in_memory": 0, "scrub": {"done_ms": 5}}
    assert report(store.path, 2**30, live)["scrub"] == live["scrub"]


def test_status_of_a_missing_or_damaged_file(shell: Shell, store: Buffer, tmp_path: Path) -> None:
    with pytest.raises(LoggerError, match="no such buffer file"):
        shell("status", "--file", str(tmp_path / "none"))
    broken = tmp_path / "broken"
    broken.write_bytes(b"not a database, but long enough to look at" * 200)
    with pytest.raises(LoggerError, match="not a database"):
        shell("status", "--file", str(broken))
    assert shell.json("verify", "--file", str(broken), code=1)["ok"] is False
    (tmp_path / "buffer.sqlite.corrupt-20260101T000000Z").write_bytes(b"old")
    assert "set aside" in shell.json("status", code=1)["problems"][0]


def test_a_meter_without_digests_has_no_days_to_check(shell: Shell, store: Buffer) -> None:
    tags = "energy_15m,meter=cellar,role=load,site=home"
    own = [
        decode(f"{tags} import=1.5,complete=true {n * 900_000}") for n in range(1980041, 1980049)
    ]
    store.append(own)
    store.flush()
    found = shell.json("verify")
    assert (found["ok"], found["days"], found["days_unchecked"]) == (True, 0, 0)


def test_verify_finds_one_changed_byte(shell: Shell, store: Buffer, tmp_path: Path) -> None:
    assert shell.json("verify") == {
        "ok": True,
        "rows": 24,
        "points": 36,
        "problems": [],
        "damaged": 0,
        "days": 0,
        "days_unchecked": 0,
        "first_bad_day": None,
    }
    store.close()
    data = store.path.read_bytes()
    at = data.index(b"active_power=110")
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(data[:at] + b"b" + data[at + 1 :])
    problems = shell.json("verify", "--file", str(copy), code=1)["problems"]
    assert len(problems) == 1
    assert "checksum" in problems[0]


def test_export_csv_has_every_value(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "points.csv"
    assert shell.json("export", "--out", str(out))["points"] == 36
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("time", "measurement", "site", "meter", "phase", "tariff"),
        *("active_power", "active_import"),
    ]
    found = {(r["time"], r["phase"]): r["active_power"] for r in rows if r["active_power"]}
    assert found["2023-11-14T22:13:30.000Z", "L1"] == "101.0"
    assert len(found) == 24
    assert not list(tmp_path.glob("*.part"))


def test_export_lp_and_parquet_agree(shell: Shell, tmp_path: Path) -> None:
    shell("export", "--out", str(tmp_path / "p.lp"))
    shell("export", "--out", str(tmp_path / "p.parquet"))
    points = [decode(line) for line in (tmp_path / "p.lp").read_text().splitlines()]
    table = pyarrow.parquet.read_table(tmp_path / "p.parquet").to_pylist()
    assert len(points) == len(table) == 36
    for point, row in zip(points, table, strict=True):
        assert row["measurement"] == point.measurement
        assert int(row["time"].timestamp() * 1000) == point.time_ms
        assert row["active_power"] == point.fields.get("active_power")
        assert row["active_import"] == point.fields.get("active_import")


def test_export_of_a_range_a_state_a_measurement(shell: Shell, store: Buffer) -> None:
    lines = shell("export", "--out", "-", "--format", "lp", "-m", "energy").splitlines()
    assert len(lines) == 12
    start, end = "2023-11-14T22:14:00+00:00", "2023-11-14T23:14:40"  # with and without offset
    lines = shell("export", "-o", "-", "--format", "lp", "--from", start, "--to", end).splitlines()
    assert sorted({decode(line).time_ms for line in lines}) == [
        T0 + 40_000,
        T0 + 50_000,
        T0 + 60_000,
        T0 + 70_000,
    ]
    assert shell("export", "-o", "-", "--format", "lp", "--state", "delivered") == ""
    assert (
        len(shell("export", "-o", "-", "--format", "csv", "--state", "waiting").splitlines()) == 37
    )


def test_export_of_nothing_leaves_the_file_alone(
    shell: Shell, store: Buffer, tmp_path: Path
) -> None:
    day = tmp_path / "day.csv"
    shell("export", "--out", str(day))
    before = day.read_bytes()
    with pytest.raises(ExportError, match="nothing to export"):
        shell("export", "--out", str(day), "--force", "--from", "2001-01-01", "--to", "2001-01-02")
    with pytest.raises(ExportError, match="no measurement is called 'enrgy'") as caught:
        shell("export", "--out", str(day), "--force", "-m", "enrgy")
    assert "'energy'" in caught.value.hint
    assert day.read_bytes() == before


def test_export_replaces_a_file_only_when_told_to(
    shell: Shell, store: Buffer, tmp_path: Path
) -> None:
    for name in ("day.csv", "day.lp", "day.parquet"):
        file = tmp_path / name
        file.write_text("of somebody else", encoding="utf-8")
        with pytest.raises(ExportError, match="exists already") as caught:
            shell("export", "--out", str(file))
        assert "--force" in caught.value.hint
        assert file.read_text(encoding="utf-8") == "of somebody else"
        shell("export", "--out", str(file), "--force")
        assert file.read_bytes() != b"of somebody else"


def test_export_to_an_impossible_place(shell: Shell, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="No such file or directory"):
        shell("export", "--out", str(tmp_path / "no" / "x.csv"))
    with pytest.raises(ExportError, match="terminal"):
        shell("export", "--out", "-", "--format", "parquet")
    shell("export", "--out", str(tmp_path / "x.doc"), code=2)


def test_parquet_without_pyarrow_names_the_remedy(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ExportError, match=r"pyarrow, which is not installed.*\[parquet\]"):
        shell("export", "--out", str(tmp_path / "x.parquet"))


def test_import_checks_every_line_first(shell: Shell, store: Buffer, tmp_path: Path) -> None:
    file = tmp_path / "old.lp"
    file.write_text(
        "# from elsewhere\n"
        "power,meter=grid,phase=L1 active_power=5.5 1700000500000000000\n"  # ns
        "\n"
        'weather,place=roof\\ top sky="blue, \\"clear\\"",t=20i 1700000501\n'  # s
        "power,meter=grid active_power=5i 1700000502000\n"  # a float, for ever
        "power,meter=grid active_power= 1700000503000\n"
        "power,meter=grid active_power=1\n"
        "power,meter=grid active_power=1 17\n"
    )
    found = shell.json("import", str(file), code=1)
    assert found["points"] == 0
    assert [line.split(":")[0] for line in found["bad"]] == ["line 5", "line 6", "line 7", "line 8"]
    assert "has to be float" in found["bad"][0]
    assert shell.json("import", str(file), "--skip-bad", code=1)["points"] == 2
    text = shell("export", "--out", "-", "--format", "lp")
    assert "power,meter=grid,phase=L1 active_power=5.5 1700000500000\n" in text
    assert 'weather,place=roof\\ top sky="blue, \\"clear\\"",t=20i 1700000501000\n' in text
    store.append(power(500))
    assert store.flush()
    books = store.books()
    assert books.balanced
    assert books.lanes[Lane.MAIN].read == 13


_QUARTER = "energy_15m,site=home,meter=grid,role=grid "
_WHOLE = "quality_frequency_15m,site=home,meter=grid,role=grid "
_VOLTS = "quality_voltage,site=home,meter=grid,role=grid,phase=L1 "


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{_QUARTER}import=-33", "energy_15m.import is -33: expected not below -32"),
        (f"{_QUARTER}export=-40", "energy_15m.export is -40: expected not below -32"),
        (f"{_QUARTER}import_t2=-50", "energy_15m.import_t2 is -50: expected not below -32"),
        (f"{_QUARTER}import_netted=-0.1", "import_netted is -0.1: expected not below 0"),
        (f"{_QUARTER}demand=-4", "demand is -4: expected not below 0"),
        (f"{_QUARTER}coverage=7", "coverage is 7: expected not below 0 and not above 1"),
        (f"{_WHOLE}windows=91i", "windows is 91: expected not below 0 and not above 90"),
        (f"{_WHOLE}valid=-1i", "valid is -1: expected not below 0 and not above 90"),
        (f"{_VOLTS}mean=-230", "quality_voltage.mean is -230: expected not below 0"),
        ("energy,site=home,meter=grid,role=grid active_import=-1", "active_import is -1"),
        ("power,site=home,meter=grid,role=grid voltage=-1", "power.voltage is -1"),
        ("power_1m,site=home,meter=grid,role=grid voltage_min=-1", "voltage_min is -1"),
    ],
)
def test_import_refuses_what_no_meter_can_have_measured(
    shell: Shell, store: Buffer, tmp_path: Path, line: str, reason: str
) -> None:
    file = tmp_path / "odd.lp"
    file.write_text(f"{_QUARTER}import=-0.02,coverage=1 1700000100000\n{line} 1700001000000\n")
    found = shell.json("import", str(file), code=1)
    assert found["points"] == 0
    (bad,) = found["bad"]
    assert bad.startswith("line 2: ")
    assert reason in bad


def test_without_a_server_nothing_can_be_delivered(shell: Shell) -> None:
    with pytest.raises(ConfigError, match="buffer is the store"):
        shell("backfill")
    with pytest.raises(ConfigError, match="buffer is the store"):
        shell("replay", "--from", "2d")


@pytest.fixture
def rig(tmp_path: Path, target: Target) -> Iterator[Rig]:
    rig = Rig(tmp_path / "buffer.sqlite", target, deliver=False)
    yield rig
    rig.close()
    assert verify(rig.path).problems == ()


@pytest.mark.engine
def test_backfill_without_a_logger(rig: Rig, tmp_path: Path) -> None:
    for number in range(100):
        rig.buffer.append(power(number) + energy(number))
    rig.close()
    shell = Shell(tmp_path, rig, rig.path)
    found = shell.json("backfill")
    assert (found["waiting"], found["delivered"], found["stopped"]) == (0, 300, "")
    assert rig.fast() == expected_fast(range(100))
    assert len(rig.main()) == 100


@pytest.mark.engine
def test_backfill_keeps_its_rate(rig: Rig, tmp_path: Path) -> None:
    for number in range(30):
        rig.buffer.append(power(number))
    rig.close()
    began = time.monotonic()
    Shell(tmp_path, rig, rig.path)("backfill", "--rate", "40")
    assert time.monotonic() - began >= 0.9
    assert all(len(write.lines) <= 40 for write in rig.target.translator.writes)
    assert rig.fast() == expected_fast(range(30))


@pytest.mark.engine
def test_backfill_says_what_is_wrong(rig: Rig, tmp_path: Path) -> None:
    rig.buffer.append(power(1) + energy(1))
    rig.close()
    rig.target.engine.drop_bucket(rig.target.fast_bucket)
    found = Shell(tmp_path, rig, rig.path).json("backfill", "--patience", "0", code=1)
    assert rig.target.fast_bucket in found["stopped"]
    assert (found["waiting"], found["delivered"]) == (2, 1)  # the other bucket got its point


@pytest.mark.engine
def test_backfill_beside_a_running_logger_counts_once(rig: Rig, tmp_path: Path) -> None:
    """A real second process delivers while the logger does, both at full speed."""
    for number in range(6000):
        rig.buffer.append(power(number))
    assert rig.buffer.flush()
    rig.target.translator.always = Answer(engine=True, delay_s=0.05)
    shell = Shell(tmp_path, rig, rig.path)
    rig.delivery.start()
    command = subprocess.run(
        [
            sys.executable,
            "-c",
            "from logger.cli.buffer import app; app()",
            "backfill",
            "--config",
            str(shell.config),
            "--json",
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert command.returncode == 0, command.stderr
    for number in range(6000, 6010):
        rig.buffer.append(power(number))
    rig.target.translator.always = None
    rig.settled()
    books = rig.buffer.books()
    assert books.balanced
    assert books.lanes[Lane.FAST].delivered == 12_020
    assert len(rig.fast()) == 12_020
    lines = sum(len(write.lines) for write in rig.target.translator.writes)
    assert lines < 12_020 + 2 * 5000  # a batch may be sent by both, not the whole


@pytest.mark.engine
def test_replay_fills_a_server_that_lost_its_data(rig: Rig, tmp_path: Path) -> None:
    rig.delivery.start()
    for number in range(50):
        rig.buffer.append(power(number) + energy(number))
    rig.settled()
    rig.target.engine.drop_bucket(rig.target.fast_bucket)
    rig.target.engine.create_bucket(rig.target.fast_bucket)
    assert rig.fast() == {}
    shell = Shell(tmp_path, rig, rig.path)
    start, end = "2023-11-14T22:13:30+00:00", "2023-11-14T22:14:00+00:00"  # numbers 10 to 39
    found = shell.json("replay", "--from", start, "--to", end)
    assert found["replayed"] == 90
    rig.settled()
    assert rig.fast() == expected_fast(range(10, 40))
    assert rig.buffer.books().total.delivered == 150
    shell("replay", "--from", end, "--to", start, code=2)


@pytest.mark.engine
def test_set_aside_points_can_be_listed_retried_and_discarded(rig: Rig, tmp_path: Path) -> None:
    rig.delivery.start()
    rig.buffer.append(power(1))
    rig.settled()
    wrong = [Point("power", {"phase": "L1"}, {"active_power": f"text {n}"}, T0 + n) for n in (1, 2)]
    rig.buffer.append([*power(2), wrong[0]])
    rig.buffer.append([wrong[1]])
    rig.settled()
    shell = Shell(tmp_path, rig, rig.path)
    listed = shell.json("set-aside", "list")
    assert [one["lines"] for one in listed] == [[wrong[0].line()], [wrong[1].line()]]
    assert "field type conflict" in listed[0]["reason"]
    assert "text 1" in shell("set-aside", "list")
    shell("set-aside", "retry", code=2)  # which ones?
    with pytest.raises(LoggerError, match="no row is set aside under number 9999"):
        shell("set-aside", "retry", "9999")
    rig.target.engine.query("DROP MEASUREMENT power", rig.target.fast_bucket)  # the remedy
    assert shell.json("set-aside", "retry", str(listed[0]["number"])) == {"points": 1}
    rig.buffer.flush()
    rig.delivery.stop()
    shell("backfill")
    assert [row["active_power"] for row in rig.target.rows("SELECT * FROM power", fast=True)] == [
        "text 1"
    ]
    assert shell.json("set-aside", "discard", "--all", "--yes") == {"points": 1}
    rig.buffer.append(energy(1))
    rig.buffer.flush()
    books = rig.buffer.books()
    assert books.lanes[Lane.FAST].drops == {"discarded": 1}
    assert books.balanced


names = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\\"),
    min_size=1,
    max_size=8,
)
values: st.SearchStrategy[FieldValue] = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12),
)


@given(
    names,
    st.dictionaries(names, names, max_size=3),
    st.dictionaries(names, values, min_size=1, max_size=4),
    st.integers(0, 2**45),
)
def test_a_line_is_read_as_it_was_written(
    measurement: str, tags: dict[str, str], fields: dict[str, FieldValue], time_ms: int
) -> None:
    point = Point(measurement, tags, fields, time_ms)
    back = decode(encode(point))
    assert back == point
    assert [type(value) for value in back.fields.values()] == [type(v) for v in fields.values()]


@given(st.text(alphabet='m,v= "\\1i#t\n', max_size=30))
def test_any_text_is_a_point_or_an_error(text: str) -> None:
    try:
        point = decode(text)
    except ValueError:
        return
    assert point.fields


def test_csv_is_read_back_by_the_csv_module(shell: Shell) -> None:
    text = shell("export", "--out", "-", "--format", "csv")
    assert len(list(csv.reader(io.StringIO(text)))) == 37


@pytest.mark.parametrize("version", range(1, VERSION))
def test_what_only_reads_reads_a_file_of_every_version(tmp_path: Path, version: int) -> None:
    """It may be looked at before a logger carries it over, and is left as it is."""
    path = tmp_path / "buffer.sqlite"
    lines = [point.line() for point in power(1)]
    write_version(path, version, lines)
    shell, kept = Shell(tmp_path, None, path), path.read_bytes()
    assert f"1 rows, {len(lines)} points" in shell("verify")
    assert json.loads(shell("status", "--json"))["books"]["total"]["waiting"] == len(lines)
    assert shell("export", "--out", "-", "--format", "lp").splitlines() == lines
    assert json.loads(shell("set-aside", "list", "--json")) == []
    assert path.read_bytes() == kept
