"""The picture of what flows now between grid, PV, battery and load. Pure.

It is Grafana's canvas panel, of the two elements that every version has: boxes and texts. Each
direction of a flow is an arrow of its own between two boxes, which has a colour only while power
flows that way. (Grafana's own connections came later than the canvas, and could not turn round
before Grafana 11.) Texts are bound to fields of tables, whose names are those of the columns in
every version.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from dataclasses import dataclass, replace

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
from logger.grafana.query import ALL_PHASES, LATELY, SITE, role, where

FLOW = "Energy flow now"
_NONE = "transparent"
_SILENT = "silent"  # two words would not fit into a box on a telephone
_NO_LINE: Json = {"color": {"fixed": _NONE}, "width": 0}
_SOME_W = 1  # from so much on, in W, an arrow is drawn
# The text of a value is so high, that of a name, and an arrow, in pixels.
_VALUE, _NAME, _ARROW = 20, 13, 36


@dataclass(frozen=True, slots=True)
class _Node:
    """A box: where it stands (left, right, top, bottom, in percent), and its colour."""

    name: str
    place: tuple[int, int, int, int]
    colour: str


@dataclass(frozen=True, slots=True)
class _Arrow:
    """A sign between two boxes, in `colour` while the field `when` is above zero."""

    between: tuple[str, str]
    place: tuple[int, int, int, int]
    when: str
    sign: str
    colour: str


_GRID = _Node("Grid", (2, 72, 62, 5), BUY)
_LOAD = _Node("Load", (37, 37, 62, 5), LOAD)
_SUN = _Node("PV", (37, 37, 5, 62), SUN)
_STORE = _Node("Battery", (72, 2, 62, 5), CHARGE)
# The gaps between the boxes.
_BESIDE_GRID, _BESIDE_STORE, _BELOW_SUN = (28, 63, 62, 5), (63, 28, 62, 5), (37, 37, 38, 38)
_ASIDE = 17  # half of what a battery and the gap before it take
_ARROWS = (
    _Arrow(("Grid", "Load"), _BESIDE_GRID, "drawn", "\N{RIGHTWARDS ARROW}", BUY),
    _Arrow(("Grid", "Load"), _BESIDE_GRID, "fed", "\N{LEFTWARDS ARROW}", SELL),
    _Arrow(("PV", "Load"), _BELOW_SUN, "produced", "\N{DOWNWARDS ARROW}", SUN),
    _Arrow(("Battery", "Load"), _BESIDE_STORE, "charged", "\N{RIGHTWARDS ARROW}", CHARGE),
    _Arrow(("Battery", "Load"), _BESIDE_STORE, "discharged", "\N{LEFTWARDS ARROW}", DISCHARGE),
)


def shows(settings: DashboardOptions) -> bool:
    """Return whether there is something to draw: flows, and no meter of them has counters
    only."""
    return settings.flow_powers and (not settings.has("battery") or settings.live("battery"))


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
        f'{where(LATELY, SITE, role(name), ALL_PHASES)} GROUP BY "meter")'
        for name in shown
    )
    chosen = ", ".join(
        f'{sign}round(sum("{name}_w")) AS "{column}"'
        for name, own in shown.items()
        for column, sign in own.items()
    )
    return f"SELECT {chosen} FROM {newest} WHERE {LATELY}"


def _load() -> str:
    return f'SELECT round(last("load_power")) AS "Load" FROM "site" {where(LATELY, SITE)}'


def _halfway(place: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Return the place of a box or an arrow of the lower row, halfway up: nothing is above it."""
    left, right, top, bottom = place
    return left, right, (top + bottom) // 2, (top + bottom) - (top + bottom) // 2


def _centred(place: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Return the place of a box or an arrow where nothing is beside the load."""
    left, right, top, bottom = place
    return left + _ASIDE, right - _ASIDE, top, bottom


def load_formula(settings: DashboardOptions) -> str:
    """Return what the load is the sum of, as a sentence."""
    parts = ("grid", " + PV" if settings.has("pv") else "",
             " - what goes into a battery" if settings.has("battery") else "")  # fmt: skip
    return f"Load = {''.join(parts)}."


def _place(left: float, right: float, top: float, bottom: float) -> Json:
    return {
        "constraint": {"horizontal": "scale", "vertical": "scale"},
        "placement": {"left": left, "right": right, "top": top, "bottom": bottom},
    }


def _writing(size: int, text: Json, colour: Json) -> Json:
    return {"align": "center", "valign": "middle", "size": size, "color": colour, "text": text}


def _element(kind: str, name: str, place: Json, writing: Json, border: Json) -> Json:
    return {
        "name": name,
        "type": kind,
        "background": {"color": {"fixed": _NONE}},
        "border": border,
        "config": writing,
        **place,
    }


def _box(node: _Node) -> list[Json]:
    """Return the elements of a box: its frame with the value, and its name above that."""
    left, right, top, _ = node.place
    plain = {"fixed": "text"}
    value = _writing(_VALUE, {"mode": "field", "field": node.name, "fixed": _SILENT}, plain)
    name = _writing(_NAME, {"mode": "fixed", "fixed": node.name}, plain)
    line = {"color": {"fixed": node.colour}, "width": 2}
    above = _place(left, right, top + 1, 100 - top - 11)
    return [
        _element("rectangle", node.name, _place(*node.place), value, line),
        _element("text", f"{node.name}: name", above, name, _NO_LINE),
    ]


def _sign(arrow: _Arrow) -> Json:
    colour = {"field": arrow.when, "fixed": _NONE}
    writing = _writing(_ARROW, {"mode": "fixed", "fixed": arrow.sign}, colour)
    return _element("text", arrow.when, _place(*arrow.place), writing, _NO_LINE)


def picture(settings: DashboardOptions) -> Json:
    """Return the panel."""
    nodes = [_GRID, _LOAD]
    if settings.has("pv"):
        nodes.append(_SUN)
    if settings.has("battery"):
        nodes.append(_STORE)
    names = {node.name for node in nodes}
    arrows = [one for one in _ARROWS if names.issuperset(one.between)]
    without_store = _STORE not in nodes
    if _SUN not in nodes:
        nodes = [replace(one, place=_halfway(one.place)) for one in nodes]
        arrows = [replace(one, place=_halfway(one.place)) for one in arrows]
    if without_store:
        nodes = [replace(one, place=_centred(one.place)) for one in nodes]
        arrows = [replace(one, place=_centred(one.place)) for one in arrows]
    options = {
        "inlineEditing": False,
        "showAdvancedTypes": False,
        "panZoom": False,
        "zoomToContent": False,
        "tooltip": {"mode": "none"},
        "root": {
            "name": "flow",
            "type": "frame",
            "elements": [
                *(element for node in nodes for element in _box(node)),
                *(_sign(arrow) for arrow in arrows),
            ],
        },
    }
    battery = " Battery: positive charges, negative discharges." if settings.has("battery") else ""
    load = load_formula(settings)
    return panel(
        "canvas",
        FLOW,
        "The newest power of each role within five minutes, whatever range is shown; an arrow "
        "points to where it flows. Grid: positive is drawn, negative is fed in."
        f"{battery} {load} \"{_SILENT}\": no reading, see the dashboard Logger and meters.",
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
