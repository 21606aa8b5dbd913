"""Panels and dashboards in one style, as Grafana 9.5 to 13 read them (schema 37). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

SCHEMA = 37
ENERGY: Json = {"type": "influxdb", "uid": "inepro-energy"}
LIVE: Json = {"type": "influxdb", "uid": "inepro-live"}
MIXED: Json = {"type": "datasource", "uid": "-- Mixed --"}
TAG = "inepro-logger"
# Texts in place of a figure: in the colour of plain text, or in the second if something is wrong.
PLAIN, MISSING = "text", "orange"
# How an empty cell of a table looks.
NOTHING: Json = {"type": "special", "options": {"match": "null", "result": {"text": "–"}}}
WIDTH = 24
# The longest gap that a curve goes on over; see `patience.patient`.
GAP_MS = 300_000
# What a panel says that finds nothing, unless it knows better, and one of days, which begin there.
EMPTY = "nothing was read in this range: choose another, or see the dashboard Logger and meters"
NO_DAY = "no day with readings begins in this range: choose a longer one"

# Units that become thousandths below 1: what is shown in them is rounded, on no short axis.
SCALING = ("watt", "si:var", "si:VA")

# The same thing has the same colour everywhere, readable on a light and a dark ground.
BUY, SELL, SUN, LOAD, OWN = "blue", "purple", "yellow", "orange", "green"
GREY = "#8e8e8e"  # a rest
CHARGE, DISCHARGE = "dark-green", "light-green"
# Bars of kWh whose legend tells their sum: its decimals are those of the axis, which reaches so
# far that no two ticks read alike.
DAILY: Json = {"decimals": 1, "axis": {"axisSoftMax": 2}}
HOURLY: Json = {"decimals": 2, "axis": {"axisSoftMax": 0.2}}
PHASE_COLOURS = {"L1": "orange", "L2": "blue", "L3": "green"}
TARIFF_COLOURS = {"T1": "dark-blue", "T2": "light-blue", "T3": "dark-purple", "T4": "light-purple"}


def target(query: str, alias: str = "", *, source: Json = ENERGY, table: bool = False) -> Json:
    """Return one query; letters (`refId`) are given when the panel is made."""
    made: Json = {
        "datasource": source,
        "rawQuery": True,
        "query": query,
        "resultFormat": "table" if table else "time_series",
    }
    if alias:
        made["alias"] = alias
    return made


def limits(*steps: tuple[float, str], base: str = "green") -> Json:
    """Return thresholds: `base` below the first step, then each step's colour from it on."""
    return {
        "mode": "absolute",
        "steps": [
            {"color": base, "value": None},
            *({"color": colour, "value": value} for value, colour in steps),
        ],
    }


def override(name: str, **properties: Any) -> Json:
    """Return settings for the series called `name`; `_` in a property stands for a dot."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [
            {"id": key.replace("__", "."), "value": value} for key, value in properties.items()
        ],
    }


def coloured(name: str, colour: str, **more: Any) -> Json:
    """Return the override that gives a series its colour."""
    return override(name, color={"mode": "fixed", "fixedColor": colour}, **more)


def by_pattern(pattern: str, colour: str) -> Json:
    """Return the override that colours every series whose name matches `pattern`."""
    return {
        "matcher": {"id": "byRegexp", "options": f"/{pattern}/"},
        "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
    }


def panel(
    kind: str,
    title: str,
    text: str,
    targets: Sequence[Json],
    *,
    unit: str = "none",
    decimals: int | None = None,
    thresholds: Json | None = None,
    empty: str = EMPTY,
    overrides: Sequence[Json] = (),
    options: Json | None = None,
    custom: Json | None = None,
    defaults: Json | None = None,
    height: int = 8,
    width: int = WIDTH,
    last: str = "",
    interval: str = "",
    points: int | None = None,
    links: Sequence[Json] = (),
    transformations: Sequence[Json] = (),
) -> Json:
    """Return a panel without its place: title, text (i), unit, limits, empty state.

    `last` shows that much of the past, whatever the dashboard's range ("5m", "now/M").
    """
    sources = {one["datasource"]["uid"] for one in targets}
    source = targets[0]["datasource"] if len(sources) == 1 else MIXED
    field: Json = {
        "unit": unit,
        "thresholds": thresholds or limits(),
        "noValue": empty,
        "mappings": [],
        "custom": custom or {},
        "color": {"mode": "palette-classic"},
        **(defaults or {}),
    }
    if decimals is not None:
        field["decimals"] = decimals
    made: Json = {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": source,
        "targets": [{"refId": chr(65 + i), **one} for i, one in enumerate(targets)],
        "fieldConfig": {"defaults": field, "overrides": list(overrides)},
        "options": options or {},
        "gridPos": {"h": height, "w": width, "x": 0, "y": 0},
    }
    if last:
        made |= {"timeFrom": last, "hideTimeOverride": True}
    if interval:
        made["interval"] = interval
    if points:
        made["maxDataPoints"] = points
    if links:
        made["links"] = list(links)
    if transformations:
        made["transformations"] = list(transformations)
    return made


def stat(title: str, text: str, targets: Sequence[Json], **more: Any) -> Json:
    """Return a panel of large numbers."""
    missing = more.pop("missing", PLAIN)
    empty = more.setdefault("empty", EMPTY)
    names = more.pop("names", False)
    colour = more.pop("colour", "value")
    rows = more.pop("rows", False)
    options = {
        "colorMode": colour,
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "horizontal" if rows else "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value_and_name" if names else "value",
    }
    own = more.pop("defaults", {})
    # Without a mapping of its own it would have the colour of the lowest threshold.
    none = {"match": "null+nan", "result": {"text": empty, "color": missing}}
    mappings = [*own.pop("mappings", ()), {"type": "special", "options": none}]
    defaults = {"color": {"mode": "thresholds"}, "mappings": mappings, **own}
    return panel("stat", title, text, targets, options=options, defaults=defaults, **more)


def curves(title: str, text: str, targets: Sequence[Json], **more: Any) -> Json:
    """Return lines over time. Gaps of more than five minutes stay gaps (`patience.patient`).

    With `decimals` two ticks of a short axis read alike: they are for an axis of a certain length.
    """
    fill = more.pop("fill", 0)
    lines = more.pop("limit_lines", False)
    legend = more.pop("legend", ("mean", "max"))
    axis = more.pop("axis", {})
    if more.get("unit") in SCALING:  # else the ticks of an idle line are thousandths
        axis = {"axisSoftMax": 10, **axis}
    custom: Json = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": fill,
        "gradientMode": "none",
        "showPoints": "never",
        "spanNulls": GAP_MS,
        "axisPlacement": "auto",
        "axisLabel": "",
        "axisColorMode": "text",
        "axisSoftMin": None,
        "scaleDistribution": {"type": "linear"},
        "stacking": {"mode": "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if lines else "off"},
        **axis,
    }
    custom = {key: value for key, value in custom.items() if value is not None}
    return panel("timeseries", title, text, targets, custom=custom, options=_tip(legend), **more)


def bars(title: str, text: str, targets: Sequence[Json], **more: Any) -> Json:
    """Return one bar for each interval, stacked; `decimals` as in `curves`."""
    stacked = more.pop("stacked", True)
    legend = more.pop("legend", ("sum",))
    custom: Json = {
        "drawStyle": "bars",
        "barAlignment": 1,
        "lineWidth": 0,
        "fillOpacity": 85,
        "gradientMode": "none",
        "showPoints": "never",
        "axisPlacement": "auto",
        "axisLabel": "",
        "axisColorMode": "text",
        "axisSoftMin": 0,
        "scaleDistribution": {"type": "linear"},
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "off"},
        **more.pop("axis", {}),
    }
    return panel("timeseries", title, text, targets, custom=custom, options=_tip(legend), **more)


def _tip(calcs: Sequence[str]) -> Json:
    return {
        "tooltip": {"mode": "multi", "sort": "none"},
        "legend": {
            "displayMode": "list",
            "placement": "bottom",
            "showLegend": True,
            "calcs": list(calcs),
        },
    }


def table(title: str, text: str, targets: Sequence[Json], **more: Any) -> Json:
    """Return a table; `columns` maps names of the answer to headings, in this order."""
    columns: Mapping[str, str] = more.pop("columns")
    hidden: Sequence[str] = more.pop("hidden", ())
    before: Sequence[Json] = more.pop("before", ())
    sort: str = more.pop("sort", "")
    falling: bool = more.pop("falling", True)
    options = {
        "showHeader": True,
        "sortBy": [{"displayName": sort, "desc": falling}] if sort else [],
    }
    organize = {
        "id": "organize",
        "options": {
            "excludeByName": dict.fromkeys(hidden, True),
            "indexByName": {name: index for index, name in enumerate(columns)},
            "renameByName": {name: text for name, text in columns.items() if name != text},
        },
    }
    # A column without any value has no type, and would be shown as JSON: "null".
    custom = {"align": "auto", "displayMode": "color-text", "filterable": False, "inspect": False}
    custom |= more.pop("custom", {})
    more["defaults"] = {
        "mappings": [NOTHING], "color": {"mode": "fixed", "fixedColor": PLAIN},
        **more.get("defaults", {}),
    }  # fmt: skip
    return panel(
        "table", title, text, targets, options=options, custom=custom,
        transformations=[*before, organize], **more,
    )  # fmt: skip


def row(title: str, *, each: str = "") -> Json:
    """Return a heading over the panels that follow; all of it again for each value chosen of
    the variable `each`."""
    if each:
        return {**row(f"{title}: ${each}"), "repeat": each}
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "height": 1}


def link(title: str, uid: str) -> Json:
    """Return a panel's link to a dashboard, with the range and the site."""
    return {"title": title, "url": f"/d/{uid}?${{__url_time_range}}&${{site:queryparam}}"}
