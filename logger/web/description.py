"""The description of the interface, as OpenAPI 3.1. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from logger import __version__
from logger.derive.events import EventKind
from logger.domain import times
from logger.domain.datamodel import PHASES, ROLES, TARIFFS_AND_TOTAL
from logger.report.calendar import By

Schema = Mapping[str, Any]
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_TRUTH: Schema = {"type": "boolean"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_VALUES: Schema = {"type": "object", "additionalProperties": {"type": ["number", "string"]}}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(properties: Mapping[str, Schema], *optional: str, more: bool = False) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        **({} if more else {"additionalProperties": False}),
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_SEEN = {"available": _TRUTH, "time": _or_null(_TIME), "age_s": _or_null(_NUMBER)}
_METER = {
    "name": _TEXT,
    "role": {"enum": list(ROLES)},
    **_SEEN,
    "bus": _TEXT,
    "model": _TEXT,
}
_ROW = {
    "period": _TEXT,
    "start": _TIME,
    "end": _TIME,
    **{
        name: _or_null(_NUMBER)
        for name in (
            *("import_kwh", "export_kwh", "pv_kwh", "self_consumed_kwh", "load_kwh"),
            *("charge_kwh", "discharge_kwh", "self_consumption", "self_sufficiency"),
            *("cost", "revenue", "standing_charge", "demand_charge", "net", "unpriced_kwh"),
        )
    },
    "quarters_without_price": {"type": "integer"},
    "currency": _or_null(_TEXT),
    "divided_kwh": _NUMBER,
    "sure": _TRUTH,
}
_SCHEMAS: Mapping[str, Schema] = {
    "Error": _object({"error": _TEXT}),
    "Meter": _object({**_METER, "values": _VALUES}),
    "Meters": _object({"now": _TIME, "meters": _list(_ref("Meter"))}),
    "Value": _object(
        {
            "field": _TEXT,
            "phase": _or_null({"enum": list(PHASES)}),
            "tariff": _or_null({"enum": list(TARIFFS_AND_TOTAL)}),
            "value": {"type": ["number", "string", "boolean"]},
            "unit": _TEXT,
            "time": _TIME,
            "age_s": _NUMBER,
            "fresh": _TRUTH,
        }
    ),
    "MeterWhole": _object({**_METER, "now": _TIME, "values": _list(_ref("Value"))}),
    "Site": _object(
        {
            "name": _TEXT,
            "timezone": _TEXT,
            "now": _TIME,
            "currency": _TEXT,
            **_SEEN,
            "values": _VALUES,
        }
    ),
    "EnergyRow": _object(_ROW, more=True),
    "Energy": _object(
        {
            "site": _TEXT,
            "timezone": _TEXT,
            "by": {"enum": list(By)},
            "rows": _list(_ref("EnergyRow")),
            "total": _ref("EnergyRow"),
            "breaks": _list(_object({"meter": _TEXT, "begin": _TIME, "end": _TIME})),
        }
    ),
    "Event": _object(
        {
            "kind": _TEXT,
            "meter": _or_null(_TEXT),
            "phase": _or_null(_TEXT),
            "begin": _TIME,
            "end": _or_null(_TIME),
            "duration_s": _or_null(_NUMBER),
            "extreme": _or_null(_NUMBER),
            "text": _TEXT,
        }
    ),
    "Events": _object({"events": _list(_ref("Event")), "left_out": {"type": "integer"}}),
    "Today": _object(
        {
            "start": _TIME,
            "end": _TIME,
            "step_s": {"type": "integer"},
            "power": {"type": "object", "additionalProperties": _list(_or_null(_NUMBER))},
        }
    ),
    "Status": _object(
        {"version": _TEXT, "site": _TEXT, "healthy": _TRUTH, "problems": _list(_TEXT)}, more=True
    ),
}
_STRETCH: Schema = {**_TEXT, "pattern": times.PATTERN, "examples": ["yesterday", "2026-11", "30d"]}
_TIMES = (
    "a day, week, month or year (2026-11-01, 2026-W45, 2026-11, 2026), a word (yesterday, "
    "last-month ...), a moment (2026-11-01T12:30, local unless Z or an offset follows) or how "
    "long ago (30d)"
)


def _query(name: str, text: str, schema: Schema = _TEXT) -> Schema:
    return {"name": name, "in": "query", "description": text, "schema": schema}


_SPAN = (
    _query("from", f"from here on: {_TIMES}; by default the beginning of the month", _STRETCH),
    _query("to", "up to here, a day or longer stretch included; by default today", _STRETCH),
)
_SOURCE = _query(
    "source",
    "store: InfluxDB where it is configured, else the buffer; or always the buffer",
    {"enum": ["store", "buffer"], "default": "store"},
)


def description(*, token: bool, metrics: bool) -> dict[str, Any]:
    """Return the description of an interface with or without a token and /metrics."""
    errors = {400: "the question is wrong"}
    if token:
        errors[401] = "the token is missing or wrong"
    late = errors | {503: "not now: the reason is said"}
    spans = late | {409: "from is not before to, or the stretch is too long"}
    paths = {
        "/api/status": _get("How the logger is; for monitors", "Status", errors, unwell=True),
        "/api/site": _get("The site: its flows, W and kWh, and its demand, kW", "Site", errors),
        "/api/meters": _get(
            "All meters in short: recent values by field/phase/tariff", "Meters", errors
        ),
        "/api/meters/{name}": _get(
            "A meter with all values, their units and ages",
            "MeterWhole",
            errors | {404: "no such meter"},
            {"name": "name", "in": "path", "required": True, "schema": {**_TEXT, "minLength": 1}},
        ),
        "/api/energy": _get(
            "Energy and cost by period, as `report energy` has them",
            "Energy",
            spans,
            *_SPAN,
            _query("by", "the periods", {"enum": list(By), "default": "day"}),
            _SOURCE,
        ),
        "/api/events": _get(
            "Events, the newest first, at most 1000",
            "Events",
            spans,
            *_SPAN,
            _query("kind", "only this kind", {"enum": list(EventKind)}),
            _query("meter", "only this meter"),
            _SOURCE,
        ),
        "/api/today": _get(
            "Power of today by role and of the load, W, means of steps", "Today", late
        ),
        "/api/stream": _text(
            "Newest values as server-sent events `state`: at first the site and all meters in "
            "short, then those that changed, about once a second",
            "text/event-stream",
            late,
        ),
    }
    if metrics:
        paths["/metrics"] = _text(
            "Figures of the logger for Prometheus", "text/plain", errors | {503: "not now"}
        )
    components: dict[str, Any] = {"schemas": _SCHEMAS}
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "inepro-logger", "version": __version__},
        "paths": paths,
        "components": components,
    }
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        whole["security"] = [{"token": []}]
    return whole


def _answer(text: str, schema: str) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": _ref(schema)}}}


def _get(
    text: str, schema: str, errors: Mapping[int, str], *parameters: Schema, unwell: bool = False
) -> Schema:
    answers = {str(status): _answer(what, "Error") for status, what in errors.items()}
    answers["200"] = _answer("all is well" if unwell else text, schema)
    if unwell:
        answers["503"] = _answer("something is not well: problems say what", schema)
    return {"get": {"summary": text, "parameters": list(parameters), "responses": answers}}


def _text(text: str, kind: str, errors: Mapping[int, str]) -> Schema:
    answers = {str(status): _answer(what, "Error") for status, what in errors.items()}
    answers["200"] = {"description": text, "content": {kind: {"schema": _TEXT}}}
    return {"get": {"summary": text, "responses": answers}}
