"""The picture of what flows now between grid, PV, battery and load. Pure.

It is Grafana's canvas panel. Each direction of a flow is a line of its own, which is seen only
while power flows that way: a canvas before Grafana 11 cannot turn an arrow round. Texts are
bound to fields of tables, whose names are those of the columns in every version.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from dataclasses import dataclass

from logger.grafana.frame import HEALTH, SOLAR
from logger.grafana.frame import PHASES as PHASE_BOARD
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    CHARGE,
    DISCHARGE,
    LIVE,
    LOAD,
    SELL,
    SUN,
    Json,
    limits,
    link,
    override,
    panel,
    target,
)  # fmt: skip
from logger.grafana.query import SITE, role, where

FLOW = "Energy flow now"
_NOW = "time > now() - 5m"
_TOTAL = "\"phase\" = 'total'"
_NONE = "transparent"
_SILENT = "no reading"
_SOME_W = 1  # from so much on, in W, an arrow is drawn
# The text of a value is so high, and that of a name, in pixels.
_VALUE, _NAME = 18, 12


@dataclass(frozen=True, slots=True)
class _Node:
    """A box: where it stands (left, right, top, bottom, in percent), and its colour."""

    name: str
    place: tuple[int, int, int, int]
    colour: str


@dataclass(frozen=True, slots=True)
class _Arrow:
    """A line from one box to another, while the field `when` is above zero; each end as a
    share of half the box, right and up positive."""

    start: str
    end: str
    when: str
    colour: str
    leaves: tuple[int, int]
    arrives: tuple[int, int]


_GRID = _Node("Grid", (2, 74, 56, 8), BUY)
_LOAD = _Node("Load", (38, 38, 56, 8), LOAD)
_SUN = _Node("PV", (38, 38, 4, 60), SUN)
_STORE = _Node("Battery", (74, 2, 56, 8), CHARGE)
_LEFT, _RIGHT, _UP, _DOWN = (-1, 0), (1, 0), (0, 1), (0, -1)
_ARROWS = (
    _Arrow("Grid", "Load", "drawn", BUY, _RIGHT, _LEFT),
    _Arrow("Load", "Grid", "fed", SELL, _LEFT, _RIGHT),
    _Arrow("PV", "Load", "produced", SUN, _DOWN, _UP),
    _Arrow("Load", "Battery", "charged", CHARGE, _RIGHT, _LEFT),
    _Arrow("Battery", "Load", "discharged", DISCHARGE, _LEFT, _RIGHT),
)


def shows(settings: DashboardOptions) -> bool:
    """Tell whether there is something to draw: a grid meter, and PV or a battery beside it,
    and none of them has counters only."""
    beside = [role for role in ("pv", "battery") if settings.has(role)]
    return bool(beside) and settings.live("grid", *beside)


def _powers(settings: DashboardOptions) -> str:
    """Return the newest power of each role: one row, a column for each text and each arrow."""
    columns = {
        "grid": {"Grid": "", "drawn": "", "fed": "-1 * "},
        "pv": {"PV": "-1 * ", "produced": "-1 * "},
        "battery": {"Battery": "", "charged": "", "discharged": "-1 * "},
    }
    shown = {name: own for name, own in columns.items() if settings.has(name)}
    newest = ", ".join(
        f'(SELECT last("active_power") AS "{name}_w" FROM "power" '
        f'{where(_NOW, SITE, role(name), _TOTAL)} GROUP BY "meter")'
        for name in shown
    )
    chosen = ", ".join(
        f'{sign}round(sum("{name}_w")) AS "{column}"'
        for name, own in shown.items()
        for column, sign in own.items()
    )
    return f"SELECT {chosen} FROM {newest} WHERE {_NOW}"


def _load() -> str:
    return f'SELECT round(last("load_power")) AS "Load" FROM "site" {where(_NOW, SITE)}'


def _place(left: float, right: float, top: float, bottom: float) -> Json:
    return {
        "constraint": {"horizontal": "scale", "vertical": "scale"},
        "placement": {"left": left, "right": right, "top": top, "bottom": bottom},
    }


def _writing(size: int, text: Json) -> Json:
    colour = {"fixed": "text"}
    return {"align": "center", "valign": "middle", "size": size, "color": colour, "text": text}


def _box(node: _Node, arrows: list[_Arrow]) -> list[Json]:
    """Return the elements of a box: its frame with the value, and its name above that."""
    left, right, top, bottom = node.place
    value = {"mode": "field", "field": node.name, "fixed": _SILENT}
    frame = {
        "name": node.name,
        "type": "rectangle",
        "background": {"color": {"fixed": _NONE}},
        "border": {"color": {"fixed": node.colour}, "width": 2},
        "config": _writing(_VALUE, value),
        "connections": [
            {
                "source": dict(zip("xy", arrow.leaves, strict=True)),
                "target": dict(zip("xy", arrow.arrives, strict=True)),
                "targetName": arrow.end,
                "path": "straight",
                "color": {"field": arrow.when, "fixed": _NONE},
                "size": {"fixed": 3, "min": 1, "max": 10},
            }
            for arrow in arrows
            if arrow.start == node.name
        ],
        **_place(left, right, top, bottom),
    }
    name = {
        "name": f"{node.name}: name",
        "type": "text",
        "background": {"color": {"fixed": _NONE}},
        "config": _writing(_NAME, {"mode": "fixed", "fixed": node.name}),
        **_place(left, right, top + 1, 100 - top - 11),
    }
    return [frame, name]


def picture(settings: DashboardOptions) -> Json:
    """Return the panel."""
    nodes = [_GRID, _LOAD]
    if settings.has("pv"):
        nodes.append(_SUN)
    if settings.has("battery"):
        nodes.append(_STORE)
    names = {node.name for node in nodes}
    arrows = [one for one in _ARROWS if {one.start, one.end} <= names]
    options = {
        "inlineEditing": False,
        "showAdvancedTypes": False,
        "panZoom": False,
        "zoomToContent": False,
        "tooltip": {"mode": "none"},
        "root": {
            "name": "flow",
            "type": "frame",
            "elements": [element for node in nodes for element in _box(node, arrows)],
        },
    }
    battery = " Battery: positive charges, negative discharges." if settings.has("battery") else ""
    return panel(
        "canvas",
        FLOW,
        "The newest power of each role within five minutes, whatever range is shown; arrows show "
        "where it flows. Grid: positive is drawn, negative is fed in."
        f"{battery} Load = grid + PV - what goes into a battery. \"{_SILENT}\": see the dashboard "
        "Logger and meters.",
        [
            target(_powers(settings), source=LIVE, table=True),
            target(_load(), table=True),
        ],
        unit="watt", empty=_SILENT, width=10, height=9, options=options,
        defaults={"color": {"mode": "thresholds"}},
        overrides=[
            override(one.when, thresholds=limits((_SOME_W, one.colour), base=_NONE))
            for one in arrows
        ],
        links=[
            link("Phases", PHASE_BOARD),
            *([link("PV self-consumption", SOLAR)] if settings.has("pv") else []),
            link("Logger and meters", HEALTH),
        ],
    )  # fmt: skip
