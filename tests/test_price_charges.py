"""Prices that come late, standing charges and charges on demand, as commands show them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from logger.config.derive import Prices
from logger.domain.errors import ConfigError
from logger.report.calendar import By, periods
from logger.report.energy import gather, report
from logger.report.source import BufferSource
from tests.configs import configuration
from tests.report_rig import write_buffer
from tests.test_price_year import ZONE, Shell, day, market, points, world

FORMULA = "buy_formula = {{ markup = 0.02, vat = 0.2 }}\nsell_formula = {{}}\n"
CHARGES = 'standing_day = 0.25\nstanding_month = 9.3\ndemand_kw = 4\ndemand_rule = "{rule}"\n'
FIRST, LAST = "2026-10-24", "2026-10-27"
DAYS = ("--from", FIRST, "--to", LAST)
WORLD = world(FIRST, LAST)


def config(valid: str, *more: tuple[str, str]) -> str:
    place = {"path": "{path}/buffer.sqlite"}
    text = configuration(("grid", "grid"), *more, zone=str(ZONE), buffer=place)
    return f"{text}[[prices.valid]]\nsince = 2026-01-01\n{valid}"


def energy(shell: Shell, *words: str) -> Any:
    return json.loads(shell("report", "energy", *words, "--json"))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a buffer that holds the readings from 24 October on."""
    directory = tmp_path_factory.mktemp("charges")
    write_buffer(directory / "buffer.sqlite", list(points(WORLD)))
    return directory


def shell(stored: Path, valid: str) -> Shell:
    (stored / "prices.csv").unlink(missing_ok=True)
    return Shell(stored, config(valid))


def test_a_price_that_comes_late_is_counted_then(stored: Path) -> None:
    own = shell(stored, FORMULA)
    total = energy(own, *DAYS)["total"]
    assert (total["cost"], total["revenue"], total["net"]) == (None, None, None)
    assert total["quarters_without_price"] == sum(bool(q.t1 + q.t2 + q.fed) for q in WORLD)
    assert "no price" in own("report", "energy", *DAYS)
    some = [q for q in WORLD if q.at < day("2026-10-25")]
    for kind in ("import", "export"):
        own.take("market.csv", market(some), "--kind", kind)
    before = energy(own, *DAYS)["total"]
    priced = [q for q in some if q.buy is not None]
    later = [q for q in WORLD if q not in priced]
    assert before["quarters_without_price"] == sum(bool(q.t1 + q.t2 + q.fed) for q in later)
    unpriced = sum((q.t1 + q.t2 + q.fed for q in later), Decimal(0))
    assert before["unpriced_kwh"] == pytest.approx(float(unpriced), abs=1e-9)
    for words in (("report", "energy", *DAYS), ("report", "statement", *DAYS)):
        shown = own(*words)
        assert "(part)" in shown
        assert f"no price was valid for {unpriced:.2f} kWh" in shown
        assert f"{before['quarters_without_price']} quarter hours lack an imported price" in shown
    for kind in ("import", "export"):
        own.take("market.csv", market(WORLD), "--kind", kind)
    after = energy(own, *DAYS)["total"]
    known = [(q.t1 + q.t2, q.fed, q.buy) for q in WORLD if q.buy is not None]
    tax, markup = Decimal("1.2"), Decimal("0.02")
    cost = sum(((drawn * (price + markup) * tax) for drawn, _, price in known), Decimal(0))
    revenue = sum((fed * price for _, fed, price in known), Decimal(0))
    assert after["cost"] == pytest.approx(float(cost), abs=1e-9)
    assert after["revenue"] == pytest.approx(float(revenue), abs=1e-9)
    assert after["net"] == pytest.approx(float(cost - revenue), abs=1e-9)
    assert after["quarters_without_price"] < before["quarters_without_price"]


def test_standing_charges_are_those_of_the_days_with_readings(stored: Path) -> None:
    own = shell(stored, "buy = 0.3\n" + CHARGES.format(rule=""))
    truth = 4 * (0.25 + 9.3 / 31)
    for by in ("hour", "day", "month"):
        found = energy(own, "--from", "2026-10-01", "--to", LAST, "--by", by)
        assert found["total"]["standing_charge"] == pytest.approx(truth, abs=1e-9), by
        rows = [row["standing_charge"] for row in found["rows"]]
        assert sum(rows) == pytest.approx(truth, abs=1e-9), by
    found = energy(own, "--from", "2026-10-25", "--to", "2026-10-25", "--by", "hour")["rows"]
    assert len(found) == 25
    assert found[0]["standing_charge"] == pytest.approx((0.25 + 0.3) / 25, abs=1e-12)


@pytest.mark.parametrize("valid", ["buy = 0.3\n", FORMULA], ids=["fixed", "moving"])
def test_standing_charges_know_the_grid_meter_only(tmp_path: Path, valid: str) -> None:
    """A roof that was logged longer pays nothing; fixed prices need no quarter hours for that."""
    grid = [q for q in WORLD if day("2026-10-25") <= q.at < day("2026-10-27") - 900]
    roof = [
        replace(one, tags={**one.tags, "meter": "roof", "role": "pv"})
        for one in points(world("2026-10-23", "2026-10-28"))
    ]
    write_buffer(tmp_path / "buffer.sqlite", [*roof, *points(grid)])
    own = Shell(tmp_path, config(valid + "standing_day = 0.25\n", ("roof", "pv")))
    found = energy(own, "--from", "2026-10-23", "--to", "2026-10-28")
    charged = {row["period"]: row["standing_charge"] for row in found["rows"]}
    assert {one for one, charge in charged.items() if charge} == {"2026-10-25", "2026-10-26"}
    assert found["total"]["standing_charge"] == pytest.approx(0.5, abs=1e-9)
    part = energy(own, "--from", "2026-10-26", "--to", "2026-10-28")["total"]
    assert part["standing_charge"] == pytest.approx(0.25, abs=1e-9)


@pytest.mark.parametrize(
    ("valid", "kept"),
    [
        ("buy = 0.3\n", {"energy", "energy_15m"}),
        (FORMULA, {"energy", "energy_15m"}),
        (FORMULA, {"energy_15m"}),
    ],
    ids=["fixed", "moving", "quarter hours alone"],
)
def test_standing_charges_are_those_of_days_that_were_read_in_part(
    tmp_path: Path, valid: str, kept: set[str]
) -> None:
    """The meter was logged from noon to noon, the roof before and after."""
    grid = [q for q in WORLD if day("2026-10-25") + 43_200 <= q.at < day("2026-10-26") + 43_200]
    roof = [
        replace(one, tags={**one.tags, "meter": "roof", "role": "pv"})
        for one in points(world("2026-10-23", "2026-10-28"))
    ]
    house = [one for one in points(grid) if one.measurement in kept]
    write_buffer(tmp_path / "buffer.sqlite", [*roof, *house])
    own = Shell(tmp_path, config(valid + "standing_day = 0.25\n", ("roof", "pv")))
    for by in ("day", "month"):
        found = energy(own, "--from", "2026-10-23", "--to", "2026-10-28", "--by", by)
        assert found["total"]["standing_charge"] == pytest.approx(0.5, abs=1e-9), by


def test_of_hours_few_counters_are_read_where_quarter_hours_tell() -> None:
    """Borders of days tell what was counted in no quarter hour; more would take minutes."""
    stored = list(points(WORLD))
    asked: list[tuple[int, int]] = []

    def lines(name: str, spans: Sequence[tuple[int, int]]) -> list[str]:
        asked.extend(spans if name == "energy" else ())
        return [point.line() for point in stored if point.measurement == name]

    shown = periods(dt.date(2026, 10, 24), dt.date(2026, 10, 27), By.HOUR, ZONE)
    found, quarters = gather(BufferSource(lines), shown, Prices(), ZONE, {})
    rows, _ = report(found, shown, Prices(), ZONE, quarters)
    assert len(rows) == len(shown) == 97
    times = {point.time_ms for point in stored if point.measurement == "energy"}
    read = sum(any(begin <= at < end for begin, end in asked) for at in times)
    assert 0 < read < len(times) / 8


@pytest.mark.parametrize("rule", ["", "norway", "belgium"])
def test_demand_is_charged_as_the_rule_finds_it(stored: Path, rule: str) -> None:
    own = shell(stored, "buy = 0.3\n" + CHARGES.format(rule=rule))
    month = ("--from", "2026-10", "--to", "2026-10")
    (row,) = json.loads(
        own("report", "demand", *month, *(["--rule", rule] if rule else []), "--json")
    )["rows"]
    billed = row.get("billed_kw", row["value_kw"])
    by_month = energy(own, *month, "--by", "month")
    assert by_month["rows"][0]["demand_charge"] == pytest.approx(4 * billed, abs=1e-5)
    by_day = energy(own, *month)
    assert {one["demand_charge"] for one in by_day["rows"]} == {None}
    assert by_day["total"]["demand_charge"] == by_month["total"]["demand_charge"]
    total = by_month["total"]
    assert total["net"] == pytest.approx(
        total["cost"] + total["standing_charge"] + total["demand_charge"] - total["revenue"]
    )
    # A part of a month that goes on says nothing of its highest quarter.
    part = energy(own, "--from", "2026-10-24", "--to", "2026-10-25")["total"]
    assert part["demand_charge"] is None
    html = own.directory / f"{rule}.html"
    own("report", "statement", *month, "--html", str(html))
    page = html.read_text(encoding="utf-8")
    for text in ("standing charge EUR", "demand charge EUR", "net EUR", f"{total['net']:.2f}"):
        assert text in page


@pytest.mark.parametrize(
    ("valid", "reason"),
    [
        ("sell = 0.1\n", "buy is missing: give a price of a kWh, or buy_formula"),
        ("buy = 0.3\nbuy_formula = {{}}\n", "buy and buy_formula: a kWh has one price"),
        ("buy_t2 = 0.3\nbuy_formula = {{}}\n", "buy_t2 and buy_formula"),
        ("buy = 1\nsell = 0.0\nsell_formula = {{}}\n", "sell and sell_formula"),
        ("buy_formula = {{ vat = 21 }}\n", "vat"),
        ('buy = 0.3\ndemand_rule = "norway"\n', "demand_rule without demand_kw"),
        ("buy = 1\ndemand_kw = 1\ndemand_steps = [{{}}]\n", "demand_kw and demand_steps"),
        ("buy = 1\ndemand_steps = [{{ from_kw = 2 }}]\n", "demand_steps begin at 2 kW"),
        ("buy = 1\ndemand_steps = [{{}}, {{ from_kw = 5 }}, {{ from_kw = 5 }}]\n", "each step"),
    ],
)
def test_prices_that_contradict_themselves_are_refused(
    tmp_path: Path, valid: str, reason: str
) -> None:
    own = Shell(tmp_path, config(valid))
    with pytest.raises(ConfigError) as caught:
        own("report", "energy")
    assert reason in str(caught.value)


STEPS = (
    'demand_rule = "norway"\ndemand_steps = [{{ fixed = 125 }}, {{ from_kw = {kw}, fixed = 206.5, '
    "kw = 1.5 }}, {{ from_kw = 10, fixed = 350 }}]\n"
)


@pytest.mark.parametrize("above", [False, True])
def test_a_step_is_chosen_by_the_mean_of_the_three_highest(stored: Path, above: bool) -> None:
    month = ("--from", "2026-10", "--to", "2026-10")
    own = shell(stored, "buy = 0.3\n")
    words = ("report", "demand", *month, "--rule", "norway", "--json")
    (row,) = json.loads(own(*words))["rows"]
    billed = row["billed_kw"]
    assert 2 < billed < 10
    # The second step begins at the demand itself, or a thousandth above it.
    begin = round(billed + 0.001, 6) if above else billed
    own = shell(stored, "buy = 0.3\n" + STEPS.replace("{kw}", repr(begin)))
    amount = 125 if above else 206.5 + 1.5 * billed
    total = energy(own, *month, "--by", "month")["total"]
    assert total["demand_charge"] == pytest.approx(amount, abs=1e-5)
    html = own.directory / f"steps-{above}.html"
    found = json.loads(own("report", "statement", *month, "--html", str(html), "--json"))
    (charge,) = found["statements"][0]["demand_charges"]
    assert (charge["begin"], charge["demand_kw"]) == ("2026-10-01T00:00:00+02:00", billed)
    step = (charge["step_from_kw"], charge["fixed"], charge["per_kw"])
    assert step == ((0, 125, 0) if above else (billed, 206.5, 1.5))
    assert charge["amount"] == pytest.approx(amount, abs=1e-5)
    text = f"{billed:.3f} kW" + ("" if above else f" (step from {billed:g} kW)")
    assert text in own("report", "statement", *month)
    assert text in html.read_text(encoding="utf-8")


def test_a_rule_of_ones_own_stands_beside_the_configuration(stored: Path) -> None:
    rule = 'title = "nights"\nhighest = 2\n[[when]]\nhours = "22:00-06:00"\n'
    (stored / "nights.toml").write_text(rule, encoding="utf-8")
    own = shell(stored, "buy = 0.3\n" + CHARGES.format(rule="nights.toml"))
    month = ("--from", "2026-10", "--to", "2026-10")
    words = (*month, "--rule", str(stored / "nights.toml"), "--json")
    (row,) = json.loads(own("report", "demand", *words))["rows"]
    found = energy(own, *month, "--by", "month")["total"]["demand_charge"]
    assert found == pytest.approx(4 * row["value_kw"], abs=1e-5)
    (stored / "nights.toml").unlink()
    with pytest.raises(ConfigError, match=r"nights\.toml: no rule of demand"):
        energy(own, *month)
