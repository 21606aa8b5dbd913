"""What dashboards show of costs at imported prices, against `report energy` on the same engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from logger.config import load_config
from logger.grafana import dashboard_options, dashboards
from logger.points.line import Point
from logger.report.source import BufferSource
from logger.store.query import StoredLines
from tests.conftest import Target
from tests.house import House
from tests.report_rig import write_influx
from tests.test_price_year import CONFIG, Quarter, Shell, feed_in, market, points, world

pytestmark = pytest.mark.engine

# Prices move from the second day on; summer time begins on the fourth.
FIRST, LAST, END = "2026-03-26", "2026-03-30", "2026-03-31"
EVER = (0, 2**53)


def exactly(value: float | None) -> Any:
    """Sums of floats and of decimals differ in what no float can tell."""
    return pytest.approx(value, abs=1e-9)


@dataclass(frozen=True)
class Bench:
    """The commands, the engine behind them, and its dashboards."""

    shell: Shell
    target: Target
    house: House
    quarters: list[Quarter]

    def deliver(self) -> int:
        """Bring what the commands put into the buffer to the engine; return the costs."""
        lines = StoredLines(self.shell.directory / "buffer.sqlite")
        found = [
            point
            for name in ("price", "cost_15m")
            for point in BufferSource(lines).read(name, [EVER], {}, ())
        ]
        write_influx(self.target.engine.url, self.target.bucket, found)
        lines.close()
        return sum(point.measurement == "cost_15m" for point in found)

    def report(self, first: str, last: str, by: str = "day") -> dict[str, Any]:
        words = ("--from", first, "--to", last, "--by", by, "--json")
        found: dict[str, Any] = json.loads(self.shell("report", "energy", *words))
        return found

    def saved(self, levies: str) -> Decimal:
        """Return what half of the PV energy, the half that is not fed back, would have cost:
        nothing can be told of the first day, when the price depended on the tariff."""
        return sum(
            (
                one.fed * (one.buy * Decimal("1.02") + Decimal("0.0175") + Decimal(levies))
                * Decimal("1.21")
                for one in self.quarters
                if one.buy is not None and one.local.day > 26
            ),
            Decimal(0),
        )  # fmt: skip

    def imported(self, quarters: list[Quarter], *words: str) -> Any:
        return self.shell.take("market.csv", market(quarters), *words)


def everyone(quarters: list[Quarter]) -> Iterator[Point]:
    """Yield the grid meter, and a load and a PV meter that count the same; but PV is twice
    what is fed back."""
    for point in points(quarters):
        yield point
        for name in ("load", "pv"):
            fields = dict(point.fields)
            if name == "pv" and "export" in fields:
                fields["export"] = 2 * float(fields["export"])
            tags = {**point.tags, "meter": name, "role": name}
            yield replace(point, tags=tags, fields=fields)


@pytest.fixture
def bench(tmp_path: Path, target: Target) -> Bench:
    quarters = world(FIRST, LAST)
    write_influx(target.engine.url, target.bucket, list(everyone(quarters)))
    (tmp_path / "token").write_text(target.translator.token, encoding="utf-8")
    meters = "".join(
        f'[[bus.meter]]\nname = "{name}"\nmodel = "pro380"\naddress = {address}\n'
        f'role = "{name}"\ncost_centre = "{centre}"\n'
        for address, name, centre in ((2, "load", "Flat 1"), (3, "pv", "Roof"))
    )
    server = (
        f'[influxdb]\nurl = "{target.url}"\nbucket = "{target.bucket}"\n'
        f'fast_bucket = "{target.fast_bucket}"\ntoken_file = "{{path}}/token"\n'
    )
    head, prices = CONFIG.split("\n[prices]")
    config = f"{head}\n{meters}{server}[prices]{prices}"
    shell = Shell(tmp_path, config)
    boards = dashboards(dashboard_options(load_config(shell.config)))
    house = House(target.engine, shell.config, boards, "home", target.bucket)
    return Bench(shell, target, house, quarters)


def same(bench: Bench, levies: str = "0.1108") -> float:
    """Compare panels with the report; return the cost of all days."""
    total = bench.report(FIRST, LAST)["total"]
    figures = bench.house.figures("energy: Cost in this range", FIRST, END)
    assert figures == {
        "Import": exactly(total["cost"]),
        "Feed-in": exactly(total["revenue"]),
        "Net": exactly(total["cost"] - total["revenue"]),
    }
    daily = bench.house.shown("energy: Cost by day", FIRST, END)
    rows = bench.report(FIRST, LAST)["rows"]
    assert [*daily["Import"].values()] == [exactly(row["cost"]) for row in rows]
    assert [*daily["Feed-in"].values()] == [exactly(-row["revenue"]) for row in rows]
    shown = bench.house.figures("energy: Energy with a price", FIRST, END)
    priced = sum(
        one.t1 + one.t2 for one in bench.quarters if one.local.day < 27 or one.buy is not None
    )
    assert shown == {"drawn": exactly(total["import_kwh"]), "with a price": exactly(float(priced))}
    day = ("2026-03-30T08:00", "2026-03-30T12:00")
    until = "${__to:date:YYYY-MM-DD}"
    for name, first in (("day", LAST), ("month", FIRST), ("year", FIRST)):
        own = bench.report(first, LAST)["total"]
        title = f"day {until}" if name == "day" else f"{name} until {until}"
        money = bench.house.figures(f"home: Money, {title}", *day)
        assert money["Cost"] == exactly(own["cost"])
        assert money["Feed-in"] == exactly(own["revenue"])
    assert money["Saved"] == exactly(float(bench.saved(levies)))
    meters = bench.house.table("meters: Cost of the meters", *day)
    both = {"cost": exactly(total["cost"]), "costs": exactly(total["cost"])}
    assert meters == dict.fromkeys(("grid", "load", "pv"), both)
    centres = bench.house.centres("Cost of the cost centres", *day)
    cost = exactly(total["cost"])
    assert centres == {name: {"cost": cost, "costs": cost} for name in ("Flat 1", "Roof")}
    months = bench.house.centres("Cost by cost centre and month", *day)
    assert months == {name: {"Mar": cost} for name in ("Flat 1", "Roof")}
    return float(total["cost"])


def test_panels_have_the_costs_of_the_report_however_late_a_price_is(bench: Bench) -> None:
    late = [one for one in bench.quarters if one.local.day != 28]
    took = bench.shell.take("feed-in.json", feed_in(bench.quarters), "--kind", "export")
    assert took["costs"] == 3 * len(bench.quarters)
    assert bench.imported(late)["costs"] > 0
    bench.deliver()
    before = bench.report(FIRST, LAST)["total"]
    assert before["quarters_without_price"] > 90
    figures = bench.house.figures("energy: Cost in this range", FIRST, END)
    assert figures["Import"] == exactly(before["cost"])
    # The missing day comes, and two prices of another are corrected.
    corrected = [
        replace(one, buy=one.buy + Decimal("0.05"))
        if one.buy is not None and (one.local.day, one.local.hour) == (29, 12)
        else one
        for one in bench.quarters
    ]
    assert bench.imported(corrected)["costs"] > 0
    bench.deliver()
    whole = replace(bench, quarters=corrected)
    assert same(whole) > before["cost"]
    assert bench.imported(corrected)["costs"] == 0  # nothing is new


def test_prices_of_the_past_that_were_changed_are_computed_anew(bench: Bench) -> None:
    bench.imported(bench.quarters)
    bench.shell.take("feed-in.json", feed_in(bench.quarters), "--kind", "export")
    bench.deliver()
    before = same(bench)
    text = bench.shell.config.read_text(encoding="utf-8")
    bench.shell.config.write_text(text.replace("levies = 0.1108", "levies = 0.2"), "utf-8")
    made = json.loads(bench.shell("prices", "recompute", "--json"))
    assert made == {"costs": 3 * len(bench.quarters)}
    bench.deliver()
    assert same(bench, "0.2") > before


def test_an_import_without_the_server_says_what_is_left_to_do(bench: Bench) -> None:
    bench.target.translator.down()
    file = bench.shell.directory / "market.csv"
    file.write_text(market(bench.quarters), encoding="utf-8")
    bench.shell("prices", "import", str(file))
    assert json.loads(bench.shell("prices", "show", "--json", code=1))["prices"]
    bench.target.translator.up()
    bench.shell("prices", "recompute")
    assert bench.deliver() == 3 * len(bench.quarters)
