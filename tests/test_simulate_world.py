"""The virtual household: physics that agree, the same for the same seed."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.domain.errors import SimulationError
from logger.simulate import Incident, Trouble, virtual_site
from logger.simulate.appliances import DAY_S, segments
from logger.simulate.sky import sun_height
from logger.simulate.snapshot import Snapshot
from logger.simulate.world import World

NOON = datetime(2026, 6, 21, 11, 40, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2026, 6, 21, 23, 40, tzinfo=UTC).timestamp()
WORLD = World(7)
SITE = virtual_site(7, start=NOON, meters={1: "grid", 2: "pv", 3: "load"})
times = st.floats(min_value=1.6e9, max_value=1.9e9)


def close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)


def snapshots(at: float) -> list[Snapshot]:
    return [meter.snapshot(at) for meter in SITE.meters]


@given(times)
def test_each_phase_obeys_the_power_triangle(at: float) -> None:
    for now in snapshots(at):
        for phase in (1, 2, 3):
            active, reactive = now.active_power(phase), now.reactive_power(phase)
            apparent, factor = now.apparent_power(phase), now.power_factor(phase)
            assert close(active, now.voltage[phase - 1] * now.current(phase) * factor)
            assert close(apparent**2, active**2 + reactive**2)
            assert close(apparent, now.voltage[phase - 1] * abs(now.current(phase)))
            assert 0 <= factor <= 1
            assert math.copysign(1, now.current(phase)) == math.copysign(1, active)


@given(times)
def test_totals_are_sums(at: float) -> None:
    for now in snapshots(at):
        assert close(now.active_power(None), sum(map(now.active_power, (1, 2, 3))))
        assert close(now.reactive_power(None), sum(map(now.reactive_power, (1, 2, 3))))
        assert close(now.apparent_power(None), sum(map(now.apparent_power, (1, 2, 3))))
        total = abs(now.active_power(None)) / now.apparent_power(None)
        assert close(now.power_factor(None), total)


@given(times)
def test_the_grid_meter_sees_load_and_pv(at: float) -> None:
    grid, pv, load = snapshots(at)
    assert grid.voltage == pv.voltage == load.voltage
    for phase in (1, 2, 3):
        assert close(grid.active_power(phase), load.active_power(phase) + pv.active_power(phase))
        assert close(
            grid.reactive_power(phase), load.reactive_power(phase) + pv.reactive_power(phase)
        )
        assert load.active_power(phase) > 0


@given(times)
def test_the_supply_is_a_healthy_one(at: float) -> None:
    moment = WORLD.moment(at)
    assert abs(moment.frequency - 50) <= 0.05
    assert all(207 <= volts <= 253 for volts in moment.voltage)


@given(times, st.lists(times, max_size=4))
def test_the_order_of_questions_does_not_matter(at: float, others: list[float]) -> None:
    fresh = World(11).moment(at)
    asked = World(11)
    for other in others:
        asked.moment(other)
    assert asked.moment(at) == fresh


def test_a_seed_gives_the_same_day_twice_and_another_seed_another() -> None:
    def day(seed: int) -> list[object]:
        world = World(seed)
        return [world.moment(NOON + 97.0 * step) for step in range(200)]

    assert day(3) == day(3)
    assert all(one != other for one, other in zip(day(3), day(4), strict=True))


def test_the_same_values_on_every_machine() -> None:
    moment = World(5).moment(1_782_042_000.25)
    assert [round(volts, 4) for volts in moment.voltage] == [230.5888, 229.6118, 230.0191]
    assert [round(power, 3) for power in moment.grid] == [
        -323.742,
        -382.156,
        -287.109,
        -73.909,
        6.329,
        -47.946,
    ]


def test_the_sun_rises_and_sets() -> None:
    # Solar noon at 5.2 degrees east on midsummer: 90 - 52.1 + 23.44 degrees high.
    assert math.degrees(math.asin(sun_height(NOON, 52.1, 5.2))) == pytest.approx(61.34, abs=0.05)
    assert sun_height(MIDNIGHT, 52.1, 5.2) < 0
    assert all(World(seed).moment(NOON).pv[0] < -100 for seed in range(9))
    assert all(World(seed).moment(MIDNIGHT).pv[0] > 0 for seed in range(9))


def test_clouds_make_days_differ() -> None:
    output = [-sum(WORLD.moment(NOON + day * DAY_S).pv[:3]) for day in range(40)]
    assert max(output) > 3 * min(output)


def test_export_lifts_the_voltage() -> None:
    at, more = NOON + 0.5, 6000.0
    quiet = World(7, incidents=[Incident(kind=Trouble.PV, start=at, end=at + 1, value=0.0)])
    sunny = World(7, incidents=[Incident(kind=Trouble.PV, start=at, end=at + 1, value=more)])
    for low, high in zip(quiet.moment(at).voltage, sunny.moment(at).voltage, strict=True):
        assert 1 < high - low < 4


@given(st.integers(min_value=18000, max_value=22000), st.integers(min_value=0, max_value=99))
@settings(max_examples=20)
def test_the_segments_of_a_day_leave_no_hole(day: int, seed: int) -> None:
    cut = segments(seed, day)
    assert cut[0].start == day * DAY_S
    assert cut[-1].end == (day + 1) * DAY_S
    assert all(one.end == other.start for one, other in pairwise(cut))
    assert all(segment.start < segment.end for segment in cut)


def test_the_car_charges_past_midnight_on_some_days() -> None:
    at_midnight = [segments(1, day)[0].active[2] for day in range(20600, 20660)]
    assert 3 < sum(power > 3600 for power in at_midnight) < 40


def incident(kind: Trouble, phase: int | None = None, value: float | None = None) -> World:
    return World(
        7, incidents=[Incident(kind=kind, start=NOON, end=NOON + 60, phase=phase, value=value)]
    )


def test_incidents_last_from_start_to_just_before_end() -> None:
    world = incident(Trouble.VOLTAGE, phase=1, value=256.0)
    assert world.moment(NOON - 0.01).voltage[0] != 256
    assert world.moment(NOON).voltage[0] == 256
    assert world.moment(NOON + 59.99).voltage[0] == 256
    assert world.moment(NOON + 60) == WORLD.moment(NOON + 60)


def test_a_lost_phase_carries_nothing_and_stops_the_inverter() -> None:
    moment = incident(Trouble.PHASE_LOST, phase=2).moment(NOON + 1)
    assert moment.voltage[1] == 0
    assert min(moment.voltage[0], moment.voltage[2]) > 207
    assert moment.grid[1] == moment.grid[4] == 0
    assert moment.pv == (0, 0, 0, 0, 0, 0)
    assert moment.load[0] == WORLD.moment(NOON + 1).load[0]
    now = Snapshot(moment.voltage, moment.frequency, moment.grid)
    assert (now.current(2), now.power_factor(2)) == (0, 0)


def test_mains_off_is_nothing_at_all() -> None:
    moment = incident(Trouble.MAINS_OFF).moment(NOON + 1)
    assert moment.voltage == (0, 0, 0)
    assert moment.grid == moment.load == moment.pv == (0, 0, 0, 0, 0, 0)


def test_more_load_and_scripted_production_and_frequency() -> None:
    plain = WORLD.moment(NOON + 1)
    loaded = incident(Trouble.LOAD, phase=3, value=1234.0).moment(NOON + 1)
    assert loaded.load[2] - plain.load[2] == pytest.approx(1234)
    assert loaded.grid[2] - plain.grid[2] == pytest.approx(1234)
    assert sum(incident(Trouble.PV, value=5000.0).moment(NOON + 1).pv[:3]) == pytest.approx(-5000)
    assert incident(Trouble.FREQUENCY, value=47.4).moment(NOON + 1).frequency == 47.4


@pytest.mark.parametrize(
    ("kind", "phase", "value"),
    [
        (Trouble.VOLTAGE, 1, None),
        (Trouble.LOAD, None, 5.0),
        (Trouble.PHASE_LOST, None, None),
        (Trouble.PHASE_LOST, 4, None),
        (Trouble.METER_SILENT, None, None),
    ],
)
def test_an_incomplete_incident_is_refused(
    kind: Trouble, phase: int | None, value: float | None
) -> None:
    with pytest.raises(SimulationError, match=kind.value):
        Incident(kind=kind, start=1.0, end=2.0, phase=phase, value=value)
    with pytest.raises(SimulationError, match="ends before"):
        Incident(kind=Trouble.MAINS_OFF, start=2.0, end=2.0)
