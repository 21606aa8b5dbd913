"""What `share` prints is what others can use: every section is parsed as its program would, and
what it points to is read from a running logger, by Modbus, MQTT and HTTP."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import jinja2
import paho.mqtt.client as paho
import pytest
import yaml
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from logger.domain.quantity import Quantity
from tests.share_rig import Secrets
from tests.told_house import FLAT, GRID, METERS, ROOF, UNITS, House, jq, near, running


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running(tmp_path_factory.mktemp("told")) as found:
        yield found


# evcc


def value_of(house: House, source: Mapping[str, Any]) -> float:
    """Return what a plugin of evcc would read."""
    scale = source.get("scale", 1)
    match source["source"]:
        case "modbus":
            assert set(source) <= {"source", "uri", "id", "rtu", "register", "scale"}
            assert source["uri"] == f"127.0.0.1:{house.modbus}"
            one = source["register"]
            found = house.register(source["id"], one["address"], one["encoding"], one["type"])
        case "sunspec":
            assert set(source) <= {"source", "uri", "id", "rtu", "value", "scale"}
            device = SunSpecModbusClientDeviceTCP(
                slave_id=source["id"], ipaddr="127.0.0.1", ipport=house.modbus
            )
            device.scan()
            models = [one.split(":") for one in source["value"]]
            (name,) = [point for model, point in models if int(model) in device.models]
            model = next(int(model) for model, _ in models if int(model) in device.models)
            found = getattr(device.models[model][0], name).cvalue
            device.close()
        case "mqtt":
            assert set(source) <= {"source", "topic", "jq", "timeout", "scale"}
            assert re.fullmatch(r"\d+s", source["timeout"])
            found = float(jq(source["jq"], house.ear.last[source["topic"]]))
        case "http":
            assert set(source) <= {"source", "uri", "jq", "cache", "scale"}
            found = float(jq(source["jq"], house.get(source["uri"])))
        case _:
            raise AssertionError(source)
    return float(found) * float(scale)


def test_evcc_reads_every_meter_every_way_with_its_signs(house: House) -> None:
    meters = {one["name"]: one for one in yaml.safe_load(house.told("evcc"))["meters"]}
    assert list(meters) == [
        "kuche_1_2", "dach_sud_b_s", "meter", "dach_sud_b_s_sunspec_float", "dach_sud_b_s_sunspec",
        "pro380", "kuche_1_2_mqtt", "dach_sud_b_s_mqtt", "meter_mqtt", "kuche_1_2_http",
        "dach_sud_b_s_http", "meter_http",
    ]  # fmt: skip
    for slug, meter in meters.items():
        name = GRID if "kuche" in slug else ROOF if "dach" in slug else FLAT
        ways = ("export", "import") if name == ROOF else ("import", "export")
        sign = -1 if name == ROOF else 1
        assert meter["type"] == "custom"
        wanted = {
            "power": sign * house.truth(name, Quantity("active_power", "total")),
            "energy": house.truth(name, Quantity(f"active_{ways[0]}", "total", "total")),
            "returnenergy": house.truth(name, Quantity(f"active_{ways[1]}", "total", "total")),
        }
        for key, value in wanted.items():
            found = value_of(house, meter[key])
            rough = "sunspec" in slug
            assert abs(found - value) <= (1.0 if rough else 1e-5 * max(1.0, abs(value))), (
                slug,
                key,
            )
        if name == FLAT:
            continue
        for key, field in (("powers", "active_power"), ("voltages", "voltage")):
            for phase, source in zip(("L1", "L2", "L3"), meter[key], strict=True):
                value = house.truth(name, Quantity(field, phase))
                value *= 1 if key == "voltages" else sign
                assert abs(value_of(house, source) - value) <= (1.0 if "sunspec" in slug else 0.01)
    assert value_of(house, meters["dach_sud_b_s"]["power"]) > 0  # the roof gives


# mbmd: what it reads of a PRO380 (its table INEPRO), as float32.


def test_mbmd_reads_what_it_knows(house: House) -> None:
    found = yaml.safe_load(house.told("mbmd"))
    assert found["adapters"] == [{"device": f"127.0.0.1:{house.modbus}", "rtu": False}]
    assert all(set(one) == {"name", "type", "id", "adapter"} for one in found["devices"])
    kinds = {one["id"]: one["type"] for one in found["devices"]}
    assert kinds == {1: "inepro", 2: "inepro", 101: "sunspec", 102: "sunspec", 103: "inepro"}
    names = {1: GRID, 2: ROOF, 103: FLAT}
    for unit, name in names.items():
        power = house.register(unit, 0x5012, "float32") * 1000
        assert near(power, house.truth(name, Quantity("active_power", "total")))
        counter = house.register(unit, 0x600C, "float32")
        assert near(counter, house.truth(name, Quantity("active_import", "total", "total")))


# Telegraf: the keys are those of its plugins' README.

TELEGRAF = {
    "modbus": {"name", "controller", "transmission_mode", "timeout", "busy_retries",
               "busy_retries_wait", "configuration_type", "request"},
    "mqtt_consumer": {"servers", "topics", "topic_tag", "username", "password", "tls_ca",
                      "insecure_skip_verify"},
    "http": {"urls", "token"},
}  # fmt: skip
PARSER = {"name_override", "data_format", "tag_keys", "json_time_key", "json_time_format",
          "json_query", "json_strict"}  # fmt: skip


def flat(data: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return fields as Telegraf's parser of JSON names them."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{before}_{key}" if before else key
        found |= flat(value, name) if isinstance(value, dict) else {name: value}
    return found


def test_telegraf_gets_every_value_every_way(house: House) -> None:
    inputs = tomllib.loads(house.told("telegraf"))["inputs"]
    (registers,) = inputs["modbus"]
    assert set(registers) <= TELEGRAF["modbus"]
    names = {unit: name for unit, name, kind in UNITS if kind != "sunspec"}
    read = 0
    for request in registers["request"]:
        assert set(request) == {
            "slave_id",
            "byte_order",
            "register",
            "measurement",
            "fields",
            "tags",
        }
        for one in request["fields"]:
            if request["slave_id"] == 1 and one["name"] in ("active_power_total", "voltage_l1"):
                value = house.register(1, one["address"], one["type"]) * one.get("scale", 1)
                field, _, phase = one["name"].rpartition("_")
                phase = phase.upper() if phase != "total" else phase
                assert near(value, house.truth(names[1], Quantity(field, phase)))
                read += 1
    assert read == 2
    for one in inputs["mqtt_consumer"]:
        assert set(one) <= TELEGRAF["mqtt_consumer"] | PARSER
        (pattern,) = one["topics"]
        found = [
            json.loads(text)
            for topic, text in house.ear.last.items()
            if paho.topic_matches_sub(pattern, topic)
        ]
        assert len(found) == (3 if one["name_override"] == "meter" else 1)
        for message in found:
            judged(one, message)
            if "meter" in message:
                power = house.truth(message["meter"], Quantity("active_power", "total"))
                assert message["active_power"] == power
    for one in inputs["http"]:
        assert set(one) <= TELEGRAF["http"] | PARSER
        (url,) = one["urls"]
        whole = json.loads(house.get(url))
        rows = whole[one["json_query"]] if "json_query" in one else [whole]
        for row in rows:
            judged(one, row)
            if one["name_override"] == "meter":
                power = house.truth(row["name"], Quantity("active_power", "total"))
                assert flat(row)["values_active_power/total"] == power


def judged(told: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Assert that a message has its time and tags as they are told."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", row[told["json_time_key"]])
    if told["name_override"] == "meter":
        assert set(told["tag_keys"]) - {"site"} <= set(row)


# Home Assistant


def test_home_assistant_gets_every_value_every_way(house: House) -> None:
    found = yaml.load(house.told("home-assistant"), Secrets)
    assert set(found) == {"modbus", "mqtt", "rest"}
    assert_unique([one["unique_id"] for hub in found["modbus"] for one in hub["sensors"]])
    for one in found["modbus"][0]["sensors"]:
        if one["slave"] == 1 and one["unique_id"].endswith(("_active_power_total", "_voltage_l2")):
            value = house.register(1, one["address"], one["data_type"]) * one.get("scale", 1)
            phase = "L2" if one["unique_id"].endswith("l2") else "total"
            field = "voltage" if phase == "L2" else "active_power"
            assert near(value, house.truth(GRID, Quantity(field, phase)))
    templates = jinja2.Environment(autoescape=False)
    sensors = found["mqtt"]["sensor"]
    assert_unique([one["unique_id"] for one in sensors])
    powers = set()
    for one in sensors:
        for topic in one["availability"]:
            assert house.ear.last[topic["topic"]] == "online"
        message = json.loads(house.ear.last[one["state_topic"]])
        value = float(templates.from_string(one["value_template"]).render(value_json=message))
        assert one["device_class"] or one["unit_of_measurement"]
        powers.add(value)
    assert {house.truth(name, Quantity("active_power", "total")) for name in METERS} <= powers
    ids = []
    for resource in found["rest"]:
        whole = json.loads(house.get(resource["resource"]))
        for one in resource["sensor"]:
            shown = templates.from_string(one["availability"]).render(value_json=whole)
            assert shown == "True", one
            value = float(templates.from_string(one["value_template"]).render(value_json=whole))
            ids.append(one["unique_id"])
            if one["unique_id"].endswith("_active_power"):
                assert value == house.truth(whole["name"], Quantity("active_power", "total"))
            if one["unique_id"].endswith("_active_import"):
                total = Quantity("active_import", "total", "total")
                assert value == house.truth(whole["name"], total)
        for entry in whole["values"] if isinstance(whole["values"], list) else ():
            entry["fresh"] = False
        for one in resource["sensor"] if isinstance(whole["values"], list) else ():
            shown = templates.from_string(one["availability"]).render(value_json=whole)
            assert shown == "False"  # what is too old is no value
    assert_unique(ids)


def assert_unique(ids: list[str]) -> None:
    assert len(ids) == len(set(ids)) > 5


# openHAB


def test_openhab_gets_every_value_every_way(house: House) -> None:
    text = house.told("openhab")
    assert text.count("{") == text.count("}")
    topics = re.findall(
        r'stateTopic=("(?:[^"\\]|\\.)*"), transformationPattern="JSONPATH:\$\.(\w+)"', text
    )
    assert len(topics) > 20
    for topic, key in topics:
        assert isinstance(json.loads(house.ear.last[json.loads(topic)])[key], int | float), key
    things = re.split(r"^Thing http:url:", text, flags=re.MULTILINE)[1:]
    assert len(things) == 4
    for thing in things:
        base = re.search(r'baseURL=("(?:[^"\\]|\\.)*")', thing)
        assert base is not None
        url = json.loads(base[1])
        assert "%" not in url.replace("%%", "")
        whole = json.loads(house.get(url.replace("%%", "%")))
        paths = re.findall(r'"JSONPATH:\$\.values([^"]*)"', thing)
        assert len(paths) > 4
        for path in paths:
            assert len(values_at(path, whole["values"])) == 1, path


def values_at(path: str, values: Any) -> list[Any]:
    """Return what the path of one value selects, of the paths that are printed."""
    if isinstance(values, dict):
        return [values[path[1:]]]
    tests = re.fullmatch(r"\[\?\((.*)\)\]\.value", path)
    assert tests is not None, path
    wanted = dict(re.findall(r"@\.(\w+)=='?(\w+)'?", tests[1]))
    assert wanted.pop("fresh") == "true"
    return [
        one["value"]
        for one in values
        if one["fresh"] and all(one[key] == value for key, value in wanted.items())
    ]


# ioBroker


def test_iobroker_gets_every_value_every_way(house: House) -> None:
    text = house.told("iobroker")
    lines = text.splitlines()
    head = next(line for line in lines if line.startswith("_address")).split("\t")
    rows = [dict(zip(head, line.split("\t"), strict=True)) for line in lines if line[:1].isdigit()]
    assert {row["deviceId"] for row in rows} == {"1", "2", "3", "101", "103"}
    power = next(row for row in rows if row["name"] == "kuche_1_2.active_power_total")
    value = house.register(1, int(power["_address"]), "float32") * float(power["factor"])
    assert near(value, house.truth(GRID, Quantity("active_power", "total")))
    begin = lines.index("{")
    end = lines.index("}")
    aliases = json.loads("\n".join(lines[begin : end + 1]))
    by_id = {f"mqtt-client.0.{t.replace('.', '_').replace('/', '.')}": t for t in house.ear.last}
    assert len(aliases) > 20
    for one in aliases.values():
        topic = by_id[one["common"]["alias"]["id"]]
        key = re.fullmatch(r"JSON\.parse\(val\)\.(\w+)", one["common"]["alias"]["read"])
        assert key is not None
        assert isinstance(json.loads(house.ear.last[topic])[key[1]], int | float)
    rules = [line.split("\t") for line in lines[end + 1 :] if "\t" in line]
    assert len(rules) > 20
    for name, url, expression, _unit in rules:
        found = re.findall(expression, house.get(url))
        assert len(found) == 1, (name, expression)
        if name == "kuche_1_2.active_power":
            assert float(found[0]) == house.truth(GRID, Quantity("active_power", "total"))
