"""What Grafana makes of a query before it sends it, and what a query names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from logger.domain.datamodel import MEASUREMENTS

Json = dict[str, Any]
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_ROUND = (
    1, 5, 10, 20, 50, 100, 200, 500, SECOND, 2000, 5000, 10_000, 15_000, 20_000, 30_000, MINUTE,
    2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 20 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR,
    3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 7 * DAY,
)  # fmt: skip
# Forms of dates that queries ask Grafana for, and what they are in Python.
_DATES = {"YYYY": "%Y", "YYYY-MM": "%Y-%m", "YYYY-MM-DD": "%Y-%m-%d", "YYYYMM": "%Y%m",
          "YYYYMMDD": "%Y%m%d", "HHmmss": "%H%M%S"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Range:
    """A range of time in ms UTC."""

    start: int
    end: int


def milliseconds(text: str) -> int:
    """Return the length of "5m", "31d" and the like."""
    match = re.fullmatch(r"(\d+)(ms|[smhdw])", text)
    assert match, text
    return int(match[1]) * _UNITS[match[2]]


def shown(text: str, now: int, zone: str) -> Range:
    """Return the range from `text` (now-7d, now-14d/d, now/M, 5m) until `now`."""
    text = text if text.startswith("now") else f"now-{text}"
    match = re.fullmatch(r"now(?:-(\w+))?(?:/([dMy]))?", text)
    assert match, text
    at = datetime.fromtimestamp(now / 1000, UTC).astimezone(ZoneInfo(zone))
    if match[1]:
        at -= timedelta(milliseconds=milliseconds(match[1]))
    if match[2]:
        at = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if match[2] in {"M", "y"}:
        at = at.replace(day=1)
    if match[2] == "y":
        at = at.replace(month=1)
    return Range(int(at.timestamp() * 1000), now)


def interval(range_: Range, points: int, least: str) -> int:
    """Return Grafana's `$__interval` in ms: a round figure, not below `least`."""
    raw = (range_.end - range_.start) / points
    near = min(_ROUND, key=lambda step: abs(step - raw))
    return max(near, milliseconds(least) if least else SECOND)


def expand(query: str, range_: Range, step: int, variables: Mapping[str, str]) -> str:
    """Return the query as it reaches the engine. Raises KeyError for an unknown variable."""
    # Grafana's own zone, taken to be that of the site.
    zone = ZoneInfo(variables.get("tz", "UTC"))
    own = {"__from": str(range_.start), "__to": str(range_.end)}
    for name, form in _DATES.items():
        for of, at in (("__from", range_.start), ("__to", range_.end)):
            own[f"{of}:date:{name}"] = datetime.fromtimestamp(at / 1000, zone).strftime(form)
    own |= {
        **variables,
    }
    query = re.sub(r"\bnow\(\)", f"{range_.end}ms", query)
    query = query.replace("$timeFilter", f"time >= {range_.start}ms and time <= {range_.end}ms")
    query = query.replace("$__interval_ms", str(step)).replace("$__interval", f"{step}ms")

    def put(match: re.Match[str]) -> str:
        name = match[1]
        if name in own:
            return own[name]
        plain, _, form = name.partition(":")
        value = own[plain]
        assert form in {"raw", "regex"}, name
        return re.sub(r"([.*+?^${}()|[\]\\/])", r"\\\1", value) if form == "regex" else value

    found = re.sub(r"\$\{([^}]+)\}", put, query)
    assert "$" not in found.replace("$/", ""), found  # what is left is the end of a regex
    return found


def panels(board: Json) -> Iterator[Json]:
    """Yield the panels that show data."""
    for panel in board["panels"]:
        if panel["type"] != "row":
            yield panel


def queries(board: Json) -> Iterator[tuple[str, Json]]:
    """Yield every query of a dashboard with the uid of its data source."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield target["query"], target["datasource"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"], variable["datasource"]
    for mark in board["annotations"]["list"]:
        yield mark["query"], mark["datasource"]


def variables_of(board: Json, **given: str) -> dict[str, str]:
    """Return a value for each variable of a dashboard: its own, or one of `given`."""
    found = {}
    for variable in board["templating"]["list"]:
        name = variable["name"]
        found[name] = given[name] if variable["type"] == "query" else variable["query"]
    return found


def unknown_names(query: str) -> set[str]:
    """Return what a query names that neither the data model nor the query itself has."""
    measurements = set(re.findall(r'(?:FROM|,) "(\w+)"', query))
    known = {"time"}
    for name in measurements & set(MEASUREMENTS):
        measurement = MEASUREMENTS[name]
        known |= {"site", *measurement.tags, *measurement.fields}
    known |= set(re.findall(r'AS "(\w+)"', query))
    names = set(re.findall(r'"([^"]+)"', query))
    return (names - known - set(MEASUREMENTS)) | (measurements - set(MEASUREMENTS) - known)
