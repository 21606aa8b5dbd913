"""What all dashboards have in common: variables, links, annotations, time zone. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Sequence

from logger.grafana.options import DashboardOptions
from logger.grafana.panels import ENERGY, SCHEMA, TAG, Json, override
from logger.grafana.placing import placed
from logger.grafana.query import SITE

HOME, METERS, CENTRES, PHASES, TARIFFS, SOLAR, QUALITY, HEALTH = (
    "inepro-home",
    "inepro-meters",
    "inepro-cost-centres",
    "inepro-phases",
    "inepro-energy-tariffs",
    "inepro-pv",
    "inepro-quality",
    "inepro-logger",
)
TITLES = {
    HOME: "Home",
    METERS: "Meters and loads",
    CENTRES: "Cost centres",
    PHASES: "Phases",
    TARIFFS: "Energy and tariffs",
    SOLAR: "PV self-consumption",
    QUALITY: "Voltage and frequency",
    HEALTH: "Logger and meters",
}
_VISIBLE, _HIDDEN = 0, 2


def _query(name: str, label: str, query: str, *, many: bool = False) -> Json:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": ENERGY,
        "query": query,
        "definition": query,
        "refresh": 1,
        "sort": 1,
        "multi": many,
        "includeAll": many,
        "hide": _VISIBLE,
        "regex": "",
        "options": [],
        "current": {"selected": True, "text": "All", "value": "$__all"} if many else {},
        "skipUrlSync": False,
    }


def _hidden(name: str, value: str) -> Json:
    option = {"selected": True, "text": value, "value": value}
    return {
        "type": "textbox",
        "name": name,
        "label": "",
        "query": value,
        "current": option,
        "options": [option],
        "hide": _HIDDEN,
        "skipUrlSync": False,
    }


def variables(settings: DashboardOptions, *, meter: str = "") -> list[Json]:
    """Return site and what energy queries need, and if wanted `meter`: "one", "many",
    or "some", which is only one to begin with where there are more. The one to begin with
    is the grid meter: where a site has none of its name Grafana takes the first."""
    found = [_query("site", "Site", 'SHOW TAG VALUES FROM "energy" WITH KEY = "site"')]
    if meter:
        query = f'SHOW TAG VALUES FROM "energy" WITH KEY = "meter" WHERE {SITE}'
        made = _query("meter", "Meter", query, many=meter != "one")
        name = settings.first
        if name and meter == "one":
            made["current"] = {"selected": True, "text": name, "value": name}
        if meter == "some" and settings.apart:
            made["current"] = {"selected": True, "text": [name], "value": [name]} if name else {}
        found.append(made)
    found.append(_hidden("tz", settings.zone))
    found.append(_hidden("settle", settings.settle))
    return found


def to_meter() -> Json:
    """Return the setting of a table that makes the name of a meter lead to its figures."""
    url = f"/d/{TARIFFS}?var-meter=${{__value.raw}}&${{site:queryparam}}&${{__url_time_range}}"
    return override("Meter", links=[{"title": "${__value.raw}", "url": url, "targetBlank": False}])


def events(*, shown: bool) -> Json:
    """Return the annotation that marks what the logger noticed."""
    query = (
        f'SELECT "text", "kind" FROM "event" WHERE $timeFilter AND {SITE} '
        "AND \"kind\" != 'tariff_switched'"
    )
    return {
        "name": "Events",
        "datasource": ENERGY,
        "enable": shown,
        "hide": False,
        "iconColor": "red",
        "query": query,
        "textColumn": "text",
        "tagsColumn": "kind",
        "timeEndColumn": "",
        "titleColumn": "",
        "target": {
            "refId": "Anno",
            "query": query,
            "queryType": "tags",
            "rawQuery": True,
            "resultFormat": "table",
            "fromAnnotations": True,
            "textColumn": "text",
            "tagsColumn": "kind",
            "timeEndColumn": "",
            "titleColumn": "",
            "name": "Events",
        },
    }


def dashboard(
    uid: str,
    text: str,
    panels: Sequence[Json],
    settings: DashboardOptions,
    *,
    names: Sequence[Json],
    start: str,
    end: str = "now",
    refresh: str,
    marks: Json | None = None,
) -> Json:
    """Return a whole dashboard."""
    return {
        "uid": uid,
        "id": None,
        "title": TITLES[uid],
        "description": text,
        "tags": [TAG],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": settings.zone,
        "time": {"from": start, "to": end},
        "refresh": refresh,
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "weekStart": "monday",
        "links": [
            {
                "type": "dashboards",
                "title": "Dashboards",
                "tags": [TAG],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": False,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }
        ],
        "annotations": {"list": [marks] if marks else []},
        "templating": {"list": list(names)},
        "panels": placed(panels),
    }


def column_width(column: str, width: int) -> Json:
    """Return what makes a column of a table so many pixels wide."""
    return {
        "matcher": {"id": "byName", "options": column},
        "properties": [{"id": "custom.width", "value": width}],
    }
