"""Rules about use, run by a real engine: at their limit they fire, below it they do not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from logger.config.alerts import Alerts
from logger.grafana import DashboardOptions, dashboards
from logger.grafana.alerts import rules
from logger.points.line import FieldValue, Point
from tests.engines import InfluxServer
from tests.grafana_rules import fires
from tests.report_rig import write_influx

pytestmark = pytest.mark.engine

ZONE = "Europe/Amsterdam"
BOARDS = dashboards(DashboardOptions(zone=ZONE))
NOON = 1_804_248_000_000  # 2027-03-05, 13:00 in Amsterdam
USES: tuple[tuple[str, dict[str, float], dict[tuple[str, ...], float]], ...] = (
    ("Use of the day above its limit", {"day_energy": 45.0}, {("use", "m"): 51.0}),
    ("Use of the day above its limit", {"day_energy": 51.5}, {}),
    ("Phase near its fuse", {"fuse": 25.0}, {("use", "m", "L1"): 23.5}),
    ("Phase near its fuse", {"fuse": 35.0}, {}),
    ("PV silent on a bright day", {}, {("use", "dead"): 3.0}),
    ("PV silent on a bright day", {"pv_silent_above": 2500.0}, {}),
    ("PV silent on a bright day", {"pv_silent_above": 0.0}, {}),
    ("Power factor too low", {"power_factor": 0.9}, {("use", "m"): 0.8}),
    ("Power factor too low", {"power_factor": 0.75}, {}),
    ("Power factor too low", {"power_factor": 0.9, "power_factor_above": 2500.0}, {}),
    ("Use of the day above its limit", {}, {}),
    ("Phase near its fuse", {}, {}),
    ("Power factor too low", {}, {}),
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """A site that draws a kWh each quarter of an hour, 23.5 A fed back on L1, at a power factor
    of 0.8, and two PV meters: one produces, one did until yesterday."""
    points = []
    grid = {"site": "use", "meter": "m", "role": "grid"}
    for quarter in range(-120, 0):
        tags = {**grid, "phase": "total", "tariff": "total"}
        stamp = NOON + quarter * 900_000 + 5000
        points.append(Point("energy", tags, {"active_import": 500.0 + quarter}, stamp))
    for minute in range(-60, 0):
        stamp = NOON + minute * 60_000
        for phase, current in (("L1", -23.5), ("L2", 22.0)):
            own = {**grid, "phase": phase}
            points.append(Point("power_1m", own, {"current": current}, stamp))
        powers: dict[str, FieldValue] = {"active_power": 2000.0, "reactive_power": -1500.0}
        points.append(Point("power_1m", {**grid, "phase": "total"}, powers, stamp))
    for minute in range(-4 * 1440, 0, 5):
        for name, today in (("dead", -3.0), ("alive", -900.0)):
            own = {"site": "use", "meter": name, "role": "pv", "phase": "total"}
            power = {"active_power": -2000.0 if minute < -1000 else today}
            points.append(Point("power_1m", own, power, NOON + minute * 60_000))
    with InfluxServer(tmp_path_factory.mktemp("use")) as started:
        started.create_bucket("energy")
        write_influx(started.url, "energy", points)
        yield started


@pytest.mark.parametrize(("title", "limits", "expected"), USES)
def test_a_rule_about_use_fires_at_its_limit(
    engine: InfluxServer,
    title: str,
    limits: dict[str, float],
    expected: dict[tuple[str, ...], float],
) -> None:
    options = DashboardOptions(zone=ZONE, alerts=Alerts(**limits))
    (group,) = rules(options, list(BOARDS.values()))["groups"]
    (rule,) = (rule for rule in group["rules"] if rule["title"] == title)
    found = fires(rule, lambda query: engine.query(query, "energy"), NOON - 1)
    shown = {
        tuple(dict(labels)[key] for key in ("site", "meter", "phase") if key in dict(labels)): value
        for labels, value in found.items()
    }
    assert shown == {key: pytest.approx(value, abs=1e-6) for key, value in expected.items()}
