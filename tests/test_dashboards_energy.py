"""Panels that show energy or money, against `report energy` on the same engine."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.grafana_queries import panels
from tests.house import (
    DIVIDED,
    RANGE,
    ZONE,
    House,
    day_before,
    exactly,
    in_t2,
    moment,
)

pytestmark = pytest.mark.engine

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
        # Reading began on the first at noon: half a day is not to be compared with a whole one.
        assert house.figures(f"energy: {title}, change", "2026-10-02", "2026-10-03") == {}


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


def test_no_panel_with_energy_or_money_is_left_out(house: House) -> None:
    shown = {
        f"{name.removesuffix('.json')}: {panel['title']}"
        for name, board in house.boards.items()
        for panel in panels(board)
        if panel["fieldConfig"]["defaults"]["unit"] in {"suffix:kWh", "suffix:EUR"}
    }
    own = Path(__file__)
    files = (own, own.with_name("test_dashboards_meters.py"))
    text = "".join(file.read_text(encoding="utf-8") for file in files)
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
