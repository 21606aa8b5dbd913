"""The newest values: what was read last, with its age, of meters and of the site."""

from __future__ import annotations

from logger.config import Config
from logger.domain.quantity import IMPORT_TOTAL, POWER_TOTAL, Quantity
from logger.domain.records import CounterValues, Event, MeterFacts, Record, Sample, SiteFlow
from logger.latest import SITE, Latest, Planned, planned

NOW_MS = 1_795_000_000_000
CONFIG = Config.model_validate(
    {
        "site": {"name": "home"},
        "intervals": {"fast": "10s", "slow": "60s", "identity": "1h"},
        "bus": [
            {
                "name": "cabinet",
                "port": "socket://127.0.0.1:1",
                "meter": [
                    {"name": "grid", "model": "pro380", "address": 1, "role": "grid"},
                    {
                        "name": "roof",
                        "model": "pro380",
                        "address": 2,
                        "role": "pv",
                        "fast": "1s",
                    },
                ],
            }
        ],
    }
)


class Clocks:
    def __init__(self) -> None:
        self.passed_s = 0.0
        self.latest = Latest(planned(CONFIG), self.now_ms, lambda: 500 + self.passed_s)

    def now_ms(self) -> int:
        return NOW_MS + round(self.passed_s * 1000)

    def power(self, meter: str, value: float, ago_s: float = 0.0) -> None:
        at_ms = self.now_ms() - round(ago_s * 1000)
        self.latest.take([Sample(meter, "grid", at_ms, "total", "", {"active_power": value})])


def test_values_come_with_unit_time_and_age_and_get_old_by_their_interval() -> None:
    clocks = Clocks()
    latest = clocks.latest
    assert not latest.of("grid")
    assert not latest.available("grid")
    clocks.power("grid", 1.0)
    clocks.power("grid", 1234.5)
    counters = CounterValues("grid", "grid", NOW_MS, "total", "total", {"active_import": 7.25})
    latest.take([counters, MeterFacts("grid", "grid", NOW_MS, "", "", {"serial": "12345678"})])
    clocks.passed_s = 29.0
    power = latest.of("grid")[POWER_TOTAL]
    assert (power.value, power.unit, power.at_ms, power.age_s) == (1234.5, "W", NOW_MS, 29.0)
    assert power.fresh
    assert latest.available("grid")
    clocks.passed_s = 31.0  # three turns of 10 s
    found = latest.of("grid")
    assert not found[POWER_TOTAL].fresh
    assert not latest.available("grid")
    assert found[IMPORT_TOTAL].fresh
    assert found[IMPORT_TOTAL].unit == "kWh"
    assert found[Quantity("serial")].value == "12345678"
    clocks.power("roof", 5.0)
    clocks.passed_s += 14.0  # three turns of 1 s are too short a time to judge
    assert latest.available("roof")
    clocks.passed_s += 2.0
    assert not latest.available("roof")


def test_what_a_reading_lacks_stays_as_old_as_it_is() -> None:
    clocks = Clocks()
    at_ms = clocks.now_ms()

    def take(**values: float) -> dict[str, tuple[object, float]]:
        clocks.passed_s += 10
        clocks.latest.take([Sample("grid", "grid", clocks.now_ms(), "L1", "", values)])
        found = clocks.latest.of("grid")
        return {quantity.field: (one.value, one.age_s) for quantity, one in found.items()}

    take(voltage=230.0, current=1.0)
    assert take(voltage=231.0) == {"voltage": (231.0, 0.0), "current": (1.0, 10.0)}
    assert take(current=2.0) == {"voltage": (231.0, 10.0), "current": (2.0, 0.0)}
    assert take(voltage=232.0) == {"voltage": (232.0, 0.0), "current": (2.0, 10.0)}
    assert take(voltage=233.0, current=3.0) == {"voltage": (233.0, 0.0), "current": (3.0, 0.0)}
    assert clocks.latest.value("grid", Quantity("current", "L1")) == 3.0
    assert clocks.latest.of("grid")[Quantity("voltage", "L1")].at_ms == at_ms + 50_000


def test_the_flows_of_the_site_stand_under_a_name_of_their_own() -> None:
    clocks = Clocks()
    clocks.latest.take([SiteFlow(NOW_MS, {"load_power": 300.0})])
    clocks.latest.take([SiteFlow(NOW_MS, {"load_energy": 4.0})])
    found = clocks.latest.of(SITE)
    assert {str(name): one.unit for name, one in found.items()} == {
        "load_power": "W",
        "load_energy": "kWh",
    }
    assert clocks.latest.available(SITE)
    clocks.passed_s = 31.0
    assert not clocks.latest.available(SITE)


def test_a_demand_is_as_old_as_the_step_it_is_told_in_not_as_the_readings() -> None:
    quick = Latest(
        [Planned(name="grid", role="grid", fast_s=1.0, slow_s=60.0, identity_s=3600.0)],
        lambda: NOW_MS,
        lambda: passed_s,
    )
    passed_s = 0.0
    quick.take([SiteFlow(NOW_MS, {"demand": 1.5, "demand_forecast": 2.5})])
    passed_s = 20.9  # told next in the step after the next, and read late
    assert quick.available(SITE)
    assert all(one.fresh and one.unit == "kW" for one in quick.of(SITE).values())
    passed_s = 31.0
    assert not quick.available(SITE)


def test_what_waited_for_its_time_is_not_new_and_other_records_are_none() -> None:
    clocks = Clocks()
    clocks.power("grid", 8.0, ago_s=3600.0)
    assert clocks.latest.of("grid")[POWER_TOTAL].age_s == 3600.0
    assert not clocks.latest.available("grid")
    event: Record = Event(kind="x", state="end", at_ms=NOW_MS, text="x", meter="grid")
    clocks.latest.take([event])
    assert len(clocks.latest.of("grid")) == 1


def test_listeners_hear_of_each_meter_once_for_what_comes_together() -> None:
    clocks = Clocks()
    heard: list[str] = []
    clocks.latest.listen(heard.append)
    values = {"voltage": 230.0}
    clocks.latest.take([Sample("grid", "grid", NOW_MS, f"L{n}", "", values) for n in (1, 2, 3)])
    clocks.latest.take([SiteFlow(NOW_MS, {"load_power": 300.0})])
    clocks.latest.take([])
    assert heard == ["grid", SITE]
