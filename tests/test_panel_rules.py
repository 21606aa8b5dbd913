"""Rules that every panel of every kind of site keeps, as far as its JSON can say."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from logger.config.derive import Price, Prices
from logger.grafana import DashboardOptions, dashboards
from logger.grafana.alerts import rules
from logger.grafana.panels import BUY, EMPTY, NO_DAY, SELL, SUN
from logger.grafana.query import DAY, year_before
from tests.boards import EVERYTHING
from tests.grafana_queries import Json, panels, queries

PRICES = Prices(valid=[Price.model_validate({"since": date(2024, 1, 1), "buy": 0.3, "sell": 0.08})])
ONE, THREE = frozenset({"1P2W"}), frozenset({"3P4W"})
FLATS = {f"Flat {number}": (f"m{number}", f"n{number}") for number in range(1, 31)}


def site(*roles: str, **more: Any) -> DashboardOptions:
    return DashboardOptions(prices=PRICES, roles=frozenset(roles), **more)


SITES = {
    "house": site("grid", "pv", wirings=THREE, meters=2),
    "battery": site("grid", "pv", "battery", "load", wirings=THREE, meters=5),
    "battery only": site("grid", "battery", wirings=THREE, meters=2),
    "flat": site("grid", wirings=ONE, meters=1),
    "no grid meter": site("load", wirings=ONE, meters=20),
    "only PV": site("pv", wirings=ONE, meters=1),
    "building": site("grid", "load", wirings=THREE, meters=61, centres=FLATS),
    "three wires": site("grid", wirings=frozenset({"3P3W"}), meters=1),
}
BOARDS = {name: dashboards(options) for name, options in SITES.items()}
PANELS = {
    f"{name}, {board}: {panel['title']}": panel
    for name, boards in BOARDS.items()
    for board, made in boards.items()
    for panel in panels(made)
}
MOVED = Price.model_validate({"since": date(2026, 4, 1), "buy_formula": {"vat": 0.2}})
PANELS |= {
    f"everything, {board}: {panel['title']}": panel
    for board, made in dashboards(replace(EVERYTHING, prices=Prices(valid=[MOVED]))).items()
    for panel in panels(made)
}

# What @grafana/schema 13.2.3 (npm, Apache-2.0: dist/types/raw/composable/*/panelcfg and
# raw/dashboard) knows of each kind of panel: a key that it has not is dropped in silence.
_VIZ = "legend{calcs displayMode placement showLegend width} tooltip{mode sort} "
_AXIS = "axisColorMode axisLabel axisPlacement axisSoftMax axisSoftMin scaleDistribution{type} "
_REDUCED = "orientation reduceOptions{calcs fields limit values} text{titleSize valueSize} "
_ELEMENTS = (
    "root{name type elements{name type config background{color{fixed field}} "
    "border{color{fixed field} width} constraint{horizontal vertical} "
    "placement{left right top bottom width height} "
    "connections{source{x y} target{x y} targetName path color{fixed field} "
    "size{fixed min max}}}}"
)
OPTIONS = {
    "timeseries": _VIZ,
    "stat": _REDUCED + "colorMode graphMode justifyMode textMode showPercentChange wideLayout",
    "bargauge": _REDUCED + "displayMode minVizHeight minVizWidth namePlacement showUnfilled sizing",
    "table": "cellHeight enablePagination frameIndex showHeader sortBy{desc displayName}",
    "heatmap": (
        "calculate calculation cellGap cellValues{decimals unit} filterValues exemplars{color} "
        "color{exponent fill max min mode reverse scale scheme steps} legend{show} "
        "rowsFrame{layout value} showValue tooltip{mode yHistogram} "
        "yAxis{axisPlacement reverse unit}"
    ),
    "histogram": _VIZ + "bucketCount bucketOffset bucketSize combine",
    "piechart": (
        "pieType displayLabels reduceOptions{calcs fields values} tooltip{mode sort} "
        "legend{calcs displayMode placement showLegend values width}"
    ),
    "canvas": "inlineEditing panZoom showAdvancedTypes zoomToContent tooltip{mode} " + _ELEMENTS,
}
CUSTOM = {
    "timeseries": _AXIS + "barAlignment drawStyle fillBelowTo fillOpacity gradientMode "
    "lineInterpolation lineWidth showPoints spanNulls stacking{group mode} thresholdsStyle{mode}",
    "table": "align cellOptions displayMode filterable inspect minWidth width wrapText",
    "heatmap": "scaleDistribution{type}",
    "histogram": _AXIS + "fillOpacity gradientMode lineWidth",
}
BOARD = (
    "annotations description editable fiscalYearStartMonth graphTooltip id links liveNow panels "
    "refresh schemaVersion tags templating time timepicker timezone title uid version weekStart"
)
# Units that Grafana turns into thousandths below 1, and thousands above 1000.
SCALED = {"watt", "volt", "amp", "voltamp", "voltampreact", "kwatth", "kwatt", "short", "ms", "s",
          "si:var", "si:VA"}  # fmt: skip
# So wide is a table on a telephone of 360 pixels, and a column that has no width of its own.
PHONE_PX, COLUMN_PX = 300, 150


def parsed(text: str) -> dict[str, Any]:
    """Return "a b{c d}" as {"a": {}, "b": {"c": {}, "d": {}}}."""
    words: list[str] = re.findall(r"[{}]|[^\s{}]+", text)
    stack: list[dict[str, Any]] = [{}]
    last = ""
    for word in words:
        if word == "{":
            stack.append(stack[-1][last])
        elif word == "}":
            stack.pop()
        else:
            last = word
            stack[-1][last] = {}
    return stack[0]


def unknown(value: object, known: dict[str, Any], place: str) -> Iterator[str]:
    """Yield the keys of `value` that are not in `known`; below an empty one all are."""
    if isinstance(value, list):
        for one in value:
            yield from unknown(one, known, place)
    elif isinstance(value, dict):
        for key, own in value.items():
            if key not in known:
                yield f"{place}.{key}"
            elif known[key]:
                yield from unknown(own, known[key], f"{place}.{key}")


def test_the_lint_of_keys_finds_what_is_not_known() -> None:
    known = parsed(OPTIONS["table"])
    assert list(unknown({"footer": {}, "sortBy": [{"desc": True, "by": 1}]}, known, "")) == [
        ".footer", ".sortBy.by",
    ]  # fmt: skip
    tooltip = {"tooltip": {"show": True, "mode": "single"}}
    assert list(unknown(tooltip, parsed(OPTIONS["heatmap"]), "heatmap")) == ["heatmap.tooltip.show"]


@pytest.mark.parametrize("name", SITES)
def test_grafana_knows_every_key(name: str) -> None:
    found = []
    for board in BOARDS[name].values():
        found += [key for key in board if key not in parsed(BOARD)]
        for panel in panels(board):
            kind = panel["type"]
            found += unknown(panel["options"], parsed(OPTIONS[kind]), kind)
            custom = parsed(CUSTOM.get(kind, ""))
            found += unknown(panel["fieldConfig"]["defaults"]["custom"], custom, f"{kind} custom")
            for override in panel["fieldConfig"]["overrides"]:
                for item in override["properties"]:
                    if item["id"].startswith("custom."):
                        found += unknown({item["id"][7:]: 0}, custom, f"{kind} custom")
    assert found == []


def test_no_thousandths_and_one_unit_in_a_tile() -> None:
    """Units that scale stand only where the query rounds, and alone in their tile."""
    for name, panel in PANELS.items():
        field = panel["fieldConfig"]
        units = [
            item["value"]
            for override in field["overrides"]
            for item in override["properties"]
            if item["id"] == "unit"
        ]
        shown = {field["defaults"]["unit"], *units} & SCALED
        assert shown <= {"watt", "si:var", "si:VA"}, name
        assert not any("currency" in unit for unit in units), name  # 12345.6 would be 12.35K
        if shown:
            for target in panel["targets"]:
                assert "round(" in target["query"], name
            if panel["type"] == "stat":  # 19.2 kW would be 19 kW
                assert "decimals" not in field["defaults"], name
        if panel["type"] in {"stat", "bargauge", "piechart"}:
            assert units == [], name
            assert not shown or len(panel["targets"]) == 1, name
        if panel["type"] == "table":
            assert not shown, name  # a column of W and kW cannot be compared
        assert "suffix: " not in json.dumps(field), name  # Grafana writes a space of its own


def test_dates_are_written_as_the_reader_writes_them() -> None:
    times = {"dateTimeAsLocal", "dateTimeFromNow", "time:YYYY-MM-DD"}  # a day alone: ISO 8601
    for name, panel in PANELS.items():
        if panel["type"] != "table":
            continue
        (organize,) = (t["options"] for t in panel["transformations"] if t["id"] == "organize")
        for source in ("Time", "time"):
            if organize["excludeByName"].get(source) or source not in organize["indexByName"]:
                continue
            heading = organize["renameByName"].get(source, source)
            units = {
                item["value"]
                for override in panel["fieldConfig"]["overrides"]
                if override["matcher"]["options"] in {heading, "Time"}
                for item in override["properties"]
                if item["id"] == "unit"
            }
            assert units & times, (name, source)


def test_neighbouring_ticks_of_an_axis_read_differently() -> None:
    """Grafana takes as many decimals as they need, unless it is told how many."""
    told = 0
    for name, panel in PANELS.items():
        field = panel["fieldConfig"]
        if panel["type"] != "timeseries":
            continue
        for override in field["overrides"]:
            assert "decimals" not in {item["id"] for item in override["properties"]}, name
        if (decimals := field["defaults"].get("decimals")) is None:
            continue
        told += 1
        custom = field["defaults"]["custom"]
        low = field["defaults"].get("min", custom.get("axisSoftMin"))
        high = field["defaults"].get("max", custom.get("axisSoftMax"))
        assert low is not None, name
        assert high is not None, name
        shown = 100 if field["defaults"]["unit"] == "percentunit" else 1
        assert shown * (high - low) >= 20 * 10**-decimals, name  # at most ten ticks
    assert told > 5
    axes = {name.split(": ")[1]: p["fieldConfig"]["defaults"] for name, p in PANELS.items()}
    for title in ("Current", "Neutral current", "Energy by day"):
        assert "decimals" not in axes[title], title


def test_sums_in_legends_are_as_fine_as_those_in_tiles() -> None:
    """Without decimals Grafana shows three digits: 128 kWh below a tile of 127.5 kWh."""
    found = 0
    for name, panel in PANELS.items():
        defaults = panel["fieldConfig"]["defaults"]
        told = "sum" in panel["options"].get("legend", {}).get("calcs", ())
        if panel["type"] == "timeseries" and told and defaults["unit"].startswith("suffix:"):
            found += 1
            assert defaults.get("decimals", 0) >= 1, name
    assert found > 20


def test_bars_in_a_table_are_of_its_only_figures() -> None:
    """Grafana draws them against the highest figure of the whole table: beside power in W those
    of kWh would all be stumps."""
    found = 0
    for name, panel in PANELS.items():
        if "gauge" in json.dumps(panel["fieldConfig"]):
            found += 1
            (organize,) = (t["options"] for t in panel["transformations"] if t["id"] == "organize")
            shown = {name for name in organize["indexByName"]
                     if not organize["excludeByName"].get(name)}  # fmt: skip
            assert len({organize["renameByName"].get(name, name) for name in shown}) == 2, name
    assert found > 5


def test_the_wide_column_of_a_table_is_its_last() -> None:
    """Else what stands right of it is far from what it belongs to."""
    found = 0
    for name, panel in PANELS.items():
        if panel["type"] != "table":
            continue
        (organize,) = (t["options"] for t in panel["transformations"] if t["id"] == "organize")
        fixed = {
            override["matcher"]["options"]
            for override in panel["fieldConfig"]["overrides"]
            if any(item["id"] == "custom.width" for item in override["properties"])
        }
        places = sorted(organize["indexByName"].items(), key=lambda one: one[1])
        shown = [name for name, _ in places if not organize["excludeByName"].get(name)]
        headings = list(dict.fromkeys(organize["renameByName"].get(one, one) for one in shown))
        wide = [one for one in headings if one not in fixed]
        if len(wide) == 1 and len(headings) > 2:
            found += 1
            assert wide[0] in {headings[0], headings[-1]}, name
    assert found > 1


def test_months_without_figures_stand_below_their_headings() -> None:
    """A column without any is no column of numbers: it would stand left, the others right."""
    found = [panel for panel in PANELS.values() if panel["type"] == "table" and "Jan" in json.dumps(
        panel["transformations"])]  # fmt: skip
    assert len({panel["title"] for panel in found}) >= 2
    for panel in found:
        assert panel["fieldConfig"]["defaults"]["custom"]["align"] == "right", panel["title"]


def test_energy_of_hundreds_has_room_in_a_column() -> None:
    for name in ("house", "battery", "building"):
        custom = PANELS[f"{name}, meters.json: All meters"]["fieldConfig"]["defaults"]["custom"]
        assert custom["minWidth"] >= 95, name  # 6317.9 kWh


def test_a_heading_that_is_sorted_by_has_room_for_its_arrow() -> None:
    for name, panel in PANELS.items():
        for by in panel["options"].get("sortBy", ()) if panel["type"] == "table" else ():
            for override in panel["fieldConfig"]["overrides"]:
                if override["matcher"]["options"] == by["displayName"]:
                    for item in override["properties"]:
                        if item["id"] in {"custom.width", "custom.minWidth"}:
                            assert item["value"] >= 9 * len(by["displayName"]) + 30, name


def test_tables_are_as_high_as_their_rows() -> None:
    """A row of 36 pixels below 84 of title and headings, in a panel of 38 a unit less 8."""
    eleven = dict(itertools.islice(FLATS.items(), 11))
    board = dashboards(replace(SITES["building"], centres=eleven))["centres.json"]
    shown = PANELS | {f"eleven centres: {panel['title']}": panel for panel in panels(board)}
    for name, rows in (
        ("battery, meters.json: All meters", 5),
        ("battery, meters.json: Drawn by month", 5),
        ("battery, logger.json: Last seen", 5),
        ("battery, meters.json: Highest quarter hours", 10),
        ("building, meters.json: Top loads", 10),
        ("eleven centres: Cost centres", 11),
        ("eleven centres: Drawn by cost centre and month", 11),
    ):
        assert 38 * shown[name]["gridPos"]["h"] - 8 >= 84 + 36 * rows, name


def test_the_counts_of_a_histogram_are_whole_numbers() -> None:
    """Its decimals are those of both axes; without, the other one has those of its classes."""
    found = [panel for panel in PANELS.values() if panel["type"] == "histogram"]
    assert found
    for panel in found:
        assert "decimals" not in panel["fieldConfig"]["defaults"]
        assert panel["options"]["bucketSize"] == 0.01


def on_a_phone(panel: Json) -> list[str]:
    """Return the columns of a table that a telephone shows whole, without being pushed."""
    (organize,) = (t["options"] for t in panel["transformations"] if t["id"] == "organize")
    places = sorted(organize["indexByName"].items(), key=lambda one: one[1])
    names = [name for name, _ in places if not organize["excludeByName"].get(name)]
    headings = dict.fromkeys(organize["renameByName"].get(name, name) for name in names)
    usual = panel["fieldConfig"]["defaults"]["custom"].get("minWidth", COLUMN_PX)
    own = {
        override["matcher"]["options"]: item["value"]
        for override in panel["fieldConfig"]["overrides"]
        for item in override["properties"]
        if item["id"] in {"custom.width", "custom.minWidth"}
    }
    found, room = [], PHONE_PX
    for heading in headings:
        room -= own.get(heading, usual)
        if room < 0:
            break
        found.append(heading)
    return found


def test_a_phone_shows_what_matters_of_a_table() -> None:
    seen = {name: on_a_phone(p) for name, p in PANELS.items() if p["type"] == "table"}
    for name, found in seen.items():
        for by in PANELS[name]["options"]["sortBy"]:
            assert by["displayName"] in found, name
    for name, first in (
        ("house, quality.json: Events", ["What"]),
        ("house, logger.json: Events of logger and meters", ["What"]),
        ("house, logger.json: Last seen", ["Meter", "Last reading"]),
        ("building, meters.json: All meters", ["Meter", "Power", "Month"]),
        ("house, quality.json: Voltage within 207 to 253 V by week",
         ["Week", "L1", "L2", "L3"]),
        ("house, phases.json: Latest readings", ["Meter", "Phase", "Voltage", "Current"]),
        ("house, meters.json: Highest quarter hours", ["Demand", "Began"]),
        ("house, energy.json: Counters", ["Tariff", "Import kWh", "Export kWh"]),
    ):  # fmt: skip
        assert seen[name] == first, name


def test_a_column_made_a_text_is_written_without_quotes() -> None:
    """From version 10 on Grafana puts a text that is made a text into quotes, as JSON has it."""
    made = {
        name: panel["fieldConfig"]["defaults"]["mappings"]
        for name, panel in PANELS.items()
        if "convertFieldType" in [step["id"] for step in panel.get("transformations", ())]
    }
    assert "house, quality.json: Events" in made
    for name, mappings in made.items():
        [options] = [mapping["options"] for mapping in mappings if mapping["type"] == "regex"]
        pattern, text = options["pattern"].strip("/"), options["result"]["text"].replace("$", "\\")
        for meter in ("roof", "L2", 'a "big" one'):
            assert re.sub(pattern, text, f'"{meter}"') == meter, name
            assert re.fullmatch(pattern, meter) is None, name


def test_a_ring_tells_its_shares_in_little_room() -> None:
    """Names and shares fit beside it on a telephone; of nothing there are none, so it is not
    asked for."""
    found = {name: panel for name, panel in PANELS.items() if panel["type"] == "piechart"}
    assert len(found) > 5
    for name, panel in found.items():
        assert panel["options"]["legend"]["values"] == ["percent"], name
        for target in panel["targets"]:
            assert '"kWh" > 0' in target["query"], name


def test_no_number_stands_over_a_curve() -> None:
    for name, panel in PANELS.items():
        assert panel["options"].get("graphMode", "none") == "none", name


def test_what_an_empty_tile_says_is_large_enough_to_read() -> None:
    """Grafana makes a text as small as its tile asks: at 15 letters for each of the 24 units of
    width they were 8 pixels high on a desk."""
    for name, panel in PANELS.items():
        if panel["type"] == "stat":
            text = panel["fieldConfig"]["defaults"]["noValue"]
            assert len(text) <= 11 * panel["gridPos"]["w"], (name, text)


def test_no_curve_is_cut_off_above_unless_more_cannot_be() -> None:
    shares = {"Self-consumption and self-sufficiency by day"}
    for name, panel in PANELS.items():
        if panel["type"] == "timeseries" and "max" in panel["fieldConfig"]["defaults"]:
            assert panel["title"] in shares, name


def test_durations_are_of_whole_seconds() -> None:
    """Grafana writes "20 seconds, 12 milliseconds" else."""
    found = [
        p for p in PANELS.values() if p["fieldConfig"]["defaults"].get("unit") == "dtdurations"
    ]
    assert found
    assert all("floor(" in target["query"] for panel in found for target in panel["targets"])


def test_an_empty_panel_says_why_or_what_to_do() -> None:
    vague = {"No data", "no data", "no data in this range", "nothing in this range", "-", "N/A"}
    for name, panel in PANELS.items():
        text = panel["fieldConfig"]["defaults"]["noValue"]
        assert text not in vague, name
        assert text or panel["type"] == "bargauge", name  # whose months are blank before the first
        orange = '"color": "orange"' in json.dumps(panel["fieldConfig"]["defaults"]["mappings"])
        if not orange or panel["type"] != "stat":
            continue
        leads = any("/d/inepro-logger?" in link["url"] for link in panel.get("links", ()))
        assert leads or "inepro-logger" in text, name  # where to look when a reading is missing
    assert "see the dashboard" in EMPTY


def test_legends_leave_room_with_sixty_meters() -> None:
    for board, made in BOARDS["building"].items():
        for panel in panels(made):
            legend = panel["options"].get("legend", {})
            aliases = [target.get("alias", "") for target in panel["targets"]]
            many = any(a == "$tag_meter" or a.startswith("$tag_meter ") for a in aliases)
            if many and not repeated(made, panel):
                assert not legend.get("showLegend"), (board, panel["title"])
            assert len(panel["targets"]) <= 12 or not legend.get("showLegend"), panel["title"]


def repeated(board: Json, panel: Json) -> bool:
    """Tell whether a panel stands below a heading that is repeated for each meter chosen."""
    above = [one for one in board["panels"] if one["gridPos"]["y"] <= panel["gridPos"]["y"]]
    rows = [one for one in above if one["type"] == "row"]
    return bool(rows) and bool(rows[-1].get("repeat"))


def test_the_flow_is_drawn_where_there_is_one() -> None:
    """Named boxes for the roles that are there; an arrow for each way, shown by its column."""
    shown = {}
    for name, boards in BOARDS.items():
        flows = [p for p in panels(boards["home.json"]) if p["type"] == "canvas"]
        for panel in flows:
            elements = panel["options"]["root"]["elements"]
            boxes = {one["name"]: one for one in elements if one["type"] == "rectangle"}
            shown[name] = set(boxes)
            columns = set(re.findall(r'AS "(\w+)"', json.dumps(
                [target["query"] for target in panel["targets"]]).replace("\\", "")))  # fmt: skip
            assert {one["config"]["text"]["field"] for one in boxes.values()} <= columns
            for one in boxes.values():  # a fourth of a telephone wide
                assert re.fullmatch(r"\w{1,7}", one["config"]["text"]["fixed"]), name
            texts = [one for one in elements if one["type"] == "text"]
            arrows = [one for one in texts if one["config"]["color"].get("field")]
            assert {one["config"]["text"]["fixed"] for one in arrows} <= set("\u2190\u2192\u2193")
            coloured = {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]}
            assert {one["config"]["color"]["field"] for one in arrows} == coloured <= columns
            names = {one["config"]["text"]["fixed"] for one in texts if one not in arrows}
            assert names == set(boxes)
            assert len(arrows) == sum(2 - (name == "PV") for name in boxes if name != "Load")
            places = [one["placement"] for one in elements if one["type"] == "rectangle"]
            left, right = (min(one[side] for one in places) for side in ("left", "right"))
            assert abs(left - right) <= 1, name  # it stands in the middle
            for one, other in itertools.combinations(places, 2):
                apart = (
                    one["left"] + other["right"] >= 100
                    or other["left"] + one["right"] >= 100
                    or one["top"] + other["bottom"] >= 100
                    or other["top"] + one["bottom"] >= 100
                )
                assert apart, (one, other)
        first = next(p["title"] for p in panels(boards["home.json"]))
        assert (first == "Energy flow now") == bool(flows)  # the first on a phone
    assert shown == {
        "house": {"Grid", "Load", "PV"},
        "battery": {"Grid", "Load", "PV", "Battery"},
        "battery only": {"Grid", "Load", "Battery"},
    }


def test_the_same_thing_has_the_same_colour() -> None:
    for name, panel in PANELS.items():
        title = name.split(": ", 1)[1]
        if title.startswith("Self-sufficiency"):  # little of it is no failure
            assert [one["color"] for one in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
                    ] == [SUN], name  # fmt: skip
        for word, colour in (("Import", BUY), ("Export", SELL)):
            if title in {f"{word} by day", f"{word} by hour"}:  # of a meter without tariffs
                fixed = {
                    override["matcher"]["options"]: item["value"]["fixedColor"]
                    for override in panel["fieldConfig"]["overrides"]
                    for item in override["properties"]
                    if item["id"] == "color"
                }
                assert fixed["total"] == colour, name


def test_no_inverter_is_told_that_its_power_factor_is_low() -> None:
    """It draws little but reactive energy at night, and would stand first, in red, for good."""
    title = "meters.json: Reactive energy and power factor"
    for name, rest in (("house", True), ("battery", True), ("building", False)):
        (query,) = (one["query"] for one in PANELS[f"{name}, {title}"]["targets"])
        assert ("\"role\" != 'pv'" in query) is rest, name


def test_only_who_can_feed_in_is_told_of_it() -> None:
    beside = {name for name in PANELS if name.endswith("beside the voltage")}
    assert "flat, quality.json: Power beside the voltage" in beside
    assert "house, quality.json: Feed-in beside the voltage" in beside
    assert "battery only, quality.json: Feed-in beside the voltage" in beside


def test_panels_of_days_say_where_no_day_begins() -> None:
    """All that have one value a day and follow the range shown."""
    daily = {n: p for n, p in PANELS.items() if p.get("interval") == "1d" and "timeFrom" not in p}
    assert len(daily) > 20
    for name, panel in daily.items():
        if "time(1d)" in panel["targets"][0]["query"]:
            assert panel["fieldConfig"]["defaults"]["noValue"] == NO_DAY, name
            for target in panel["targets"]:
                assert "${__from:date:HHmmss} = 0" in target["query"], name


def test_alerts_lead_to_the_flow_where_it_is_drawn() -> None:
    for name, options in SITES.items():
        made = rules(options, list(BOARDS[name].values()))
        found = {rule["uid"]: rule for group in made["groups"] for rule in group["rules"]}
        assert ("inepro-pv-silent" in found) == options.has("pv"), name
        assert ("inepro-demand-high" in found) == options.has("grid"), name
        drawn = [p for p in panels(BOARDS[name]["home.json"]) if p["type"] == "canvas"]
        for uid in ("inepro-pv-silent", "inepro-demand-high"):
            if drawn and uid in found:
                assert found[uid]["panelId"] == drawn[0]["id"], name


def test_differences_are_taken_over_subqueries() -> None:
    """Directly over an aggregate in steps of time, some engines answer them with nothing."""
    asked = [query for boards in BOARDS.values() for board in boards.values()
             for query, _ in queries(board)]  # fmt: skip
    for name, options in SITES.items():
        for group in rules(options, list(BOARDS[name].values()))["groups"]:
            for rule in group["rules"]:
                asked += [one["model"].get("query", "") for one in rule["data"]]
    found = [re.findall(r"(?:difference|derivative)\((.)", query) for query in asked]
    assert {first for firsts in found for first in firsts} == {'"'}  # a column, no function


def test_a_year_ago_is_the_same_date_whatever_february_had() -> None:
    when = year_before(DAY)
    assert [period.start.rsplit(" - ", 1)[1] for _, period in when] == ["366d", "365d"]
    day = date(2024, 3, 1)
    while day < date(2033, 3, 2):
        known = {
            text: bool(eval(text.replace("${__to:date:YYYYMMDD}", f"{day:%Y%m%d}")
                            .replace("AND", "and").replace("OR", "or")))
            for text, _ in when
        }  # fmt: skip
        assert list(known.values()).count(True) == 1
        length = 366 if known[when[0][0]] else 365
        before = day - timedelta(days=length)
        expected = (day.year - 1, day.month, day.day)
        if (day.month, day.day) != (2, 29):
            assert (before.year, before.month, before.day) == expected
        day += timedelta(days=1)


def test_cost_centres_with_quotes_in_their_names_are_asked_for_by_name() -> None:
    options = site("grid", "load", wirings=THREE, meters=3, centres={"A's": ("it's", "b\\c")})
    board = dashboards(options)["centres.json"]
    (panel,) = (p for p in panels(board) if p["title"] == "Cost centres")
    assert r"""("meter" = 'it\'s' OR "meter" = 'b\\c')""" in panel["targets"][0]["query"]
    assert "A's" in json.dumps(panel["fieldConfig"]["overrides"])


def test_the_queries_of_many_cost_centres_stay_short() -> None:
    """With a price for each month of two years, costs of months are left out, not energy."""
    prices = Prices(valid=[
        Price.model_validate({"since": date(2024 + number // 12, number % 12 + 1, 1),
                              "buy": 0.2 + number / 100, "buy_t2": 0.1, "sell": 0.0})
        for number in range(24)
    ])  # fmt: skip
    options = DashboardOptions(prices=prices, meters=61, centres=FLATS)
    board = dashboards(options)["centres.json"]
    titles = {panel["title"] for panel in panels(board)}
    assert board["refresh"] == "1h"  # each month of each of them is a sum of its own
    assert {"Cost centres", "Drawn by cost centre and month"} <= titles
    assert "Cost by cost centre and month" not in titles
