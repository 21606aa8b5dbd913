"""What `share` prints of what is open, of secrets, and of who is not reached."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from logger.cli import app as commands
from logger.cli.share import Program
from logger.share import paste, pastehttp, pastemqtt
from tests.configs import configuration
from tests.share_rig import Secrets


def ways(path: Path, *arguments: str) -> str:
    done = CliRunner().invoke(commands, ["share", "--config", str(path), *arguments])
    assert done.exit_code == 0, done.output
    return done.output


HEAD = configuration(("grid", "grid"), port="/dev/ttyS9")
SECRET = "a-token-of-readers-0123456789"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")

    def write(more: str) -> Path:
        path = tmp_path / "logger.toml"
        path.write_text(HEAD + more, encoding="utf-8")
        return path

    return write


def test_only_what_is_open_is_told(written: Callable[[str], Path]) -> None:
    path = written('[mqtt]\nurl = "mqtt://broker.lan"\n')
    whole = ways(path)
    assert "502" not in whole
    assert "http://" not in whole
    assert yaml.safe_load(ways(path, "--for", "evcc"))["meters"][0]["name"] == "grid"
    assert "nothing. The devices show up by themselves" in ways(path, "--for", "home-assistant")
    assert "mbmd reads Modbus" in ways(path, "--for", "mbmd")
    refused = CliRunner().invoke(commands, ["share", "--config", str(path), "--over", "http"])
    assert "has no such section" in str(refused.exception)
    path = written('[mqtt]\nurl = "mqtt://broker.lan"\n[http]\n[share.modbus]\n')
    found = yaml.safe_load(ways(path, "--for", "evcc", "--over", "http"))["meters"]
    assert [one["power"]["source"] for one in found] == ["http"]


def test_secrets_are_left_to_the_reader_and_who_is_not_reached_is_told(
    written: Callable[[str], Path],
) -> None:
    path = written(
        '[mqtt]\nurl = "mqtts://127.0.0.1"\nuser = "me"\npassword_file = "secret"\n'
        'discovery = false\n[http]\nhost = "0.0.0.0"\ntoken_file = "secret"\n'
        '[share.modbus]\nlisten = ["tcp://127.0.0.1:1502"]\n'
    )
    whole = ways(path, "--host", "pi.lan")
    assert SECRET not in whole
    assert "# [share.modbus] answers this machine only" in whole
    assert "# [http] answers" not in whole
    assert "127.0.0.1:1883" not in whole
    inputs = tomllib.loads(
        ways(path, "--for", "telegraf", "--host", "pi.lan", "--over", "mqtt", "--over", "http")
    )["inputs"]
    assert inputs["mqtt_consumer"][0]["servers"] == ["ssl://pi.lan:8883"]
    assert inputs["mqtt_consumer"][0]["username"] == "me"
    assert inputs["http"][0]["token"] == "${INEPRO_LOGGER_HTTP_TOKEN}"
    assert inputs["http"][0]["urls"] == ["http://pi.lan:9470/api/meters"]
    found = yaml.load(ways(path, "--for", "home-assistant"), Secrets)
    assert found["rest"][0]["headers"] == {"Authorization": "secret inepro_logger_token"}
    http = yaml.safe_load(ways(path, "--for", "evcc", "--over", "http"))["meters"][0]
    assert http["power"]["auth"] == {"type": "bearer", "token": "TOKEN"}
    assert 'headers="Authorization=Bearer TOKEN"' in ways(path, "--for", "openhab")
    assert "It sends no token" in ways(path, "--for", "iobroker")


# The units that Home Assistant takes for each device class ("Sensor entity").
CLASS_UNITS = {
    "voltage": "V", "current": "A", "power": "W", "reactive_power": "var", "energy": "kWh",
    "apparent_power": "VA", "frequency": "Hz", "temperature": "°C", "power_factor": None,
}  # fmt: skip


@pytest.mark.parametrize("model", ["pro380", "grow-701", "ambition-2pu-ct"])
def test_home_assistant_is_told_classes_that_fit_the_units(
    written: Callable[[str], Path], model: str
) -> None:
    path = written("[share.modbus]\n")
    path.write_text(path.read_text(encoding="utf-8").replace("pro380", model), encoding="utf-8")
    sensors = yaml.safe_load(ways(path, "--for", "home-assistant"))["modbus"][0]["sensors"]
    assert len(sensors) > 20
    for one in sensors:
        if "device_class" in one:
            unit = one.get("unit_of_measurement")
            assert CLASS_UNITS[one["device_class"]] == unit, one["name"]
        if one["name"].endswith(("apparent_import_total", "reactive_q1_total")):
            assert one["state_class"] == "total_increasing"


def test_the_command_knows_every_program_that_there_is_a_section_for() -> None:
    formats = {*paste.FORMATS, *pastemqtt.FORMATS, *pastehttp.FORMATS}
    assert {program.value for program in Program} == {"evcc", *formats}
