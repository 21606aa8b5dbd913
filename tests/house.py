"""A house with two PV plants and a battery, five weeks long, in a database of its own: what its
dashboards show, and what its reports say.

From the middle of a day on, over the end of summer time, a change of price, and two outages,
one of them over midnight.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
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
from logger.grafana.panels import ENERGY
from logger.points.line import Point
from tests.engines import InfluxServer, Translator
from tests.grafana_queries import Json, Range, expand, interval, panels, variables_of
from tests.report_rig import write_influx

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
    site: str = "house"
    database: str = "energy"

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
        (mappings,) = (i["value"] for o in panel["fieldConfig"]["overrides"]
                       if o["matcher"]["options"] == "Cost centre"
                       for i in o["properties"] if i["id"] == "mappings")  # fmt: skip
        (target,) = panel["targets"]
        values = variables_of(self.boards["centres.json"], site=self.site, meter="grid")
        query = expand(target["query"], Range(moment(first), moment(end)), 60_000, values)
        (series,) = self.engine.query(query, self.database)
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
        values = variables_of(self.boards[f"{board}.json"], site=self.site, meter="grid")
        found: dict[str, dict[int, float]] = {}
        for target in panel["targets"]:
            for series in self.engine.query(
                expand(target["query"], range_, step, values), self.database
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
        """Return what a table shows for each meter, by column; what no meter is named with
        stands in each row, as Grafana merges answers of one time."""
        board, _, title = name.partition(": ")
        (panel,) = (p for p in panels(self.boards[f"{board}.json"]) if p["title"] == title)
        values = variables_of(self.boards[f"{board}.json"], site=self.site, meter="grid")
        found: dict[str, dict[str, float]] = {}
        times: set[int] = set()
        common: dict[str, float] = {}
        for target in panel["targets"]:
            if target["datasource"] != ENERGY:
                continue  # nothing but counters was read here
            query = expand(target["query"], Range(moment(first), moment(end)), 60_000, values)
            for series in self.engine.query(query, self.database):
                (row,) = series["rows"]
                times.add(row.pop("time"))
                row = {k: v for k, v in row.items() if v is not None}
                if meter := series["tags"].get("meter"):
                    found[meter] = row
                else:
                    common |= row
        assert len(times) == 1
        return {meter: row | common for meter, row in found.items()}

    def counted(self, meter: str, first: str, end: str, counter: str = "active_import") -> float:
        """Return what a counter rose by from the reading at `first` to the one at `end`."""
        rows = self.engine.rows(
            f'SELECT "{counter}" AS "v" FROM "energy" WHERE "meter" = \'{meter}\' '
            "AND \"tariff\" = 'total'",
            self.database,
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


@contextmanager
def filled_house(place: Path) -> Iterator[House]:
    """Yield the house, with all that was read."""
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


def day_before(text: str) -> str:
    return f"{datetime.fromisoformat(text) - timedelta(days=1):%Y-%m-%d}"


def hours_of(values: dict[int, float]) -> dict[str, float]:
    """Return values by the beginning of their hour, as the report writes it."""
    return {datetime.fromtimestamp(at / 1000, ZONE).isoformat(): v for at, v in values.items()}
