"""The energy report: days of 23 and 25 hours, prices, gaps, breaks, ratios."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.config.derive import Price, Prices
from logger.domain.times import midnight_ms
from logger.domain.timespan import merged
from logger.points.line import Point
from logger.report.calendar import By, Period, periods
from logger.report.countervalues import counter_values
from logger.report.energy import cuts, report
from logger.report.energyrow import EnergyRow
from logger.report.source import BufferSource

AMSTERDAM, UTC = ZoneInfo("Europe/Amsterdam"), ZoneInfo("UTC")
HOUR = 3_600_000
DAY = 24 * HOUR
NO_PRICES = Prices()
D = Decimal


def energy(
    at_ms: int,
    drawn: float,
    fed: float = 0.0,
    meter: str = "house",
    role: str = "grid",
    t1: float | None = None,
) -> list[Point]:
    tags = {"site": "s", "meter": meter, "role": role, "phase": "total"}
    made = [
        Point(
            "energy", {**tags, "tariff": "total"},
            {"active_import": drawn, "active_export": fed}, at_ms,
        )
    ]  # fmt: skip
    if t1 is not None:
        made += [
            Point("energy", {**tags, "tariff": "T1"}, {"active_import": t1}, at_ms),
            Point(
                "energy", {**tags, "tariff": "T2"}, {"active_import": round(drawn - t1, 6)}, at_ms
            ),
        ]
    return made


def broken(at_ms: int, kind: str, meter: str = "house") -> Point:
    tags = {"site": "s", "meter": meter, "role": "grid", "kind": kind}
    return Point("event", tags, {"state": "end", "duration_s": 0.0, "text": "x"}, at_ms)


def rows(
    points: Sequence[Point], shown: list[Period], zone: ZoneInfo = UTC, prices: Prices = NO_PRICES
) -> tuple[list[EnergyRow], EnergyRow]:
    lines = [point.line() for point in points]
    source = BufferSource(lambda _name, _spans: lines)
    return report(counter_values(source, cuts(shown, prices, zone), {}), shown, prices, zone)


def days(first: str, last: str, by: By = By.DAY, zone: ZoneInfo = UTC) -> list[Period]:
    return periods(dt.date.fromisoformat(first), dt.date.fromisoformat(last), by, zone)


@pytest.mark.parametrize(
    ("day", "hours", "first", "last"),
    [
        ("2026-03-29", 23, "2026-03-29 00:00+0100", "2026-03-29 23:00+0200"),
        ("2026-10-25", 25, "2026-10-25 00:00+0200", "2026-10-25 23:00+0100"),
        ("2026-06-01", 24, "2026-06-01 00:00+0200", "2026-06-01 23:00+0200"),
    ],
)
def test_days_have_23_24_or_25_hours(day: str, hours: int, first: str, last: str) -> None:
    (whole,) = days(day, day, By.DAY, AMSTERDAM)
    assert whole.end_ms - whole.start_ms == hours * HOUR
    parts = days(day, day, By.HOUR, AMSTERDAM)
    assert [part.label for part in parts][:: hours - 1] == [first, last]
    assert len({part.label for part in parts}) == len(parts) == hours
    assert sum(part.end_ms - part.start_ms for part in parts) == hours * HOUR


def test_zones_of_half_hours_and_lost_midnights() -> None:
    (whole,) = days("2026-11-02", "2026-11-02", By.DAY, ZoneInfo("Asia/Kolkata"))
    assert whole.start_ms % HOUR == HOUR // 2
    # In Beirut the clocks go forward at midnight: the day begins at one o'clock.
    before, after = days("2026-03-28", "2026-03-29", By.DAY, ZoneInfo("Asia/Beirut"))
    assert before.end_ms == after.start_ms
    assert after.end_ms - after.start_ms == 23 * HOUR


@pytest.mark.parametrize(
    ("day", "short"),
    [("2026-04-05", "2026-04-05 01:30+1030"), ("2026-10-04", "2026-10-04 02:30+1100")],
)
def test_hours_are_those_of_a_clock_that_moves_by_half_an_hour(day: str, short: str) -> None:
    shown = days(day, day, By.HOUR, ZoneInfo("Australia/Lord_Howe"))
    odd = [one for one in shown if one.end_ms - one.start_ms != HOUR or "30+" in one.label]
    assert [(one.label, one.end_ms - one.start_ms) for one in odd] == [(short, HOUR // 2)]
    assert sum(one.end_ms - one.start_ms for one in shown) in {23.5 * HOUR, 24.5 * HOUR}


def test_months_and_weeks_are_cut_to_the_days_asked_for() -> None:
    months = days("2026-01-15", "2026-03-02", By.MONTH)
    assert [(m.label, (m.end_ms - m.start_ms) // DAY) for m in months] == [
        ("2026-01", 17),
        ("2026-02", 28),
        ("2026-03", 2),
    ]
    found = periods(dt.date(2026, 10, 21), dt.date(2026, 11, 3), By.WEEK, AMSTERDAM)
    assert [(w.label, (w.end_ms - w.start_ms) / HOUR) for w in found] == [
        ("2026-W43", 5 * 24 + 1),
        ("2026-W44", 7 * 24),
        ("2026-W45", 2 * 24),
    ]


_RISE = st.integers(0, 3000).map(lambda number: D(number) / 1000)


@settings(max_examples=60, deadline=None)
@given(
    hourly=st.lists(st.tuples(_RISE, _RISE, _RISE), min_size=49, max_size=80),
    zone=st.sampled_from([UTC, AMSTERDAM, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/St_Johns")]),
)
def test_days_add_up_as_an_independent_ledger_does(
    hourly: list[tuple[D, D, D]], zone: ZoneInfo
) -> None:
    """Readings each half hour from the evening before the clocks change in Europe."""
    start = midnight_ms(dt.date(2026, 10, 24), UTC)
    ledger: dict[dt.date, list[D]] = {}
    points: list[Point] = []
    drawn, fed, made, t1 = D("1000.5"), D("70.25"), D("900.125"), D("400.5")
    half = HOUR // 2
    for number, (load, sun, night) in enumerate(hourly):
        at = start + number * half
        points += energy(at + 700, float(drawn), float(fed), t1=float(t1))
        points += energy(at + 900, 0.5, float(made), "roof", "pv")
        day = dt.datetime.fromtimestamp(at / 1000, zone).date()
        own = ledger.setdefault(day, [D(0)] * 4)
        for place, part in enumerate((load + night, sun / 2, sun, load)):
            own[place] += part
        drawn, t1 = drawn + load + night, t1 + load
        fed, made = fed + sun / 2, made + sun
    end = start + len(hourly) * half
    points += energy(end + 700, float(drawn), float(fed), t1=float(t1))
    points += energy(end + 900, 0.5, float(made), "roof", "pv")
    shown = days(str(min(ledger)), str(max(ledger)), By.DAY, zone)
    found, total = rows(points, shown, zone)
    assert [row.label for row in found] == [str(day) for day in sorted(ledger)]
    for row, (_, own) in zip(found, sorted(ledger.items()), strict=True):
        assert row.grid_import is not None
        assert row.grid_export is not None
        assert row.pv is not None
        assert [row.grid_import, row.grid_export, row.pv, row.tariffs["T1"]] == own
        assert row.tariffs["T2"] == own[0] - own[3]
        assert row.self_consumed == own[2] - own[1]
        assert row.load == own[0] + own[2] - own[1]
    sums = [sum((own[place] for own in ledger.values()), D(0)) for place in range(4)]
    assert [total.grid_import, total.grid_export, total.pv] == sums[:3]
    expected = (sums[2] - sums[1]) / sums[2] if sums[2] else None
    assert total.self_consumption == expected


def test_ratios_are_blank_where_the_divisor_is_0_and_1_without_export() -> None:
    start = midnight_ms(dt.date(2026, 11, 2), UTC)
    points = [*energy(start, 10.0, 5.0), *energy(start, 0.0, 7.0, "roof", "pv")]
    points += [*energy(start + DAY, 12.0, 5.0), *energy(start + DAY, 0.0, 7.0, "roof", "pv")]
    points += [*energy(start + 2 * DAY, 12.0, 5.0)]
    points += [*energy(start + 2 * DAY, 0.0, 9.0, "roof", "pv")]
    (night, day), _ = rows(points, days("2026-11-02", "2026-11-03"))
    assert [night.pv, night.self_consumption, night.self_sufficiency] == [0, None, 0]
    assert [day.self_consumption, day.self_sufficiency] == [1, 1]


def test_without_a_pv_meter_its_columns_are_blank() -> None:
    start = midnight_ms(dt.date(2026, 11, 2), UTC)
    (row,), _ = rows(
        [*energy(start, 10.0), *energy(start + DAY, 12.5)], days("2026-11-02", "2026-11-02")
    )
    assert [row.grid_import, row.pv, row.self_consumed, row.self_consumption] == [
        D("2.5"), None, None, None,
    ]  # fmt: skip


def test_prices_by_tariff_change_at_local_midnight_within_a_month() -> None:
    prices = Prices(
        valid=[
            Price(since=dt.date(2026, 10, 1), buy=0.30, buy_t1=0.40, buy_t2=0.20, sell=0.08),
            Price(since=dt.date(2026, 10, 25), buy=0.25, buy_t1=0.50, sell=0.05),
        ]
    )
    points = []
    for place, day in enumerate((24, 25, 26)):
        at = midnight_ms(dt.date(2026, 10, day), AMSTERDAM)
        points += energy(at + 400, 100.0 + 8 * place, 50.0 + 2 * place, t1=30.0 + 5 * place)
    (row,), total = rows(
        points, days("2026-10-24", "2026-10-25", By.MONTH, AMSTERDAM), AMSTERDAM, prices
    )
    # 5 kWh in T1 and 3 kWh in T2 on each day.
    assert row.cost == D("5") * D("0.40") + 3 * D("0.20") + 5 * D("0.50") + 3 * D("0.25")
    assert row.revenue == 2 * D("0.08") + 2 * D("0.05")
    assert [total.cost, total.revenue] == [row.cost, row.revenue]


def test_before_the_first_price_there_is_no_cost() -> None:
    prices = Prices(valid=[Price(since=dt.date(2027, 1, 1), buy=0.30)])
    start = midnight_ms(dt.date(2026, 11, 2), UTC)
    (row,), _ = rows(
        [*energy(start, 1.0), *energy(start + DAY, 3.0)],
        days("2026-11-02", "2026-11-02"),
        prices=prices,
    )
    assert [row.grid_import, row.cost] == [2, None]


def test_a_gap_over_midnight_is_divided_by_time_and_marked() -> None:
    start = midnight_ms(dt.date(2026, 11, 2), UTC)
    points = energy(start, 10.0) + energy(start + 18 * HOUR, 20.0)
    points += energy(start + 30 * HOUR, 32.0) + energy(start + 2 * DAY, 40.0)
    (first, second), total = rows(points, days("2026-11-02", "2026-11-03"))
    assert [first.grid_import, first.divided] == [16, 6]
    assert [second.grid_import, second.divided] == [14, 6]
    assert total.grid_import == 30


def test_a_gap_of_days_leaves_days_between_its_ends() -> None:
    start = midnight_ms(dt.date(2026, 11, 2), UTC)
    points = energy(start, 10.0) + energy(start + 12 * HOUR, 13.0)
    points += energy(start + 12 * HOUR + 4 * DAY, 21.0) + energy(start + 5 * DAY, 22.0)
    found, total = rows(points, days("2026-11-02", "2026-11-06"))
    assert [row.grid_import for row in found] == [4, 2, 2, 2, 2]
    assert [row.divided for row in found] == [1, 2, 2, 2, 1]
    assert total.grid_import == 12


def test_a_single_missing_reading_at_midnight_is_no_remark() -> None:
    start = midnight_ms(dt.date(2026, 11, 2), UTC)
    points = energy(start, 10.0) + energy(start + DAY - 300_000, 20.0)
    points += energy(start + DAY + 300_000, 20.5) + energy(start + 2 * DAY, 31.0)
    (first, second), _ = rows(points, days("2026-11-02", "2026-11-03"))
    assert [first.grid_import, first.divided] == [D("10.25"), 0]
    assert second.grid_import == D("10.75")


def test_a_swap_and_a_reset_within_a_day() -> None:
    start = midnight_ms(dt.date(2026, 11, 2), UTC)
    points = energy(start, 5000.0) + energy(start + 5 * HOUR, 5004.0)
    points += [broken(start + 6 * HOUR, "meter_swapped"), *energy(start + 6 * HOUR, 7000.0)]
    points += energy(start + 11 * HOUR, 7003.0)
    points += [broken(start + 12 * HOUR, "counter_reset"), *energy(start + 12 * HOUR, 0.5)]
    points += energy(start + DAY, 9.5)
    (row,), _ = rows(points, days("2026-11-02", "2026-11-02"))
    assert row.grid_import == 4 + 3 + D("0.5") + 9


def test_a_reset_of_one_meter_does_not_touch_the_other() -> None:
    start = midnight_ms(dt.date(2026, 11, 2), UTC)
    points = [*energy(start, 1.0, 5.0), *energy(start, 0.0, 900.0, "roof", "pv")]
    points += [broken(start + HOUR, "counter_reset", "roof")]
    points += energy(start + HOUR - 300_000, 0.0, 901.0, "roof", "pv")
    points += energy(start + HOUR, 0.0, 0.25, "roof", "pv")
    points += [*energy(start + DAY, 4.0, 7.0), *energy(start + DAY, 0.0, 6.25, "roof", "pv")]
    (row,), _ = rows(points, days("2026-11-02", "2026-11-02"))
    assert [row.grid_import, row.pv] == [3, D("7.25")]


def test_counters_read_twice_by_a_clock_that_went_back_count_once() -> None:
    start = midnight_ms(dt.date(2026, 11, 2), UTC)
    points = energy(start, 10.0)
    for minute in range(-30, 30):
        points += energy(start + DAY + minute * 60_000, 20.0 + minute / 60)
        points += energy(start + DAY + minute * 60_000 + 7, 21.0 + minute / 60)
    points += energy(start + 2 * DAY, 30.0)
    _, total = rows(points, days("2026-11-02", "2026-11-03"))
    assert total.grid_import == 20


def test_a_report_from_before_the_first_reading_begins_with_it() -> None:
    start = midnight_ms(dt.date(2026, 11, 4), UTC)
    points = energy(start + 6 * HOUR, 10.0) + energy(start + DAY, 12.0)
    points += energy(start + DAY + 9 * HOUR, 15.0)  # now; the day is not over
    found, total = rows(points, days("2026-11-01", "2026-11-06"))
    assert [(row.label, row.grid_import) for row in found] == [
        ("2026-11-04", D(2)),
        ("2026-11-05", D(3)),
    ]
    assert total.grid_import == 5


def test_a_log_that_begins_at_midnight_tells_nothing_of_the_day_before() -> None:
    first = midnight_ms(dt.date(2026, 3, 2), UTC)
    found, total = rows(
        energy(first, 100) + energy(first + DAY, 108), days("2026-03-01", "2026-03-02")
    )
    assert [(row.label, row.grid_import) for row in found] == [("2026-03-02", D(8))]
    assert total.grid_import == D(8)


def test_spans_that_touch_become_one() -> None:
    assert merged([(5, 9), (1, 3), (3, 4), (20, 30), (8, 12)]) == [(1, 4), (5, 12), (20, 30)]
    assert merged([(1, 3), (6, 9)], gap_ms=3) == [(1, 9)]
    assert merged([(3, 3)]) == []
