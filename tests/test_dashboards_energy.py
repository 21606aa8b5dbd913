"""Every panel that shows energy or money, against `report energy` on the same engine.

A house with two PV plants and a battery, five weeks long: from the middle of a day on, over
the end of summer time, a change of price, and two outages, one of them over midnight.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from logger.cli import app
from logger.config import load_config
from logger.grafana import dashboard_options, dashboards
from logger.points.line import Point
from tests.engines import InfluxServer, Translator
from tests.grafana_queries import Json, Range, expand, interval, panels, variables_of
from tests.report_rig import write_influx

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("house")]

ZONE = ZoneInfo("Europe/Amsterdam")
FIRST = datetime(2026, 10, 1, 13, 7, tzinfo=ZONE)
LAST = datetime(2026, 11, 5, 12, 32, tzinfo=ZONE)
SLOW_MS = 600_000
# Nothing is read: within a day, and over midnight. Energy is counted all the same.
OUTAGES = (
    (datetime(2026, 10, 12, 8, 3, tzinfo=ZONE), datetime(2026, 10, 12, 15, 44, tzinfo=ZONE)),
    (datetime(2026, 10, 27, 21, 58, tzinfo=ZONE), datetime(2026, 10, 28, 4, 1, tzinfo=ZONE)),
)
DIVIDED = {"2026-10-27", "2026-10-28"}  # the report divides by time what was counted between
CONFIG = """\
[site]
name = "house"
timezone = "Europe/Amsterdam"
[intervals]
slow = "10m"
[[bus]]
name = "b"
port = "socket://127.0.0.1:1"
{meters}
[buffer]
path = "{path}/buffer.sqlite"
[influxdb]
url = "{url}"
bucket = "energy"
fast_bucket = "live"
token_file = "{path}/token"
[prices]
[[prices.valid]]
since = 2026-10-03
buy = 0.30
buy_t2 = 0.22
sell = 0.08
[[prices.valid]]
since = 2026-10-20
buy = 0.41
buy_t1 = 0.44
buy_t2 = 0.19
sell = -0.02
"""
METER = """\
[[bus.meter]]
name = "{name}"
model = "pro380"
address = {address}
role = "{role}"
{centre}"""
METERS = {
    "grid": "grid", "east": "pv", "west": "pv", "store": "battery",
    "kitchen": "load", "car": "load",
}  # fmt: skip
CENTRES = {"kitchen": "Flat 1", "grid": "Owner's", "car": "Owner's"}
# How fast the counters of each meter rise, in Wh a reading at most: drawn, fed back.
RATES = {
    "grid": (900, 300),
    "east": (2, 700),
    "west": (2, 400),
    "store": (350, 300),
    "kitchen": (90, 1),
    "car": (310, 1),
}


def in_t2(local: datetime) -> bool:
    return local.weekday() > 4 or not 7 <= local.hour < 23


def points() -> Iterator[Point]:
    """Yield the counters of all meters; the grid meter has two tariffs."""
    dice = random.Random(5)
    counters = {name: [dice.randrange(10**6), dice.randrange(10**6)] for name in METERS}
    tariffs = {"T1": dice.randrange(10**6), "T2": dice.randrange(10**6)}
    at = int(FIRST.timestamp() * 1000) // SLOW_MS * SLOW_MS + SLOW_MS
    while at < LAST.timestamp() * 1000:
        local = datetime.fromtimestamp(at / 1000, ZONE)
        low = in_t2(local - timedelta(minutes=5))  # what was counted until now
        read = not any(start <= local < end for start, end in OUTAGES)
        for name, role in METERS.items():
            own = counters[name]
            for way in (0, 1):
                rise = dice.randrange(RATES[name][way])
                own[way] += rise
                if name == "grid" and way == 0:
                    tariffs["T2" if low else "T1"] += rise
            late = dice.randrange(200, 9000)
            tags = {"site": "house", "meter": name, "role": role, "phase": "total"}
            drawn, fed = (value / 1000 for value in own)
            fields: dict[str, Any] = {"active_import": drawn, "active_export": fed}
            if not read:
                continue
            yield Point("energy", {**tags, "tariff": "total"}, fields, at + late)
            if role == "grid":
                for tariff, value in tariffs.items():
                    fields = {"active_import": value / 1000, "active_export": 0.0}
                    yield Point("energy", {**tags, "tariff": tariff}, fields, at + late)
        at += SLOW_MS


@dataclass(eq=False)
class House:
    """The engine, the dashboards and the reports of one configuration."""

    engine: InfluxServer
    config: Path
    boards: dict[str, Json]

    @cache  # noqa: B019 - as long as the module's tests
    def statement(self, centre: str, first: str, last: str) -> dict[str, float]:
        """Return the sums of `report statement` over the meters of a cost centre."""
        words = ["report", "statement", "--from", first, "--to", last, "--by", "day", "--json"]
        words += ["--cost-centre", centre, "--config", str(self.config)]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        totals = [one["total"] for one in json.loads(result.stdout)["statements"]]
        return {
            key: sum(one[key] or 0.0 for one in totals)
            for key in ("import_kwh", "export_kwh", "cost")
        }

    def centres(self, title: str, first: str, end: str) -> dict[str, dict[str, float]]:
        """Return what a table of cost centres shows, by the names that stand for numbers."""
        (panel,) = (p for p in panels(self.boards["centres.json"]) if p["title"] == title)
        (named,) = (o for o in panel["fieldConfig"]["overrides"]
                    if o["matcher"]["options"] == "Cost centre")  # fmt: skip
        (mappings,) = (i["value"] for i in named["properties"] if i["id"] == "mappings")
        (target,) = panel["targets"]
        values = variables_of(self.boards["centres.json"], site="house", meter="grid")
        query = expand(target["query"], Range(moment(first), moment(end)), 60_000, values)
        (series,) = self.engine.query(query, "energy")
        found = {}
        for row in series["rows"]:
            row.pop("time")
            name = mappings[0]["options"][f"{row.pop('centre'):g}"]["text"]
            found[name] = {key: value for key, value in row.items() if value is not None}
        return found

    @cache  # noqa: B019 - as long as the module's tests
    def report(self, first: str, last: str, by: str = "day") -> dict[str, Any]:
        """Return what `report energy` prints."""
        words = ["report", "energy", "--from", first, "--to", last, "--by", by, "--json"]
        result = CliRunner().invoke(app, [*words, "--config", str(self.config)])
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def shown(self, name: str, first: str, end: str) -> dict[str, dict[int, float]]:
        """Return what a panel shows for a range in local time: by series, by time in ms."""
        board, _, title = name.partition(": ")
        (panel,) = (p for p in panels(self.boards[f"{board}.json"]) if p["title"] == title)
        range_ = Range(moment(first), moment(end))
        step = interval(range_, panel.get("maxDataPoints", 800), panel.get("interval", ""))
        values = variables_of(self.boards[f"{board}.json"], site="house", meter="grid")
        found: dict[str, dict[int, float]] = {}
        for target in panel["targets"]:
            for series in self.engine.query(
                expand(target["query"], range_, step, values), "energy"
            ):
                alias = target.get("alias", "")
                for tag, value in series["tags"].items():
                    alias = alias.replace(f"$tag_{tag}", value)
                for row in series["rows"]:
                    at = row.pop("time")
                    (value,) = row.values()
                    found.setdefault(alias, {})[at] = value
        return found

    def table(self, name: str, first: str, end: str) -> dict[str, dict[str, float]]:
        """Return what a table shows for each meter, by column."""
        board, _, title = name.partition(": ")
        (panel,) = (p for p in panels(self.boards[f"{board}.json"]) if p["title"] == title)
        values = variables_of(self.boards[f"{board}.json"], site="house", meter="grid")
        (target,) = panel["targets"]
        query = expand(target["query"], Range(moment(first), moment(end)), 60_000, values)
        found = {}
        for series in self.engine.query(query, "energy"):
            (row,) = series["rows"]
            row.pop("time")
            found[series["tags"]["meter"]] = {k: v for k, v in row.items() if v is not None}
        return found

    def counted(self, meter: str, first: str, end: str, counter: str = "active_import") -> float:
        """Return what a counter rose by from the reading at `first` to the one at `end`."""
        rows = self.engine.rows(
            f'SELECT "{counter}" AS "v" FROM "energy" WHERE "meter" = \'{meter}\' '
            "AND \"tariff\" = 'total'",
            "energy",
        )
        both = [
            [row["v"] for row in rows if row["time"] < moment(at) + 30_000][-1:]
            for at in (first, end)
        ]
        begin = both[0] or [rows[0]["v"]]
        return float(both[1][0] - begin[0])

    def figures(self, name: str, first: str, end: str) -> dict[str, float]:
        """Return what a panel of single figures shows."""
        return {
            alias: value
            for alias, values in self.shown(name, first, end).items()
            for value in values.values()
        }


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() * 1000)


def exactly(value: float) -> Any:
    """Counters have three decimals; what lies below a thousandth of that is of floats."""
    return pytest.approx(value, abs=1e-6)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("house")
    with InfluxServer(place / "db") as engine, Translator(engine.url) as front:
        engine.create_bucket("energy")
        write_influx(engine.url, "energy", list(points()))
        (place / "token").write_text(front.token, encoding="utf-8")
        meters = "".join(
            METER.format(
                name=name,
                address=address,
                role=role,
                centre=f'cost_centre = "{CENTRES[name]}"\n' if name in CENTRES else "",
            )
            for address, (name, role) in enumerate(METERS.items(), start=1)
        )
        config = place / "logger.toml"
        config.write_text(CONFIG.format(meters=meters, path=place, url=front.url), encoding="utf-8")
        yield House(engine, config, dashboards(dashboard_options(load_config(config))))


RANGE = ("2026-10-08", "2026-11-02")  # until the beginning of the second
ENERGY = {
    "Imported": "import_kwh", "Exported": "export_kwh", "Produced": "pv_kwh",
    "Charged": "charge_kwh", "Discharged": "discharge_kwh",
    "Self-consumed": "self_consumed_kwh", "Consumed": "load_kwh",
}  # fmt: skip
BOUNDS = {
    "Day ${__to:date:YYYY-MM-DD}": "2026-11-04",
    "Month until ${__to:date:YYYY-MM-DD}": "2026-11-01",
    "Year until ${__to:date:YYYY-MM-DD}": "2026-10-01",  # nothing was read before
}


def day_before(text: str) -> str:
    return f"{datetime.fromisoformat(text) - timedelta(days=1):%Y-%m-%d}"


def hours_of(values: dict[int, float]) -> dict[str, float]:
    """Return values by the beginning of their hour, as the report writes it."""
    return {datetime.fromtimestamp(at / 1000, ZONE).isoformat(): v for at, v in values.items()}


@pytest.mark.parametrize("dragged", ["2026-11-04T09:10", "2026-11-04T17:45"])
def test_day_month_and_year_are_those_of_the_report(house: House, dragged: str) -> None:
    """Whatever is dragged within a day: each title says until when it counts."""
    for title, first in BOUNDS.items():
        total = house.report(first, "2026-11-04")["total"]
        found = house.figures(f"home: {title}", "2026-11-04T08:00", dragged)
        assert found == {name: exactly(total[key]) for name, key in ENERGY.items()}
        money = house.figures(
            f"home: Money, {title[0].lower()}{title[1:]}", "2026-11-04T08:00", dragged
        )
        assert money["Cost"] == exactly(total["cost"])
        assert money["Feed-in"] == exactly(total["revenue"])


def test_a_range_is_that_of_the_report(house: House) -> None:
    first, end = RANGE
    total = house.report(first, day_before(end))["total"]
    found = house.figures("pv: Energy in this range", first, end)
    assert found == {name: exactly(total[key]) for name, key in ENERGY.items()}
    for title, key in (
        ("Self-consumption", "self_consumption"),
        ("Self-sufficiency", "self_sufficiency"),
    ):
        assert house.figures(f"pv: {title}", first, end) == {title: exactly(total[key])}
    cost, revenue = total["cost"], total["revenue"]
    assert house.figures("energy: Cost in this range", first, end) == {
        "Import": exactly(cost),
        "Feed-in": exactly(revenue),
        "Net": exactly(cost - revenue),
    }
    before = house.report("2026-10-04", "2026-10-07")["total"]
    total = house.report("2026-10-08", "2026-10-11")["total"]
    for title, key in (("Import", "import_kwh"), ("Export", "export_kwh")):
        assert house.figures(f"energy: {title}", "2026-10-08", "2026-10-12") == {
            "this range": exactly(total[key]),
            "the one before": exactly(before[key]),
        }
        share = house.figures(f"energy: {title}, change", "2026-10-08", "2026-10-12")
        assert share == {"change": exactly(total[key] / before[key] - 1)}


def test_a_range_on_no_full_quarter_counts_from_reading_to_reading(house: House) -> None:
    found = house.figures("energy: Import", "2026-11-03T08:14", "2026-11-03T17:33")
    values = house.engine.rows(
        'SELECT "active_import" AS "v" FROM "energy" WHERE "meter" = \'grid\' '
        "AND \"tariff\" = 'total'",
        "energy",
    )
    until = [
        [row["v"] for row in values if row["time"] < moment(at)][-1]
        for at in ("2026-11-03T08:14", "2026-11-03T17:33")
    ]
    assert found["this range"] == exactly(until[1] - until[0])


DAILY = {
    "home: Energy by day": {
        "Self-consumed": "self_consumed_kwh", "Imported": "import_kwh", "Exported": "-export_kwh",
        "Charged": "-charge_kwh", "Discharged": "discharge_kwh",
    },
    "pv: Where the production went": {
        "Self-consumed": "self_consumed_kwh", "Exported": "export_kwh",
    },
    "pv: Where the consumption came from": {
        "Self-consumed": "self_consumed_kwh", "Imported": "import_kwh",
    },
    "energy: Import by day": {"T1": "import_t1_kwh", "T2": "import_t2_kwh"},
    "energy: Cost by day": {"Import": "cost", "Feed-in": "-revenue"},
}  # fmt: skip


@pytest.mark.parametrize("name", DAILY)
def test_days_are_those_of_the_report(house: House, name: str) -> None:
    """With those of 25 hours; what was counted over midnight stands in the second day. Those of
    Home reach back from whatever day it shows."""
    first, end = RANGE
    rows = house.report(first, day_before(end))["rows"]
    if name.startswith("home"):
        days = house.shown(name, day_before(end), end)
        found = {
            series: {at: value for at, value in values.items() if at >= moment(first)}
            for series, values in days.items()
        }
    else:
        found = house.shown(name, first, end)
    assert set(found) == set(DAILY[name])
    for series, key in DAILY[name].items():
        sign, key = (-1, key[1:]) if key.startswith("-") else (1, key)
        values = found[series]
        assert list(values) == [moment(row["period"]) for row in rows]
        for row in rows:
            if row["period"] not in DIVIDED:
                shown = values[moment(row["period"])]
                assert shown == exactly(sign * row[key]), row["period"]
        assert sum(values.values()) == exactly(sign * sum(row[key] for row in rows))


def test_hours_are_those_of_the_report(house: House) -> None:
    first, end = "2026-10-24", "2026-10-27"  # summer time ends on the second day
    rows = house.report(first, day_before(end), "hour")["rows"]
    assert len(rows) == 3 * 24 + 1
    hourly = house.shown("energy: Import by hour", first, end)
    for tariff, key in (("T1", "import_t1_kwh"), ("T2", "import_t2_kwh")):
        expected = {row["start"]: row[key] for row in rows}
        assert {
            datetime.fromtimestamp(at / 1000, ZoneInfo("UTC")).isoformat(): value
            for at, value in hourly[tariff].items()
        } == {start: exactly(value) for start, value in expected.items()}
    for name in ("energy: Export by hour", "energy: Export by day"):  # in no tariff here
        exported = house.shown(name, first, end)
        assert {value for values in exported.values() for value in values.values()} == {0.0}


def test_hours_of_the_heatmap_are_those_of_the_report(house: House) -> None:
    first, end = "2026-10-11", "2026-10-27"
    rows = house.report(first, day_before(end), "hour")["rows"]
    expected: dict[tuple[str, str], float] = {}
    for row in rows:
        local = datetime.fromisoformat(row["start"]).astimezone(ZONE)
        cell = (f"{local:%H}:00", f"{local:%Y-%m-%d}")
        expected[cell] = expected.get(cell, 0.0) + row["import_kwh"]
    found = {
        (hour, f"{datetime.fromtimestamp(at / 1000, ZONE):%Y-%m-%d}"): value
        for hour, values in house.shown("energy: Hour by day", first, end).items()
        for at, value in values.items()
    }
    outage = {(f"{hour:02}:00", "2026-10-12") for hour in range(8, 16)}
    for cell, value in expected.items():
        if cell not in outage:
            assert found[cell] == exactly(value), cell
    # Cells of an outage are empty, and the hour after it has what was counted meanwhile.
    assert outage & set(found) == {("15:00", "2026-10-12")}
    assert set(found) <= set(expected)
    assert sum(found.values()) == exactly(sum(expected.values()))


def test_before_the_first_reading_the_heatmap_is_empty(house: House) -> None:
    found = house.shown("energy: Hour by day", "2026-09-20", "2026-10-03")
    early = moment("2026-10-02") - 1  # the right edge of the cells of the day before
    cells = {(hour, at) for hour, values in found.items() for at in values if at <= early}
    assert cells == {(f"{hour:02}:00", early) for hour in range(13, 24)}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("energy: Import by month", "import_kwh"),
        ("energy: Export by month", "export_kwh"),
        ("pv: Produced by month", "pv_kwh"),
        ("pv: Self-consumed by month", "self_consumed_kwh"),
        ("pv: Exported by month", "export_kwh"),
        ("pv: Imported by month", "import_kwh"),
    ],
)
def test_months_are_those_of_the_report(house: House, name: str, key: str) -> None:
    rows = house.report("2026-10-01", "2026-11-30", "month")["rows"]
    found = house.figures(name, "2026-11-01", "2026-11-05T12:00")
    assert found == {
        f"{datetime.fromisoformat(row['start']).astimezone(ZONE):%b}": exactly(row[key])
        for row in rows
    }


def test_what_was_saved_has_the_price_of_the_tariff_at_the_time(house: House) -> None:
    """A weekend is in T2, and a weekday's hours from 7 to 23 in T1."""
    rows = house.report("2026-11-01", "2026-11-04", "hour")["rows"]
    expected = 0.0
    for row in rows:
        local = datetime.fromisoformat(row["start"]).astimezone(ZONE)
        expected += row["self_consumed_kwh"] * (0.19 if in_t2(local) else 0.44)
    title = "home: Money, month until ${__to:date:YYYY-MM-DD}"
    found = house.figures(title, "2026-11-04T08:00", "2026-11-04T12:00")
    assert found["Saved"] == exactly(expected)


def test_the_split_of_the_day_is_that_of_the_report(house: House) -> None:
    shown = "2026-11-04T08:00", "2026-11-04T17:45"
    total = house.report("2026-11-04", "2026-11-04")["total"]
    own = total["load_kwh"] - total["import_kwh"]
    assert house.figures("home: What was consumed came from", *shown) == {
        "Grid": exactly(total["import_kwh"]), "Own": exactly(own),
    }  # fmt: skip
    assert house.figures("home: What was produced went to", *shown) == {
        "Own use": exactly(total["self_consumed_kwh"]), "Grid": exactly(total["export_kwh"]),
    }  # fmt: skip
    assert house.figures("home: Self-sufficiency of the day", *shown) == {
        "Self-sufficiency": exactly(total["self_sufficiency"])
    }
    assert house.figures("home: Net cost of the day", *shown) == {
        "Net": exactly(total["cost"] - total["revenue"])
    }


def test_yesterday_is_counted_until_the_same_time(house: House) -> None:
    """Six o'clock in the evening: hours of the report, added up."""
    name = "home: Consumed, day so far"
    found = house.figures(name, "2026-11-04T08:00", "2026-11-04T18:00")
    hours = {
        day: house.report(day, day, "hour")["rows"][:18] for day in ("2026-11-03", "2026-11-04")
    }
    sums = {day: sum(row["load_kwh"] for row in rows) for day, rows in hours.items()}
    assert found == {
        "today": exactly(sums["2026-11-04"]), "yesterday": exactly(sums["2026-11-03"])
    }  # fmt: skip
    later = house.figures(name, "2027-11-04T08:00", "2027-11-04T18:00")
    assert later == {"a year ago": exactly(sums["2026-11-04"])}


def test_the_month_so_far_is_compared_with_a_year_ago(house: House) -> None:
    name = "home: Consumed, month so far"
    days = house.report("2026-11-01", "2026-11-03")["total"]["load_kwh"]
    hours = house.report("2026-11-04", "2026-11-04", "hour")["rows"][:18]
    expected = exactly(days + sum(row["load_kwh"] for row in hours))
    found = house.figures(name, "2026-11-04T08:00", "2026-11-04T18:00")
    assert found == {"this month": expected}  # nothing was read a year ago
    found = house.figures(name, "2027-11-04T08:00", "2027-11-04T18:00")
    assert found == {"a year ago": expected}


LOADS = ("kitchen", "car")


def test_the_table_of_meters_is_the_report(house: House) -> None:
    day, end = "2026-11-04T00:00", "2026-11-04T17:45"
    found = house.table("meters: All meters", day, end)
    assert set(found) == set(METERS)
    today = house.report("2026-11-04", "2026-11-04")["total"]
    total = house.report("2026-11-01", "2026-11-04")["total"]
    assert found["grid"] == {
        "today": exactly(today["import_kwh"]), "month": exactly(total["import_kwh"]),
        "fed": exactly(total["export_kwh"]), "cost": exactly(total["cost"]),
    }  # fmt: skip
    assert found["east"]["fed"] + found["west"]["fed"] == exactly(total["pv_kwh"])
    for name in LOADS:
        drawn = house.counted(name, "2026-11-01", "2026-11-05")
        assert found[name]["month"] == exactly(drawn)
        assert found[name]["cost"] == exactly(drawn * 0.41)  # in no tariff: the common price


def test_loads_and_what_has_no_meter_add_up_to_what_the_site_consumed(house: House) -> None:
    first, end = RANGE
    total = house.report(first, day_before(end))["total"]
    drawn = {name: exactly(house.counted(name, first, end)) for name in LOADS}
    shares = house.figures("meters: Shares of the loads", first, end)
    rest = house.figures("meters: Rest without a meter, range shown", first, end)["Rest"]
    assert shares == drawn | {"without a meter": exactly(rest)}
    assert sum(shares.values()) == exactly(total["load_kwh"])
    assert {
        name: values["kWh"] for name, values in house.table("meters: Top loads", first, end).items()
    } == drawn
    daily = house.shown("meters: Loads by day", first, end)
    for name, value in shares.items():
        assert sum(daily[name].values()) == exactly(value)
    rows = house.report(first, day_before(end))["rows"]
    for row in rows:
        if row["period"] not in DIVIDED:
            day = sum(values[moment(row["period"])] for values in daily.values())
            assert day == exactly(row["load_kwh"])
    for title, begin in (("day", "2026-11-04"), ("month", "2026-11-01")):
        load = house.report(begin, "2026-11-04")["total"]["load_kwh"]
        metered = sum(house.counted(name, begin, "2026-11-05") for name in LOADS)
        name = f"meters: Rest without a meter, {title}"
        assert house.figures(name, "2026-11-04T08:00", "2026-11-04T12:00") == {
            "Rest": exactly(load - metered)
        }


def test_months_of_all_meters_are_those_of_the_report(house: House) -> None:
    found = house.table("meters: Drawn by month", "2026-11-01", "2026-11-05T12:00")
    rows = house.report("2026-10-01", "2026-11-30", "month")["rows"]
    assert found["grid"] == {
        "Oct": exactly(rows[0]["import_kwh"]), "Nov": exactly(rows[1]["import_kwh"])
    }  # fmt: skip
    assert set(found) == set(METERS)
    assert found["car"]["Nov"] == exactly(house.counted("car", "2026-11-01", "2026-11-06"))


def test_cost_centres_are_those_of_the_statements(house: House) -> None:
    shown = "2026-11-05T08:00", "2026-11-05T12:00"
    names = sorted(set(CENTRES.values()))

    def each(key: str, first: str, last: str) -> dict[str, Any]:
        return {name: exactly(house.statement(name, first, last)[key]) for name in names}

    october, november = ("2026-10-01", "2026-10-31"), ("2026-11-01", "2026-11-05")
    priced, end = "2026-10-03", november[1]  # what was drawn before the first price costs nothing
    drawn, cost = each("import_kwh", *november), each("cost", *november)
    fed, year = each("export_kwh", *november), each("import_kwh", october[0], end)
    costs = each("cost", priced, end)
    assert house.centres("Cost centres", *shown) == {
        name: {
            "month": drawn[name], "fed": fed[name], "year": year[name], "cost": cost[name],
            "costs": costs[name],
        }
        for name in names
    }  # fmt: skip
    assert house.figures("centres: Shares of the cost centres", *shown) == drawn
    before = each("import_kwh", *october)
    assert house.centres("Drawn by cost centre and month", *shown) == {
        name: {"Oct": before[name], "Nov": drawn[name]} for name in names
    }
    before = each("cost", priced, october[1])
    assert house.centres("Cost by cost centre and month", *shown) == {
        name: {"Oct": before[name], "Nov": cost[name]} for name in names
    }


def test_no_panel_with_energy_or_money_is_left_out(house: House) -> None:
    shown = {
        f"{name.removesuffix('.json')}: {panel['title']}"
        for name, board in house.boards.items()
        for panel in panels(board)
        if panel["fieldConfig"]["defaults"]["unit"] in {"suffix:kWh", "suffix:EUR"}
    }
    text = Path(__file__).read_text(encoding="utf-8")
    compared = {name for name in shown if f'"{name}"' in text}
    rest = {
        *(f"home: {title}" for title in BOUNDS),
        *(f"home: Money, {title[0].lower()}{title[1:]}" for title in BOUNDS),
        "energy: Import", "energy: Export",
        "meters: Rest without a meter, day", "meters: Rest without a meter, month",
        "centres: Cost centres", "centres: Drawn by cost centre and month",
        "centres: Cost by cost centre and month",
        "energy: Day counter", "energy: Display total",  # a register, as the meter shows it
    }  # fmt: skip
    assert shown == compared | rest
