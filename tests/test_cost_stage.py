"""Costs of quarter hours as the running logger makes them: a point for each, by `prices.csv`."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from logger.config import Config, load_config
from logger.derive.pipeline import Derive
from logger.domain.spot import PriceKind
from logger.points.line import Point
from logger.prices import kept
from logger.prices.money import PriceList
from logger.report.costs import costs
from logger.report.source import BufferSource
from logger.runtime.app import App
from logger.runtime.prices import PriceWatch
from logger.store.query import StoredLines
from tests.configs import configuration
from tests.derive_rig import T0, fast, of, slow
from tests.report_rig import in_memory
from tests.test_energy_quarters import MINUTE, QUARTER, counters, house, run

FORMULA = "buy_formula = {{ markup = 0.02, vat = 0.2 }}\nsell_formula = {{ factor = 0.5 }}\n"
BUY = {T0: Decimal("0.1"), T0 + QUARTER: Decimal("-0.05"), T0 + 3 * QUARTER: Decimal("0.3")}


def configured(place: Path, valid: str = FORMULA) -> Config:
    """Return a configuration of one grid meter, with prices as in `valid`."""
    text = configuration(("house", "grid"), zone="UTC", buffer={"path": "{path}/b.sqlite"})
    text += f"[[prices.valid]]\nsince = 2020-01-01\n{valid}"
    file = place / "logger.toml"
    file.write_text(text.format(path=place), encoding="utf-8")
    return load_config(file)


def fields(points: list[Point]) -> dict[int, dict[str, object]]:
    return {(p.time_ms - T0) // QUARTER: dict(p.fields) for p in of(points, "cost_15m")}


@pytest.fixture
def watched(tmp_path: Path) -> tuple[Derive, PriceWatch, Path]:
    derive = house()
    config = configured(tmp_path)
    return derive, PriceWatch(config, derive.costs.take), kept.beside(config.buffer.path)


def test_each_quarter_costs_what_its_price_says(
    watched: tuple[Derive, PriceWatch, Path], tmp_path: Path
) -> None:
    derive, watch, file = watched
    kept.save(file, {PriceKind.IMPORT: BUY, PriceKind.EXPORT: {T0: Decimal("0.08")}}, "EUR")
    watch.refresh(T0)
    points = run(derive, 0, 46)
    # 0.5 kWh drawn, 0.125 fed back in each quarter; import of the third has no price.
    assert fields(points) == {
        0: {
            "cost": 0.072, "revenue": 0.005, "worth": 0.018,
            "priced_import": 0.5, "priced_export": 0.125,
        },
        1: {"cost": -0.018, "worth": -0.0045, "priced_import": 0.5, "priced_export": 0.0},
        2: {"priced_import": 0.0, "priced_export": 0.0},
    }  # fmt: skip
    # Prices that come meanwhile hold from the next quarter on.
    spots = {PriceKind.IMPORT: BUY, PriceKind.EXPORT: dict.fromkeys(BUY, Decimal("1"))}
    kept.save(file, spots, "EUR")
    watch.refresh(T0)
    later = run(derive, 46, 61)
    assert fields(later) == {
        3: {
            "cost": 0.192, "revenue": 0.0625, "worth": 0.048,
            "priced_import": 0.5, "priced_export": 0.125,
        }
    }  # fmt: skip
    # What is made anew of the stored quarters is the same, and now complete.
    prices = PriceList(configured(tmp_path).prices, spots, ZoneInfo("UTC"))
    anew = list(costs([in_memory(points + later)], (T0, T0 + 4 * QUARTER), "s", prices))
    assert fields(anew)[3] == fields(later)[3]
    assert [one.tags for one in anew] == [one.tags for one in of(points + later, "energy_15m")]
    assert [fields(anew)[at].get("revenue") for at in range(4)] == [0.0625, 0.0625, None, 0.0625]


@pytest.mark.parametrize("what", ["none", "damaged", "of another currency"])
def test_without_prices_that_can_be_used_nothing_costs_nothing(
    watched: tuple[Derive, PriceWatch, Path], what: str
) -> None:
    derive, watch, file = watched
    if what == "damaged":
        file.write_text("import,now\n", encoding="utf-8")
    elif what != "none":
        kept.save(file, {PriceKind.IMPORT: BUY}, "NOK")
    watch.refresh(T0)
    assert fields(run(derive, 0, 31)) == {
        key: {"priced_import": 0.0, "priced_export": 0.0} for key in (0, 1)
    }


def test_with_fixed_prices_no_point_is_made(tmp_path: Path) -> None:
    derive = house()
    PriceWatch(configured(tmp_path, "buy = 0.3\n"), derive.costs.take).refresh(T0)
    assert not fields(run(derive, 0, 31))


def test_the_running_logger_keeps_them(tmp_path: Path) -> None:
    config = configured(tmp_path)
    begin = time.time_ns() // 1_000_000 // QUARTER * QUARTER - 8 * QUARTER
    spots = {begin + at - T0: price for at, price in BUY.items()}
    kept.save(kept.beside(config.buffer.path), {PriceKind.IMPORT: spots}, "EUR")
    app = App(config)
    app.start()
    try:
        for passed in range(0, 31 * MINUTE, MINUTE):
            at = begin + passed
            app.intake.accept(slow(at, *counters(T0 + passed)), app.clock.offset_ms)
            for offset in range(0, MINUTE, 10_000):
                app.intake.accept(fast(at + offset + 200), app.clock.offset_ms)
    finally:
        app.stop()
    lines = StoredLines(config.buffer.path)
    found = list(BufferSource(lines).read("cost_15m", [(0, 2**53)], {}, ()))
    lines.close()
    costs = {(one.time_ms - begin) // QUARTER: one.fields.get("cost") for one in found}
    assert costs == {0: 0.072, 1: -0.018}
