"""One way to write a time and a duration: the tables of docs/times.md, and that every command
and every key takes them."""

from __future__ import annotations

import datetime as dt
import json
import re
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from typer.testing import CliRunner, Result

from logger.cli import app
from logger.config import Config
from logger.config.mistakes import section_in
from logger.config.types import FROM_FILE
from logger.config.types import seconds as validate_seconds
from logger.domain.times import (
    PATTERN,
    UNITS,
    WORDS,
    duration_text,
    midnight_ms,
    next_day,
    seconds,
    stretch,
)
from tests.configs import configuration
from tests.running import ROOT
from tests.test_documents import rows

TEXT = (ROOT / "docs" / "times.md").read_text(encoding="utf-8")
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NOW = dt.datetime(2026, 11, 4, 14, 30, tzinfo=AMSTERDAM)
NOW_MS = round(NOW.timestamp() * 1000)


def written(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


DURATIONS = [
    (one, float(cells[1])) for cells in rows("Durations", TEXT) for one in written(cells[0])
]
TIMES = [(one, *cells[1:]) for cells in rows("Times", TEXT) for one in written(cells[0])]


@pytest.mark.parametrize(("text", "value"), DURATIONS)
def test_the_durations_of_the_table(text: str, value: float) -> None:
    assert seconds(text) == value


@given(st.from_regex(PATTERN))
def test_what_the_pattern_matches_is_a_time(text: str) -> None:
    if text.strip():
        stretch(text, AMSTERDAM, NOW_MS)


@pytest.mark.parametrize("text", [one for one, *_ in TIMES])
def test_the_pattern_matches_the_times_of_the_table(text: str) -> None:
    assert re.search(PATTERN, text)


def test_the_pattern_knows_the_calendar() -> None:
    for year in (1969, 1970, 2000, 2026, 2028, 2100, 2196, 2199, 2200):
        for month in range(14):
            for day in (0, 1, 28, 29, 30, 31, 32):
                try:
                    good = dt.date(year, month, day).year in range(1970, 2200)
                except ValueError:
                    good = False
                assert bool(re.search(PATTERN, f"{year}-{month:02}-{day:02}")) == good


@pytest.mark.parametrize(("text", "start", "end"), TIMES)
def test_the_times_of_the_table(text: str, start: str, end: str) -> None:
    def shown(stamp_ms: int) -> str:
        stamp = dt.datetime.fromtimestamp(stamp_ms / 1000, AMSTERDAM)
        return stamp.isoformat(timespec="minutes")

    first, last = stretch(text, AMSTERDAM, NOW_MS)
    assert (shown(first), shown(last)) == (start, start if end == "the same" else end)


def test_the_tables_have_every_word_and_unit() -> None:
    assert {"now", *WORDS} <= {text for text, *_ in TIMES}
    units = {unit for text, _ in DURATIONS for unit in re.findall("[a-z]+", text)}
    assert units == set(UNITS)


@pytest.mark.parametrize("text", ["", "s", "ten s", "1y", "-5s", "1h-30m", "1h30", "5 5s", "1e3s"])
def test_what_is_no_duration_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write a number with a unit"):
        seconds(text)


def test_a_bare_number_and_an_age_are_refused() -> None:
    with pytest.raises(ValueError, match="300 has no unit: write 300ms, 300s or 300min"):
        seconds("300")
    with pytest.raises(ValueError, match="longer than a hundred years"):
        seconds(f"{'9' * 400}s")


@pytest.mark.parametrize(
    "text",
    ["", "300", "2026-13", "2026-10-32", "2026-W54", "tomorrowish", "1969", "9999", "0001-01-01",
     "10:30", "999999d", "2026-10-25T25:00", "-30d", "last month", "2026-1-1"],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_all_that_is(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time") as caught:
        stretch(text, AMSTERDAM, NOW_MS)
    assert all(word in str(caught.value) for word in WORDS)


@given(st.integers(min_value=1, max_value=10**7).map(lambda n: n / 1000))
def test_a_duration_that_is_shown_reads_back(value: float) -> None:
    assert seconds(duration_text(value)) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("zone", ["Europe/Amsterdam", "America/Sao_Paulo", "Australia/Lord_Howe"])
@given(day=st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)))
def test_days_weeks_months_and_years_follow_each_other_without_a_gap(
    zone: str, day: dt.date
) -> None:
    place = ZoneInfo(zone)
    noon_ms = midnight_ms(day, place) + 43_200_000
    for now, last in (("this-week", "last-week"), ("this-month", "last-month"),
                      ("this-year", "last-year"), ("today", "yesterday")):  # fmt: skip
        begin, end = stretch(now, place, noon_ms)
        assert begin <= noon_ms < end
        assert stretch(last, place, noon_ms)[1] == begin
        assert stretch(last, place, end) == (begin, end)
    assert next_day("year", day) == dt.date(day.year + 1, 1, 1)


def takes_seconds(annotation: object, metadata: Sequence[object] = ()) -> bool:
    """Return whether a value of this type is read by the parser of durations."""
    if any(getattr(one, "func", None) is validate_seconds for one in metadata):
        return True
    more = getattr(annotation, "__metadata__", ())
    return bool(more and takes_seconds(None, more)) or any(
        takes_seconds(one) for one in typing.get_args(annotation)
    )


def durations(section: type[BaseModel], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the place of every key of the configuration that holds a duration."""
    found = []
    for name, field in section.model_fields.items():
        if (inner := section_in(field.annotation)) is not None:
            found += durations(inner, (*above, name))
        elif takes_seconds(field.annotation, field.metadata):
            found.append((*above, name))
    return found


def from_file(key: tuple[str, ...], value: object) -> None:
    """Validate a configuration as if from a file, in which `key` has the value."""
    meter: dict[str, Any] = {"name": "grid", "model": "pro380", "address": 1, "role": "grid"}
    bus: dict[str, Any] = {"name": "a", "port": "/dev/ttyUSB0", "meter": [meter]}
    influx = {"url": "http://localhost:8086", "bucket": "energy"}
    data: dict[str, Any] = {"site": {"name": "home"}, "bus": [bus], "influxdb": influx}
    sections = {("bus",): bus, ("bus", "meter"): meter}
    section = sections.get(key[:-1], data)
    if section is data:
        for name in key[:-1]:
            section = section.setdefault(name, {})
    section[key[-1]] = value
    Config.model_validate(data, context=FROM_FILE)


def test_every_key_that_takes_a_duration_takes_these() -> None:
    found = durations(Config)
    assert {"intervals.fast", "bus.meter.timeout", "alerts.repeat", "events.min_duration",
            "buffer.keep", "influxdb.timeout"} <= {".".join(key) for key in found}  # fmt: skip
    for key in found:
        from_file(key, "1h 30min")
        for bare in (300, 0.5, "300"):
            with pytest.raises(ValidationError, match="has no unit: write"):
                from_file(key, bare)


def options(label: str) -> list[tuple[str, str]]:
    """Return command and name of every option whose value is called so in the help."""

    def walk(command: Any, words: str) -> list[tuple[str, str]]:
        found = [(words, one.opts[0]) for one in command.params if one.metavar == label]
        for name, inner in getattr(command, "commands", {}).items():
            found += walk(inner, f"{words} {name}".strip())
        return found

    return walk(typer.main.get_command(app), "")


def run(*words: str, config: Path) -> Result:
    variables = {"INEPRO_LOGGER_CONFIG": str(config), "COLUMNS": "1000", "INFLUXDB_TOKEN": "t"}
    return CliRunner().invoke(app, words, env=variables)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a buffer that holds a counter's reading of every hour from 26 to
    28 October 2024: the clocks of Amsterdam go back on the 27th."""
    path = tmp_path / "logger.toml"
    path.write_text(
        configuration(
            ("grid", "grid"),
            zone="Europe/Amsterdam",
            buffer={"path": "buffer.sqlite"},
            influxdb={"url": "http://127.0.0.1:9", "bucket": "energy"},
        ),
        encoding="utf-8",
    )
    begin = 1_729_893_600  # 2024-10-26 at 0:00
    points = tmp_path / "some.lp"
    points.write_text(
        "".join(
            "energy,site=home,meter=grid,phase=total,role=grid,tariff=total "
            f"active_import={hour}.0,active_export=0.0 {begin + 3600 * hour}\n"
            for hour in range(74)
        ),
        encoding="utf-8",
    )
    assert run("buffer", "import", str(points), config=path).exit_code == 0
    return path


def test_every_option_for_a_duration_refuses_a_bare_number(config: Path) -> None:
    found = options("DURATION")
    assert {" ".join(one) for one in found} == {
        "scan --patience", "demo --for", "simulate --for", "simulate --delay",
        "simulate-past --for", "read --for", "live --for", "buffer backfill --patience",
        "buffer replay --patience", "prices import --resolution",
    }  # fmt: skip
    for command, option in found:
        more = ["--from", "1d"] if "replay" in command else []
        done = run(*command.split(), *more, option, "300", config=config)
        assert done.exit_code == 2, (command, done.output)
        assert "300 has no unit: write 300ms, 300s or 300min" in done.output, command


def test_every_option_for_a_time_knows_the_words(config: Path) -> None:
    found = options("TIME")
    assert {" ".join(one) for one in found} == {
        "report energy --from", "report energy --to", "report quality --from",
        "report quality --to", "report statement --from", "report statement --to",
        "report demand --from", "report demand --to", "events --from", "events --to",
        "buffer export --from",
        "buffer export --to", "buffer replay --from", "buffer replay --to",
        "simulate --start", "simulate-past --from", "prices list --from", "prices list --to",
        "prices remove --from", "prices remove --to",
        "prices recompute --from", "prices recompute --to",
    }  # fmt: skip
    for command, option in found:
        more = {
            "buffer export": ["--out", "-", "--format", "lp"],
            "buffer replay": ["--from", "2001"],
        }
        words = [*command.split(), *more.get(command, []), option]
        done = run(*words, "someday", config=config)
        assert done.exit_code == 2, (words, done.output)
        assert f"{option}: 'someday' is not a time: write" in done.output
        assert "last-month" in done.output
    for word in ("2001", "2001-09", "2001-W44", *WORDS, "12h", "30d"):
        assert exported(config, "--from", "2001", "--to", word) in (0, 74), word


def exported(config: Path, *words: str) -> int:
    """Return how many points an export of these times has."""
    done = run("buffer", "export", "--out", "-", "--format", "lp", *words, config=config)
    assert done.exit_code == 0, done.output
    return sum(line.startswith("energy,") for line in done.stdout.splitlines())


def test_a_day_that_to_names_is_included_in_every_command(config: Path) -> None:
    assert exported(config, "--from", "2024-10-27", "--to", "2024-10-27") == 25
    assert exported(config, "--from", "2024-W43", "--to", "2024-10-27T00:00") == 24
    assert exported(config, "--from", "2024-10-27T02:00", "--to", "2024-10-27T03:00") == 2
    assert exported(config, "--from", "2024-10-28", "--to", "2024") == 25


DAYS = ("--from", "2024-10-26", "--to", "2024-10-28")


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("day", [("2024-10-26", 24), ("2024-10-27", 25), ("2024-10-28", 24)]),
        ("week", [("2024-W43", 49), ("2024-W44", 24)]),
        ("month", [("2024-10", 73)]),
        ("year", [("2024", 73)]),
    ],
)
def test_reports_by_week_and_year(config: Path, by: str, expected: list[tuple[str, int]]) -> None:
    words = ("report", "energy", "--json", "--from-buffer", *DAYS)
    done = run(*words, "--by", by, config=config)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["rows"]
    assert [(one["period"], one["import_kwh"]) for one in found] == expected


def test_a_report_of_hours_begins_and_ends_with_the_hours_named(config: Path) -> None:
    words = ("--from", "2024-10-27T02:30", "--to", "2024-10-27T03:10", "--by", "hour", "--json")
    done = run("report", "energy", "--from-buffer", *words, config=config)
    assert [one["period"] for one in json.loads(done.stdout)["rows"]] == [
        "2024-10-27 02:00+0200", "2024-10-27 02:00+0100", "2024-10-27 03:00+0100",
    ]  # fmt: skip


@pytest.mark.parametrize("words", [("--from", "today", "--to", "yesterday"), ("--from", "2199")])
def test_a_range_that_ends_before_it_begins_is_refused(config: Path, words: list[str]) -> None:
    for command in ("report energy", "report quality", "events"):
        done = run(*command.split(), *words, config=config)
        assert done.exit_code == 2, done.output
        assert "is not before" in done.output
