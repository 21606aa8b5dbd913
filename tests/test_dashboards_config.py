"""What dashboards show of a configuration: prices, limits, meters, roles, wirings."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path, PurePosixPath

import pytest
from typer.testing import CliRunner

from logger import models
from logger.cli import app
from logger.config import load_config
from logger.config.derive import Price, Prices
from logger.domain.datamodel import MEASUREMENTS
from logger.domain.netting import DEMAND_FIELDS
from logger.grafana import DashboardOptions, Source, dashboard_options, dashboards, files
from logger.grafana.alerts import rules
from tests.boards import BOARDS, PRICES, ROOT
from tests.grafana_queries import Json, panels, queries


def test_prices_and_time_zone_come_from_the_configuration() -> None:
    prices = Prices(
        currency="SEK",
        valid=[
            Price.model_validate({"since": date(2024, 1, 1), "buy": 3.5, "sell": 0.7}),
            Price.model_validate(
                {"since": date(2025, 7, 1), "buy": 2.25, "buy_t2": 1.5, "sell": 0.9}
            ),
        ],
    )
    made = dashboards(DashboardOptions(zone="Australia/Adelaide", prices=prices))["energy.json"]
    values = {v["name"]: v["query"] for v in made["templating"]["list"]}
    assert values["tz"] == made["timezone"] == "Australia/Adelaide"
    cost = next(panel for panel in panels(made) if panel["title"] == "Cost in this range")
    query = cost["targets"][0]["query"]
    for factor in ("3.5 * ", "2.25 * ", "-0.75 * "):
        assert factor in query
    money = next(panel for panel in panels(made) if panel["title"] == "Cost by day")
    assert money["fieldConfig"]["defaults"]["unit"] == "suffix:SEK"


def test_without_prices_nothing_shows_money() -> None:
    made = json.dumps(dashboards(DashboardOptions()))
    for word in ("price", "Money", "Cost", "currency"):
        assert word not in made


def test_at_imported_prices_amounts_are_those_of_quarter_hours() -> None:
    """No query joins two measurements: the engine gives each a series of its own."""
    moved = Price.model_validate({"since": date(2026, 4, 1), "buy_formula": {"vat": 0.2}})
    made = dashboards(DashboardOptions(prices=Prices(valid=[*PRICES.valid, moved])))
    titles = {panel["title"] for board in made.values() for panel in panels(board)}
    assert {"Imported prices", "Energy with a price", "Cost of the meters"} <= titles
    money = [
        target["query"]
        for board in made.values()
        for panel in panels(board)
        if panel["fieldConfig"]["defaults"].get("unit") == "suffix:EUR"
        for target in panel["targets"]
    ]
    assert len(money) > 10
    assert all({*re.findall(r'FROM "(\w+)"', query)} == {"cost_15m"} for query in money)


def test_limits_come_from_the_configuration() -> None:
    text = json.dumps(BOARDS["quality.json"])
    assert "253.0" in text
    changed = DashboardOptions().events.model_copy(update={"voltage_high": 249.5})
    assert "249.5" in json.dumps(dashboards(DashboardOptions(events=changed))["quality.json"])


CONFIG = """\
[site]
name = "s"
[buffer]
path = "/tmp/none.sqlite"
[[bus]]
name = "b"
port = "/dev/ttyUSB0"
protocol = "{protocol}"
"""
METER = """\
[[bus.meter]]
name = "meter{address}"
address = {address}
model = "{model}"
role = "{role}"
wiring = "{wiring}"
"""


def made_for(path: Path, *meters: tuple[str, str, str]) -> tuple[DashboardOptions, dict[str, Json]]:
    """Return options and dashboards for meters of a model, a role and a wiring."""
    text = CONFIG.format(protocol=models.load(meters[0][0]).protocol)
    for address, (model, role, wiring) in enumerate(meters, start=1):
        text += METER.format(address=address, model=model, role=role, wiring=wiring)
    (path / "logger.toml").write_text(text, encoding="utf-8")
    options = dashboard_options(load_config(path / "logger.toml"))
    assert files(options, Source(), PurePosixPath("/x"), {})  # with rules that find their panels
    return options, dashboards(options)


def titles(boards: dict[str, Json], name: str) -> set[str]:
    return {panel["title"] for panel in panels(boards[name])}


@pytest.mark.parametrize("model", models.available())
def test_no_panel_asks_for_what_the_meter_does_not_measure(tmp_path: Path, model: str) -> None:
    options, boards = made_for(tmp_path, (model, "grid", "3P4W"))
    known = {*MEASUREMENTS["power"].fields, *MEASUREMENTS["energy"].fields, "tariff"}
    for name, board in boards.items():
        for panel in panels(board):
            assert panel["targets"], (name, panel["title"])
            if name == "logger.json":
                continue
            for target in panel["targets"]:
                fields = set(re.findall(r'(?:mean|last|first|max|min)\("(\w+)"\)', target["query"]))
                asked = fields & known - {"tariff"}
                assert asked <= options.fields, (name, panel["title"])
    assert "pv.json" not in boards
    assert not {"PV", "Load", "Battery"} & titles(boards, "home.json")


def colours(board: Json, title: str, *names: str) -> list[str]:
    """Return the colours that a chart gives to series."""
    (chart,) = (panel for panel in panels(board) if panel["title"] == title)
    found = []
    for name in names:
        (colour,) = (
            item["value"]["fixedColor"]
            for override in chart["fieldConfig"]["overrides"]
            if re.search(override["matcher"]["options"].strip("/"), name)
            for item in override["properties"]
            if item["id"] == "color"
        )
        found.append(colour)
    return found


def test_a_meter_without_a_neutral_has_voltages_between_phases(tmp_path: Path) -> None:
    _, boards = made_for(tmp_path, ("grow-701", "grid", "3P3W"))
    assert "Voltage between phases" in titles(boards, "home.json") & titles(boards, "phases.json")
    assert "Voltage" not in titles(boards, "home.json") | titles(boards, "phases.json")
    assert "Voltage between phases within 358.5 to 438.2 V" in titles(boards, "quality.json")
    assert "Neutral current" not in titles(boards, "phases.json")
    assert colours(boards["phases.json"], "Voltage between phases", "grid L1-L2", "grid L2-L3") == (
        colours(boards["quality.json"], "Voltage between phases, highest ten-minute means",
                "L1-L2", "L2-L3")
    )  # fmt: skip
    made = rules(DashboardOptions(wirings=frozenset({"3P3W"})), list(boards.values()))
    (high,) = (r for r in made["groups"][0]["rules"] if r["uid"] == "inepro-line-voltage-high")
    assert high["data"][-1]["model"]["conditions"][0]["evaluator"]["params"] == [438.2]


def test_only_a_meter_with_a_neutral_has_voltages_to_it(tmp_path: Path) -> None:
    """Beside one that has: whatever such a meter says of L1 to L3, it has three voltages."""
    options, boards = made_for(tmp_path, ("grow-701", "grid", "3P3W"), ("grow-750", "load", "3P4W"))
    assert options.without_neutral == ("meter1",)
    assert {"Voltage", "Voltage between phases"} <= titles(boards, "phases.json")
    assert "Voltage between phases" in titles(boards, "home.json")
    assert "Voltage" not in titles(boards, "home.json")  # which is about the grid meter
    for panel in panels(boards["phases.json"]):
        for target in panel["targets"]:
            asked = ('"voltage"' in target["query"] and "between" not in panel["title"]) or (
                '"neutral_current"' in target["query"]
            )
            assert ("\"meter\" != 'meter1'" in target["query"]) == asked, panel["title"]
    said = json.dumps(boards["quality.json"]) + json.dumps(boards["phases.json"])
    assert said.count("a meter without such voltages, or ") > 10
    options, boards = made_for(tmp_path, ("grow-701", "load", "3P3W"), ("grow-750", "grid", "3P4W"))
    assert "Voltage" in titles(boards, "home.json")
    assert "Voltage between phases" not in titles(boards, "home.json")


def test_no_voltage_is_shown_that_no_meter_measures(tmp_path: Path) -> None:
    """A PRO380 has voltages to neutral only: without one they mean nothing, and none is left."""
    options, boards = made_for(tmp_path, ("pro380", "grid", "3P3W"))
    for board in ("home.json", "phases.json", "quality.json"):
        assert not [title for title in titles(boards, board) if "oltage" in title], board
        assert "voltage" not in json.dumps([panel["targets"] for panel in panels(boards[board])])
    made = {rule["uid"] for rule in rules(options, list(boards.values()))["groups"][0]["rules"]}
    assert not [uid for uid in made if "voltage" in uid or "phase-lost" in uid]
    assert "inepro-frequency" in made
    options, boards = made_for(tmp_path, ("pro380", "grid", "3P3W"), ("grow-750", "load", "3P3W"))
    assert "Voltage between phases" in titles(boards, "home.json") | titles(boards, "phases.json")


def test_a_demand_is_missing_for_a_reason_that_holds_after_a_start() -> None:
    """A quarter hour that began without readings has no demand, however fresh the readings are."""
    made = dashboards(DashboardOptions(meters=2, roles=frozenset({"grid", "pv"})))
    (tile,) = (one for one in panels(made["home.json"]) if one["title"].startswith("Demand of"))
    said = tile["fieldConfig"]["defaults"]
    texts = [said["noValue"], *(one["options"]["result"]["text"] for one in said["mappings"])]
    assert all("quarter hour" in text for text in texts)
    assert "no reading" not in " ".join(texts)


def test_what_a_grow_measures_besides_is_shown(tmp_path: Path) -> None:
    _, boards = made_for(tmp_path, ("grow-701", "grid", "3P4W"))
    assert {
        "Neutral current", "Temperature", "Distortion of the voltage",
        "Distortion of the current",
    } <= titles(boards, "phases.json")  # fmt: skip
    assert "Apparent energy" in titles(boards, "energy.json")
    _, boards = made_for(tmp_path, ("pro380", "grid", "3P4W"))
    assert "Temperature" not in titles(boards, "phases.json")


def test_a_site_shows_the_roles_that_it_has(tmp_path: Path) -> None:
    _, boards = made_for(
        tmp_path,
        ("pro380", "grid", "3P4W"),
        ("pro380", "pv", "3P4W"),
        ("pro380", "battery", "3P4W"),
    )
    assert "Energy flow now" in titles(boards, "home.json")
    assert "Charged" in json.dumps(boards["pv.json"])
    _, boards = made_for(tmp_path, ("pro1", "pv", "1P2W"))
    assert titles(boards, "pv.json") == {"Produced", "Produced by day", "Produced by month"}
    assert {"PV", "Power"} <= titles(boards, "home.json")
    shown = {t.get("alias") for panel in panels(boards["home.json"]) for t in panel["targets"]}
    assert shown == {"PV", "Produced"}


def test_dashboards_of_one_meter_begin_with_the_grid_meter() -> None:
    """Grafana would take the first of the alphabet: a battery, a bakery."""
    config = load_config(ROOT / "config" / "demo.toml")
    made = dashboards(dashboard_options(config))
    begins = {
        name: variable["current"]
        for name, board in made.items()
        for variable in board["templating"]["list"]
        if variable["name"] == "meter" and not variable["includeAll"]
    }
    assert set(begins) == {"energy.json", "meters.json", "quality.json"}
    assert all(one["value"] == one["text"] == "grid" for one in begins.values())


def test_a_meter_without_tariffs_has_its_days_and_hours(tmp_path: Path) -> None:
    config = tmp_path / "logger.toml"
    text = (ROOT / "config" / "demo.toml").read_text(encoding="utf-8")
    config.write_text(text.replace('"pro380"', '"pro1"'), encoding="utf-8")
    board = dashboards(dashboard_options(load_config(config)))["energy.json"]
    steps = [panel for panel in panels(board) if panel["title"].endswith((" day", " hour"))]
    assert len(steps) >= 4
    for panel in steps:
        if panel["title"].startswith(("Import", "Export")):
            assert "T[1-4]" not in json.dumps(panel["targets"]), panel["title"]


@pytest.mark.parametrize(
    ("fast", "span_ms"), [("5s", 300_000), ("1m", 300_000), ("10m", 1_800_000)]
)
def test_curves_of_meters_that_are_rarely_read_are_lines(
    tmp_path: Path, fast: str, span_ms: int
) -> None:
    config = tmp_path / "logger.toml"
    text = (ROOT / "config" / "demo.toml").read_text(encoding="utf-8")
    config.write_text(re.sub(r"(?m)^fast = .*", f'fast = "{fast}"', text), encoding="utf-8")
    made = CliRunner().invoke(app, ["grafana", str(tmp_path / "made"), "--config", str(config)])
    assert made.exit_code == 0, made.output
    spans = [
        (panel["title"], panel["fieldConfig"]["defaults"]["custom"]["spanNulls"])
        for file in (tmp_path / "made").rglob("*.json")
        for panel in panels(json.loads(file.read_text(encoding="utf-8")))
        if panel["type"] == "timeseries"
        and "spanNulls" in panel["fieldConfig"]["defaults"]["custom"]
    ]
    assert len(spans) > 20
    assert min(span for _, span in spans) == span_ms


@pytest.mark.parametrize(
    ("fast", "slow", "minutes", "report"),
    [("5s", "60s", 5, 15), ("5m", "15m", 15, 45), ("100s", "5m", 5, 15)],
)
def test_the_newest_values_stay_until_three_readings_are_missing(
    tmp_path: Path, fast: str, slow: str, minutes: int, report: int
) -> None:
    config = tmp_path / "logger.toml"
    text = (ROOT / "config" / "demo.toml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^fast = .*", f'fast = "{fast}"', text)
    text = re.sub(r"(?m)^slow = .*", f'slow = "{slow}"', text)
    config.write_text(text, encoding="utf-8")
    made = CliRunner().invoke(app, ["grafana", str(tmp_path / "made"), "--config", str(config)])
    assert made.exit_code == 0, made.output
    text = "".join(one.read_text(encoding="utf-8") for one in (tmp_path / "made").rglob("*.json"))
    found = {int(one) for one in re.findall(r"time > now\(\) - (\d+)m\b", text)}
    assert found == {minutes, report}
    assert {int(one) for one in re.findall(r"\b(?:for|last) (\d+) minutes", text)} == found


def test_sixty_meters_are_shown_by_choice_and_without_long_legends() -> None:
    many = dashboards(DashboardOptions(meters=60))
    rows = [one for one in many["phases.json"]["panels"] if one["type"] == "row"]
    assert rows
    assert {one.get("repeat") for one in rows} == {"meter"}
    (meter,) = (v for v in many["phases.json"]["templating"]["list"] if v["name"] == "meter")
    assert meter["multi"]
    assert meter["current"] == {}  # Grafana takes the first one
    loads = [panel for panel in panels(many["meters.json"]) if "loads" in panel["title"].lower()]
    assert {panel["title"] for panel in loads} == {"Top loads", "Shares of the loads",
                                                   "Loads by day"}  # fmt: skip
    for panel in loads:
        aliases = {target.get("alias") for target in panel["targets"]}
        assert "$tag_meter" not in aliases, panel["title"]
    for panel in panels(many["logger.json"]):
        if panel["type"] == "timeseries" and "$tag_meter" in json.dumps(panel["targets"]):
            assert not panel["options"]["legend"]["showLegend"], panel["title"]
    few = dashboards(DashboardOptions(meters=2))
    assert "$tag_meter" in json.dumps(few["meters.json"])
    assert "meters.json" not in dashboards(DashboardOptions(meters=1))


def test_no_chart_shows_the_phases_of_two_meters_in_the_same_colours(tmp_path: Path) -> None:
    """A colour is a phase: two meters in one chart had the same three."""
    _, one = made_for(tmp_path, ("pro380", "grid", "3P4W"))
    _, two = made_for(tmp_path, ("pro380", "grid", "3P4W"), ("pro380", "pv", "3P4W"))
    for boards, each in ((one, None), (two, "meter")):
        rows = [panel for panel in boards["phases.json"]["panels"] if panel["type"] == "row"]
        assert rows
        assert {row.get("repeat") for row in rows} == {each}
    (meter,) = (v for v in two["phases.json"]["templating"]["list"] if v["name"] == "meter")
    assert meter["multi"]
    assert meter["current"]["value"] == ["meter1"]


def test_tables_are_as_high_as_they_have_meters(tmp_path: Path) -> None:
    """Neither two rows in a table for ten, nor five of twenty."""
    heights = {}
    for count in (2, 9, 60):
        loads = [("pro380", "load", "3P4W")] * (count - 1)
        _, boards = made_for(tmp_path, ("pro380", "grid", "3P4W"), *loads)
        heights[count] = {
            panel["title"]: panel["gridPos"]["h"]
            for board in ("meters.json", "logger.json")
            for panel in panels(boards[board])
        }
    for title in ("All meters", "Drawn by month", "Last seen", "Meters"):
        found = [heights[count][title] for count in (2, 9, 60)]
        assert found == [5, 11, 12], title
    _, boards = made_for(tmp_path, ("pro380", "grid", "3P4W"), ("pro380", "pv", "3P4W"))
    (alone,) = (p for p in panels(boards["meters.json"]) if p["title"].startswith("Reactive"))
    assert alone["gridPos"]["h"] == 5


@pytest.mark.parametrize(
    ("roles", "flows", "demand"),
    [
        (("grid", "pv"), True, True),
        (("grid", "battery"), True, True),
        (("grid", "load"), False, True),
        (("grid", "grid", "pv"), False, False),
        (("pv", "battery"), False, False),
    ],
)
def test_panels_ask_for_the_flows_and_the_demand_that_there_are(
    tmp_path: Path, roles: tuple[str, ...], flows: bool, demand: bool
) -> None:
    _, boards = made_for(tmp_path, *(("pro380", role, "3P4W") for role in roles))
    asked = {
        field
        for board in boards.values()
        for query, _ in queries(board)
        if 'FROM "site"' in query
        for field in MEASUREMENTS["site"].fields
        if f'"{field}"' in query
    }
    assert bool(asked - set(DEMAND_FIELDS)) is flows
    assert bool(asked & set(DEMAND_FIELDS)) is demand
