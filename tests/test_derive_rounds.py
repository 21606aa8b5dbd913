"""Rounds and windows at their edges: what comes late, twice, or not at all."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal

import pytest

from logger.derive.clock import Step
from logger.derive.flows import SiteFlows
from logger.derive.pipeline import Derive
from logger.derive.windows import Window, Windows
from logger.domain.records import SiteFlow
from logger.meter.reading import Reading
from logger.models import Job
from logger.points.line import Point
from tests.derive_rig import T0, fast, info, of, reading, slow

SECOND, MINUTE, TEN_MINUTES = 1000, 60_000, 600_000
HELD_MS = 2000  # what is read may be held for so long


def flows_of(fast_ms: int = 1000, slow_ms: int = 60_000) -> SiteFlows:
    """Return the flows of a house with one PV meter."""
    known = [info("house", "grid", fast_ms, slow_ms), info("roof", "pv", fast_ms, slow_ms)]
    return SiteFlows(known)


def grid(watts: int, at_ms: int = T0, late_ms: int = 300) -> Reading:
    values = {"active_power/total": Decimal(watts) / 1000}
    return reading(values, at_ms, Job.FAST, "house", "grid", late_ms)


def roof(watts: int, at_ms: int = T0, late_ms: int = 300) -> Reading:
    values = {"active_power/total": Decimal(-watts) / 1000}
    return reading(values, at_ms, Job.FAST, "roof", "pv", late_ms)


def counted(number: int, drawn: str, fed: str, made: str, flows: SiteFlows) -> SiteFlow:
    at = T0 + MINUTE * number
    for meter, role, values in (("house", "grid", (drawn, fed)), ("roof", "pv", ("0", made))):
        registers = ("active_import/total/total", "active_export/total/total")
        exact = dict(zip(registers, map(Decimal, values), strict=True))
        found = flows.feed(reading(exact, at, Job.SLOW, meter, role))
    (point,) = found
    return point


def loads(points: list[SiteFlow]) -> list[object]:
    return [point.values.get("load_power") for point in points]


def test_a_round_that_comes_twice_gives_one_point() -> None:
    flows = flows_of()
    flows.feed(grid(700))
    assert loads(flows.feed(roof(300))) == [1000]
    assert flows.feed(grid(700)) + flows.feed(roof(300)) == []
    assert flows.tick(T0 + MINUTE) == []
    flows.feed(grid(800, T0 + SECOND))
    assert loads(flows.feed(roof(300, T0 + SECOND))) == [1100]


def test_a_round_that_comes_late_is_passed_over() -> None:
    flows = flows_of()
    flows.feed(grid(700, T0 + SECOND))
    assert loads(flows.feed(roof(300, T0 + SECOND))) == [1000]
    assert flows.feed(grid(800, T0)) + flows.feed(roof(300, T0)) == []
    assert flows.tick(T0 + MINUTE) == []


def test_a_value_that_comes_twice_in_a_round_replaces_the_first() -> None:
    flows = flows_of()
    flows.feed(grid(700))
    flows.feed(grid(750, late_ms=900))
    (point,) = flows.feed(roof(300, late_ms=600))
    assert point.values["load_power"] == 1050
    assert point.at_ms == T0 + 900  # that of the last reading of the round


def test_the_jobs_have_rounds_of_their_own() -> None:
    flows = flows_of()
    flows.feed(grid(700))
    assert len(flows.feed(roof(300))) == 1
    assert counted(0, "10", "1", "5", flows).values["load_energy"] == 14
    assert flows.feed(reading({}, T0 + SECOND, Job.IDENTITY)) == []


def test_a_complete_round_closes_the_ones_before_it_and_not_the_ones_after() -> None:
    flows = flows_of()
    flows.feed(grid(100))
    flows.feed(grid(300, T0 + 2 * SECOND))
    flows.feed(grid(200, T0 + SECOND))
    points = flows.feed(roof(50, T0 + SECOND))
    assert [point.values["grid_power"] for point in points] == [100, 200]
    assert loads(flows.feed(roof(50, T0 + 2 * SECOND))) == [350]


@pytest.mark.parametrize(
    ("fast_ms", "late_ms", "counts"),
    [(1000, 1999, True), (1000, 2000, False), (5000, 4999, True), (5000, 5000, False)],
)
def test_a_reading_counts_until_the_next_round_is_due(
    fast_ms: int, late_ms: int, counts: bool
) -> None:
    """And for two seconds where the rounds are shorter."""
    flows = flows_of(fast_ms)
    flows.feed(grid(700))
    assert bool(flows.feed(roof(300, late_ms=late_ms))) is counts


def test_counters_count_until_the_next_round_of_counters() -> None:
    for late_ms, counts in ((59_999, True), (60_000, False)):
        flows = flows_of()
        for meter, role in (("house", "grid"), ("roof", "pv")):
            one = slow(T0, 10.5, 4.25, meter, role)
            late = reading(one.values, T0, Job.SLOW, meter, role, late_ms)
            found = flows.feed(late if meter == "roof" else one)
        assert bool(found) is counts


def test_a_round_waits_for_one_interval_by_the_clock_and_what_is_held() -> None:
    flows = flows_of(fast_ms=2000)
    flows.feed(grid(100))
    flows.feed(grid(200, T0 + 2000))
    assert flows.tick(T0 + 2000 + HELD_MS) == []
    (first,) = flows.tick(T0 + 2001 + HELD_MS)
    assert first.values == {"grid_power": 100.0}
    (second,) = flows.tick(T0 + MINUTE)
    assert second.values == {"grid_power": 200.0}
    assert flows.tick(T0 + MINUTE) == []


def test_counters_wait_for_their_own_interval() -> None:
    flows = flows_of()
    flows.feed(slow(T0, 10.5, 4.25, "house", "grid"))
    assert flows.tick(T0 + MINUTE + HELD_MS) == []
    (point,) = flows.tick(T0 + MINUTE + 1 + HELD_MS)
    assert point.values == {"grid_import": 10.5, "grid_export": 4.25}


def test_at_most_eight_rounds_wait_for_a_meter() -> None:
    flows = flows_of()
    for number in range(8):
        assert flows.feed(grid(number, T0 + SECOND * number)) == []
    (point,) = flows.feed(grid(8, T0 + 8 * SECOND))
    assert point.values == {"grid_power": 0.0}
    (point,) = flows.feed(grid(9, T0 + 9 * SECOND))
    assert point.values == {"grid_power": 1.0}


def test_a_moved_clock_forgets_open_rounds_and_lets_earlier_ones_come() -> None:
    flows = flows_of()
    flows.feed(grid(100))
    flows.feed(roof(50))
    flows.feed(grid(200, T0 + SECOND))
    flows.clock_step()
    back = T0 - 3_600_000
    flows.feed(grid(300, back))
    assert loads(flows.feed(roof(50, back))) == [350]
    assert flows.tick(T0 + MINUTE) == []


def test_self_consumption_is_not_clamped() -> None:
    """Meters are read one after the other: for a moment more goes out than is produced."""
    flows = flows_of()
    flows.feed(grid(-1000))
    (point,) = flows.feed(roof(900))
    assert point.values["self_consumption_power"] == -100
    flows.feed(grid(-899, T0 + SECOND))
    (point,) = flows.feed(roof(900, T0 + SECOND))
    assert point.values["self_consumption_power"] == 1


def test_differences_of_counters_are_written_as_they_are() -> None:
    flows = flows_of()
    first = counted(0, "10", "2", "5", flows)
    second = counted(1, "10", "2.001", "5", flows)  # the PV meter was read before
    assert (first.values["self_consumed"], first.values["load_energy"]) == (3, 13)
    assert (second.values["self_consumed"], second.values["load_energy"]) == (2.999, 12.999)
    assert second.values["grid_export"] == 2.001
    restarted = flows_of()
    restarted.restore(json.loads(json.dumps(flows.state())))
    assert counted(2, "10", "2.002", "5", restarted).values["self_consumed"] == 2.998
    assert counted(3, "10", "2.002", "5.5", restarted).values["self_consumed"] == 3.498


def test_a_battery_is_charged_and_discharged_by_its_own_counters() -> None:
    known = [info("house", "grid"), info("roof", "pv"), info("cellar", "battery")]
    flows = SiteFlows(known)
    keys = ("active_import/total/total", "active_export/total/total")
    given = {"house": ("100", "20"), "roof": ("0", "60"), "cellar": ("7", "4")}
    for one in known:
        values = dict(zip(keys, map(Decimal, given[one.name]), strict=True))
        found = flows.feed(reading(values, T0, Job.SLOW, one.name, one.role))
    assert found[0].values["load_energy"] == 100 + 60 - 20 + 4 - 7
    assert found[0].values["battery_charge"] == 7
    assert found[0].values["battery_discharge"] == 4


def test_a_meter_that_changes_its_role_keeps_what_it_counted_for_the_old_one() -> None:
    known = [info("house", "grid"), info("roof", "pv"), info("shed", "pv")]
    flows = SiteFlows(known)
    keys = ("active_import/total/total", "active_export/total/total")

    def energy(flows: SiteFlows, number: int, **fed: str) -> SiteFlow:
        for name, value in fed.items():
            values = dict(zip(keys, (Decimal(0), Decimal(value)), strict=True))
            found = flows.feed(reading(values, T0 + MINUTE * number, Job.SLOW, name, "any"))
        (point,) = found
        return point

    assert energy(flows, 0, house="1", roof="60", shed="5").values["pv_energy"] == 65
    changed = SiteFlows([*known[:2], info("shed", "battery")])
    changed.restore(json.loads(json.dumps(flows.state())))
    assert energy(changed, 1, house="1", roof="61", shed="9").values["pv_energy"] == 66
    again = SiteFlows(known[:2])
    again.restore(json.loads(json.dumps(changed.state())))
    assert energy(again, 2, house="1", roof="62").values["pv_energy"] == 67


def test_only_meters_of_the_balance_are_waited_for() -> None:
    known = [info("house", "grid"), info("roof", "pv"), info("heater", "load")]
    flows = SiteFlows(known)
    heater = reading({"active_power/total": 2.0}, T0, Job.FAST, "heater", "load")
    assert flows.feed(grid(700)) == []
    assert loads(flows.feed(roof(300))) == [1000]
    assert flows.feed(heater) == []


def test_a_reading_without_the_register_does_not_count() -> None:
    flows = flows_of()
    flows.feed(grid(700))
    assert flows.feed(reading({"voltage/L1": 230.0}, T0, Job.FAST, "roof", "pv")) == []
    one = reading({"active_import/total/total": 10.0}, T0, Job.SLOW, "house", "grid")
    assert flows.feed(one) == []
    (point,) = flows.tick(T0 + 2 * MINUTE)
    assert point.values == {"grid_power": 700.0}


def test_the_slowest_meter_is_given_its_time() -> None:
    flows = SiteFlows([info("house", "grid", 1000), info("roof", "pv", 5000)])
    flows.feed(grid(100))
    assert flows.tick(T0 + 5000 + HELD_MS) == []
    assert len(flows.tick(T0 + 5001 + HELD_MS)) == 1


def test_rounds_that_close_together_come_out_in_order() -> None:
    flows = flows_of()
    flows.feed(grid(200, T0 + SECOND))
    flows.feed(grid(100, T0))
    assert [point.at_ms - T0 for point in flows.tick(T0 + MINUTE)] == [300, 1300]


def test_counters_without_the_grid_meter_or_one_of_the_others_say_less() -> None:
    known = [info("house", "grid"), info("roof", "pv"), info("shed", "pv")]
    known.append(info("cellar", "battery"))
    flows = SiteFlows(known)

    def fields(number: int, *names: str) -> set[str]:
        for one in known:
            if one.name in names:
                flows.feed(slow(T0 + MINUTE * number, 10.0, 4.0, one.name, one.role))
        (point,) = flows.tick(T0 + MINUTE * (number + 2))
        return set(point.values)

    stored = {"battery_charge", "battery_discharge"}
    assert fields(0, "roof", "shed", "cellar") == {"pv_energy", *stored}
    assert fields(10, "house", "shed") == {"grid_import", "grid_export"}
    both = {"grid_import", "grid_export", "pv_energy", "self_consumed"}
    assert fields(20, "house", "roof", "shed") == both


def test_a_battery_that_is_replaced_keeps_its_share_and_the_new_one_begins_with_none() -> None:
    def energies(flows: SiteFlows, number: int, battery: str, drawn: float, fed: float) -> float:
        at = T0 + MINUTE * number
        flows.feed(slow(at, 100.0, 20.0, "house", "grid"))
        flows.feed(slow(at, 0.0, 60.0, "roof", "pv"))
        (point,) = flows.feed(slow(at, drawn, fed, battery, "battery"))
        return float(point.values["load_energy"])

    first = [info("house", "grid"), info("roof", "pv"), info("cellar", "battery")]
    flows = SiteFlows(first)
    assert energies(flows, 0, "cellar", 7.0, 9.0) == 100 + 60 - 20 + 9 - 7
    for number, name in enumerate(("barn", "shed"), 1):
        replaced = SiteFlows([*first[:2], info(name, "battery")])
        replaced.restore(json.loads(json.dumps(flows.state())))
        flows = replaced
        assert energies(flows, 2 * number, name, 50.0, 30.0) == 142
    assert energies(flows, 7, "shed", 50.0, 31.5) == 143.5
    assert energies(flows, 8, "shed", 51.0, 33.0) == 144


def minute_of(points: list[Point]) -> list[tuple[int, object]]:
    return [
        (point.time_ms - T0, point.fields["samples"])
        for point in of(points, "power_1m")
        if point.tags["phase"] == "total"
    ]


def test_a_window_is_kept_open_five_seconds_for_a_late_sample() -> None:
    derive = Derive([info()], "s")
    derive.feed(fast(T0))
    assert minute_of(derive.tick(T0 + MINUTE + 4999)) == []
    assert minute_of(derive.feed(fast(T0 + 59_000))) == []
    assert minute_of(derive.tick(T0 + MINUTE + 5000)) == [(0, 2)]
    assert minute_of(derive.tick(T0 + 2 * MINUTE)) == []


def test_a_sample_belongs_to_the_window_that_begins_with_it() -> None:
    derive = Derive([info()], "s")
    for taken in (T0, T0 + MINUTE - 1, T0 + MINUTE, T0 + 2 * MINUTE):
        derive.feed(fast(T0 - 300 + (taken - T0)))
    assert minute_of(derive.tick(T0 + 2 * MINUTE + 5000)) == []
    assert minute_of(derive.tick(T0 + 4 * MINUTE)) == [(2 * MINUTE, 1)]
    again = Derive([info()], "s")
    points = [
        point
        for taken in (T0, T0 + MINUTE - 1, T0 + MINUTE)
        for point in again.feed(fast(T0 - 300 + (taken - T0)))
    ]
    assert minute_of(points) == [(0, 2)]


def test_what_comes_too_late_for_its_window_belongs_to_none() -> None:
    derive = Derive([info()], "s")
    derive.feed(fast(T0))
    derive.tick(T0 + MINUTE + 5000)
    points = derive.feed(fast(T0 + 59_000))  # closed by the clock
    points += derive.feed(fast(T0 + MINUTE))  # which is open
    points += derive.tick(T0 + 3 * MINUTE)
    assert minute_of(points) == [(MINUTE, 1)]


def test_windows_of_many_meters_are_closed_a_few_at_a_time() -> None:
    names = [f"m{number:03d}" for number in range(120)]
    derive = Derive([info(name, "load") for name in names], "s")
    for name in names:
        derive.feed(fast(T0, meter=name, role="load"))
    now = T0 + MINUTE + 5000
    closed = [[p.tags["meter"] for p in of(derive.tick(now), "power_1m")] for _ in range(4)]
    assert [len(set(part)) for part in closed] == [50, 50, 20, 0]
    assert set(itertools.chain.from_iterable(closed)) == set(names)


def test_a_step_of_the_clock_spoils_the_window_that_is_open_and_the_one_it_leads_into() -> None:
    derive = Derive([info()], "s")
    points: list[Point] = []
    for second in range(600):
        points += derive.feed(fast(T0 + SECOND * second))
    points += derive.tick(T0 + TEN_MINUTES + 5000)  # none is open any more
    points += derive.clock_step(Step(T0 + TEN_MINUTES + 5000, T0 + TEN_MINUTES + 6000))
    for second in range(606, 1801):
        points += derive.feed(fast(T0 + SECOND * second))
    valid = [
        point.fields["valid"]
        for point in of(points, "quality_voltage")
        if point.tags["phase"] == "L1"
    ]
    assert valid == [True, False, True]


def test_a_window_that_had_enough_samples_before_the_step_is_not_whole_either() -> None:
    derive = Derive([info()], "s")
    for second in range(599):
        derive.feed(fast(T0 + SECOND * second))
    closed = of(derive.clock_step(Step(T0 + 599 * SECOND, T0 + 700 * SECOND)), "quality_voltage")
    assert [point.fields["samples"] for point in closed] == [599] * 3
    assert [point.fields["valid"] for point in closed] == [False] * 3


def test_two_samples_of_the_moment_in_which_a_window_begins_are_of_this_window() -> None:
    windows = Windows(MINUTE, "/".join, lambda text: (text, ""))
    begun, closed = windows.at("house", T0)
    assert windows.at("house", T0) == (begun, None)
    assert closed is None


def test_a_window_without_a_sample_is_not_valid_even_if_none_was_due() -> None:
    between = Window(T0 + TEN_MINUTES)  # read once an hour
    assert not between.valid(0, TEN_MINUTES, 60 * MINUTE)
    assert between.valid(1, TEN_MINUTES, 60 * MINUTE)


@pytest.mark.parametrize(
    "sums", [[0, 1.0, 1.0, 1.0], [1, -1.0, 1.0, 1.0], [-1, 1.0, 1.0, 1.0]], ids=str
)
def test_sums_that_no_samples_make_are_refused(sums: list[float]) -> None:
    saved = Derive([info()], "s")
    saved.feed(fast(T0))
    state = json.loads(json.dumps(saved.state(stopping=True)))
    minute = state["minutes"]["house"]
    (key, *_) = minute[1]
    minute[1][key] = sums
    assert not Derive([info()], "s").restore(state)
    minute[1][key] = [1, 0.0, 0.0, 0.0]
    assert Derive([info()], "s").restore(state)


def test_a_window_that_a_step_spoilt_stays_so_over_a_restart() -> None:
    derive, restarted = Derive([info()], "s"), Derive([info()], "s")
    derive.feed(fast(T0))
    derive.clock_step(Step(T0 + SECOND, T0 + 2 * SECOND))
    for second in range(3, 300):
        derive.feed(fast(T0 + SECOND * second))
    assert restarted.restore(json.loads(json.dumps(derive.state(stopping=True))))
    for second in range(300, 600):
        restarted.feed(fast(T0 + SECOND * second))
    valid = [p.fields["valid"] for p in of(restarted.tick(T0 + MINUTE * 11), "quality_voltage")]
    assert valid == [False] * 3
