"""A statement over a swap, a change of formula and the end of summer time, in a dear currency:
against a sum of decimals made here, and against the points that dashboards add up."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from logger.points.line import Point
from logger.report.source import BufferSource
from logger.store.query import StoredLines
from tests.configs import configuration
from tests.report_rig import write_buffer
from tests.test_price_year import Shell

ZONE = ZoneInfo("Europe/Amsterdam")
QUARTER_S = 900
START, END = (int(dt.datetime(2026, 10, day, tzinfo=ZONE).timestamp()) for day in (24, 28))
SWAP = START + 30 * 3600 + 450  # in the middle of a quarter hour
LATER = dt.date(2026, 10, 26)
DAYS = ("--from", "2026-10-24", "--to", "2026-10-27")
CONFIG = (
    configuration(
        ("grid", "grid"), ("sub", "load"), zone=str(ZONE), buffer={"path": "{path}/buffer.sqlite"}
    )
    + f"""
[prices]
currency = "IDR"
[[prices.valid]]
since = 2026-01-01
buy_formula = {{{{ markup = 1000, vat = 0.11 }}}}
sell = 500
standing_month = 31000
[[prices.valid]]
since = {LATER}
buy_formula = {{{{ markup = 2000, vat = 0.11 }}}}
sell_formula = {{{{ factor = 0.5 }}}}
standing_month = 62000
"""
)


class Counted(NamedTuple):
    at: int
    drawn: Decimal
    fed: Decimal


def counted(meter: str) -> Iterator[Counted]:
    """Yield what a meter knows of each quarter hour: of that of the swap nothing."""
    for at in range(START, END, QUARTER_S):
        lost = meter == "grid" and at < SWAP < at + QUARTER_S
        drawn, fed = (at // QUARTER_S * 7919 % 400, at // QUARTER_S * 31 % 50)
        yield Counted(at, Decimal(0 if lost else drawn) / 100, Decimal(0 if lost else fed) / 100)


def price(at: int) -> Decimal:
    return Decimal("1444.70") + at // QUARTER_S * 7919 % 3000 - 2500


def points(meter: str, role: str) -> Iterator[Point]:
    tags = {"site": "home", "meter": meter, "role": role}
    drawn, fed, serial = Decimal(500), Decimal(10), "A"
    for one in [*counted(meter), Counted(END, Decimal(0), Decimal(0))]:
        if meter == "grid" and serial == "A" and one.at > SWAP:
            drawn, fed, serial = Decimal(3), Decimal(1), "B"
            fields: dict[str, Any] = {"state": "end", "text": "swapped", "duration_s": 0.0}
            yield Point("event", {**tags, "kind": "meter_swapped"}, dict(fields), SWAP * 1000)
        values = {"active_import": float(drawn), "active_export": float(fed)}
        counters = {**tags, "phase": "total", "tariff": "total"}
        yield Point("energy", counters, dict(values), one.at * 1000 + 2000)
        facts: dict[str, Any] = {"serial": serial, "meter_amps": 100}
        yield Point("meter", tags, dict(facts), one.at * 1000 + 2100)
        drawn, fed = drawn + one.drawn, fed + one.fed
        if one.at == END:
            return
        energy = {"import": float(one.drawn), "export": float(one.fed),
                  "import_netted": float(one.drawn), "coverage": 1.0}  # fmt: skip
        sure = not one.at < SWAP < one.at + QUARTER_S or meter != "grid"
        yield Point("energy_15m", tags, {**energy, "sure": sure}, one.at * 1000)


def money(meter: str) -> tuple[Decimal, Decimal]:
    """Return cost and revenue, one quarter hour after another."""
    cost = revenue = Decimal(0)
    for one in counted(meter):
        later = dt.datetime.fromtimestamp(one.at, ZONE).date() >= LATER
        cost += one.drawn * (price(one.at) + (2000 if later else 1000)) * Decimal("1.11")
        revenue += one.fed * (price(one.at) / 2 if later else 500)
    return cost, revenue


def test_a_statement_over_a_swap_costs_what_decimals_say(tmp_path: Path) -> None:
    shell = Shell(tmp_path, CONFIG)
    buffer = tmp_path / "buffer.sqlite"
    write_buffer(buffer, [*points("grid", "grid"), *points("sub", "load")])
    rows = "".join(f"{at},{price(at)}\n" for at in range(START, END, QUARTER_S))
    for kind in ("import", "export"):
        shell.take("market.csv", f"timestamp,price (IDR/kWh)\n{rows}", "--kind", kind)
    html = tmp_path / "statement.html"
    words = ("report", "statement", *DAYS)
    found = json.loads(shell(*words, "--html", str(html), "--json"))["statements"]
    lines = StoredLines(buffer)
    every = BufferSource(lines).read("cost_15m", [(0, 2**53)], {}, ())
    stored = {(one.tags["meter"], one.time_ms): one.fields for one in every}  # the last counts
    lines.close()
    for one in found:
        for name, amount in zip(("cost", "revenue"), money(one["meter"]), strict=True):
            assert one["total"][name] == pytest.approx(float(amount), abs=1e-6)
            own = [fields[name] for (meter, _), fields in stored.items() if meter == one["meter"]]
            assert sum(map(float, own)) == pytest.approx(float(amount), abs=1e-6)
    grid, sub = found
    # Two days by either charge, which only the connection has.
    assert (grid["total"]["standing_charge"], sub["total"]["standing_charge"]) == (6000.0, None)
    assert ([each["serial"] for each in grid["serials"]], grid["sure"]) == (["A", "B"], False)
    assert (len(sub["serials"]), sub["sure"], sub["swaps"]) == (1, True, [])
    before = [one for one in counted("grid") if one.at + QUARTER_S < SWAP]
    old = float(500 + sum((one.drawn for one in before), Decimal(0)))
    assert grid["swaps"][1] == {
        "register": "import",
        "last": "2026-10-25T05:00:02+01:00", "last_kwh": old,
        "first": "2026-10-25T05:15:02+01:00", "first_kwh": 3.0,
    }  # fmt: skip
    text = f"import at the swap: old meter {old} kWh on 2026-10-25 05:00:02+0100, new meter 3.0 kWh"
    assert text in html.read_text(encoding="utf-8")
    assert text in shell(*words)
