"""Sections for the configuration of others who read messages of MQTT, ready to paste. Pure.

Formats as documented by their makers in 2026: Telegraf (inputs.mqtt_consumer), Home Assistant
(`mqtt`; with discovery nothing is needed), openHAB (things of the MQTT binding), ioBroker
(adapter mqtt-client, and aliases).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from logger.latest import SITE
from logger.share.outlets import Broker, Subject
from logger.share.quoted import text

_IOBROKER_STATES = "mqtt-client.0"


def telegraf(subjects: Sequence[Subject], broker: Broker) -> str:
    """Return inputs of Telegraf: one for all meters, one for the site's flows."""
    lines = ["# telegraf.conf"]
    sources = [("meter", broker.all_states())]
    if any(one.name == SITE for one in subjects):
        sources.append(("site", broker.topics.state(SITE)))
    for measurement, topic in sources:
        lines += [
            "[[inputs.mqtt_consumer]]",
            f"  servers = [{text(broker.url)}]",
            f"  topics = [{text(topic)}]",
            '  topic_tag = ""',
            *_telegraf_login(broker),
            f'  name_override = "{measurement}"',
            '  data_format = "json"',
            '  tag_keys = ["site", "meter", "role"]',
            '  json_time_key = "time"',
            '  json_time_format = "2006-01-02T15:04:05Z07:00"',
        ]
    return "\n".join(lines)


def _telegraf_login(broker: Broker) -> list[str]:
    config, found = broker.config, []
    if config.user:
        found.append(f"  username = {text(config.user)}")
    if config.password_file is not None:
        found.append('  password = "${MQTT_PASSWORD}"  # a variable of Telegraf\'s environment')
    if config.ca_file is not None:
        found.append(f"  tls_ca = {text(str(config.ca_file))}  # a copy of it")
    if config.insecure:
        found.append("  insecure_skip_verify = true")
    return found


def home_assistant(subjects: Sequence[Subject], broker: Broker) -> str:
    """Return the section `mqtt` of configuration.yaml, nothing where devices show up by
    themselves."""
    if broker.config.discovery:
        where = text(broker.config.discovery_prefix)
        return (
            "# configuration.yaml: nothing. The devices show up by themselves in the integration\n"
            f"# MQTT with the broker {text(broker.address)}, discovery prefix {where}."
        )
    lines = ["# configuration.yaml", "mqtt:", "  sensor:"]
    for one in subjects:
        for value in one.values:
            lines += [
                f"    - name: {text(f'{one.title} {value.name}')}",
                f"      unique_id: inepro_logger_mqtt_{one.slug}_{value.key}",
                f"      state_topic: {text(broker.topics.state(one.name))}",
                f'      value_template: "{{{{ value_json.{value.key} | default(none) }}}}"',
                "      availability_mode: all",
                "      availability:",
                f"        - topic: {text(broker.topics.logger)}",
                f"        - topic: {text(broker.topics.status(one.name))}",
                *(
                    f"      {key}: {json.dumps(what, ensure_ascii=False)}"
                    for key, what in _told(value.entity)
                ),
                f"      expire_after: {one.gone_s}",
            ]
    return "\n".join(lines)


def _told(entity: Mapping[str, object]) -> list[tuple[str, object]]:
    kept = ("device_class", "state_class", "unit_of_measurement", "suggested_display_precision")
    return [(key, entity[key]) for key in kept if key in entity]


def openhab(subjects: Sequence[Subject], broker: Broker) -> str:
    """Return a bridge of openHAB's MQTT binding with a thing for each meter."""
    config = broker.config
    login = f", username={text(config.user)}" if config.user else ""
    login += ', password="PASSWORD"' if config.password_file is not None else ""
    lines = ["// mqtt.things; needs the JSONPath transformation"]
    lines.append(
        f"Bridge mqtt:broker:inepro_logger [ host={text(broker.host)}, port={broker.port}, "
        f"secure={'true' if config.tls else 'false'}{login} ] {{"
    )
    for one in subjects:
        lines.append(
            f"    Thing topic {one.slug} {text(one.title)} [ "
            f"availabilityTopic={text(broker.topics.status(one.name))}, "
            'payloadAvailable="online", payloadNotAvailable="offline" ] {'
        )
        lines.append("    Channels:")
        for value in one.values:
            unit = f", unit={text(value.unit)}" if value.unit else ""
            lines.append(
                f"        Type number : {value.key.lower()} {text(value.name)} "
                f"[ stateTopic={text(broker.topics.state(one.name))}, "
                f'transformationPattern="JSONPATH:$.{value.key}"{unit} ]'
            )
        lines.append("    }")
    return "\n".join([*lines, "}"])


def iobroker(subjects: Sequence[Subject], broker: Broker) -> str:
    """Return what ioBroker's adapter mqtt-client subscribes to, and aliases as objects."""
    aliases = {
        f"alias.0.inepro_logger.{one.slug}.{value.key}": {
            "type": "state",
            "common": {
                "name": f"{one.title} {value.name}",
                "type": "number",
                "role": "value",
                "unit": value.unit,
                "read": True,
                "write": False,
                "alias": {
                    "id": f"{_IOBROKER_STATES}.{_iobroker_id(broker.topics.state(one.name))}",
                    "read": f"JSON.parse(val).{value.key}",
                },
            },
            "native": {},
        }
        for one in subjects
        for value in one.values
    }
    topics = [broker.all_states(), *(broker.topics.state(o.name) for o in subjects if not o.name)]
    return "\n".join(
        [
            f"# Adapter mqtt-client: {text(broker.address)}, subscriptions:",
            *(f"#   {text(topic)}" for topic in topics),
            "# Import the lines below as objects (aliases of values within the messages):",
            json.dumps(aliases, ensure_ascii=True, indent=1),
        ]
    )


def _iobroker_id(topic: str) -> str:
    """Return the id of the state of a topic: dots are levels there."""
    return topic.replace(".", "_").replace("/", ".")


FORMATS: Mapping[str, Callable[[Sequence[Subject], Broker], str]] = {
    "telegraf": telegraf,
    "home-assistant": home_assistant,
    "openhab": openhab,
    "iobroker": iobroker,
}
