"""Energy of virtual meters: power added up, whoever asks and however often."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.domain.errors import SimulationError
from logger.simulate import Incident, Trouble
from logger.simulate.ledger import Books, Ledger, Schedule
from logger.simulate.snapshot import Snapshot
from logger.simulate.world import World

# A Thursday in June; 23 hours later it is Friday 07:00.
MORNING = datetime(2026, 6, 18, 8, 0, tzinfo=UTC).timestamp()
QUANTITIES = (
    *("active_import", "active_export", "reactive_import", "reactive_export"),
    *("reactive_q1", "reactive_q2", "reactive_q3", "reactive_q4", "net_import", "net_export"),
)


def books(seed: int = 7, step_s: int = 1, *incidents: Incident) -> tuple[Books, Ledger, Ledger]:
    opened = Books(World(seed, incidents=incidents), MORNING, step_s)
    return opened, opened.open(Ledger("grid")), opened.open(Ledger("pv"))


def sums(ledger: Ledger) -> list[float]:
    phased = [name for name in QUANTITIES if not name.startswith("net")]
    return [
        ledger.energy(name, phase, tariff)
        for tariff in (None, 1, 2)
        for name in phased
        for phase in (None, 1, 2, 3)
    ] + [ledger.energy(name) for name in QUANTITIES]


def test_energy_is_the_sum_of_power() -> None:
    opened, grid, pv = books()
    opened.advance(MORNING + 600)
    flows = [opened.world.flows(MORNING + second + 0.5) for second in range(600)]
    for phase in (0, 1, 2):
        seen = [load[phase] + made[phase] for load, made in flows]
        drawn = sum(power for power in seen if power > 0) / 3.6e6
        fed = -sum(power for power in seen if power < 0) / 3.6e6
        assert grid.energy("active_import", phase + 1) == pytest.approx(drawn, rel=1e-9)
        assert grid.energy("active_export", phase + 1) == pytest.approx(fed, rel=1e-9)
        made_kwh = -sum(made[phase] for _, made in flows) / 3.6e6
        assert pv.energy("active_export", phase + 1) == pytest.approx(made_kwh, rel=1e-9)
    assert grid.energy("active_export") + pv.energy("active_export") > 0.1


def test_reactive_energy_goes_to_its_quadrant() -> None:
    opened, grid, _ = books()
    opened.advance(MORNING + 1800)
    expected = dict.fromkeys((1, 2, 3, 4), 0.0)
    for second in range(1800):
        now = opened.world.moment(MORNING + second + 0.5)
        seen = Snapshot(now.voltage, now.frequency, now.grid)
        for phase in (1, 2, 3):
            expected[seen.quadrant(phase)] += abs(seen.reactive_power(phase)) / 3.6e6
    for quadrant, kvarh in expected.items():
        assert grid.energy(f"reactive_q{quadrant}") == pytest.approx(kvarh, rel=1e-9)
    assert min(expected[2], expected[3]) > 0
    assert grid.energy("reactive_import") == pytest.approx(expected[1] + expected[2])
    assert grid.energy("reactive_export") == pytest.approx(expected[3] + expected[4])


def test_constant_power_gives_the_energy_of_the_textbook() -> None:
    noon = Incident(kind=Trouble.PV, start=MORNING, end=MORNING + 3600, value=6000.0)
    opened, _, pv = books(7, 1, noon)
    opened.advance(MORNING + 3600)
    assert pv.energy("active_export") == pytest.approx(6.0, rel=1e-9)
    assert pv.energy("active_import") == 0


def test_forward_is_not_netted_across_phases() -> None:
    export = Incident(kind=Trouble.PV, start=MORNING, value=3000.0)
    demand = Incident(kind=Trouble.LOAD, start=MORNING, phase=2, value=8000.0)
    opened, grid, _ = books(7, 1, export, demand)
    opened.advance(MORNING + 900)
    assert grid.energy("active_import", 2) > 1.5
    assert grid.energy("active_export", 1) > 0.1
    for name in ("active_import", "active_export"):
        assert grid.energy(name) == pytest.approx(
            sum(grid.energy(name, phase) for phase in (1, 2, 3))
        )
    net = grid.energy("net_import") - grid.energy("net_export")
    both = grid.energy("active_import") - grid.energy("active_export")
    assert net == pytest.approx(both)
    assert grid.energy("net_import") < grid.energy("active_import") - 0.1


@given(st.lists(st.floats(min_value=0, max_value=2 * 86400), max_size=12))
@settings(max_examples=12, deadline=None)
def test_it_does_not_matter_how_often_a_meter_is_asked(stops: list[float]) -> None:
    asked, grid, pv = books(7, 30)
    last: list[float] = [0.0]
    for stop in sorted(stops):
        asked.advance(MORNING + stop)
        now = sums(grid) + sums(pv)
        assert len(last) == 1 or all(one <= other for one, other in zip(last, now, strict=True))
        last = now
    asked.advance(MORNING + 2 * 86400)
    once, grid_once, pv_once = books(7, 30)
    once.advance(MORNING + 2 * 86400)
    assert sums(grid) == sums(grid_once)
    assert sums(pv) == sums(pv_once)


def test_longer_steps_come_close() -> None:
    fine, grid, pv = books(7, 1)
    coarse, grid_coarse, pv_coarse = books(7, 30)
    for each in (fine, coarse):
        each.advance(MORNING + 86400)
    assert pv_coarse.energy("active_export") == pytest.approx(pv.energy("active_export"), rel=2e-3)
    assert grid_coarse.energy("active_import") == pytest.approx(
        grid.energy("active_import"), rel=1e-2
    )


def test_time_never_runs_back() -> None:
    opened, grid, _ = books()
    opened.advance(MORNING + 100)
    before = sums(grid)
    opened.advance(MORNING + 50)
    assert sums(grid) == before
    opened.advance(MORNING + 100.99)  # no further step is complete
    assert sums(grid) == before
    opened.advance(MORNING + 101)
    assert sums(grid) != before


def test_tariffs_switch_by_the_hour() -> None:
    opened, grid, _ = books(7, 30)
    seen = {}
    for hour in range(24):
        before = grid.energy("active_import", None, 1), grid.energy("active_import", None, 2)
        opened.advance(MORNING + (hour + 1) * 3600)
        grew = [
            grid.energy("active_import", None, tariff) > before[tariff - 1] for tariff in (1, 2)
        ]
        exported = grid.energy("active_export") > 0
        assert sum(grew) == 1 or exported
        seen[(8 + hour) % 24] = grid.tariff
    assert {hour for hour, tariff in seen.items() if tariff == 2} == {23, 0, 1, 2, 3, 4, 5, 6}
    total = grid.energy("active_import")
    assert total == pytest.approx(sum(grid.energy("active_import", None, t) for t in (1, 2)))


@pytest.mark.parametrize(
    ("when", "zone", "tariff"),
    [
        ("2026-06-18T06:59:59", "UTC", 2),
        ("2026-06-18T07:00:00", "UTC", 1),
        ("2026-06-18T22:59:59", "UTC", 1),
        ("2026-06-18T23:00:00", "UTC", 2),
        ("2026-06-20T12:00:00", "UTC", 2),  # a Saturday
        ("2026-06-18T05:00:00", "Europe/Amsterdam", 1),  # 07:00 there in summer
        ("2026-01-15T05:59:59", "Europe/Amsterdam", 2),
        ("2026-01-15T06:00:00", "Europe/Amsterdam", 1),
        ("2026-06-18T01:14:59", "Asia/Kathmandu", 2),  # quarters of an hour off
        ("2026-06-18T01:15:00", "Asia/Kathmandu", 1),
    ],
)
def test_the_tariff_follows_the_clock_of_the_zone(when: str, zone: str, tariff: int) -> None:
    at = datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp()
    assert Schedule(zone).tariff(at) == tariff


def test_hours_add_up_to_the_counter() -> None:
    opened, grid, pv = books(7, 30)
    opened.advance(MORNING + 30 * 3600 + 1234)
    for ledger in (grid, pv):
        hours = list(ledger.hours())
        assert [hour.start for hour in hours] == sorted(hour.start for hour in hours)
        for name in QUANTITIES:
            total = sum(hour.energy(name) for hour in hours)
            assert ledger.energy(name) == pytest.approx(total)
            split = sum(
                ledger.between(one, other, name)
                for one, other in pairwise(MORNING + 7200 * step for step in range(17))
            )
            assert split == pytest.approx(total)
    night = grid.between(MORNING + 15 * 3600, MORNING + 23 * 3600, "active_import", tariff=2)
    assert night == pytest.approx(grid.energy("active_import", None, 2))
    assert night > 0
    with pytest.raises(SimulationError, match="whole hours"):
        grid.between(MORNING + 1, MORNING + 3600, "active_import")


def test_a_year_of_two_meters_can_be_computed() -> None:
    opened, grid, pv = books(7, 60)
    opened.advance(MORNING + 365 * 86400)
    made, fed = pv.energy("active_export"), grid.energy("active_export")
    drawn = grid.energy("active_import")
    assert 5000 < made < 12000
    assert 3000 < drawn < 8000
    assert 0.2 < (made - fed) / made < 0.6
    assert all(grid.energy(f"reactive_q{number}") > 50 for number in (1, 2, 3, 4))


@pytest.mark.parametrize("step_s", [0, -1, 7, 1000])
def test_a_step_must_divide_a_quarter_of_an_hour(step_s: int) -> None:
    with pytest.raises(SimulationError, match="does not divide"):
        books(7, step_s)
