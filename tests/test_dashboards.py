"""Dashboards without a Grafana: style, names, places, variables."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from logger.config import load_config
from logger.domain.datamodel import MEASUREMENTS, Lane
from logger.grafana import DashboardOptions, Source, dashboard_options, files, write
from logger.grafana.panels import row, stat
from logger.grafana.panels import target as asked
from logger.grafana.placing import placed
from tests.boards import BOARDS, ROOT
from tests.grafana_queries import Json, panels, queries, unknown_names

PANELS = {
    f"{name}: {panel['title']}": panel for name, board in BOARDS.items() for panel in panels(board)
}
EVERY = {
    f"{name} {number}": (board, query, source)
    for name, board in BOARDS.items()
    for number, (query, source) in enumerate(queries(board))
}
# Ids that Grafana 9.4 and 13 share.
UNITS = {
    "watt", "hertz", "percentunit", "percent", "none", "locale", "string", "celsius",
    "dateTimeFromNow", "dateTimeAsLocal", "dtdhms", "dtdurations", "suffix:kWh", "suffix:kvarh",
    "suffix:kVAh", "suffix:kW", "suffix:W", "suffix:V", "suffix:A", "suffix:var", "suffix:VA",
    "si:var", "si:VA", "suffix:ms", "suffix:EUR", "time:YYYY-MM-DD",
}  # fmt: skip
# Kinds of panels whose options did not change between the two.
KINDS = {
    "timeseries", "stat", "bargauge", "table", "heatmap", "histogram", "piechart", "canvas",
}  # fmt: skip
FIXED = (
    {"__from", "__to", "__interval", "__interval_ms", "timeFilter"}
    | {f"__to:date:{form}" for form in ("YYYY", "YYYY-MM", "YYYY-MM-DD", "YYYYMM", "YYYYMMDD")}
    | {"__from:date:YYYYMMDD", "__from:date:HHmmss"}
)


@pytest.fixture(params=list(BOARDS.values()), ids=list(BOARDS))
def board(request: pytest.FixtureRequest) -> Json:
    found: Json = request.param
    return found


@pytest.fixture(params=list(PANELS.values()), ids=list(PANELS))
def panel(request: pytest.FixtureRequest) -> Json:
    found: Json = request.param
    return found


def test_the_files_in_the_repository_are_what_the_program_writes() -> None:
    config = load_config(ROOT / "config" / "logger.toml")
    made = files(
        dashboard_options(config),
        Source(),
        PurePosixPath("/etc/grafana/provisioning"),
        {},
    )
    there = {
        str(path.relative_to(ROOT / "grafana")): path.read_text(encoding="utf-8")
        for path in (ROOT / "grafana").rglob("*")
        if path.suffix in {".json", ".yaml"}
    }
    assert there == made, "run: inepro-logger grafana grafana"


def test_seven_dashboards_have_unique_names() -> None:
    uids = [board["uid"] for board in BOARDS.values()]
    assert len(set(uids)) == len({board["title"] for board in BOARDS.values()}) == 7
    assert all(re.fullmatch(r"[\w-]{1,40}", uid) for uid in uids)


def test_a_dashboard_loads_from_a_file_in_every_version(board: Json) -> None:
    assert board["schemaVersion"] == 37
    assert board["id"] is None
    assert board["timezone"] == "Europe/Amsterdam"
    assert isinstance(board["refresh"], str)
    text = json.dumps(board)
    assert "__inputs" not in text
    assert "${DS_" not in text
    assert "$$" not in text


def test_a_panel_with_a_range_of_its_own_asks_for_all_of_it(panel: Json) -> None:
    """Grafana 9 and 10 put the range of the dashboard into a query, and that of the panel only
    into `$timeFilter`."""
    if last := panel.get("timeFrom"):
        for target in panel["targets"]:
            text = target["query"].replace(f"${{__from}}ms - {last}", "$timeFilter")
            assert "$timeFilter" in text
            assert "${__from}" not in text


def test_panels_stand_side_by_side(board: Json) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
        cells = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert not cells & taken, panel["title"]
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert len(taken) == 24 * height, "there is a hole"


def tiles(*widths: int, height: int = 4) -> list[Json]:
    return [
        stat(f"tile {number}", "A number.", [asked("SELECT 1")], width=width, height=height)
        for number, width in enumerate(widths, start=1)
    ]


def test_lines_of_tiles_are_placed_from_the_left() -> None:
    places = [one["gridPos"] for one in placed([row("now"), *tiles(4, 4, 16), *tiles(24)])]
    assert [(place["x"], place["y"], place["w"]) for place in places] == [
        (0, 0, 24), (0, 1, 4), (4, 1, 4), (8, 1, 16), (0, 5, 24),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        [*tiles(4, 4, 4, 4, 4, 4, 4), *tiles(12, 12, height=8)],  # a seventh tile
        tiles(6, 6, 6),
        [*tiles(12), *tiles(12, height=8)],
        [*tiles(6, 6), row("later"), *tiles(24)],
    ],
)
def test_a_line_that_leaves_a_hole_says_what_to_change(line: list[Json]) -> None:
    with pytest.raises(ValueError, match=r"24 wide in all .*'tile 1' \d+ wide.*`width`"):
        placed(line)


def test_a_panel_explains_itself(panel: Json) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["type"] in KINDS
    assert panel["title"]
    assert len(panel["description"]) > 20
    assert panel["description"].endswith(".")
    assert defaults["unit"] in UNITS
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert isinstance(defaults["noValue"], str)
    assert panel["targets"]
    refs = [target["refId"] for target in panel["targets"]]
    assert len(set(refs)) == len(refs)
    units = [
        item["value"]
        for override in panel["fieldConfig"]["overrides"]
        for item in override["properties"]
        if item["id"] == "unit"
    ]
    assert set(units) <= UNITS
    if panel["type"] == "table":  # "20 minutes, 0 seconds" is cut off in a column
        assert "dtdurations" not in units
        for override in panel["fieldConfig"]["overrides"]:  # nor is the end of a time, AM or PM
            settings = {item["id"]: item["value"] for item in override["properties"]}
            if settings.get("unit") == "dateTimeAsLocal":
                assert settings["custom.width"] >= 190


def test_ratios_show_their_formula_and_their_limits() -> None:
    for title, formula in (
        ("Self-consumption", "self-consumed / produced"),
        ("Self-sufficiency", "(consumed - imported) / consumed"),
    ):
        text = PANELS[f"pv.json: {title}"]["description"]
        assert f" = {formula}" in text
        assert "does not net its phases" in text
    voltages = [
        panel
        for name, panel in PANELS.items()
        if "quality_" in json.dumps(panel["targets"]) or name.endswith(": Voltage")
    ]
    assert len(voltages) >= 9
    for panel in voltages:
        assert "not an EN 50160 measurement" in panel["description"], panel["title"]


def test_a_panel_asks_the_data_sources_that_are_provisioned(panel: Json) -> None:
    uids = {target["datasource"]["uid"] for target in panel["targets"]}
    assert uids <= {"inepro-energy", "inepro-live"}
    own = panel["datasource"]["uid"]
    assert own == (uids.pop() if len(uids) == 1 else "-- Mixed --")


@pytest.mark.parametrize(("board", "query", "source"), EVERY.values(), ids=EVERY)
def test_a_query_runs_on_every_influxdb(board: Json, query: str, source: Json) -> None:
    assert ";" not in query  # one statement, for Grafana sends each on its own
    for word in (" ON ", "SLIMIT", "SOFFSET", " INTO ", "autogen"):
        assert word not in query, word  # InfluxDB 3 has none of them
    assert unknown_names(query) == set()
    lanes = {
        MEASUREMENTS[name].lane
        for name in re.findall(r'FROM "(\w+)"', query)
        if name in MEASUREMENTS
    }
    assert lanes == {Lane.FAST if source["uid"] == "inepro-live" else Lane.MAIN}
    defined = {variable["name"] for variable in board["templating"]["list"]}
    for name in re.findall(r"\$\{([^}]+)\}", query):
        plain, _, form = name.partition(":")
        assert name in FIXED or (plain in defined and form in {"raw", "regex"}), name
    for name in re.findall(r"\$(\w+)", query):
        assert name in FIXED, name
    assert query.count("tz(") == 0 or query.endswith("tz('${tz:raw}')")


def test_instantaneous_values_are_read_for_a_day_at_most(panel: Json) -> None:
    for target in panel["targets"]:
        if target["datasource"]["uid"] != "inepro-live":
            continue
        short = re.search(r"time > now\(\) - (5m|15m|2d)\b", target["query"])
        assert short or "$__interval_ms <= 120000" in target["query"]


def test_links_lead_to_dashboards_that_exist() -> None:
    uids = {board["uid"] for board in BOARDS.values()}
    links = [link["url"] for panel in PANELS.values() for link in panel.get("links", [])]
    assert links
    for url in links:
        match = re.match(r"/d/([\w-]+)\?", url)
        assert match
        assert match[1] in uids


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ('SELECT mean("voltage") FROM "power" WHERE "phase" = \'L1\'', set()),
        ('SELECT mean("voltages") FROM "power"', {"voltages"}),
        ('SELECT mean("voltage") FROM "powers"', {"voltage", "powers"}),
        ('SELECT sum("d") FROM (SELECT spread("reads") AS "d" FROM "logger")', set()),
        ('SELECT last("voltage") FROM "power" GROUP BY "tariff"', {"tariff"}),
    ],
)
def test_the_lint_finds_wrong_names(query: str, unknown: set[str]) -> None:
    assert unknown_names(query) == unknown


def test_a_figure_that_is_missing_is_not_told_in_green() -> None:
    for name, panel in PANELS.items():
        if panel["type"] != "stat":
            continue
        told = [
            mapping["options"]["result"]
            for mapping in panel["fieldConfig"]["defaults"]["mappings"]
            if mapping["type"] == "special"
        ]
        assert told, name
        assert told[0]["text"] == panel["fieldConfig"]["defaults"]["noValue"]
        assert told[0]["color"] in {"text", "orange"}
        assert panel["options"]["graphMode"] == "none"  # no number over its curve


def test_tiles_of_now_do_not_follow_the_range_shown() -> None:
    for name in ("Energy flow now", "Voltage", "Frequency", "Tariff"):
        panel = PANELS[f"home.json: {name}"]
        assert "timeFrom" not in panel  # which a range chosen by dragging would replace
        for target in panel["targets"]:
            assert "time > now() - " in target["query"]
            assert "$timeFilter" not in target["query"]


def test_writing_again_touches_nothing(tmp_path: Path) -> None:
    made = files(DashboardOptions(), Source(), PurePosixPath("/x"), {})
    assert sorted(write(made, tmp_path)) == sorted(made)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert write(made, tmp_path) == []
    changed = files(DashboardOptions(zone="Asia/Tokyo"), Source(), PurePosixPath("/x"), {})
    assert len(write(changed, tmp_path)) == 8
    assert set(stamps) == {path for path in tmp_path.rglob("*") if path.is_file()}


def test_data_sources_hold_no_token(tmp_path: Path) -> None:
    source = Source(url="http://db:8086", bucket="a", fast_bucket="b", token_file="/run/t")
    made = files(DashboardOptions(), source, PurePosixPath("/prov"), {})
    loaded: Any = yaml.safe_load(made["datasources/inepro-logger.yaml"])
    found = {one["uid"]: one for one in loaded["datasources"]}
    assert {uid: one["jsonData"]["dbName"] for uid, one in found.items()} == {
        "inepro-energy": "a",
        "inepro-live": "b",
    }
    for one in found.values():
        assert one["database"] == one["jsonData"]["dbName"]
        assert one["access"] == "proxy"
        assert one["jsonData"]["httpMode"] == "POST"
        assert one["secureJsonData"] == {"httpHeaderValue1": "Token $__file{/run/t}"}
    provider: Any = yaml.safe_load(made["dashboards/inepro-logger.yaml"])
    assert provider["providers"][0]["options"]["path"] == "/prov/dashboards"


def test_a_table_names_what_it_has_no_value_of(panel: Json) -> None:
    """A column without any value has no type for Grafana, which shows such a cell as JSON."""
    if panel["type"] == "table":
        assert panel["fieldConfig"]["defaults"]["custom"]["displayMode"] == "color-text"


def test_bars_stand_on_zero(panel: Json) -> None:
    """Grafana 9 begins the axis of bars at the lowest of them."""
    custom = panel["fieldConfig"]["defaults"]["custom"]
    if custom.get("drawStyle") == "bars":
        assert custom["axisSoftMin"] == 0
