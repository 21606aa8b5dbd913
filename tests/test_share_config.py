"""`[share.modbus]`: what the file may say, what it costs a line, and what others are told."""

from __future__ import annotations

import json
import re
import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from logger.bus import busload
from logger.cli import app
from logger.config import Config, load_config
from logger.domain.errors import ConfigError
from logger.models import Job, load
from logger.runtime.configured import models_of
from logger.simulate import VirtualLine
from tests.engines.process import free_port
from tests.running import RunningLogger, wait_until
from tests.share_rig import bus, config_of, fixed_meter, raw_client, receive, still

HEAD = """
[site]
name = "home"
[[bus]]
name = "line"
port = "/dev/ttyS9"
[[bus.meter]]
name = "grid"
model = "pro380"
address = 1
role = "grid"
[[bus.meter]]
name = "roof"
model = "grow-800"
address = 2
role = "pv"
[[bus]]
name = "pipes"
protocol = "mbus"
port = "/dev/ttyS8"
[[bus.meter]]
name = "heat"
model = "pro380-mb"
address = 1
role = "load"
[share.modbus]
"""
UNIT = "[[share.modbus.unit]]\n"


def written(tmp_path: Path, more: str = "") -> Path:
    path = tmp_path / "logger.toml"
    path.write_text(HEAD + more, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ('listen = []', "share.modbus.listen"),
        ('listen = ["udp://127.0.0.1:502"]', "others are answered on tcp://"),
        ('listen = ["127.0.0.1:502"]', "how does it speak"),
        ('listen = ["tcp://127.0.0.1:502", "tcp://127.0.0.1:502"]', "named twice"),
        ('listen = ["/dev/ttyS9"]', "is the port of bus 'line'"),
        ('listen = ["tcp://127.0.0.1:15", "socket://localhost:15"]', "port 15 is that of"),
        ('listen = ["tcp://0.0.0.0:15", "tcp://127.0.0.1:15"]', "port 15 is that of"),
        ('writes = "allow"', "needs writers"),
        ('writers = ["10.0.0.1"]', "may write nothing"),
        ('writes = "allow"\nwriters = ["somebody"]', "a writer is an address"),
        ("line_share = 0.9", "share.modbus.line_share"),
        (UNIT + 'id = 1\nmeter = "cellar"', "no meter is called 'cellar'"),
        (UNIT + 'id = 0\nmeter = "grid"', "share.modbus.unit[1].id"),
        (UNIT + 'id = 1', "either meter"),
        (UNIT + 'id = 1\nmeter = "grid"\nmeters = ["grid", "roof"]', "either meter"),
        (UNIT + 'id = 1\nmeters = ["grid", "grid"]\nmap = "pro380"', "only once"),
        (UNIT + 'id = 1\nmeters = ["grid", "roof"]', "a sum has no registers of its own"),
        (UNIT + 'id = 1\nmeter = "heat"', "has no Modbus registers"),
        (UNIT + 'id = 1\nmeter = "grid"\n' + UNIT + 'id = 1\nmeter = "roof"', "unit 1 stands for"),
        (
            'max_age = "1s"\n' + UNIT + 'id = 1\nmeter = "grid"\nmap = "sunspec"',
            "silent in between",
        ),
        (UNIT + 'id = 1\nmeter = "grid"\nmap = "pro38"', "share.modbus.unit[1].map"),
        (UNIT + 'id = 1\nmeter = "grid"\nunits = 3', "unknown key"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(tmp_path: Path, more: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(complaint)) as caught:
        load_config(written(tmp_path, more))
    assert re.search(r"logger\.toml:\d+: share\.modbus", str(caught.value))


@pytest.mark.parametrize(
    ("port", "more", "complaint"),
    [
        ("/dev/ttyS9", '[share.modbus]\nlisten = ["tcp://0.0.0.0:9470"]\n[http]', "http.port"),
        ("/dev/ttyS9", "[metrics]\n[http]\nport = 9469", "http.port"),
        ("tcp://127.0.0.1:1502", "[share.modbus]", "would read itself"),
        ("listen://0.0.0.0:1502", "[share.modbus]", "is that of bus 'line', too"),
        ("listen://0.0.0.0:1502", '[share.modbus]\nlisten = ["tcp://[::1]:1502"]', ""),
        ("tcp://192.168.1.2:1502", '[share.modbus]\n[metrics]\nhost = "::"\n[http]', ""),
    ],
)
def test_no_place_is_used_twice(tmp_path: Path, port: str, more: str, complaint: str) -> None:
    path = tmp_path / "logger.toml"
    line = HEAD.partition('[[bus]]\nname = "pipes"')[0].replace("/dev/ttyS9", port)
    path.write_text(line + more, encoding="utf-8")
    if complaint:
        with pytest.raises(ConfigError, match=re.escape(complaint)):
            load_config(path)
    else:
        load_config(path)


def test_two_meters_at_one_address_need_units(tmp_path: Path) -> None:
    meters = [{"name": "a", "model": "pro380", "address": 1}]
    other = [{"name": "b", "model": "pro380", "address": 1}]
    buses = [bus("one", "/dev/ttyS9", meters), bus("two", "/dev/ttyS8", other)]
    with pytest.raises(ValueError, match="unit 1 stands for 'a' and 'b'"):
        config_of(tmp_path, buses, {})


def test_nothing_listens_unless_told_and_then_on_this_machine_only(tmp_path: Path) -> None:
    loaded = load_config(written(tmp_path))
    assert loaded.share.modbus is not None
    assert loaded.share.modbus.listen == ["tcp://127.0.0.1:1502"]
    path = tmp_path / "plain.toml"
    path.write_text(HEAD.replace("[share.modbus]", ""), encoding="utf-8")
    assert load_config(path).share.modbus is None


# What it costs a line.


def lent(tmp_path: Path, meters: int, fast: float, **share: Any) -> tuple[Config, busload.Lending]:
    own = [{"name": f"m{n}", "model": "pro380", "address": n} for n in range(1, meters + 1)]
    made = config_of(
        tmp_path,
        [bus("line", "/dev/ttyS9", own, timeout=1.0)],
        share,
        {"fast": fast, "slow": 60.0, "identity": 3600.0},
    )
    return made, busload.lending(made, made.bus[0], models_of(made))


def test_what_others_may_have_of_a_line_is_what_it_can_spare(tmp_path: Path) -> None:
    _, quiet = lent(tmp_path, 2, 5.0)
    assert quiet == busload.Lending(0.1, 1.0)  # a whole timeout of the meters
    _, told = lent(tmp_path, 2, 5.0, line_share=0.02)
    assert told.share == pytest.approx(0.02)
    _, none = lent(tmp_path, 2, 5.0, line_share=0.0)
    assert none == busload.Lending(0.0, 0.0)
    made, full = lent(tmp_path, 4, 0.9)
    load_ = sum(busload.loads(made, made.bus[0], models_of(made)).values())
    assert full.share <= busload.FULL - load_
    assert full.longest_s < quiet.longest_s


@pytest.mark.parametrize(("meters", "fast"), [(1, 0.5), (4, 0.9), (12, 2.5), (60, 15.0)])
def test_a_request_of_that_length_fits_behind_every_turn(
    tmp_path: Path, meters: int, fast: float
) -> None:
    """Played through for ten minutes: a request of others begins whenever nothing is due."""
    made, found = lent(tmp_path, meters, fast)
    line, model = made.bus[0], load("pro380")
    took = {job: busload.job_s(line, model, job) for job in (Job.FAST, Job.SLOW)}
    turns = [
        (due, due + every, took[job])
        for job, every in ((Job.FAST, fast), (Job.SLOW, 60.0))
        for _ in range(meters)
        for due in _multiples(every, 600.0)
    ]
    now, waiting = 0.0, sorted(turns)
    assert found.longest_s > 0
    while waiting:
        due = [one for one in waiting[: 4 * meters] if one[0] <= now]
        if not due:
            now += found.longest_s
            continue
        turn = min(due, key=lambda one: one[1])
        assert now < turn[1], f"a turn is missed at {now:.3f} s"
        now += turn[2]
        waiting.remove(turn)


def _multiples(every: float, until: float) -> list[float]:
    return [number * every for number in range(int(until / every))]


# What others are told.


UNITS = (
    UNIT + 'id = 1\nmeter = "grid"\n'
    + UNIT + 'id = 2\nmeter = "roof"\n'
    + UNIT + 'id = 101\nmeter = "roof"\nmap = "pro380"\n'
    + UNIT + 'id = 102\nmeters = ["grid", "roof"]\nmap = "sunspec"\n'
    + UNIT + 'id = 103\nmeter = "heat"\nmap = "sunspec-float"\n'
)  # fmt: skip


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def full(tmp_path: Path) -> Path:
    return written(tmp_path, UNITS)


def shown(path: Path, program: str, *more: str) -> str:
    return run("share", "--config", str(path), "--for", program, *more)


def test_evcc_gets_a_meter_for_each_unit(full: Path) -> None:
    found = yaml.safe_load(shown(full, "evcc", "--host", "pi.lan"))["meters"]
    assert [one["name"] for one in found] == [
        "grid", "roof", "roof_pro380", "grid_roof_sunspec", "heat_sunspec_float",
    ]  # fmt: skip
    grid, roof, other, both, heat = found
    assert grid["power"] == {
        "source": "modbus", "uri": "pi.lan:1502", "id": 1, "rtu": False, "scale": 1000,
        "register": {"address": 0x5012, "type": "holding", "encoding": "float32"},
    }  # fmt: skip
    assert grid["energy"]["register"]["address"] == 0x600C
    assert len(grid["currents"]) == len(grid["voltages"]) == len(grid["powers"]) == 3
    # What a roof gives is positive there, and what it counts is what it exports.
    assert roof["power"]["scale"] == -1000
    assert roof["energy"]["register"] == {
        "address": 0x6018, "type": "holding", "encoding": "uint32",
    }  # fmt: skip
    assert roof["energy"]["scale"] == 0.001
    assert other["power"]["scale"] == -1000
    assert both["energy"] == {
        "source": "sunspec", "uri": "pi.lan:1502", "id": 102, "rtu": False, "scale": 0.001,
        "value": ["201:TotWhImp", "202:TotWhImp", "203:TotWhImp", "204:TotWhImp"],
    }  # fmt: skip
    assert both["currents"][1]["value"][0] == "201:AphB"
    assert heat["power"]["value"][0] == "211:W"


def test_one_meter_is_offered_alone_with_every_unit_it_is_in(full: Path) -> None:
    found = yaml.safe_load(shown(full, "evcc", "--meter", "roof"))["meters"]
    assert [one["name"] for one in found] == ["roof", "roof_pro380", "grid_roof_sunspec"]
    done = CliRunner().invoke(app, ["share", "--config", str(full), "--meter", "rof"])
    assert isinstance(done.exception, ConfigError)
    assert "did you mean 'roof'?" in done.exception.hint


def test_mbmd_gets_what_it_knows(full: Path) -> None:
    found = yaml.safe_load(shown(full, "mbmd"))
    assert found["adapters"] == [{"device": "127.0.0.1:1502", "rtu": False}]
    kinds = {one["id"]: one["type"] for one in found["devices"]}
    assert kinds == {1: "inepro", 101: "inepro", 102: "sunspec", 103: "sunspec"}


def test_telegraf_gets_a_request_for_each_unit(full: Path) -> None:
    (found,) = tomllib.loads(shown(full, "telegraf"))["inputs"]["modbus"]
    assert found["controller"] == "tcp://127.0.0.1:1502"
    requests = {one["slave_id"]: one for one in found["request"]}
    assert set(requests) == {1, 2, 101, 103}
    fields = {one["name"]: one for one in requests[1]["fields"]}
    assert fields["active_power_total"] == {
        "address": 0x5012, "name": "active_power_total", "type": "FLOAT32", "scale": 1000.0,
    }  # fmt: skip
    assert len(fields) == len(requests[1]["fields"])
    names = {one["name"]: one["address"] for one in requests[103]["fields"]}
    assert names["active_power_total"] == 40098
    assert requests[1]["tags"] == {"meter": "grid"}


def test_home_assistant_gets_classes_for_its_energy_page(full: Path) -> None:
    (hub,) = yaml.safe_load(shown(full, "home-assistant"))["modbus"]
    assert (hub["type"], hub["host"], hub["port"]) == ("tcp", "127.0.0.1", 1502)
    sensors = {one["unique_id"]: one for one in hub["sensors"]}
    assert len(sensors) == len(hub["sensors"])
    energy = sensors["inepro_logger_1_active_import_total_total"]
    assert energy["device_class"] == "energy"
    assert energy["state_class"] == "total_increasing"
    assert energy["unit_of_measurement"] == "kWh"
    assert sensors["inepro_logger_1_active_power_total"]["scale"] == 1000


def test_openhab_gets_blocks_without_gaps(full: Path) -> None:
    text = shown(full, "openhab")
    assert text.count("Bridge modbus:tcp:") == 4
    for start, length in re.findall(r"start=(\d+), length=(\d+)", text):
        assert int(length) <= 125
        assert int(start) >= 0x1000
    assert 'readStart="20498", readValueType="float32" ]' in text
    assert text.count("{") == text.count("}")


def test_iobroker_gets_a_table(full: Path) -> None:
    lines = shown(full, "iobroker").splitlines()
    head = next(line for line in lines if line.startswith("_address")).split("\t")
    rows = [dict(zip(head, line.split("\t"), strict=True)) for line in lines if line[:1].isdigit()]
    power = next(one for one in rows if one["name"] == "grid.active_power_total")
    assert (power["_address"], power["deviceId"], power["type"]) == ("20498", "1", "floatbe")
    assert (power["factor"], power["unit"]) == ("1000", "W")


def test_a_meter_that_is_turned_round_is_offered_with_the_right_signs(tmp_path: Path) -> None:
    path = tmp_path / "turned.toml"
    text = HEAD.replace('role = "grid"', 'role = "grid"\ninvert = true')
    path.write_text(text, encoding="utf-8")
    grid = yaml.safe_load(shown(path, "evcc"))["meters"][0]
    assert grid["power"]["scale"] == -1000
    assert grid["energy"]["register"]["address"] == 0x6018


def test_all_programs_are_told_and_one_that_shares_nothing_is_told_how(tmp_path: Path) -> None:
    path = tmp_path / "plain.toml"
    path.write_text(HEAD.replace("[share.modbus]", ""), encoding="utf-8")
    output = run("share", "--config", str(path))
    assert "# [share.modbus]" in output
    for word in ("evcc.yaml", "mbmd.yaml", "telegraf.conf", "configuration.yaml", "meters.things",
                 "_address"):  # fmt: skip
        assert word in output


def test_config_check_says_what_is_lent(full: Path) -> None:
    output = run("config", "check", "--config", str(full))
    assert "Modbus server on tcp://127.0.0.1:1502: 5 units" in output
    assert "bus line: up to 10% of the line for others, 1000 ms at a time" in output


# Running.


def test_check_says_to_whom_it_is_open_and_a_port_in_use_stops_nothing(tmp_path: Path) -> None:
    line = VirtualLine([fixed_meter("pro380", 1)], clock=still, paced=False)
    with line, socket.create_server(("127.0.0.1", 0)) as other:
        taken, free = other.getsockname()[1], free_port()
        path = tmp_path / "logger.toml"
        path.write_text(
            f"""
[site]
name = "home"
[intervals]
fast = "500ms"
[[bus]]
name = "line"
port = "socket://127.0.0.1:{line.start_tcp()}"
[[bus.meter]]
name = "grid"
model = "pro380"
accept_model = true
address = 1
role = "grid"
[buffer]
path = "buffer.sqlite"
[share.modbus]
listen = ["tcp://127.0.0.1:{taken}", "socket://0.0.0.0:{free}"]
writes = "allow"
writers = ["192.0.2.7"]
""",
            encoding="utf-8",
        )
        with RunningLogger(path) as logger:
            logger.wait_for(f"cannot listen on tcp://127.0.0.1:{taken}: Address already in use")
            wait_until(lambda: logger.status().get("readings", 0) >= 3)
            share = logger.status()["share"]
            assert share["listening"] == [f"socket://0.0.0.0:{free}"]
            told = CliRunner().invoke(app, ["status", "--config", str(path)]).output
            assert f"Modbus server on socket://0.0.0.0:{free}: 0 clients, 0 requests" in told
            with raw_client(free) as client:
                answer = b""
                while answer[:2] != b"\x01\x03":
                    client.sendall(bytes.fromhex("01 03 50 02 00 02 74 CB"))
                    answer = receive(client, 5)
        output = CliRunner().invoke(app, ["check", "--json", "--config", str(path)]).output
        found = [one for one in json.loads(output) if one["subject"] == "share"]
        assert [one["verdict"] for one in found] == ["ok", "warn", "warn"]
        assert "this machine only" in found[0]["text"]
        assert "open to every machine" in found[1]["text"]
        assert "192.0.2.7 may change settings" in found[2]["text"]
