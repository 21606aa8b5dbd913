"""Quarter hours at their odd moments: power or a tariff that is not read, a swap at a border, a
restart behind a step of the clock; and the demand of a quarter hour whose power began late."""

from __future__ import annotations

import json
from collections.abc import Container
from decimal import Decimal
from itertools import cycle

import pytest

from logger.derive.clock import Step
from logger.derive.pipeline import Derive
from logger.domain.quantity import EXPORT_TOTAL, IMPORT_TOTAL
from logger.meter.reading import Reading
from logger.models import Job
from logger.points.line import Point
from tests.derive_rig import T0, fast, identity, info, of, reading, slow

MINUTE, QUARTER = 60_000, 900_000
BORDER = T0 + QUARTER
FAST_MS = 10_000


def house() -> Derive:
    return Derive([info(fast_ms=FAST_MS)], "s")


def counters(at_ms: int) -> Reading:
    """Return counters of 3 kW drawn on some phases and 1.5 kW fed back on others."""
    hours = (at_ms - T0) / 3_600_000
    return slow(at_ms, round(100 + 3 * hours, 4), round(50 + 1.5 * hours, 4))


def totals(at_ms: int) -> Reading:
    """Return the same without the tariffs."""
    whole = counters(at_ms).values
    kept = {one: whole[one] for one in (IMPORT_TOTAL, EXPORT_TOTAL)}
    return reading(kept, at_ms, Job.SLOW)


def play(derive: Derive, start: int, end: int, away: Container[int] = ()) -> list[Point]:
    """Feed minutes: counters at the beginning of each, and power, but for those in `away`.

    The power goes between 4 kW and -1 kW: 1.6 kW drawn in the mean, 0.1 kW fed back.
    """
    points: list[Point] = []
    for minute in range(start, end):
        at_ms, power = T0 + minute * MINUTE, cycle((4.0, -1.0))
        points += derive.feed(counters(at_ms))
        if minute not in away:
            for offset in range(0, MINUTE, FAST_MS):
                points += derive.feed(fast(at_ms + offset + 200, kilowatts=next(power)))
    return points


def demands(points: list[Point]) -> dict[int, float]:
    """Return the demand of the running quarter hours, by seconds since the start."""
    found = [point for point in of(points, "site") if "demand" in point.fields]
    return {(p.time_ms - T0) // 1000: float(p.fields["demand"]) for p in found}


def times(points: list[Point]) -> list[float]:
    return [(point.time_ms - T0) / 1000 for point in of(points, "energy_15m")]


def test_where_the_power_began_late_the_counters_tell_the_demand_so_far() -> None:
    """Netted like the quarter itself: the counters' bounds, parted by what the power showed."""
    found = demands(play(house(), -16, 15, away=range(8)))
    late = {at: demand for at, demand in found.items() if 600 <= at < 900}
    assert len(late) >= 25
    for at, demand in late.items():
        assert demand == pytest.approx(1.6 * at / 900, abs=0.03), at


def test_the_demand_goes_on_from_counters_that_are_read_right_at_the_border() -> None:
    derive = house()
    points = play(derive, 0, 14)
    values = counters(BORDER).values
    points += derive.feed(reading(values, BORDER, Job.SLOW, late_ms=0))
    points += derive.feed(fast(BORDER + 5 * FAST_MS, kilowatts=4.0))
    assert demands(points)[950] == 0.0


def test_who_begins_in_a_quarter_hour_does_not_know_its_demand() -> None:
    """Neither from counters that were first read in it, nor before both were read."""
    assert not [at for at in demands(play(house(), 5, 15)) if at < 900]
    derive = house()
    only = {IMPORT_TOTAL: Decimal(100)}
    points = derive.feed(reading(only, T0 + 14 * MINUTE, Job.SLOW))
    points += derive.feed(reading({EXPORT_TOTAL: Decimal(50)}, BORDER + 5000, Job.SLOW))
    for offset in range(200_000, 400_000, FAST_MS):
        points += derive.feed(fast(BORDER + offset, kilowatts=4.0))
    assert not demands(points)


def test_the_demand_of_a_quarter_hour_that_the_clock_was_moved_into_is_not_known() -> None:
    """What the counters count from the step on is not all that was drawn since its beginning."""
    derive = house()
    play(derive, 0, 37)
    before, after = T0 + 37 * MINUTE, T0 + 46 * MINUTE
    derive.clock_step(Step(before, after))
    assert not demands(play(derive, 46, 60, away=range(46, 52)))


def test_a_quarter_hour_ends_without_power_once_that_is_late() -> None:
    derive = house()
    points = play(derive, 0, 15)
    points += derive.feed(counters(BORDER))
    points += derive.tick(BORDER + 3 * FAST_MS)
    assert times(points) == []
    assert times(derive.tick(BORDER + 3 * FAST_MS + 1)) == [0.0]


def test_a_tariff_that_is_not_read_is_waited_for_three_readings_long() -> None:
    derive = house()
    points = play(derive, 0, 15)
    points += derive.feed(totals(BORDER))
    points += derive.feed(fast(BORDER + 200, kilowatts=1.0))
    until_ms = BORDER + 90_000 + 3 * MINUTE
    points += derive.tick(until_ms - 1)
    assert times(points) == []
    (quarter,) = of(derive.tick(until_ms), "energy_15m")
    assert quarter.fields["import"] == pytest.approx(0.75)
    assert "import_t2" not in quarter.fields


def test_a_step_of_the_clock_ends_at_the_last_reading_of_any_counter() -> None:
    """A tariff was not read for a while before."""
    derive = house()
    points = play(derive, 0, 20)
    for minute in range(20, 37):
        points += derive.feed(totals(T0 + minute * MINUTE))
        points += derive.feed(fast(T0 + minute * MINUTE + 200, kilowatts=1.0))
    points += derive.tick(T0 + 36 * MINUTE + 30_000)
    points += derive.clock_step(Step(T0 + 37 * MINUTE, T0 + 40 * MINUTE))
    points += play(derive, 40, 61)
    assert times(points) == [0.0, 900.0, 1800.0, 1800.001, 2700.0]


@pytest.mark.parametrize("size_min", [-40, -2, 3])
def test_no_quarter_hour_replaces_another_behind_a_step_and_a_restart(size_min: int) -> None:
    derive = house()
    points = play(derive, 0, 37)
    moved = T0 + (37 + size_min) * MINUTE
    points += derive.clock_step(Step(T0 + 37 * MINUTE, moved))
    kept = json.loads(json.dumps(derive.state(stopping=True)))
    derive = house()
    assert derive.restore(kept)
    hours = 3.0 * (37 / 60), 1.5 * (37 / 60)
    for minute in range(46):
        at_ms = moved + minute * MINUTE
        drawn, fed = 100 + hours[0] + minute / 20, 50 + hours[1] + minute / 40
        points += derive.feed(slow(at_ms, round(drawn, 4), round(fed, 4)))
        points += derive.feed(fast(at_ms + 200, kilowatts=1.5))
        points += derive.tick(at_ms + 50_000)
    found = times(points)
    assert len(found) >= 5
    assert len(found) == len(set(found))


def test_a_swap_at_a_border_leaves_the_quarter_hour_behind_it_sure() -> None:
    derive = house()
    derive.feed(identity(T0 - MINUTE))
    points = play(derive, 0, 15)
    points += derive.feed(identity(BORDER - 5000, serial="30000001"))
    for minute in range(15, 32):
        at_ms = T0 + minute * MINUTE
        points += derive.feed(slow(at_ms, round(7000 + minute / 20, 4), 900.0))
        for offset in range(0, MINUTE, FAST_MS):
            points += derive.feed(fast(at_ms + offset + 200, kilowatts=3.0))
    found = [point.fields["sure"] for point in of(points, "energy_15m")]
    assert found == [False, True]
