"""The energy report rule by rule: tariffs, signs, breaks, gaps, what is blank."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest

from logger.config.derive import Price, Prices
from logger.domain.times import midnight_ms
from logger.report.calendar import Period
from logger.report.counted import Bounds, Break
from logger.report.countervalues import CounterValues, Series, counter_values
from logger.report.energy import cuts, fine, report
from logger.report.energyrow import EnergyRow
from logger.report.quarters import Owner, QuarterHour
from logger.report.source import BufferSource
from tests.test_report_energy import AMSTERDAM, DAY, HOUR, NO_PRICES, UTC, D, days, energy

START = midnight_ms(dt.date(2026, 11, 2), UTC)
IMPORT, EXPORT = "active_import", "active_export"
MINUTE = 60_000
# (meter, role, quantity, tariff): (time in ms after START, value)
Values = Mapping[tuple[str, str, str, str], Sequence[tuple[int, str]]]
HOUSE = ("house", "grid", IMPORT, "total")


def made(
    values: Values,
    last: str = "2026-11-02",
    prices: Prices = NO_PRICES,
    breaks: Sequence[tuple[int, bool]] = (),
    quarters: Mapping[Owner, Mapping[int, QuarterHour]] | None = None,
) -> tuple[list[EnergyRow], EnergyRow]:
    found = CounterValues(
        {
            Series(*key): [(START + at, Decimal(value)) for at, value in own]
            for key, own in values.items()
        },
        [Break("house", START + at, swapped) for at, swapped in breaks],
        {"house": Bounds(Decimal(1000), Decimal("999999.99"))},
    )
    return report(found, days("2026-11-02", last), prices, UTC, quarters or {})


def whole_day(**counted: str) -> Values:
    """Return the counters of a day by short names: what each counted."""
    names = {
        "drawn": HOUSE,
        "fed": ("house", "grid", EXPORT, "total"),
        "t1": ("house", "grid", IMPORT, "T1"),
        "t2": ("house", "grid", IMPORT, "T2"),
        "pv": ("roof", "pv", EXPORT, "total"),
        "night": ("roof", "pv", IMPORT, "total"),
        "charged": ("cellar", "battery", IMPORT, "total"),
        "discharged": ("cellar", "battery", EXPORT, "total"),
        "fed_t1": ("house", "grid", EXPORT, "T1"),
        "pv_t1": ("roof", "pv", EXPORT, "T1"),
        "heater": ("heater", "load", IMPORT, "total"),
    }
    return {
        names[name]: [(0, "100"), (DAY, str(100 + D(value)))] for name, value in counted.items()
    }


PRICES = Prices(
    valid=[Price(since=dt.date(2026, 1, 1), buy=0.30, buy_t1=0.40, buy_t2=0.20, sell=0.08)]
)


@pytest.mark.parametrize(
    ("drawn", "cost"),
    [
        ("8", "2.6"),  # 5 kWh in T1, 3 kWh in T2
        ("10", "3.2"),  # 2 kWh were counted in no tariff: at the common price
        ("8.1", "2.63"),  # however little it is: many small parts are as much as one
        ("7.99", "2.597"),  # the counters' last digits
        ("7.5", "2.45"),  # and in more than one
    ],
)
def test_energy_counted_in_no_tariff_costs_the_common_price(drawn: str, cost: str) -> None:
    (row,), total = made(whole_day(drawn=drawn, t1="5", t2="3", fed="0"), prices=PRICES)
    assert row.cost == total.cost == D(cost)
    assert row.tariffs == total.tariffs == {"T1": 5, "T2": 3}
    assert row.grid_import == D(drawn)


def test_without_tariffs_all_energy_costs_the_common_price() -> None:
    (row,), _ = made(whole_day(drawn="0.05", fed="10"), prices=PRICES)
    assert [row.cost, row.revenue] == [D("0.015"), D("0.8")]


def test_nothing_is_paid_for_a_site_without_a_grid_meter() -> None:
    (row,), total = made(whole_day(pv="5"), prices=PRICES)
    assert [row.pv, row.cost, row.revenue, row.load, row.self_consumed] == [
        5,
        None,
        None,
        None,
        None,
    ]
    assert [total.cost, total.grid_import] == [None, None]


def test_only_the_counters_of_their_roles_count() -> None:
    values = whole_day(
        drawn="10", fed="4", pv="9", night="0.5", charged="3", discharged="2",
        fed_t1="4", pv_t1="9", heater="6",
    )  # fmt: skip
    (row,), total = made(values)
    for each in (row, total):
        assert [each.grid_import, each.grid_export, each.pv] == [10, 4, 9]
        assert [each.charge, each.discharge] == [3, 2]
        assert each.tariffs == {}
        assert each.load == 10 + 9 - 4 + 2 - 3
        assert each.self_consumed == 5
        assert each.self_consumption == D(5) / 9
        assert each.self_sufficiency == D(4) / 14  # of the load 10 kWh came from the grid
        assert each.divided == 0


def test_several_meters_of_a_role_add_up() -> None:
    more = {("shed", "pv", EXPORT, "total"): [(0, "1"), (DAY, "3")]}
    more |= {
        ("barn", "battery", quantity, "total"): [(0, "0"), (DAY, "1")]
        for quantity in (IMPORT, EXPORT)
    }
    more |= {
        ("annex", "grid", quantity, "total"): [(0, "0"), (DAY, "7")]
        for quantity in (IMPORT, EXPORT)
    }
    more |= {("annex", "grid", IMPORT, "T1"): [(0, "0"), (DAY, "7")]}
    values = whole_day(drawn="10", fed="4", pv="9", charged="3", discharged="2", t1="10")
    (row,), _ = made({**values, **more}, prices=PRICES)
    assert [row.grid_import, row.grid_export, row.pv, row.charge, row.discharge] == [
        17,
        11,
        11,
        4,
        3,
    ]
    assert row.tariffs == {"T1": 17}
    assert [row.cost, row.revenue] == [D("6.8"), D("0.88")]


@pytest.mark.parametrize(("fed", "used"), [("4.5", "0.5"), ("5", "0"), ("5.25", "-0.25")])
def test_what_the_battery_feeds_in_is_not_hidden(fed: str, used: str) -> None:
    """The battery of a site may feed what the PV did not make on that day."""
    (row,), _ = made(whole_day(drawn="1", fed=fed, pv="5"))
    assert row.self_consumed == D(used)
    assert row.self_consumption == D(used) / 5


def test_ratios_are_blank_where_they_mean_nothing() -> None:
    (row,), _ = made(whole_day(drawn="1", fed="6", pv="5"))
    assert [row.load, row.self_sufficiency] == [0, None]
    (row,), _ = made(whole_day(drawn="1", fed="7", pv="5"))
    assert [row.load, row.self_sufficiency] == [-1, None]
    (row,), _ = made(whole_day(drawn="1", pv="5"))
    assert (row.grid_export, row.load, row.self_consumed, row.self_consumption) == (None,) * 4


def test_a_day_without_a_reading_has_no_row_and_pv_alone_has_one() -> None:
    gone, total = made({("cellar", "battery", IMPORT, "total"): [(0, "0"), (DAY, "1")]})
    assert gone == []
    assert total.charge == 1
    found, total = made(whole_day(pv="5"), "2026-11-04")
    assert [row.label for row in found] == ["2026-11-02", "2026-11-03"]
    assert (found[0].start_ms, found[0].end_ms) == (START, START + DAY)
    assert [total.label, total.start_ms, total.end_ms] == ["total", START, START + 3 * DAY]


def test_prices_before_the_first_and_after_the_last_day_need_no_counters() -> None:
    shown = days("2026-11-02", "2026-11-03", zone=AMSTERDAM)
    first, border, last = shown[0].start_ms, shown[1].start_ms, shown[1].end_ms
    assert cuts(shown, NO_PRICES, AMSTERDAM) == [first, border, last]
    dates = ((2026, 1, 1), (2026, 11, 2), (2026, 11, 4), (2026, 12, 1))
    prices = Prices(valid=[Price(since=dt.date(*date), buy=0.3) for date in dates])
    assert cuts(shown, prices, AMSTERDAM) == [first, border, last]


@pytest.mark.parametrize(
    ("after", "counted"),
    [
        ("0.5", "0.5"),  # it restarted from 0
        ("1001", "1001"),  # as far as any meter can have come in an hour: 1000 kW, and 1 kWh
        ("1001.5", "0"),  # it was set
        ("5001", "1"),  # it went on, whatever the event says
        ("6001", "1001"),
        ("6001.5", "0"),
    ],
)
def test_what_was_counted_over_a_reset(after: str, counted: str) -> None:
    values = {HOUSE: [(0, "5000"), (HOUR, after), (DAY, str(D(after) + 2))]}
    (row,), _ = made(values, breaks=[(HOUR, False)])
    assert row.grid_import == D(counted) + 2


@pytest.mark.parametrize("after", ["0.5", "5000", "5003", "9000"])
def test_nothing_is_known_of_what_a_new_meter_counted_before(after: str) -> None:
    values = {HOUSE: [(0, "5000"), (HOUR, after), (DAY, str(D(after) + 2))]}
    (row,), _ = made(values, breaks=[(HOUR, True)])
    assert row.grid_import == 2


@pytest.mark.parametrize(
    ("at_ms", "counted"), [(0, "-"), (1, "2.5"), (HOUR, "2.5"), (HOUR + 1, "-")]
)
def test_a_break_belongs_to_the_first_value_after_it(at_ms: int, counted: str) -> None:
    values = {HOUSE: [(0, "4"), (HOUR, "1.5"), (DAY, "2.5")]}
    (row,), _ = made(values, breaks=[(at_ms, False)])
    # without it a fall to less than half is a restart all the same
    assert row.grid_import == D("2.5")
    values = {HOUSE: [(0, "4"), (HOUR, "3.5"), (DAY, "4.5")]}
    (row,), _ = made(values, breaks=[(at_ms, False)])
    # and a smaller one is a clock that went back
    assert row.grid_import == (D("0.5") if counted == "-" else D("4.5"))


@pytest.mark.parametrize(("after", "counted"), [("2", "5"), ("2.1", "1"), ("3.9", "1")])
def test_a_fall_without_an_event_is_a_restart_below_one_half(after: str, counted: str) -> None:
    (row,), _ = made({HOUSE: [(0, "4"), (HOUR, after), (DAY, "5")]})
    assert row.grid_import == D(counted)


def test_a_long_fall_without_an_event_is_bounded_too() -> None:
    (row,), _ = made({HOUSE: [(0, "9000"), (HOUR, "2000"), (DAY, "2003")]})
    assert row.grid_import == 3


@pytest.mark.parametrize(
    ("late_ms", "first", "second"),
    [(0, "12", "12"), (89_999, "12", "12"), (90_000, "11.99", "12.01")],
)
def test_a_value_within_ninety_seconds_is_that_of_midnight(
    late_ms: int, first: str, second: str
) -> None:
    values = {HOUSE: [(0, "10"), (DAY + late_ms, "22"), (2 * DAY, "34")]}
    (one, other), total = made(values, "2026-11-03")
    assert float(one.grid_import or 0) == pytest.approx(float(first), abs=0.003)
    assert float(other.grid_import or 0) == pytest.approx(float(second), abs=0.003)
    assert (one.grid_import == 12) is (late_ms < 90_000)
    assert total.grid_import == 24


@pytest.mark.parametrize(("half_ms", "divided"), [(HOUR, "0"), (HOUR + 1, "2")])
def test_a_gap_over_midnight_of_more_than_two_hours_is_marked(half_ms: int, divided: str) -> None:
    values = {HOUSE: [(0, "0"), (DAY - half_ms, "10"), (DAY + half_ms, "14"), (2 * DAY, "20")]}
    (one, other), total = made(values, "2026-11-03")
    assert [one.grid_import, other.grid_import] == [12, 8]
    assert [one.divided, other.divided] == [D(divided)] * 2
    assert total.divided == 2 * D(divided)


def test_a_day_inside_a_gap_is_divided_as_a_whole_and_never_more_than_it_has() -> None:
    values = {HOUSE: [(0, "0"), (12 * HOUR, "1"), (12 * HOUR + 2 * DAY, "9"), (3 * DAY, "10")]}
    found, total = made(values, "2026-11-04")
    assert [row.grid_import for row in found] == [3, 4, 3]
    assert [row.divided for row in found] == [2, 4, 2]
    assert [total.grid_import, total.divided] == [10, 8]


def test_what_lies_outside_the_readings_is_blank() -> None:
    values = {HOUSE: [(DAY + HOUR, "10"), (DAY + 2 * HOUR, "13")]}
    (row,), total = made(values, "2026-11-04")
    assert row.label == "2026-11-03"
    assert [row.grid_import, row.divided] == [3, 0]
    assert total.grid_import == 3
    # one reading alone says that there is a meter
    (row,), _ = made({HOUSE: [(HOUR, "10")]})
    assert row.grid_import == 0
    assert made({HOUSE: [(2 * DAY, "10")]})[0] == []


def netting(*quarters: tuple[int, float]) -> dict[int, QuarterHour]:
    """Return quarter hours by their beginning after START, and what netting takes off, kWh."""
    return {
        START + at: QuarterHour(2.0, 1.5, 2.0 - common, {}, 1.0, True) for at, common in quarters
    }


def test_netting_takes_off_import_and_export_what_the_quarters_of_the_period_say() -> None:
    counted = {
        HOUSE: [(0, "100"), (DAY, "110"), (2 * DAY, "113"), (3 * DAY, "115")],
        ("house", "grid", EXPORT, "total"): [(0, "5"), (DAY, "9"), (3 * DAY, "11")],
    }
    quarters = {
        Owner("house", "grid"): netting(
            (-15 * MINUTE, 1.0),  # before the first day
            (0, 0.5),
            (DAY - 15 * MINUTE, 0.3),  # as floats 2.0 - 1.7 is a little more
            (DAY, 1.5),
            (3 * DAY, 0.75),  # after the last one
        ),
        Owner("second", "grid"): netting((HOUR, 0.125)),
        Owner("roof", "pv"): netting((HOUR, 1.0)),
    }
    rows, total = made(counted, "2026-11-04", quarters=quarters)
    assert [row.saved for row in rows] == [D("0.925"), D("1.5"), None]
    assert [row.import_netted for row in rows] == [D("9.075"), D("1.5"), None]
    assert rows[0].export_netted == D("3.075")
    assert rows[2].export_netted is None
    assert (total.saved, total.import_netted) == (D("2.425"), D("12.575"))


def test_nothing_is_netted_where_no_quarter_hour_tells() -> None:
    rows, total = made(whole_day(drawn="8", fed="2"))
    assert {one.import_netted for one in (*rows, total)} == {None}
    assert {one.export_netted for one in (*rows, total)} == {None}


def test_periods_are_short_when_none_is_longer_than_an_hour() -> None:
    (day,) = days("2026-11-02", "2026-11-02")
    hour = Period("10:00", day.day, START, START + HOUR)
    assert fine([hour])
    assert not fine([day])
    assert not fine([hour, day])
    assert not fine([Period("10:00", day.day, START, START + HOUR + 1)])


def test_of_what_is_read_far_around_a_gap_only_neighbours_are_kept() -> None:
    """A report that ends days after the last reading looks back over forty days."""
    day, step = 86_400_000, 300_000
    times = range(0, 12 * day, step)
    head = "energy,meter=grid,phase=total,role=grid,site=s,tariff=total"
    lines = [f"{head} active_export=0,active_import={at // step} {at}" for at in times]
    random.Random(18).shuffle(lines)
    source = BufferSource(lambda *_: lines)
    ends = [0, 4 * day, 16 * day]
    found = counter_values(source, ends, {"role": ("grid",)})
    for series, values in found.values.items():
        assert len(values) < 100, series  # of 3456
        assert {0, 4 * day, times[-1]} <= {at for at, _ in values}
    drawn = Series("grid", "grid", "active_import", "total")
    assert dict(found.values[drawn])[times[-1]] == Decimal(times[-1] // step)


def test_what_was_logged_is_not_read_anew_for_each_day_after_its_end() -> None:
    """Nor for each day before its beginning: a report of a year of which a month was logged."""
    times = range(START, START + 30 * DAY, HOUR)
    lines = [
        point.line()
        for at in times
        for point in energy(at + MINUTE, round((at - START) / HOUR / 4, 2))
    ]
    asked: list[tuple[int, int]] = []

    def stored(name: str, spans: Sequence[tuple[int, int]]) -> list[str]:
        asked.extend(spans if name == "energy" else ())
        return lines

    shown = days("2026-05-01", "2027-04-30")
    found = counter_values(BufferSource(stored), cuts(shown, NO_PRICES, UTC), {})
    _, total = report(found, shown, NO_PRICES, UTC)
    assert total.grid_import == D(30 * 24 - 1) / 4
    read = sum(begin <= at + MINUTE < end for begin, end in asked for at in times)
    assert read < len(times) / 4
