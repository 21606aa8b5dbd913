"""Panels about meters, loads and cost centres, against the reports on the same engine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.house import (
    CENTRES,
    DIVIDED,
    METERS,
    RANGE,
    House,
    day_before,
    exactly,
    moment,
)

pytestmark = pytest.mark.engine

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
        "kWh": exactly(total["load_kwh"]),  # what the share is of
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
