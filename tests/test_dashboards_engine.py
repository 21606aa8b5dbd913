"""Every query of every dashboard and rule, run by a real engine on a virtual month."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from logger.config.derive import Price, Prices
from logger.domain.balance import has_flows
from logger.grafana import DashboardOptions, dashboards
from logger.grafana.alerts import rules
from logger.grafana.panels import NO_DAY
from logger.points.line import FieldValue, Point
from tests.engines import InfluxServer
from tests.grafana_queries import Json, Range, expand, interval, panels, shown, variables_of
from tests.grafana_rules import Labels, fires
from tests.virtual_month import DAYS, END, START, ZONE, Month

pytestmark = pytest.mark.engine

NOW = END * 1000
PRICES = Prices(
    valid=[
        Price.model_validate({"since": date(2024, 1, 1), "buy": 0.3, "buy_t2": 0.25, "sell": 0.08})
    ]
)
OPTIONS = DashboardOptions(
    zone=ZONE, prices=PRICES, roles=frozenset({"grid", "pv"}), wirings=frozenset({"3P4W"})
)
BOARDS = dashboards(OPTIONS)
PANELS = {
    f"{name}: {panel['title']}": (board, panel)
    for name, board in BOARDS.items()
    for panel in panels(board)
}
RULES = {
    rule["title"]: rule
    for group in rules(DashboardOptions(zone=ZONE), list(BOARDS.values()))["groups"]
    for rule in group["rules"]
}
# One value a day of the range shown.
DAILY = [
    name
    for name, (_, panel) in PANELS.items()
    if "time(1d)" in panel["targets"][0]["query"]
    and panel.get("interval") == "1d"
    and "timeFrom" not in panel
]
# Queries that may find nothing: months before the data, tariffs the meter has not, and
# the one of two resolutions that the range does not ask for, and what was a year ago.
MAY_BE_EMPTY = re.compile(r"-\d\d-01'|'T[34]'|__interval_ms|- 36[56]d")


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    with InfluxServer(tmp_path_factory.mktemp("month")) as engine:
        yield Month(engine)


def bucket(source: Json) -> str:
    return {"inepro-energy": "energy", "inepro-live": "live"}[source["uid"]]


def answers(month: Month, board: Json, panel: Json, range_: Range) -> dict[str, list[Any]]:
    """Return the values that each query of a panel finds, by its letter."""
    step = interval(range_, panel.get("maxDataPoints", 800), panel.get("interval", ""))
    values = variables_of(board, site="home", meter="grid")
    found = {}
    for target in panel["targets"]:
        query = expand(target["query"], range_, step, values)
        rows = month.engine.rows(query, bucket(target["datasource"]))
        found[target["refId"]] = [
            value
            for row in rows
            for name, value in row.items()
            if name not in {"time", "meter", "phase", "tariff"} and value is not None
        ]
    return found


@pytest.mark.parametrize(("board", "panel"), PANELS.values(), ids=PANELS)
def test_every_panel_shows_something(month: Month, board: Json, panel: Json) -> None:
    text = panel.get("timeFrom", board["time"]["from"])
    found = answers(month, board, panel, shown(text, NOW, ZONE))
    queries = {target["refId"]: target["query"] for target in panel["targets"]}
    assert any(found.values())
    for ref, values in found.items():
        assert values or MAY_BE_EMPTY.search(queries[ref]), queries[ref]


@pytest.mark.parametrize("name", DAILY)
def test_bars_of_days_are_shown_where_a_day_begins(month: Month, name: str) -> None:
    """They stand at midnight: else Grafana would show nothing, and not the text that says so."""
    board, panel = PANELS[name]
    midnight = 1793660400_000  # 2026-11-03 00:00 in Amsterdam
    hour = 3_600_000
    assert panel["fieldConfig"]["defaults"]["noValue"] == NO_DAY
    inside = answers(month, board, panel, Range(midnight + hour, midnight + 13 * hour))
    assert not any(inside.values())
    for since in (0, -6):
        around = Range(midnight + since * hour, midnight + 13 * hour)
        found = answers(month, board, panel, around)
        assert any(found.values()), since


@pytest.mark.parametrize("text", ["5m", "1d", "30d"])
@pytest.mark.parametrize("name", [name for name in PANELS if name.startswith("phases.json")])
def test_phases_are_shown_from_minutes_to_months(month: Month, name: str, text: str) -> None:
    board, panel = PANELS[name]
    found = answers(month, board, panel, shown(text, NOW, ZONE))
    if len(found) == 2:
        assert [bool(values) for values in found.values()] == [text != "30d", text == "30d"]
    assert any(found.values())


@pytest.mark.parametrize("name", BOARDS)
def test_variables_and_annotations_find_something(month: Month, name: str) -> None:
    board = BOARDS[name]
    range_ = Range(START * 1000, NOW)
    values = variables_of(board, site="home", meter="grid")
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            query = expand(variable["query"], range_, 60_000, values)
            found = {row["value"] for row in month.engine.rows(query, "energy")}
            assert found == {"site": {"home"}, "meter": {"grid", "roof"}}[variable["name"]]
    for mark in board["annotations"]["list"]:
        rows = month.engine.rows(expand(mark["query"], range_, 60_000, values), "energy")
        assert {mark["textColumn"], mark["tagsColumn"]} <= set(rows[0])


def value(month: Month, name: str, letter: str, range_: Range) -> float:
    board, panel = PANELS[name]
    (found,) = answers(month, board, panel, range_)[letter]
    return float(found)


def test_sums_and_ratios_equal_the_meters_own_ledgers(month: Month) -> None:
    day = 86400
    start = (START // day + 3) * day
    end = start + 20 * day
    # The readings lie a moment after the full hour; a step of the ledger lies between.
    range_ = Range(start * 1000, end * 1000)
    grid, roof = (month.site.meter(address).ledger for address in (1, 2))
    imported = grid.between(start, end, "active_import")
    exported = grid.between(start, end, "active_export")
    produced = roof.between(start, end, "active_export")
    own = produced - exported
    step = pytest.approx
    assert value(month, "energy.json: Import", "A", range_) == step(imported, abs=0.03)
    assert value(month, "energy.json: Export", "A", range_) == step(exported, abs=0.03)
    assert value(month, "pv.json: Energy in this range", "A", range_) == step(produced, abs=0.03)
    assert value(month, "pv.json: Self-consumption", "A", range_) == step(own / produced, abs=1e-3)
    consumed = imported + own
    assert value(month, "pv.json: Self-sufficiency", "A", range_) == step(own / consumed, abs=1e-3)
    by_tariff = [grid.between(start, end, "active_import", tariff=number) for number in (1, 2)]
    (price,) = PRICES.valid
    cost = by_tariff[0] * price.buying("T1") + by_tariff[1] * price.buying("T2")
    assert min(by_tariff) > 10
    assert value(month, "energy.json: Cost in this range", "A", range_) == step(cost, abs=0.02)
    net = cost - exported * price.sell
    assert value(month, "energy.json: Cost in this range", "C", range_) == step(net, abs=0.02)


def test_peaks_and_load_duration_are_those_of_the_quarter_hours(month: Month) -> None:
    range_ = Range(START * 1000, NOW)
    query = 'SELECT "demand" FROM "energy_15m" WHERE "meter" = \'grid\''
    demands = {row["time"]: row["demand"] for row in month.engine.rows(query, "energy")}
    highest = sorted(demands.values(), reverse=True)
    board, panel = PANELS["meters.json: Highest quarter hours"]
    text = expand(
        panel["targets"][0]["query"], range_, 60_000, variables_of(board, site="home", meter="grid")
    )
    found = {row["time"]: row["kW"] for row in month.engine.rows(text, "energy")}
    assert sorted(found.values(), reverse=True) == highest[:10]
    assert all(demands[at] == kw for at, kw in found.items())
    one = 1 / len(demands)
    duration = answers(month, *PANELS["meters.json: Load duration"], range_)
    for letter, share in zip("ABCDEFG", (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.95), strict=True):
        (least,) = duration[letter]
        above = sum(value > least for value in demands.values()) / len(demands)
        reached = sum(value >= least for value in demands.values()) / len(demands)
        assert above - one <= share <= reached + one  # many are 0 alike


def test_the_power_factor_is_that_of_the_ledger(month: Month) -> None:
    start = (START // 86400 + 3) * 86400
    end = start + 20 * 86400
    ledger = month.site.meter(1).ledger
    active = ledger.between(start, end, "active_import")
    board, panel = PANELS["meters.json: Reactive energy and power factor"]
    range_ = Range(start * 1000, end * 1000)
    text = expand(
        panel["targets"][0]["query"], range_, 60_000, variables_of(board, site="home", meter="")
    )
    found = {one["tags"]["meter"]: one["rows"][0] for one in month.engine.query(text, "energy")}
    forward = found["grid"]["inductive"]
    assert forward == pytest.approx(ledger.between(start, end, "reactive_import"), abs=0.05)
    assert found["grid"]["factor"] == pytest.approx(
        active / (active**2 + forward**2) ** 0.5, abs=1e-4
    )


def drawn(month: Month, start: int, end: int) -> float:
    """Return what the grid meter's counter rose by between the readings at `start` and at
    `end` (epoch seconds), which come up to half a minute later."""
    last = []
    for moment in (start, end):
        query = (
            f'SELECT last("active_import") AS "v" FROM "energy" WHERE time < {moment + 30}s '
            "AND \"meter\" = 'grid' AND \"phase\" = 'total' AND \"tariff\" = 'total'"
        )
        last.append(float(month.engine.rows(query, "energy")[0]["v"]))
    return last[1] - last[0]


def test_the_flow_shows_the_newest_powers_and_where_they_go(month: Month) -> None:
    """Two PV meters and a battery; an arrow is drawn where its column is above zero."""
    stamp = NOW + 300 * 86_400_000
    powers = {
        "m": ("grid", -512.4),
        "e": ("pv", -1800.2),
        "w": ("pv", -700.4),
        "b": ("battery", 2.6),
    }
    for name, (role, power) in powers.items():
        tags = {"site": "flow", "meter": name, "role": role, "phase": "total"}
        old = Point("power", tags, {"active_power": 9999.0}, stamp - 60_000).line()
        month.write(f"{old}\n{Point('power', tags, {'active_power': power}, stamp).line()}", "live")
    load = Point("site", {"site": "flow"}, {"load_power": 1985.7}, stamp)
    month.write(load.line(), "energy")
    options = DashboardOptions(zone=ZONE, roles=frozenset({"grid", "pv", "battery"}))
    board = dashboards(options)["home.json"]
    (panel,) = (one for one in panels(board) if one["type"] == "canvas")
    values = variables_of(board, site="flow")
    shown: dict[str, Any] = {}
    for now in (stamp + 60_000, stamp + 600_000):  # ten minutes later nothing is known of it
        found: dict[str, Any] = {}
        for target in panel["targets"]:
            query = expand(target["query"], Range(now - 1, now), 1000, values)
            for row in month.engine.rows(query, bucket(target["datasource"])):
                found |= {key: value for key, value in row.items() if key != "time"}
        shown = shown or found
    assert found == {}
    assert shown == {
        "Grid": -512, "drawn": -512, "fed": 512, "PV": 2501, "produced": 2501,
        "Battery": 3, "charged": 3, "discharged": -3, "Load": 1986,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("roles", "measurement"),
    [({"grid", "pv"}, "site"), ({"grid"}, "power_1m"), ({"load"}, "power_1m")],
    ids=["house", "consumption", "loads"],
)
def test_the_base_load_is_what_the_house_drew_less_than_for_a_twentieth_of_the_day(
    month: Month, roles: set[str], measurement: str
) -> None:
    """Two meters of a role are one load; what was drawn two days ago is not looked at."""
    stamp = NOW - 400 * 86_400_000  # steps of time end at the clock of the engine
    site = f"base-{'-'.join(sorted(roles))}"
    steps = 288
    loads = [100.0 + 7 * (step * 125 % steps) for step in range(steps)]
    lines = []
    for step, load in [*enumerate(loads, 1), (2 * steps, 1.0)]:
        at = stamp - step * 300_000
        if measurement == "site":
            lines.append(Point("site", {"site": site}, {"load_power": load}, at).line())
            continue
        role = min(roles)
        for meter, share in {"a": 0.25, "b": 0.75}.items():
            tags = {"site": site, "meter": meter, "role": role, "phase": "total"}
            fields: dict[str, FieldValue] = {"active_power": share * load}
            lines.append(Point("power_1m", tags, fields, at).line())
    month.write("\n".join(lines), "energy")
    options = DashboardOptions(zone=ZONE, roles=frozenset(roles), flows=has_flows(sorted(roles)))
    board = dashboards(options)["home.json"]
    (panel,) = (one for one in panels(board) if one["title"] == "Base load")
    text = expand(
        panel["targets"][0]["query"], Range(stamp - 1, stamp), 1000, variables_of(board, site=site)
    )
    (row,) = month.engine.rows(text, "energy")
    lower = sum(load < row["W"] for load in loads) / steps
    assert lower <= 0.05 < lower + 2 / steps


def test_days_of_23_and_25_hours_are_days(month: Month) -> None:
    """Summer time ended on 25 October: the bar of that day holds 25 hours."""
    board, panel = PANELS["energy.json: Import by day"]
    range_ = Range(START * 1000, NOW)
    values = variables_of(board, site="home", meter="grid")
    query = expand(panel["targets"][0]["query"], range_, 86_400_000, values)
    days: dict[int, float] = {}
    for row in month.engine.rows(query, "energy"):
        days[row["time"]] = days.get(row["time"], 0.0) + row["kWh"]
    long_day = 1792879200  # 2026-10-25 00:00 in Amsterdam
    counted = drawn(month, long_day, long_day + 25 * 3600)
    assert days[long_day * 1000] == pytest.approx(counted, abs=0.01)  # sum of tariffs
    assert abs(counted - drawn(month, long_day, long_day + 24 * 3600)) > 0.1
    assert long_day * 1000 + 25 * 3_600_000 in days


def test_weeks_of_voltages_are_weeks_also_where_the_clock_was_changed(month: Month) -> None:
    """One row a week, which begins on a Monday; InfluxDB's own weeks of a zone do not."""
    board, panel = PANELS["quality.json: Voltage within 207 to 253 V by week"]
    zone = ZoneInfo(ZONE)
    for first, weeks, bad in (("2026-03-16", 4, "2026-03-29"), ("2026-10-12", 4, "2026-10-25")):
        start = round(datetime.fromisoformat(first).replace(tzinfo=zone).timestamp())
        tags = {"site": "weeks", "meter": "grid", "role": "grid", "phase": "L1"}
        last_hour = datetime.fromisoformat(f"{bad} 23:00").replace(tzinfo=zone).timestamp()
        lines = []
        for stamp in range(start, start + weeks * 7 * 86400 + 7200, 3600):
            volts = 300.0 if stamp == last_hour else 230.0
            fields: dict[str, FieldValue] = {"mean": volts, "samples": 600, "valid": True}
            lines.append(Point("quality_voltage", tags, fields, stamp * 1000).line())
        month.write("\n".join(lines), "energy")
        range_ = Range(start * 1000, (start + weeks * 7 * 86400) * 1000)
        values = variables_of(board, site="weeks", meter="grid")
        (target,) = panel["targets"]
        query = expand(target["query"], range_, 604_800_000, values)
        rows = [row for row in month.engine.rows(query, "energy") if row["share"] is not None]
        begins = [datetime.fromtimestamp(row["time"] / 1000, zone) for row in rows]
        found = {begin.date(): row["share"] for begin, row in zip(begins, rows, strict=True)}
        assert len(found) == len(rows)
        assert {day.weekday() for day in found} == {0}
        changed = date.fromisoformat(bad) - timedelta(days=6)
        assert {day for day, value in found.items() if value < 1} == {changed}


def test_a_week_is_whole_only_where_every_window_was(month: Month) -> None:
    """One of 1,000 that was not is no 100 %, and a week without any is 0 %, not unknown."""
    board, panel = PANELS["quality.json: Voltage within 207 to 253 V by week"]
    start = round(datetime(2025, 3, 3, tzinfo=ZoneInfo(ZONE)).timestamp())
    lines = []
    weeks = (("L1", 0, 999, 1), ("L1", 1, 0, 3), ("L1", 2, 1000, 0), ("L2", 2, 0, 1))
    for phase, week, good, bad in weeks:
        tags = {"site": "whole", "meter": "grid", "role": "grid", "phase": phase}
        for number in range(good + bad):
            volts = 230.0 if number < good else 180.0
            stamp = start + week * 604_800 + number * 600
            fields: dict[str, FieldValue] = {"mean": volts, "samples": 600, "valid": True}
            lines.append(Point("quality_voltage", tags, fields, stamp * 1000).line())
    month.write("\n".join(lines), "energy")
    range_ = Range(start * 1000, (start + 3 * 604_800) * 1000)
    values = variables_of(board, site="whole", meter="grid")
    query = expand(panel["targets"][0]["query"], range_, 604_800_000, values)
    found = {
        one["tags"]["phase"]: [row["share"] for row in one["rows"] if row["share"] is not None]
        for one in month.engine.query(query, "energy")
    }
    assert found == {"L1": [0.999, 0.0, 1.0], "L2": [0.0]}


def test_a_ring_of_nothing_is_empty(month: Month) -> None:
    """Nothing was produced, so all that was consumed was bought."""
    stamp = (NOW // 86_400_000 + 600) * 86_400_000 + 36_000_000  # 10:00 UTC
    counters = {("g", "grid"): ("active_import", "active_export"), ("s", "pv"): ("active_export",)}
    lines = []
    for (meter, role), fields in counters.items():
        tags = {"site": "night", "meter": meter, "role": role, "phase": "total", "tariff": "total"}
        for hour in range(3):
            read = {name: 5.0 + (hour if name == "active_import" else 0) for name in fields}
            lines.append(Point("energy", tags, read, stamp + 3_600_000 * hour).line())
    month.write("\n".join(lines), "energy")
    board = dashboards(DashboardOptions(zone=ZONE, roles=frozenset({"grid", "pv"})))["home.json"]
    rings = {one["title"]: one for one in panels(board) if one["type"] == "piechart"}
    found = {}
    for title, panel in rings.items():
        values = variables_of(board, site="night")
        found[title] = [
            [row["kWh"] for row in month.engine.rows(expand(
                target["query"], Range(stamp, stamp + 7_260_000), 60_000, values), "energy")]
            for target in panel["targets"]
        ]  # fmt: skip
    assert found == {
        "What was consumed came from": [[2.0], []],
        "What was produced went to": [[], []],
    }


def test_a_meter_without_a_neutral_has_voltages_between_its_phases_only(month: Month) -> None:
    """It measures to a point of its own, too: that is no voltage of anything."""
    stamp = NOW + 500 * 86_400_000
    whole = {"L1": 231.0, "L2": 229.0, "L3": 230.0, "total": 230.0}
    between = {"L1-L2": 399.0, "L1-L3": 400.0, "L2-L3": 401.0}
    points = []
    for meter in ("three", "four"):
        for phase, volts in (whole | between).items():
            tags = {"site": "wires", "meter": meter, "role": "grid", "phase": phase}
            fields: dict[str, FieldValue] = {"voltage": volts}
            if phase in whole:
                fields |= {"current": 2.5, "active_power": 500.0}
            points.append(Point("power", tags, fields, stamp).line())
    month.write("\n".join(points), "live")
    options = DashboardOptions(zone=ZONE, wirings=frozenset({"3P4W", "3P3W"}),
                               without_neutral=("three",), between_phases=True)  # fmt: skip
    board = dashboards(options)["phases.json"]
    shown = {one["title"]: one for one in panels(board)}
    now = Range(stamp - 60_000, stamp + 60_000)

    def ask(title: str) -> list[dict[str, Any]]:
        query = shown[title]["targets"][0]["query"]
        values = variables_of(board, site="wires", meter="three") | {"meter": "three|four"}
        return month.engine.query(expand(query, now, 60_000, values).replace("\\|", "|"), "live")

    latest = {
        (one["tags"]["meter"], one["tags"]["phase"]): one["rows"][0]
        for one in ask("Latest readings")
    }
    found = {key: row["V"] for key, row in latest.items() if row.get("V") is not None}
    assert found == {("four", phase): value for phase, value in (whole | between).items()} | {
        ("three", phase): value for phase, value in between.items()
    }
    for meter in ("three", "four"):
        for phase in whole:
            row = latest[meter, phase]
            assert (row["A"], row["W"]) == (2.5, 500.0)
    assert {one["tags"]["meter"] for one in ask("Voltage")} == {"four"}
    assert {one["tags"]["meter"] for one in ask("Voltage apart")} == {"four"}
    assert {one["tags"]["meter"] for one in ask("Voltage between phases")} == {"three", "four"}


def test_hours_of_the_heatmap_are_the_hours_of_the_day(month: Month) -> None:
    board, panel = PANELS["energy.json: Hour by day"]
    range_ = Range((END - 9 * 86400) * 1000, NOW)
    values = variables_of(board, site="home", meter="grid")
    midnight = 1793660400  # 2026-11-03 00:00 in Amsterdam
    for hour in (0, 7, 19, 23):
        query = expand(panel["targets"][hour]["query"], range_, 86_400_000, values)
        found = {row["time"]: row["kWh"] for row in month.engine.rows(query, "energy")}
        start = midnight + 3600 * hour
        counted = drawn(month, start, start + 3600)
        edge = (midnight + 86400) * 1000 - 1  # Grafana draws a cell to the left of its time
        assert found[edge] == pytest.approx(counted, abs=1e-6)


def test_a_new_meter_with_a_lower_counter_costs_one_step_at_most(month: Month) -> None:
    stamp = NOW + 200 * 86_400_000
    tags = {"site": "swap", "meter": "m", "role": "grid", "phase": "total", "tariff": "total"}
    counters = [100.0, 101.5, 103.0, 2.0, 2.25, 2.75]
    month.write(
        "\n".join(
            Point("energy", tags, {"active_import": counter}, stamp + 3_600_000 * i).line()
            for i, counter in enumerate(counters)
        ),
        "energy",
    )
    board, panel = PANELS["energy.json: Import"]
    values = variables_of(board, site="swap", meter="m")
    query = expand(panel["targets"][0]["query"], Range(stamp, stamp + 18_060_000), 60_000, values)
    (row,) = month.engine.rows(query, "energy")
    assert row["kWh"] == 3.0 + 0.75


def test_without_a_pv_meter_the_ratios_are_blank(month: Month) -> None:
    before = Range(START * 1000 - 86_400_000, START * 1000 - 3_600_000)
    for name in ("pv.json: Self-consumption", "pv.json: Self-sufficiency"):
        board, panel = PANELS[name]
        assert answers(month, board, panel, before) == {"A": []}
    night = Range((END - 11 * 3600) * 1000, (END - 10 * 3600) * 1000)
    board, panel = PANELS["pv.json: Self-consumption"]
    assert answers(month, board, panel, night) == {"A": []}  # nothing was produced


def fired(month: Month, title: str, minutes_before_end: float) -> dict[Labels, float]:
    now = NOW - int(60_000 * minutes_before_end)
    return fires(RULES[title], lambda query: month.engine.query(query, "energy"), now)


def names(found: dict[Labels, float], *keys: str) -> set[tuple[str, ...]]:
    return {tuple(dict(labels)[key] for key in keys) for labels in found}


BOTH = {("grid", "L1"), ("roof", "L1")}


@pytest.mark.parametrize(
    ("title", "minutes", "keys", "expected"),
    [
        ("Voltage too high", 150.1, ("meter", "phase"), {("grid", "L3"), ("roof", "L3")}),
        ("Voltage nearly too high", 120.1, ("meter", "phase"), BOTH),
        ("Voltage too low", 30.1, ("meter", "phase"), {("grid", "L2"), ("roof", "L2")}),
        ("Frequency outside its limits", 46, ("meter",), {("grid",), ("roof",)}),
        ("Phase lost", 94, ("meter", "phase"), {("grid", "L2"), ("roof", "L2")}),
        ("Meter silent", 61, ("meter", "bus"), {("roof", "virtual")}),
    ],
)
def test_a_rule_fires_for_what_happened(
    month: Month, title: str, minutes: float, keys: tuple[str, ...], expected: set[tuple[str, ...]]
) -> None:
    assert names(fired(month, title, minutes), *keys) == expected


@pytest.mark.parametrize("title", RULES)
@pytest.mark.parametrize("minutes", [1, 87, 178])
def test_a_rule_is_quiet_when_nothing_happens(month: Month, title: str, minutes: float) -> None:
    assert fired(month, title, minutes) == {}


def test_a_voltage_that_is_high_is_not_also_nearly_high(month: Month) -> None:
    assert fired(month, "Voltage nearly too high", 150.1) == {}
    assert set(fired(month, "Voltage too high", 150.1).values()) == {256.0}


def test_no_data_at_all_fires_alone(month: Month) -> None:
    long_after = -60.0 * 24
    assert fired(month, "No data at all", long_after) == {(("site", "home"),): 0.0}
    for title in set(RULES) - {"No data at all"}:
        assert fired(month, title, long_after) == {}, title


def test_a_dead_logger_among_several_is_told(month: Month) -> None:
    """One site's logger stops, another's goes on: each rule tells of what it is about."""
    start = NOW + 80 * 86_400_000
    lines = []
    for minute in range(240):
        stamp = start + 60_000 * minute
        for site, until in (("alive", 240), ("dead", 120)):
            if minute >= until:
                continue
            lines.append(Point("logger", {"site": site}, {"buffer_points": 0}, stamp).line())
            for name, last in (("m", 240), ("gone", 200)):
                if minute < last:
                    own = {"site": site, "meter": name, "role": "grid", "bus": "b"}
                    lines.append(Point("logger", own, {"reads": minute}, stamp).line())
    month.write("\n".join(lines), "energy")
    told = {
        title: fires(
            RULES[title],
            lambda query: month.engine.query(query, "energy"),
            start + 239 * 60_000,
        )
        for title in ("No data at all", "Meter silent")
    }
    assert names(told["No data at all"], "site") == {("dead",)}
    # `gone` has no point of its own any more, and is silent; the dead logger's are not told of.
    assert names(told["Meter silent"], "site", "meter") == {("alive", "gone")}


def test_points_delivered_late_fire_nothing(month: Month) -> None:
    """An hour at 256 V, a dead phase and a silent meter arrive a day late."""
    past = NOW + 86_400_000  # so that the month itself stays as it is
    lines = []
    for minute in range(60):
        stamp = past + 60_000 * minute
        tags = {"site": "late", "meter": "m", "role": "grid", "phase": "L1"}
        quality: dict[str, FieldValue] = {
            "mean": 256.0,
            "min": 255.0,
            "max": 257.0,
            "samples": 60,
            "valid": True,
        }
        lines.append(Point("quality_voltage", tags, quality, stamp // 600_000 * 600_000).line())
        lines.append(Point("power_1m", tags, {"voltage": 0.5, "samples": 6}, stamp).line())
        counts = {"reads": 7, "read_errors": minute}
        own = {"site": "late", "meter": "m", "role": "grid", "bus": "b"}
        lines.append(Point("logger", own, counts, stamp).line())
        books: dict[str, FieldValue] = {
            "buffer_oldest_s": 5000.0,
            "buffer_points": 9,
            "set_aside": 3,
        }
        lines.append(Point("logger", {"site": "late"}, books, stamp).line())
    event: dict[str, FieldValue] = {"state": "end", "text": "reset", "duration_s": 0.0}
    reset = {"site": "late", "meter": "m", "role": "grid", "kind": "counter_reset"}
    lines.append(Point("event", reset, event, past).line())
    foreseen: dict[str, FieldValue] = {"state": "begin", "text": "soon", "extreme": 6.4}
    demand = {"site": "late", "meter": "m", "role": "grid", "kind": "demand_high"}
    lines.append(Point("event", demand, foreseen, past + 3_000_000).line())
    month.write("\n".join(lines), "energy")
    while_it_happened = past + 3_540_000
    told = [
        title
        for title, rule in RULES.items()
        if fires(rule, lambda query: month.engine.query(query, "energy"), while_it_happened)
    ]
    expected = {"Voltage too high", "Meter silent", "Counter reset"}
    assert expected | {"Demand about to be too high"} <= set(told)
    for title, rule in RULES.items():
        now = past + 90_000_000
        found = fires(rule, lambda query: month.engine.query(query, "energy"), now)
        assert found == {} or title == "No data at all", title


def test_the_buffer_and_refused_points_are_told(month: Month) -> None:
    stamp = NOW + 40 * 86_400_000
    month.write(
        "\n".join(
            Point(
                "logger",
                {"site": "b"},
                {"buffer_oldest_s": 60.0 * i, "set_aside": 2 + (i > 12)},
                stamp + 60_000 * i,
            ).line()
            for i in range(20)
        ),
        "energy",
    )
    now = stamp + 19 * 60_000
    ask = lambda query: month.engine.query(query, "energy")  # noqa: E731
    assert fires(RULES["Points wait too long"], ask, now) == {(("site", "b"),): 1140.0}
    assert fires(RULES["Points wait too long"], ask, now - 300_000) == {}
    assert fires(RULES["Points set aside"], ask, now) == {(("site", "b"),): 1.0}
    assert fires(RULES["Points set aside"], ask, now - 600_000) == {}


def test_the_month_is_a_month(month: Month) -> None:
    rows = month.engine.count("power_1m", "active_power", "energy")
    assert rows > DAYS * 144 * 2 * 4 * 0.99
    assert json.loads(json.dumps(month.engine.rows("SHOW MEASUREMENTS", "live"))) == [
        {"name": "power"}
    ]
