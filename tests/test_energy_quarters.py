"""Quarter hours of energy: sums of counters, whatever happens; netting over the phases."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger.derive.clock import Step
from logger.derive.pipeline import Derive
from logger.domain.netting import netted, parts
from logger.domain.quantity import EXPORT_TOTAL, IMPORT_TOTAL
from logger.meter.reading import Reading
from logger.models import Job
from logger.points.line import Point
from tests.derive_rig import T0, fast, identity, info, of, reading, slow

QUARTER = 900_000
MINUTE = 60_000


def house(fast_ms: int = 10_000) -> Derive:
    return Derive([info(fast_ms=fast_ms)], "s")


def counters(at_ms: int, drawn_kw: float = 2.0, fed_kw: float = 0.5) -> tuple[float, float]:
    hours = (at_ms - T0) / 3_600_000
    return round(100 + drawn_kw * hours, 3), round(50 + fed_kw * hours, 3)


def minute(derive: Derive, at_ms: int, kilowatts: float = 1.5, late: int = 0) -> list[Point]:
    """Feed a minute: counters at its beginning, power every ten seconds."""
    points = derive.feed(slow(at_ms + late, *counters(at_ms)))
    for offset in range(0, MINUTE, 10_000):
        points += derive.feed(fast(at_ms + late + offset + 200, kilowatts=kilowatts))
    return points


def quarters(points: Sequence[Point]) -> list[tuple[int, dict[str, Any]]]:
    found = [((p.time_ms - T0) / 1000, dict(p.fields)) for p in of(points, "energy_15m")]
    return [(int(at) if at == int(at) else at, fields) for at, fields in found]  # type: ignore[misc]


def run(derive: Derive, start: int, end: int, kilowatts: float = 1.5) -> list[Point]:
    return [
        point
        for at in range(T0 + start * MINUTE, T0 + end * MINUTE, MINUTE)
        for point in minute(derive, at, kilowatts)
    ]


def test_a_quarter_is_the_difference_of_the_counters_at_its_borders() -> None:
    found = quarters(run(house(), 0, 46))
    assert [at for at, _ in found] == [0, 900, 1800]
    # The counters know 0.5 kWh of import, 0.125 of export; the power came to 0.375 kWh.
    assert found[1][1] == {
        "import": 0.5, "export": 0.125, "import_t1": 0.25, "import_t2": 0.25,
        "import_netted": 0.375, "export_netted": 0.0, "netted_low": 0.375, "netted_high": 0.5,
        "demand": 1.5, "coverage": 1.0, "sure": True,
    }  # fmt: skip
    assert all(fields["sure"] for _, fields in found)


def test_where_only_one_counter_moves_the_power_says_nothing() -> None:
    derive = house()
    points = []
    for at in range(31):
        points += derive.feed(slow(T0 + at * MINUTE, 100 + at / 60, 50.0))
        points += derive.feed(fast(T0 + at * MINUTE, kilowatts=-7.0))
    (_, fields), (_, _) = quarters(points)
    assert (fields["import_netted"], fields["export_netted"]) == (fields["import"], 0.0)


def test_a_missing_reading_at_the_border_is_marked_and_the_sum_stays() -> None:
    derive = house()
    points = run(derive, 0, 14)
    points += run(derive, 18, 46)
    found = quarters(points)
    assert [(at, fields["sure"]) for at, fields in found] == [
        (0, False),
        (900, False),
        (1800, True),
    ]
    assert found[0][1]["import"] + found[1][1]["import"] == pytest.approx(1.0)
    assert found[0][1]["import"] == pytest.approx(0.5, abs=0.001)
    assert found[0][1]["coverage"] == pytest.approx(13.85 / 15, abs=0.01)


def test_a_long_gap_is_divided_by_time_a_part_at_a_time() -> None:
    derive = house()
    points = run(derive, 0, 20)
    after = 40 * 24 * 60
    first = minute(derive, T0 + after * MINUTE)
    assert len(quarters(first)) == 7 * 96  # seven readings, 96 each
    points += first
    while more := derive.tick(T0 + after * MINUTE + 59_000):
        assert len(quarters(more)) <= 96
        points += more
    found = quarters(points)
    assert [at for at, _ in found] == [900 * number for number in range(after // 15)]
    assert [fields["sure"] for _, fields in found] == [True] + [False] * (len(found) - 1)
    drawn = math.fsum(fields["import"] for _, fields in found)
    assert drawn == pytest.approx(counters(T0 + after * MINUTE)[0] - 100)
    assert {round(fields["import"], 6) for _, fields in found[2:-1]} == {0.5}


@pytest.mark.parametrize("size_min", [-40, -7, -2, 3, 25, 100])
def test_a_step_of_the_clock_counts_nothing_twice(size_min: int) -> None:
    derive = house()
    points = run(derive, 0, 37)
    now = T0 + 37 * MINUTE
    size = size_min * MINUTE
    points += derive.clock_step(Step(now, now + size))
    for at in range(now, now + 120 * MINUTE, MINUTE):
        points += minute(derive, at, late=size)
    found = of(points, "energy_15m")
    stamps = [point.time_ms for point in found]
    assert len(stamps) == len(set(stamps)), "no quarter replaces another"
    drawn = math.fsum(float(point.fields["import"]) for point in found)
    # What is not in a quarter yet is what was counted since the last border.
    open_min = (37 + 120 + size_min - 1) % 15
    last = counters(now + 119 * MINUTE)[0] - 100
    assert drawn == pytest.approx(last - 2.0 * open_min / 60, abs=0.002)
    touched = [p for p in found if not p.fields["sure"]]
    assert 1 <= len(touched) <= 2
    assert all(p.time_ms % QUARTER < 10 for p in found)


def test_a_reset_and_a_swap_mark_their_quarter_and_only_that() -> None:
    derive = house(MINUTE)
    derive.feed(identity(T0 - MINUTE))
    points = run(derive, 0, 20)
    for at in range(20, 40):  # it starts again from 0
        points += derive.feed(slow(T0 + at * MINUTE, round((at - 19) / 30, 3), 0.0))
        points += derive.feed(fast(T0 + at * MINUTE, kilowatts=2.0))
    points += derive.feed(identity(T0 + 40 * MINUTE, serial="30000001"))
    for at in range(40, 62):  # another meter
        points += derive.feed(slow(T0 + at * MINUTE, round(7000 + at / 30, 3), 900.0))
        points += derive.feed(fast(T0 + at * MINUTE, kilowatts=2.0))
    found = quarters(points)
    assert [(at, fields["sure"]) for at, fields in found] == [
        (0, True), (900, False), (1800, False), (2700, True),
    ]  # fmt: skip
    assert [round(fields["import"], 2) for _, fields in found] == [0.5, 0.5, 0.47, 0.5]


def test_a_roll_over_is_no_doubt() -> None:
    derive = house(MINUTE)
    derive.feed(identity(T0 - MINUTE))
    points = []
    for at in range(31):
        drawn = round(999_999.5 + at / 30, 2)
        values = {IMPORT_TOTAL: round(drawn % 1_000_000, 2), EXPORT_TOTAL: 12.5}
        points += derive.feed(reading(values, T0 + at * MINUTE, Job.SLOW))
        points += derive.feed(fast(T0 + at * MINUTE, kilowatts=2.0))
    found = quarters(points)
    assert [(at, fields["sure"]) for at, fields in found] == [(0, True), (900, True)]
    assert [fields["import"] for _, fields in found] == [pytest.approx(0.5, abs=0.02)] * 2


def stream(dice: random.Random) -> list[Reading]:
    """Return readings of a few hours: counters every minute, power every twenty seconds, with
    gaps, missing readings, glitches that are held back, export and import in turn."""
    made: list[Reading] = []
    drawn, fed = Decimal("812.40"), Decimal("97.11")
    at = T0 + dice.randrange(90) * 10_000
    for _ in range(dice.randrange(30, 90)):
        at += MINUTE * dice.choice([1] * 12 + [2, 9, 40])
        drawn += dice.randrange(10) * Decimal("0.01")
        fed += dice.randrange(6) * Decimal("0.01")
        shown = drawn / 2 if dice.random() < 0.08 else drawn
        if dice.random() < 0.9:
            made.append(slow(at, float(shown), float(fed)))
        for offset in range(0, MINUTE, 20_000):
            made.append(fast(at + offset + 200, kilowatts=dice.choice([-1.5, -0.2, 0.0, 0.4, 2.0])))
    for minutes in range(1, 20):
        made.append(slow(at + minutes * MINUTE, float(drawn), float(fed)))
    return made


@pytest.mark.parametrize("seed", range(12))
def test_quarters_add_up_to_the_counters_and_a_restart_changes_nothing(seed: int) -> None:
    dice = random.Random(seed)
    readings = stream(dice)
    whole, parted = house(20_000), house(20_000)
    cut = dice.randrange(len(readings))
    kept = whole_points(whole, readings)
    points = whole_points(parted, readings[:cut])
    state = json.loads(json.dumps(parted.state(stopping=dice.random() < 0.5)))
    again = house(20_000)
    assert again.restore(state)
    points += whole_points(again, readings[cut:])
    assert of(points, "energy_15m") == of(kept, "energy_15m")
    believed = sorted(
        (p.time_ms, float(p.fields["active_import"]))
        for p in of(kept, "energy")
        if p.tags["phase"] == p.tags["tariff"] == "total" and "active_import" in p.fields
    )
    found = of(kept, "energy_15m")
    assert [b.time_ms - a.time_ms for a, b in pairwise(found)] == [QUARTER] * (len(found) - 1)
    end = found[-1].time_ms + QUARTER
    place = next(number for number, (at, _) in enumerate(believed) if at >= end)
    (since, before), (until, after) = believed[place - 1], believed[place]
    exact = until - end < 90_000
    level = after if exact else before + (after - before) * (end - since) / (until - since)
    drawn = math.fsum(float(p.fields["import"]) for p in found)
    assert drawn == pytest.approx(level - believed[0][1], abs=1e-6)
    for point in found:
        fields = {name: float(value) for name, value in point.fields.items()}
        net = fields["import"] - fields["export"]
        assert fields["import_netted"] - fields["export_netted"] == pytest.approx(net, abs=1e-9)
        assert max(0.0, net) - 1e-9 <= fields["netted_low"] <= fields["import_netted"] + 1e-9
        assert fields["import_netted"] <= fields["netted_high"] <= fields["import"] + 1e-9
        assert fields["demand"] == pytest.approx(4 * fields["import_netted"])
        assert 0 <= fields["coverage"] <= 1


def whole_points(derive: Derive, readings: Sequence[Reading]) -> list[Point]:
    return [point for one in readings for point in derive.feed(one)]


@pytest.mark.parametrize("counter", ["active_import", "active_export"])
def test_a_meter_of_which_one_counter_is_lacking_at_first(counter: str) -> None:
    """A block of it was refused, or is not believed yet: power comes, the clock steps."""
    derive, now = house(), T0 + MINUTE
    other = {"active_import": "active_export", "active_export": "active_import"}[counter]
    one = reading({f"{other}/total/total": 1000.25}, now, Job.SLOW)
    points = derive.feed(one) + derive.feed(fast(now + 10_000))
    again = reading({f"{other}/total/total": 1000.5}, now + MINUTE, Job.SLOW)
    points += derive.feed(again) + derive.feed(fast(now + MINUTE + 10_000))
    points += derive.clock_step(Step(now + 2 * MINUTE, now + 62 * MINUTE))
    assert quarters(points) == []
    points = run(derive, 75, 106)
    assert [(at, fields["import"], fields["sure"]) for at, fields in quarters(points)] == [
        (4500, 0.5, False), (5400, 0.5, True),
    ]  # fmt: skip


kwh = st.decimals(min_value=0, max_value=5, places=2)
energy = st.floats(min_value=0, max_value=5)


@given(kwh, kwh, energy, energy, st.floats(min_value=0, max_value=1))
def test_netting_keeps_the_difference_and_the_bounds(
    drawn: Decimal, fed: Decimal, positive: float, negative: float, coverage: float
) -> None:
    net = netted(drawn, fed, positive, negative, coverage)
    assert net.drawn - net.fed == drawn - fed
    assert net.low == max(Decimal(0), drawn - fed) <= net.drawn <= net.high <= drawn
    assert net.fed >= 0


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(3.0, 1.0, (2.0, 0.0)), (-3.0, -1.0, (0.0, 2.0)), (3.0, -1.0, (1.125, 0.125)),
     (-1.0, 3.0, (1.125, 0.125)), (0.0, 0.0, (0.0, 0.0)), (0.0, -2.0, (0.0, 1.0))],
)  # fmt: skip
def test_power_on_a_straight_line_is_parted_where_it_meets_zero(
    before: float, after: float, expected: tuple[float, float]
) -> None:
    assert parts(before, after, 3_600_000) == pytest.approx(expected)
