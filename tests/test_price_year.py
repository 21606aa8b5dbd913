"""Costs at prices of each quarter hour, to the cent: against a sum of decimals made here.

The normal run takes some weeks around both clock changes; the marker `long` takes a year.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from logger.cli import prices, report
from logger.points.line import Point
from tests.configs import configuration
from tests.report_rig import write_buffer

ZONE = ZoneInfo("Europe/Amsterdam")
QUARTER_S = 900
CHANGE = dt.date(2026, 3, 27)  # from fixed prices to those of the market, and a tax that fell
LATER = dt.date(2026, 10, 20)
CONFIG = (
    configuration(
        ("grid", "grid"), zone=str(ZONE),
        buffer={"path": "{path}/buffer.sqlite", "max_size": "8GiB"},
    )
    + f"""
[prices]
currency = "EUR"
[[prices.valid]]
since = 2026-01-01
buy = 0.31
buy_t2 = 0.27
sell = 0.085
standing_day = 0.21
standing_month = 7.35
demand_kw = 3.87
[[prices.valid]]
since = {CHANGE}
buy_formula = {{{{ factor = 1.02, markup = 0.0175, levies = 0.1108, vat = 0.21 }}}}
sell_formula = {{{{ factor = 0.95, markup = -0.012 }}}}
standing_month = 5.95
demand_kw = 3.87
[[prices.valid]]
since = {LATER}
buy_formula = {{{{ markup = 0.0175, levies = 0.0916, vat = 0.09 }}}}
sell = 0.04
standing_month = 5.95
demand_kw = 4.02
"""
)  # fmt: skip


@dataclass(frozen=True)
class Quarter:
    """A quarter hour as it was: kWh by tariff, fed back, prices of the market a kWh."""

    at: int
    local: dt.datetime
    t1: Decimal
    t2: Decimal
    fed: Decimal
    buy: Decimal | None
    sell: Decimal


def day(text: str) -> int:
    found = dt.datetime.fromisoformat(text).replace(tzinfo=ZONE)
    return int(found.timestamp())


def world(first: str, last: str) -> list[Quarter]:
    """Return all quarter hours from the first day to the last; some prices are missing."""
    dice = random.Random(8)
    found = []
    price = Decimal("0.08")
    end = int(
        (dt.datetime.fromisoformat(last) + dt.timedelta(days=1)).replace(tzinfo=ZONE).timestamp()
    )
    for at in range(day(first), end, QUARTER_S):
        local = dt.datetime.fromtimestamp(at, ZONE)
        drawn = Decimal(dice.randrange(0, 2500)) / 1000
        low = not 7 <= local.hour < 23
        price += Decimal(dice.randrange(-2000, 2001)) / 100_000
        price = max(Decimal("-0.2"), min(Decimal("0.6"), price))
        missing = at % 999_900 == 0  # one in 1111
        hourly = Decimal(at // 3600 * 7919 % 24_001 - 4_000) / 100_000
        found.append(
            Quarter(
                at, local, Decimal(0) if low else drawn, drawn if low else Decimal(0),
                Decimal(dice.randrange(0, 900)) / 1000 if 9 <= local.hour < 17 else Decimal(0),
                None if missing else price, hourly,
            )
        )  # fmt: skip
    return found


def points(quarters: Sequence[Quarter]) -> Iterator[Point]:
    """Yield what the logger would have stored: counters at the borders, and quarter hours, of
    which some are not sure."""
    tags = {"site": "home", "meter": "grid", "role": "grid"}
    counters = {"T1": Decimal("1234.567"), "T2": Decimal("98.1"), "fed": Decimal("5000.001")}

    def reading(at: int) -> Iterator[Point]:
        both = counters["T1"] + counters["T2"]
        for tariff, value in (("total", both), ("T1", counters["T1"]), ("T2", counters["T2"])):
            fields = {"active_import": float(value)}
            if tariff == "total":
                fields["active_export"] = float(counters["fed"])
            own = {**tags, "phase": "total", "tariff": tariff}
            yield Point("energy", own, dict(fields), at * 1000 + 2300)

    for one in quarters:
        yield from reading(one.at)
        drawn = one.t1 + one.t2
        net = drawn - one.fed
        netted = max(net, Decimal(0))
        yield Point(
            "energy_15m", tags,
            {
                "import": float(drawn), "export": float(one.fed), "import_t1": float(one.t1),
                "import_t2": float(one.t2), "import_netted": float(netted),
                "export_netted": float(netted - net), "netted_low": float(netted),
                "netted_high": float(drawn), "demand": float(netted * 4), "coverage": 1.0,
                "sure": one.at % 90_000 != 0,
            },
            one.at * 1000,
        )  # fmt: skip
        counters["T1"] += one.t1
        counters["T2"] += one.t2
        counters["fed"] += one.fed
    yield from reading(quarters[-1].at + QUARTER_S)


def market(quarters: Sequence[Quarter]) -> str:
    """Return prices as a transparency site gives them: local time, of the hour that comes
    twice both in order, decimal commas, EUR/MWh."""
    lines = ["MTU (CET/CEST);Day-ahead Price [EUR/MWh];Currency"]
    for one in quarters:
        end = dt.datetime.fromtimestamp(one.at + QUARTER_S, ZONE)
        price = "-" if one.buy is None else f"{one.buy * 1000}".replace(".", ",")
        lines.append(f"{one.local:%d.%m.%Y %H:%M} - {end:%d.%m.%Y %H:%M};{price};EUR")
    return "\ufeff" + "\r\n".join(lines) + "\r\n"


def feed_in(quarters: Sequence[Quarter]) -> str:
    """Return the hourly prices of what is fed back, as JSON with milliseconds."""
    data = [
        {
            "start_timestamp": one.at * 1000, "end_timestamp": (one.at + 3600) * 1000,
            "marketprice": float(one.sell * 1000), "unit": "Eur/MWh",
        }
        for one in quarters
        if one.at % 3600 == 0
    ]  # fmt: skip
    return json.dumps({"object": "list", "data": data})


@dataclass
class Sums:
    cost: Decimal = Decimal(0)
    revenue: Decimal = Decimal(0)
    unpriced: Decimal = Decimal(0)
    missing: int = 0


def expected(quarters: Sequence[Quarter], form: str) -> dict[str, Sums]:
    """Return what each period of the local calendar costs, one quarter hour after another."""
    found: dict[str, Sums] = defaultdict(Sums)
    d = Decimal
    for one in quarters:
        own = found[one.local.strftime(form)]
        drawn = one.t1 + one.t2
        today = one.local.date()
        if today < CHANGE:
            own.cost += one.t1 * d("0.31") + one.t2 * d("0.27")
            own.revenue += one.fed * d("0.085")
            continue
        if one.buy is None:
            own.unpriced += drawn
            own.missing += bool(drawn)
        elif today < LATER:
            own.cost += drawn * (one.buy * d("1.02") + d("0.0175") + d("0.1108")) * d("1.21")
        else:
            own.cost += drawn * (one.buy + d("0.0175") + d("0.0916")) * d("1.09")
        if today < LATER:
            own.revenue += one.fed * (one.sell * d("0.95") - d("0.012"))
        else:
            own.revenue += one.fed * d("0.04")
    return found


class Shell:
    def __init__(self, directory: Path, config: str = CONFIG) -> None:
        self.directory = directory
        self.config = directory / "logger.toml"
        self.config.write_text(config.format(path=directory), encoding="utf-8")

    def __call__(self, *words: str, code: int = 0) -> str:
        part = {"prices": prices.app, "report": report.app}[words[0]]
        result = CliRunner().invoke(
            part, [*words[1:], "--config", str(self.config)], env={"COLUMNS": "250"}
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    def take(self, name: str, text: str, *words: str, code: int = 0) -> Any:
        file = self.directory / name
        file.write_text(text, encoding="utf-8")
        return json.loads(self("prices", "import", str(file), "--json", *words, code=code))


def cents(value: Decimal | float) -> Decimal:
    return Decimal(repr(value) if isinstance(value, float) else value).quantize(
        Decimal("0.01"), ROUND_HALF_UP
    )


def check(directory: Path, first: str, last: str, by: Sequence[str]) -> None:
    quarters = world(first, last)
    shell = Shell(directory)
    write_buffer(directory / "buffer.sqlite", list(points(quarters)))
    took = shell.take("market.csv", market(quarters))
    missing = sum(one.buy is None for one in quarters)
    assert (took["quarter_hours"], took["bad"]) == (len(quarters) - missing, [])
    assert took["without_price"] == missing > 0
    took = shell.take("feed-in.json", feed_in(quarters), "--kind", "export")
    assert took["quarter_hours"] == took["points"] == len(quarters)
    days = ("--from", first, "--to", last)
    forms = {"month": "%Y-%m", "day": "%Y-%m-%d", "hour": "%Y-%m-%d %H:00%z",
             "quarter": "%Y-%m-%d %H:%M%z"}  # fmt: skip
    for name in by:
        truth = expected(quarters, forms[name])
        found = json.loads(shell("report", "energy", *days, "--by", name, "--json"))
        rows = {row["period"]: row for row in found["rows"]}
        assert rows.keys() == truth.keys()
        for period, own in truth.items():
            row = rows[period]
            cost = row["cost"] or 0.0
            assert row["cost"] is not None or own.missing, period
            if name in ("month", "day"):
                assert cents(cost) == cents(own.cost), period
                assert cents(row["revenue"]) == cents(own.revenue), period
            assert cost == pytest.approx(float(own.cost), abs=1e-9)
            assert row["revenue"] == pytest.approx(float(own.revenue), abs=1e-9)
            assert row["unpriced_kwh"] == pytest.approx(float(own.unpriced), abs=1e-9)
            assert row["quarters_without_price"] == own.missing
        whole = Sums(
            *(sum((getattr(own, name) for own in truth.values()), type(start)())
              for name, start in vars(Sums()).items())
        )  # fmt: skip
        total = found["total"]
        assert cents(total["cost"]) == cents(whole.cost)
        assert cents(total["revenue"]) == cents(whole.revenue)
        assert total["quarters_without_price"] == whole.missing > 0
    statement = json.loads(shell("report", "statement", *days, "--json"))["statements"][0]
    for name in ("cost", "revenue", "unpriced_kwh", "standing_charge", "demand_charge", "net"):
        assert statement["total"][name] == pytest.approx(total[name], abs=1e-9), name


@pytest.mark.parametrize(
    ("first", "last", "by"),
    [
        ("2026-03-23", "2026-04-05", ["hour", "month"]),
        ("2026-10-16", "2026-10-28", ["quarter", "day"]),
    ],
)
def test_weeks_around_a_clock_change_cost_what_decimals_say(
    tmp_path: Path, first: str, last: str, by: list[str]
) -> None:
    check(tmp_path, first, last, by)


@pytest.mark.long
def test_a_year_of_quarter_hours_costs_what_decimals_say(tmp_path: Path) -> None:
    check(tmp_path, "2026-01-01", "2026-12-31", ["month", "day", "hour", "quarter"])
