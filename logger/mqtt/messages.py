"""The messages: the newest values as JSON, and the description of a device for Home
Assistant ("MQTT", device discovery payload). Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from logger import __version__
from logger.domain.quantity import Quantity
from logger.domain.records import FieldValue
from logger.domain.times import iso_utc
from logger.latest import Newest
from logger.mqtt import names
from logger.texts import one_line

ONLINE, OFFLINE = "online", "offline"
_PLATFORM = "platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A meter or a site, as Home Assistant shows it. `id` lasts as long as the device."""

    id: str
    name: str
    model: str
    manufacturer: str = ""
    serial: str = ""
    firmware: str = ""


def state(about: Mapping[str, str], values: Mapping[Quantity, Newest]) -> str:
    """Return the message with the newest values: those that are not too old, and the
    time of the newest one. `about` says whose they are."""
    found: dict[str, FieldValue] = dict(about)
    fresh = {quantity: one for quantity, one in values.items() if one.fresh}
    if fresh:
        found["time"] = iso_utc(max(one.at_ms for one in fresh.values()))
    for quantity, one in fresh.items():
        found[names.key(quantity)] = one.value
    return _json(found)


def description(
    device: Device,
    entities: Mapping[Quantity, Mapping[str, Any]],
    state_topic: str,
    availability: Iterable[str],
    expire_after_s: int,
) -> str:
    """Return the message that makes Home Assistant know a device and its sensors.

    They are unavailable unless every topic of `availability` says online, and when no message
    came for `expire_after_s`.
    """
    components: dict[str, dict[str, Any]] = {}
    for quantity, entity in entities.items():
        key = names.key(quantity)
        components[key] = {
            **entity,
            "unique_id": f"{device.id}_{key}",
            # Without a fresh value the sensor is unknown, which "None" stands for.
            "value_template": f"{{{{ value_json.{key} | default(none) }}}}",
            "expire_after": expire_after_s,
        }
    about = {
        "identifiers": [device.id],
        "name": device.name,
        "manufacturer": device.manufacturer,
        "model": device.model,
        "serial_number": device.serial,
        "sw_version": device.firmware,
    }
    return _json(
        {
            "device": {key: value for key, value in about.items() if value},
            "origin": {"name": "inepro-logger", "sw_version": __version__},
            "availability": [{"topic": topic} for topic in availability],
            "availability_mode": "all",
            "state_topic": state_topic,
            "components": components,
        }
    )


def description_without(text: str, gone: Iterable[str]) -> str:
    """Return a description that also has Home Assistant remove the sensors `gone`."""
    data = json.loads(text)
    data["components"] |= {one: {_PLATFORM: "sensor"} for one in sorted(gone)}
    return _json(data)


def meter(name: str, model: str, serial: str, firmware: str, fallback: str) -> Device:
    """Return the device of a meter: known by its serial number, or by `fallback`, its site
    and name, when it has none."""
    serial, firmware = one_line(serial, 64), one_line(firmware, 64)
    return Device(
        id=f"inepro_{names.identifier(serial or fallback)}",
        name=name,
        model=model,
        manufacturer="Inepro Metering",
        serial=serial,
        firmware=firmware,
    )


def site(name: str) -> Device:
    """Return the device of a site: its demand and its flows."""
    return Device(
        id=f"inepro_logger_{names.identifier(name)}",
        name=name,
        model="inepro-logger",
        firmware=__version__,
    )


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
