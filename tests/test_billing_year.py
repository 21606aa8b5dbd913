"""A year by which one can bill: a house that nets, with a battery, a counter that rolls over, a
plant of 5 MW, prices of each quarter hour; statements equal the ledgers of the virtual world.

The ledgers know what flowed in each quarter hour, netted over the phases, too. The normal run
takes three days around the end of summer time; the marker `long` takes a whole year, one that is
over: costs are made of what is past.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from logger.derive.pipeline import Derive
from logger.domain.quantity import EXPORT_TOTAL, IMPORT_TOTAL, POWER_TOTAL
from logger.domain.times import midnight_ms
from logger.models import Job
from logger.points.line import Point
from logger.simulate.flow import Flow, times
from logger.simulate.ledger import Ledger
from logger.simulate.worlds import House
from tests.configs import configuration
from tests.derive_rig import identity, info, of, reading
from tests.report_rig import write_buffer
from tests.test_price_year import Shell

ZONE = ZoneInfo("Europe/Amsterdam")
QUARTER_S, STEP_S = 900, 60
MAXIMUM = Decimal(1_000_000)  # a counter of two decimals begins anew here
# Part of the world, role, how many times as large, counter at the beginning.
METERS: dict[str, tuple[str, str, float, Decimal]] = {
    "house": ("grid", "grid", 1.0, MAXIMUM - 9),
    "roof": ("pv", "pv", 1.0, Decimal(120)),
    "store": ("battery", "battery", 1.0, Decimal(3)),
    "plant": ("load", "load", 600.0, MAXIMUM - 20_000),
}
CONFIG = (
    configuration(
        *((name, role) for name, (_, role, _, _) in METERS.items()), zone=str(ZONE),
        buffer={"path": "{path}/buffer.sqlite", "max_size": "8GiB"},
    ).replace('name = "plant"', 'name = "plant"\ncost_centre = "Works"')
    + """
[prices]
[[prices.valid]]
since = 2025-01-01
buy_formula = {{ factor = 1.02, markup = 0.0175, levies = 0.1108, vat = 0.21 }}
sell_formula = {{ factor = 0.9 }}
standing_month = 8.5
demand_rule = "belgium"
demand_steps = [{{ fixed = 10 }}, {{ from_kw = 3, fixed = 20, kw = 4.25 }}]
"""
)  # fmt: skip
Case = tuple[str, int]
_CASES = pytest.mark.parametrize(
    "case",
    [("2026-10-24", 3), pytest.param(("2025-01-01", 365), marks=pytest.mark.long)],
    ids=["days", "year"],
)


@dataclass(frozen=True)
class Past:
    """What was logged, and the truth: the ledgers, and the counters at each border, kWh."""

    points: list[Point]
    ledgers: dict[str, Ledger]
    counters: dict[str, dict[int, tuple[Decimal, Decimal]]]
    start: int
    end: int

    def quarters(self) -> range:
        return range(self.start, self.end, QUARTER_S)

    def counted(self, meter: str, at: int) -> tuple[Decimal, Decimal]:
        """Return what the display of a meter rose by in a quarter hour: drawn, fed back."""
        before, after = self.counters[meter][at], self.counters[meter][at + QUARTER_S]
        return after[0] - before[0], after[1] - before[1]


def _shown(value: float) -> Decimal:
    return Decimal(math.floor(value * 100)) / 100


def _kept(points: list[Point]) -> Iterator[Point]:
    for one in points:
        if one.measurement in {"energy_15m", "event", "meter", "day_digest"} or (
            one.measurement == "energy" and one.tags["phase"] == "total"
        ):
            yield one


@cache
def played(case: Case) -> Past:
    first = dt.date.fromisoformat(case[0])
    start, end = (
        midnight_ms(day, ZONE) // 1000 for day in (first, first + dt.timedelta(days=case[1]))
    )
    world = House(7, storing=2)
    ledgers = {name: Ledger(role) for name, (_, role, _, _) in METERS.items()}
    steps = (1000 * STEP_S, 1000 * QUARTER_S)
    infos = [info(name, role, *steps) for name, (_, role, _, _) in METERS.items()]
    derive = Derive(infos, "home", zone=str(ZONE))
    parts = {part for part, _, _, _ in METERS.values()}
    counters: dict[str, dict[int, tuple[Decimal, Decimal]]] = {name: {} for name in METERS}
    points: list[Point] = []
    for name, (_, role, size, _) in METERS.items():
        more: dict[str, Any] = {"ct_ratio": "50000005", "meter_amps": 5} if size > 1 else {}
        points += derive.feed(identity(start * 1000, f"0000{len(name)}", 1, name, role, more))
    for at in range(start, end + 2 * STEP_S, STEP_S):
        flows = world.parts(at, parts)
        for name, (part, role, size, initial) in METERS.items():
            ledger = ledgers[name]
            flow: Flow = times(flows[part], size)
            if at % QUARTER_S == 0:
                ledger.enter(at, 1)
                now = tuple(
                    _shown(ledger.energy(way)) for way in ("active_import", "active_export")
                )
                counters[name][at] = (now[0], now[1])
                values: dict[Any, Any] = {
                    IMPORT_TOTAL: (now[0] + initial) % MAXIMUM, EXPORT_TOTAL: now[1],
                }  # fmt: skip
                points += _kept(derive.feed(reading(values, at * 1000, Job.SLOW, name, role)))
            power = Decimal(repr(round(sum(flow[:3]) / 1000, 4)))
            found = derive.feed(reading({POWER_TOTAL: power}, at * 1000, Job.FAST, name, role))
            points += _kept(found)
            ledger.add(flow, STEP_S)
    return Past(points, ledgers, counters, start, end)


@_CASES
def test_quarter_hours_are_those_of_the_ledgers(case: Case) -> None:
    past = played(case)
    found = {(p.tags["meter"], p.time_ms // 1000): p.fields for p in of(past.points, "energy_15m")}
    sums = {name: [0.0, 0.0] for name in METERS}
    for name in METERS:
        for at in past.quarters():
            fields = found[name, at]
            drawn, fed = past.counted(name, at)
            assert (fields["import"], fields["export"]) == (float(drawn), float(fed))
            assert fields["sure"] or at == past.start
            truth = past.ledgers[name].quarter(at, "net_import")
            low, high = float(fields["netted_low"]), float(fields["netted_high"])
            assert low - 0.02 <= truth <= high + 0.02, (name, at)
            sums[name][0] += float(fields["import_netted"])
            sums[name][1] += truth
    netted, truth = sums["house"]
    counted = past.counters["house"][past.end][0]
    assert float(counted) > 1.01 * truth, "netting matters here"
    assert netted == pytest.approx(truth, rel=0.02)


def _price(at: int, kind: str) -> Decimal:
    """Return what the market asks for a kWh in the hour, or the quarter hour, of a moment."""
    step = QUARTER_S if kind == "import" else 3600
    return Decimal(at // step * 7919 % 40_001 - 5_000) / 100_000


def _file(past: Past, kind: str) -> str:
    lines = [f"{at},{_price(at, kind)}" for at in past.quarters()]
    return "timestamp,price (EUR/kWh)\n" + "\n".join(lines) + "\n"


@pytest.fixture
def shell(case: Case, tmp_path: Path) -> Shell:
    past = played(case)
    own = Shell(tmp_path, CONFIG)
    write_buffer(tmp_path / "buffer.sqlite", past.points)
    for kind in ("import", "export"):
        took = own.take(f"{kind}.csv", _file(past, kind), "--kind", kind)
        assert took["quarter_hours"] == len(past.quarters())
        assert took["costs"] == len(METERS) * len(past.quarters())
    return own


@_CASES
def test_statements_cost_what_the_ledgers_say(case: Case, shell: Shell) -> None:
    past = played(case)
    last = dt.date.fromisoformat(case[0]) + dt.timedelta(days=case[1] - 1)
    days = ("--from", case[0], "--to", str(last))
    words = ("report", "statement", *days, "--by", "day", "--json", "--verify")
    found = {one["meter"]: one for one in json.loads(shell(*words))["statements"]}
    d = Decimal
    for name, (_, _, size, _) in METERS.items():
        by_day: dict[str, list[Decimal]] = {}
        for at in past.quarters():
            drawn, fed = past.counted(name, at)
            day = by_day.setdefault(f"{dt.datetime.fromtimestamp(at, ZONE):%Y-%m-%d}", [d(0)] * 4)
            cost = (_price(at, "import") * d("1.02") + d("0.1283")) * d("1.21") * drawn
            amounts = (drawn, fed, cost, _price(at, "export") * d("0.9") * fed)
            for place, amount in enumerate(amounts):
                day[place] += amount
        rows = {row["period"]: row for row in found[name]["rows"]}
        assert rows.keys() == by_day.keys()
        keys = ("import_kwh", "export_kwh", "cost", "revenue")
        for period, amounts_of in by_day.items():
            assert [rows[period][key] for key in keys] == [
                pytest.approx(float(one), rel=1e-12, abs=1e-9) for one in amounts_of
            ], (name, period)
        total = found[name]["total"]
        whole = [sum(own[place] for own in by_day.values()) for place in range(4)]
        assert [total[key] for key in keys] == [
            pytest.approx(float(one), rel=1e-12, abs=1e-9) for one in whole
        ]
        assert (total["sure"], total["quarters_without_price"]) == (True, 0)
        assert (size > 1) == (total["import_kwh"] > 10_000), name
    # The counters of house and plant went on behind their maximum.
    for name in ("house", "plant"):
        (register,) = (one for one in found[name]["registers"] if one["register"] == "import")
        assert register["closing_kwh"] < 1_000_000 - 1
        if case[1] < 30:
            assert register["closing_kwh"] < register["opening_kwh"]
    assert found["plant"]["cost_centre"] == "Works"


@_CASES
def test_the_balance_of_the_site_is_that_of_the_ledgers(case: Case, shell: Shell) -> None:
    past = played(case)
    last = dt.date.fromisoformat(case[0]) + dt.timedelta(days=case[1] - 1)
    words = ("--from", case[0], "--to", str(last), "--by", "month", "--json")
    total = json.loads(shell("report", "energy", *words))["total"]
    ends = {name: own[past.end] for name, own in past.counters.items()}
    (bought, sold), (_, made) = ends["house"], ends["roof"]
    charged, given = ends["store"]
    expected = {
        "import_kwh": bought, "export_kwh": sold, "pv_kwh": made, "charge_kwh": charged,
        "discharge_kwh": given, "load_kwh": bought - sold + made + given - charged,
        "self_consumed_kwh": made - sold,
    }  # fmt: skip
    assert {key: total[key] for key in expected} == {
        key: pytest.approx(float(value), abs=1e-9) for key, value in expected.items()
    }
    assert charged > 1
    assert given > 1
    # What the house itself drew, by the world: the plant is so many times as large.
    used = past.ledgers["plant"].between(past.start, past.end, "active_import") / METERS["plant"][2]
    assert total["load_kwh"] == pytest.approx(used, rel=0.01)
