"""Site flows against an independent balance: any split of PV, load and battery."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.derive.flows import SiteFlows
from logger.derive.info import MeterInfo
from logger.derive.pipeline import Derive
from logger.derive.registers import Break
from logger.domain.quantity import EXPORT_TOTAL, IMPORT_TOTAL
from logger.domain.records import SiteFlow
from logger.meter.reading import Reading, inverted
from logger.models import Job
from tests.derive_rig import T0, fast, info, of, reading, slow

SECOND = 1000


def site(pvs: int = 2, battery: bool = True) -> list[MeterInfo]:
    made = [info("house", "grid")]
    made += [info(f"roof{n}", "pv") for n in range(pvs)]
    return made + ([info("cellar", "battery")] if battery else [])


def power(meter: str, role: str, watts: float, at_ms: int) -> Reading:
    exact = Decimal(repr(round(watts, 1))) / 1000
    return reading({"active_power/total": exact}, at_ms, Job.FAST, meter, role)


def counters(meter: str, role: str, drawn: Decimal, fed: Decimal, at_ms: int) -> Reading:
    values = {"active_import/total/total": drawn, "active_export/total/total": fed}
    return reading(values, at_ms, Job.SLOW, meter, role)


_WATTS = st.integers(0, 100_000).map(lambda tenths: tenths / 10)


@given(
    load=_WATTS,
    pv=st.lists(_WATTS, min_size=1, max_size=4),
    battery=st.none() | st.integers(-50_000, 50_000).map(lambda tenths: tenths / 10),
)
def test_power_is_the_balance_of_any_split(
    load: float, pv: list[float], battery: float | None
) -> None:
    """The world decides load, PV and battery; the grid meter sees what is left."""
    grid = load - sum(pv) + (battery or 0)
    flows = SiteFlows(site(len(pv), battery is not None))
    found: list[SiteFlow] = []
    readings = [power("house", "grid", grid, T0)]
    readings += [power(f"roof{n}", "pv", -watts, T0) for n, watts in enumerate(pv)]
    if battery is not None:
        readings.append(power("cellar", "battery", battery, T0))
    for one in readings:
        assert found == []
        found += flows.feed(one)
    (point,) = found
    assert point.values["grid_power"] == pytest.approx(grid, abs=0.06)
    assert point.values["pv_power"] == pytest.approx(sum(pv), abs=1e-6)
    assert point.values["load_power"] == pytest.approx(load, abs=0.06)
    export = max(0.0, -grid)
    used = sum(pv) - export
    assert point.values.get("battery_power") == (
        None if battery is None else pytest.approx(battery)
    )
    assert point.values["self_consumption_power"] == pytest.approx(used, abs=0.06)


_KWH = st.integers(0, 5000).map(lambda thousandths: Decimal(thousandths) / 1000)
_HOUR = st.tuples(_KWH, _KWH, _KWH, _KWH)  # load, PV, charge, discharge


@settings(deadline=None)
@given(hours=st.lists(_HOUR, min_size=2, max_size=20), start=st.tuples(_KWH, _KWH, _KWH, _KWH))
def test_energy_is_the_balance_of_any_split(
    hours: list[tuple[Decimal, Decimal, Decimal, Decimal]],
    start: tuple[Decimal, Decimal, Decimal, Decimal],
) -> None:
    """Each hour is netted as a whole by an independent ledger of the world."""
    flows = SiteFlows(site(1))
    house_in, house_out, roof, _ = start
    charged = discharged = Decimal(0)
    points: list[SiteFlow] = []
    total = dict.fromkeys(("load", "pv", "drawn", "fed"), Decimal(0))
    for number, (load, pv, charge, discharge) in enumerate([(Decimal(0),) * 4, *hours]):
        rest = load + charge - pv - discharge
        house_in += max(rest, Decimal(0))
        house_out += max(-rest, Decimal(0))
        roof, charged, discharged = roof + pv, charged + charge, discharged + discharge
        total["load"] += load
        total["pv"] += pv
        total["drawn"] += max(rest, Decimal(0))
        total["fed"] += max(-rest, Decimal(0))
        at = T0 + 60_000 * number
        points += flows.feed(counters("house", "grid", house_in, house_out, at))
        points += flows.feed(counters("roof0", "pv", Decimal("1.5"), roof, at))
        points += flows.feed(counters("cellar", "battery", charged, discharged, at))
    assert len(points) == len(hours) + 1
    for name, expected in {
        "grid_import": total["drawn"],
        "grid_export": total["fed"],
        "pv_energy": total["pv"],
        "load_energy": total["load"],
        "battery_charge": sum((hour[2] for hour in hours), Decimal(0)),
        "battery_discharge": sum((hour[3] for hour in hours), Decimal(0)),
        "self_consumed": total["pv"] - total["fed"],
    }.items():
        moved = float(points[-1].values[name]) - float(points[0].values[name])
        assert moved == pytest.approx(float(expected), abs=1e-9), name


def test_a_missing_meter_makes_its_fields_absent() -> None:
    flows = SiteFlows(site(2, battery=False))
    assert flows.feed(power("house", "grid", 700.0, T0)) == []
    assert flows.feed(power("roof1", "pv", -300.0, T0)) == []
    (point,) = flows.tick(T0 + 10_000)
    assert point.values == {"grid_power": 700.0}
    assert flows.feed(power("roof0", "pv", -300.0, T0)) == []  # too late: the round is closed


def test_without_the_battery_there_is_no_load_but_the_rest() -> None:
    flows = SiteFlows(site(1))
    flows.feed(power("house", "grid", -200.0, T0))
    flows.feed(power("roof0", "pv", -900.0, T0))
    (point,) = flows.tick(T0 + 10_000)
    assert point.values == {
        "grid_power": -200.0,
        "pv_power": 900.0,
        "self_consumption_power": 700.0,
    }


def test_a_stale_meter_counts_as_missing() -> None:
    flows = SiteFlows(site(1, battery=False))
    flows.feed(power("house", "grid", -200.0, T0))
    late = reading(
        {"active_power/total": Decimal("-0.9")}, T0, Job.FAST, "roof0", "pv", late_ms=9000
    )
    flows.feed(late)
    (point,) = flows.tick(T0 + 10_000)
    assert point.values == {"grid_power": -200.0}


def test_values_of_different_rounds_are_never_mixed() -> None:
    flows = SiteFlows(site(1, battery=False))
    flows.feed(power("house", "grid", -200.0, T0))
    flows.feed(power("roof0", "pv", -900.0, T0 + SECOND))
    points = flows.feed(power("house", "grid", -250.0, T0 + SECOND))
    assert [point.values.get("load_power") for point in points] == [None, 650.0]


def test_a_battery_without_pv_leaves_the_load() -> None:
    """What the grid gives and the battery does not keep is used; of PV nothing is said."""
    flows = SiteFlows([info("house", "grid"), info("cellar", "battery")])
    for grid, battery, load in ((2500.0, 2000.0, 500.0), (-300.0, -900.0, 600.0)):
        at = T0 + (SECOND if grid < 0 else 0)
        assert flows.feed(power("house", "grid", grid, at)) == []
        (point,) = flows.feed(power("cellar", "battery", battery, at))
        assert point.values == {
            "grid_power": grid, "battery_power": battery, "load_power": load,
        }  # fmt: skip
    flows.feed(counters("house", "grid", Decimal("50.5"), Decimal("2.25"), T0))
    (point,) = flows.feed(counters("cellar", "battery", Decimal(20), Decimal("16.5"), T0))
    assert point.values == {
        "grid_import": 50.5, "grid_export": 2.25, "battery_charge": 20.0,
        "battery_discharge": 16.5, "load_energy": 44.75,
    }  # fmt: skip


def test_without_the_battery_s_answer_the_load_is_not_told() -> None:
    flows = SiteFlows([info("house", "grid"), info("cellar", "battery")])
    flows.feed(power("house", "grid", 800.0, T0))
    (point,) = flows.tick(T0 + 60_000)
    assert point.values == {"grid_power": 800.0}


@pytest.mark.parametrize(
    "roles",
    [["grid"], ["pv"], ["grid", "grid", "pv"], ["load", "grid"], ["battery"], ["pv", "battery"]],
    ids=str,
)
def test_no_site_without_one_grid_meter_and_pv_or_a_battery(roles: list[str]) -> None:
    flows = SiteFlows([info(f"m{n}", role) for n, role in enumerate(roles)])
    for n, role in enumerate(roles):
        assert flows.feed(power(f"m{n}", role, 100.0, T0)) == []
    assert flows.tick(T0 + 60_000) == []


def test_an_inverted_pv_meter_produces_all_the_same() -> None:
    flows = SiteFlows(site(1, battery=False))
    flows.feed(inverted(power("roof0", "pv", 900.0, T0)))
    (point,) = flows.feed(power("house", "grid", -200.0, T0))
    assert point.values["pv_power"] == 900.0


def test_what_the_inverter_draws_at_night_is_load() -> None:
    flows = SiteFlows(site(1, battery=False))
    flows.feed(power("roof0", "pv", 7.0, T0))
    (point,) = flows.feed(power("house", "grid", 307.0, T0))
    assert (point.values["pv_power"], point.values["load_power"]) == (0.0, 307.0)


def test_counters_go_on_over_a_swap_and_a_restart() -> None:
    meters = site(1, battery=False)
    flows = SiteFlows(meters)

    def both(flows: SiteFlows, number: int, drawn: str, fed: str, made: str) -> SiteFlow:
        at = T0 + 60_000 * number
        flows.feed(counters("house", "grid", Decimal(drawn), Decimal(fed), at))
        (point,) = flows.feed(counters("roof0", "pv", Decimal(0), Decimal(made), at))
        return point

    first = both(flows, 0, "5000.5", "70.25", "900.75")
    assert first.values["grid_import"] == 5000.5
    swapped = [
        Break(IMPORT_TOTAL, Decimal("5000.5"), Decimal("12.5"), Decimal(0)),
        Break(EXPORT_TOTAL, Decimal("70.25"), Decimal("3.25"), Decimal(0)),
    ]
    flows.broke("house", swapped)
    second = both(flows, 1, "12.5", "3.25", "901.75")
    assert second.values["grid_import"] == 5000.5
    assert second.values["pv_energy"] == 901.75
    restarted = SiteFlows(meters)
    restarted.restore(json.loads(json.dumps(flows.state())))
    third = both(restarted, 2, "13.5", "3.75", "903.75")
    assert third.values["grid_import"] == 5001.5
    assert third.values["self_consumed"] == pytest.approx(903.75 - 70.75)


def test_a_meter_that_joins_or_leaves_makes_no_jump() -> None:
    flows = SiteFlows(site(1, battery=False))
    flows.feed(counters("house", "grid", Decimal(100), Decimal(20), T0))
    flows.feed(counters("roof0", "pv", Decimal(0), Decimal(60), T0))
    joined = SiteFlows(site(2, battery=False))
    joined.restore(flows.state())
    at = T0 + 60_000
    joined.feed(counters("house", "grid", Decimal(100), Decimal(21), at))
    joined.feed(counters("roof0", "pv", Decimal(0), Decimal(61), at))
    (point,) = joined.feed(counters("roof1", "pv", Decimal(0), Decimal(4000), at))
    assert point.values["pv_energy"] == 61.0
    alone = SiteFlows([info("house", "grid"), info("roof1", "pv")])
    alone.restore(joined.state())
    at += 60_000
    alone.feed(counters("house", "grid", Decimal(100), Decimal(21), at))
    (point,) = alone.feed(counters("roof1", "pv", Decimal(0), Decimal(4002), at))
    assert point.values["pv_energy"] == 63.0


def test_site_points_come_out_of_the_whole_pipeline() -> None:
    derive = Derive([info("house", "grid"), info("roof", "pv")], "s")
    points = derive.feed(fast(T0, kilowatts=-0.5, meter="house", role="grid"))
    points += derive.feed(fast(T0, kilowatts=-2.0, meter="roof", role="pv"))
    points += derive.feed(slow(T0, 10.5, 4.25, "house", "grid"))
    points += derive.feed(slow(T0, 0.5, 44.25, "roof", "pv"))
    watts, energy = of(points, "site")
    assert watts.fields["self_consumption_power"] == 1500.0
    assert energy.fields["self_consumed"] == 40.0
    assert energy.fields["load_energy"] == 50.5


def test_what_a_battery_feeds_into_the_grid_hides_no_later_energy() -> None:
    flows = SiteFlows(site(1))
    used = []
    # PV 5 kWh, then the battery feeds 4 kWh into the grid, then PV 1 kWh is used.
    for number, (fed, made, discharged) in enumerate(((0, 0, 0), (0, 5, 0), (4, 5, 4), (4, 6, 4))):
        at = T0 + 60_000 * number
        flows.feed(counters("house", "grid", Decimal(0), Decimal(fed), at))
        flows.feed(counters("roof0", "pv", Decimal(0), Decimal(made), at))
        (point,) = flows.feed(counters("cellar", "battery", Decimal(5), Decimal(discharged), at))
        used.append(point.values["self_consumed"])
        assert point.values["battery_discharge"] == discharged
    assert used == [0, 5, 1, 2]
