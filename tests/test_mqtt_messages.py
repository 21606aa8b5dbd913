"""What the messages say: names that become topics and ids, and descriptions that Home
Assistant takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger import models
from logger.config import load_config
from logger.domain.datamodel import MEASUREMENTS
from logger.domain.errors import ConfigError
from logger.domain.quantity import Quantity
from logger.domain.wiring import Wiring
from logger.latest import Newest
from logger.mqtt import entities, messages, names
from logger.mqtt.record import Record

# Home Assistant 2025.4.4, homeassistant/components/sensor/const.py: the units and state
# classes that go with a device class, as far as they are used here.
ALLOWED: dict[str, tuple[set[str | None], set[str]]] = {
    "apparent_power": ({"VA"}, {"measurement"}),
    "current": ({"A", "mA"}, {"measurement"}),
    "energy": ({"Wh", "kWh", "MWh"}, {"total", "total_increasing"}),
    "frequency": ({"Hz", "kHz"}, {"measurement"}),
    "power": ({"W", "kW", "MW"}, {"measurement"}),
    "power_factor": ({None, "%"}, {"measurement"}),
    "reactive_power": ({"var"}, {"measurement"}),
    "temperature": ({"°C", "°F", "K"}, {"measurement"}),
    "voltage": ({"V", "mV"}, {"measurement"}),
}
# The same version, mqtt/schemas.py and mqtt/sensor.py: what a description may hold.
DEVICE = {"identifiers", "name", "manufacturer", "model", "serial_number", "sw_version"}
SENSOR = {
    *("platform", "name", "unique_id", "value_template", "expire_after", "device_class"),
    *("state_class", "unit_of_measurement", "suggested_display_precision"),
    *("enabled_by_default", "entity_category"),
}
WIRINGS: tuple[Wiring, ...] = ("3P4W", "3P3W", "1P2W")


def description(found: Any) -> dict[str, Any]:
    device = messages.meter("Küche [1]", "a model", "1234", "2.18", "home/Küche [1]")
    text = messages.description(device, found, "a/state", ("a/status", "b/status"), 30)
    return dict(json.loads(text))


def check(data: dict[str, Any]) -> None:
    assert set(data["device"]) <= DEVICE
    sensors = data["components"]
    ids = [one["unique_id"] for one in sensors.values()]
    assert len(ids) == len(set(ids)) > 1
    assert len({one["name"] for one in sensors.values()}) == len(sensors)
    for key, one in sensors.items():
        assert set(one) <= SENSOR, key
        assert re.fullmatch(r"[A-Za-z0-9_-]+", key)
        assert one["value_template"] == f"{{{{ value_json.{key} | default(none) }}}}"
        assert one.get("state_class") in (None, "measurement", "total", "total_increasing")
        if (device_class := one.get("device_class")) is not None:
            units, states = ALLOWED[device_class]
            assert one.get("unit_of_measurement") in units, key
            assert one["state_class"] in states, key


@pytest.mark.parametrize("model", models.available())
def test_descriptions_of_every_model_are_as_home_assistant_takes_them(model: str) -> None:
    table = models.load(model)
    for wiring in WIRINGS:
        found = entities.of_meter(table, wiring)
        keys = [names.key(quantity) for quantity in table.by_quantity]
        assert len(keys) == len(set(keys))
        check(description(found))
        energy = found[Quantity("active_import", "total", "total")]
        assert (energy["device_class"], energy["state_class"]) == ("energy", "total_increasing")
        assert energy["unit_of_measurement"] == "kWh"
        assert "enabled_by_default" not in energy
    one_phase = entities.of_meter(table, "1P2W")
    assert not any(quantity.phase in ("L2", "L3") for quantity in one_phase)


@pytest.mark.parametrize("roles", [["pv", "battery"], ["pv"], ["battery"]], ids=str)
def test_the_description_of_the_flows(roles: list[str]) -> None:
    found = entities.of_site(["grid", *roles])
    check(description(found))
    for role, fields in {
        "battery": {"battery_power", "battery_charge", "battery_discharge"},
        "pv": {"pv_power", "pv_energy", "self_consumption_power", "self_consumed"},
    }.items():
        told = fields & {quantity.field for quantity in found}
        assert told == (fields if role in roles else set()), role
    assert {Quantity("load_power"), Quantity("load_energy"), Quantity("demand")} <= set(found)


def test_a_site_without_pv_and_battery_has_its_demand_alone() -> None:
    found = entities.of_site(["grid", "load"])
    assert set(found) == {Quantity("demand"), Quantity("demand_forecast")}
    check(description(found))
    for one in found.values():
        assert (one["device_class"], one["unit_of_measurement"]) == ("power", "kW")


def test_every_field_of_the_site_is_described() -> None:
    told = {quantity.field for quantity in entities.of_site(["grid", "pv", "battery"])}
    lacking = set(MEASUREMENTS["site"].fields) - told
    assert not lacking, "a line of _SITE in logger/mqtt/entities.py"


def test_sensors_that_a_device_has_no_more_are_told_once() -> None:
    text = messages.description(messages.site("home"), entities.of_site(["grid", "pv"]), "s", (), 9)
    found = json.loads(messages.description_without(text, ["battery_power"]))["components"]
    assert found.pop("battery_power") == {"platform": "sensor"}
    assert found == json.loads(text)["components"]


def test_a_state_holds_what_is_recent_and_its_time() -> None:
    old = Newest(1.0, "W", 1_795_000_000_000, 99.0, False)
    new = Newest(230.5, "V", 1_795_000_001_500, 1.0, True)
    values = {Quantity("active_power", "total"): old, Quantity("voltage", "L1-L2"): new}
    text = messages.state({"site": "home", "meter": "Küche"}, values)
    assert json.loads(text) == {
        "site": "home",
        "meter": "Küche",
        "time": "2026-11-18T11:06:41.500Z",
        "voltage_L1_L2": 230.5,
    }
    assert "time" not in json.loads(messages.state({}, {}))


@pytest.mark.parametrize(
    ("name", "level", "identifier"),
    [
        ("roof", "roof", "roof"),
        ("Küche [1] #2/+", "Küche [1] %232%2F%2B", r"Kuche_1_2_[0-9a-f]{8}"),
        ("100%", "100%25", r"100_[0-9a-f]{8}"),
        ("東京", "東京", r"[0-9a-f]{8}"),
        ("a\x85b\u200e", "a%C2%85b%E2%80%8E", r"ab_[0-9a-f]{8}"),
    ],
)
def test_names_in_topics_and_ids(name: str, level: str, identifier: str) -> None:
    assert names.level(name) == level
    assert re.fullmatch(identifier, names.identifier(name))


@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=4, unique=True))
def test_two_names_never_share_a_topic_or_an_id(several: list[str]) -> None:
    several = [name.encode("utf-8", "ignore").decode() for name in several]
    different = set(several)
    assert len({names.level(name) for name in different}) == len(different)
    assert len({names.identifier(name) for name in different}) == len(different)
    for name in different:
        assert not set(names.level(name)) & set("/+#\x00")
        assert re.fullmatch(r"[A-Za-z0-9_-]+", names.identifier(name))


def test_a_damaged_record_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "mqtt.json"
    record = Record(file)
    record.described("homeassistant/device/x/config", "grid", ["voltage"])
    record.published(["a", "b"])
    record.removed("a")
    again = Record(file)
    assert again.topics == {"b"}
    assert again.descriptions == {"homeassistant/device/x/config": ("grid", frozenset({"voltage"}))}
    file.write_text(file.read_text(encoding="utf-8").replace("voltage", "current"), "utf-8")
    assert not Record(file).descriptions
    assert (tmp_path / "mqtt.json.unreadable").exists()


CONFIG = """\
[site]
name = "home"
[[bus]]
name = "line"
port = "socket://127.0.0.1:1"
[[bus.meter]]
name = "grid"
model = "pro380"
address = 1
role = "grid"
[mqtt]
"""


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "url"),
        ('url = "broker"', "no address of a broker"),
        ('url = "http://broker"', "no address of a broker"),
        ('url = "mqtt://broker:x"', "no address of a broker"),
        ('url = "mqtt://broker:99999"', "no address of a broker"),
        ('url = "mqtt://broker/path"', "no address of a broker"),
        ('url = "mqtt://me:secret-word@broker"', "mqtt.password_file"),
        ('url = "mqtt://broker"\npassword_file = "p"', "without a user"),
        ('url = "mqtt://broker"\nca_file = "p"', "does not use it"),
        ('url = "mqtt://broker"\ninsecure = true', "does not use it"),
        ('url = "mqtts://broker"\ninsecure = true\nca_file = "p"', "keep one"),
        ('url = "mqtt://broker"\nprefix = "a/#"', "cannot begin a topic"),
        ('url = "mqtt://broker"\nprefix = "/a"', "cannot begin a topic"),
        ('url = "mqtt://broker"\npassword = "x"', "password"),
        ('url = "mqtt://bro ker"', "no address of a broker"),
        ('url = "mqtt://300.1.1.1"', "no address of a broker"),
        ('url = "mqtt://broker"\nprefix = "$SYS"', "belongs to the broker"),
        ('url = "mqtt://broker"\ndiscovery_prefix = "$SYS/a"', "mqtt.discovery_prefix"),
        ('url = "mqtt://broker"\nprefix = "a\\u0085"', "control character"),
        ('url = "mqtt://broker"\nuser = "a\\u0000b"', "mqtt.user"),
        ('url = "mqtt://broker"\nuser = "a\\uFFFF"', "control character"),
        ('url = "mqtt://broker"\nclient_id = "a\\u0001"', "mqtt.client_id"),
    ],
)
def test_a_wrong_section_is_named(tmp_path: Path, text: str, wrong: str) -> None:
    path = tmp_path / "logger.toml"
    path.write_text(CONFIG + text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert wrong in str(caught.value)
    assert re.search(r"logger\.toml:\d+: mqtt", str(caught.value))
    assert "secret-word" not in str(caught.value)


def test_files_are_beside_the_configuration_and_a_password_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "logger.toml"
    more = 'url = "mqtts://[::1]"\nuser = "me"\npassword_file = "p"\nca_file = "c"\n'
    path.write_text(CONFIG + more, encoding="utf-8")
    mqtt = load_config(path).mqtt
    assert mqtt is not None
    assert (mqtt.host, mqtt.port, mqtt.tls) == ("::1", 8883, True)
    secret, trusted = tmp_path / "p", tmp_path / "c"
    assert (mqtt.password_file, mqtt.ca_file) == (secret, trusted)
    for wrong, word in ((b"", "empty"), (b"one\ntwo", "2 lines"), (b"\xff\xfe", "UTF-8")):
        secret.write_bytes(wrong)
        with pytest.raises(ConfigError, match=word):
            mqtt.check_files()
    secret.write_bytes(b" with blanks \r\n")
    assert mqtt.password() == " with blanks "
    with pytest.raises(ConfigError, match="ca_file"):
        mqtt.check_files()
    trusted.write_text("nothing", encoding="utf-8")
    with pytest.raises(ConfigError, match="no certificate"):
        mqtt.check_files()
