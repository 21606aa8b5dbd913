"""Sections for the configuration of others who ask over HTTP, ready to paste. Pure.

Formats as documented by their makers in 2026: Telegraf (inputs.http), Home Assistant (`rest`),
openHAB (things of the HTTP binding), ioBroker (rules of the adapter parser). The token is left for
the reader to put in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from logger.latest import SITE
from logger.share.outlets import Subject, Value, Web
from logger.share.quoted import text

_EVERY_S = 10


def telegraf(subjects: Sequence[Subject], web: Web) -> str:
    """Return inputs of Telegraf: one for all meters, one for the site's flows."""
    lines = ["# telegraf.conf"]
    sources = [("meter", "meters", "meters")]
    if any(one.name == SITE for one in subjects):
        sources.append(("site", "site", ""))
    for measurement, path, query in sources:
        lines += [
            "[[inputs.http]]",
            f"  urls = [{text(f'{web.base}/api/{path}')}]",
            *(['  token = "${INEPRO_LOGGER_HTTP_TOKEN}"'] if web.token else []),
            f'  name_override = "{measurement}"',
            '  data_format = "json"',
            *([f'  json_query = "{query}"'] if query else []),
            "  json_strict = false  # a meter that was never heard has no time",
            '  tag_keys = ["name", "role", "bus", "model"]',
            '  json_time_key = "time"',
            '  json_time_format = "2006-01-02T15:04:05Z07:00"',
        ]
    return "\n".join(lines)


def home_assistant(subjects: Sequence[Subject], web: Web) -> str:
    """Return the section `rest` of configuration.yaml, one request for each meter."""
    lines = ["# configuration.yaml"]
    if web.token:
        lines.append('# secrets.yaml has: inepro_logger_token: "Bearer TOKEN"')
    lines.append("rest:")
    for one in subjects:
        lines += [
            f"  - resource: {text(web.url(one))}",
            f"    scan_interval: {_EVERY_S}",
            *(
                ["    headers:", "      Authorization: !secret inepro_logger_token"]
                if web.token
                else []
            ),
            "    sensor:",
        ]
        for value in one.values:
            found = _wanted(one, value)
            entity = value.entity
            lines += [
                f"      - name: {text(f'{one.title} {value.name}')}",
                f"        unique_id: inepro_logger_http_{one.slug}_{value.key}",
                f'        value_template: "{{{{ ({found} | first) }}}}"',
                f'        availability: "{{{{ {found} | count > 0 }}}}"',
                *(
                    f"        {key}: {json.dumps(entity[key], ensure_ascii=False)}"
                    for key in ("device_class", "state_class", "unit_of_measurement")
                    if key in entity
                ),
            ]
    return "\n".join(lines)


def _wanted(subject: Subject, value: Value) -> str:
    """Return an expression of Jinja for a list: the value if it is recent, else nothing."""
    quantity = value.quantity
    if subject.name == SITE:
        return f"[value_json['values'].{quantity.field}] | select('defined') | list"
    tests = ["selectattr('fresh')", f"selectattr('field', 'eq', '{quantity.field}')"]
    tests += [
        f"selectattr('{name}', 'eq', '{wanted}')" if wanted else f"selectattr('{name}', 'none')"
        for name, wanted in (("phase", quantity.phase), ("tariff", quantity.tariff))
    ]
    return f"value_json['values'] | {' | '.join(tests)} | map(attribute='value') | list"


def openhab(subjects: Sequence[Subject], web: Web) -> str:
    """Return things of openHAB's HTTP binding, one for each meter."""
    lines = ["// http.things; needs the JSONPath transformation"]
    token = ', headers="Authorization=Bearer TOKEN"' if web.token else ""
    for one in subjects:
        # The binding takes the address for a format: a percent sign is written twice.
        url = web.url(one).replace("%", "%%")
        lines.append(
            f"Thing http:url:{one.slug} {text(one.title)} [ baseURL={text(url)}, "
            f"refresh={_EVERY_S}{token} ] {{"
        )
        lines.append("    Channels:")
        for value in one.values:
            unit = f", unit={text(value.unit)}" if value.unit else ""
            lines.append(
                f"        Type number : {value.key.lower()} {text(value.name)} "
                f'[ stateTransformation="JSONPATH:{_path(one, value)}", mode="READONLY"{unit} ]'
            )
        lines.append("}")
    return "\n".join(lines)


def _path(subject: Subject, value: Value) -> str:
    quantity = value.quantity
    if subject.name == SITE:
        return f"$.values.{quantity.field}"
    tests = ["@.fresh==true", f"@.field=='{quantity.field}'"]
    tests += [f"@.phase=='{quantity.phase}'"] if quantity.phase else []
    tests += [f"@.tariff=='{quantity.tariff}'"] if quantity.tariff else []
    return f"$.values[?({' && '.join(tests)})].value"


def iobroker(subjects: Sequence[Subject], web: Web) -> str:
    """Return rules of ioBroker's adapter parser: name, address, expression, unit."""
    lines = [
        "# Adapter parser, a rule a line: name, address, regular expression, unit (between tabs)."
    ]
    if web.token:
        lines.append("# It sends no token: use MQTT, or Modbus.")
        return "\n".join(lines)
    for one in subjects:
        for value in one.values:
            quantity = value.quantity
            if one.name == SITE:
                before = f'"{quantity.field}":'
            else:
                parts = {"field": quantity.field, "phase": quantity.phase or None}
                parts["tariff"] = quantity.tariff or None
                before = json.dumps(parts, separators=(",", ":"))[1:-1] + ',"value":'
            expression = re.escape(before).replace('\\"', '"') + r"(-?[\d.eE+-]+)"
            name = f"{one.slug}.{value.key}"
            lines.append("\t".join((name, web.url(one), expression, value.unit)))
    return "\n".join(lines)


FORMATS: Mapping[str, Callable[[Sequence[Subject], Web], str]] = {
    "telegraf": telegraf,
    "home-assistant": home_assistant,
    "openhab": openhab,
    "iobroker": iobroker,
}
