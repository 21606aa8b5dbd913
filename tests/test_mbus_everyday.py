"""What people who have M-Bus, one-phase or GROW meters only see in the commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.lines import scripted
from tests.running import command

BUS = """\
[[bus]]
name = "{name}"
protocol = "{protocol}"
port = "{port}"
{more}
"""
METER = """\
[[bus.meter]]
name = "{name}"
model = "{model}"
{place}
role = "{role}"
"""


def a_config(directory: Path, *parts: str, more: str = "") -> Path:
    file = directory / "site.toml"
    head = f'[site]\nname = "home"\n{more}\n'
    tail = '[buffer]\npath = "buffer.sqlite"\n'
    file.write_text(head + "\n".join(parts) + tail, encoding="utf-8")
    return file


def mbus(port: str = "socket://127.0.0.1:9", more: str = "") -> str:
    return BUS.format(name="cellar", protocol="mbus", port=port, more=more)


def meter(name: str, model: str, place: str = "address = 1", role: str = "load") -> str:
    return METER.format(name=name, model=model, place=place, role=role)


@pytest.mark.parametrize(
    ("port", "more", "message"),
    [
        ("tcp://10.0.0.9:502", "", "for M-Bus write socket://10.0.0.9:502"),
        ("socket://10.0.0.9:502", "shared = true", "an M-Bus line has one master"),
        ("socket://10.0.0.9:502", "longest_block = 20", "counts registers, and M-Bus has none"),
    ],
)
def test_what_no_mbus_line_has_is_refused(
    tmp_path: Path, port: str, more: str, message: str
) -> None:
    file = a_config(tmp_path, mbus(port, more), meter("flat", "pro380-mb"))
    done = command("config", "check", "--config", str(file))
    assert done.returncode == 2
    assert message in done.stderr


def test_config_check_says_what_is_read_how_often_and_how(tmp_path: Path) -> None:
    flats = [
        meter("flat-1", "pro380-mb"),
        meter("flat-2", "ambition-2pu-mb", 'secondary = "23050017"'),
    ]
    done = command("config", "check", "--config", str(a_config(tmp_path, mbus(), *flats)))
    assert "flat-1: pro380-mb at address 1, role load, energy every 60s" in done.stdout
    assert "flat-2: ambition-2pu-mb at secondary address 23050017" in done.stdout
    assert "power every 10s, energy every 60s" in done.stdout
    alone = command("config", "check", "--config", str(a_config(tmp_path, mbus(), flats[0])))
    assert "1 meter, line busy" in alone.stdout


def test_an_interval_of_a_meters_own_is_named_where_it_is_too_short(tmp_path: Path) -> None:
    one = meter("flat", "ambition-2pu-mb") + 'fast = "1s"\n'
    file = a_config(tmp_path, mbus(), one)
    done = command("config", "check", "--config", str(file))
    found = re.search(r'try: fast = "([\d.]+s)" for each meter would fit', done.stderr)
    assert found, done.stderr
    text = file.read_text(encoding="utf-8").replace('"1s"', f'"{found[1]}"')
    file.write_text(text, encoding="utf-8")
    assert command("config", "check", "--config", str(file)).returncode == 0


def test_two_meters_of_one_number_are_told_what_the_number_is(tmp_path: Path) -> None:
    both = [meter(name, "pro380-mb", 'secondary = "23050017"') for name in ("a", "b")]
    done = command("config", "check", "--config", str(a_config(tmp_path, mbus(), *both)))
    assert "secondary 23050017 is given to 'a' and 'b'" in done.stderr
    assert "each meter's own serial number" in done.stderr


def test_a_meter_that_takes_no_settings_says_so(tmp_path: Path) -> None:
    bus = BUS.format(name="board", protocol="modbus", port="socket://127.0.0.1:9", more="")
    file = a_config(tmp_path, bus, meter("flat", "pro1"))
    done = command("settings", "set", "flat", "tariff", "T1", "--config", str(file))
    assert done.returncode == 2
    assert "nothing is written to such a meter" in done.stderr


MIXED = (
    BUS.format(name="board", protocol="modbus", port="socket://127.0.0.1:9", more=""),
    meter("grid", "grow-701", role="grid"),
    meter("roof", "grow-850", "address = 2", "pv"),
    mbus("socket://127.0.0.1:10"),
    meter("flat-1", "pro380-mb"),  # its address is that of a meter on the other bus
    meter("flat-2", "ambition-2pu-mb", 'secondary = "23050017"'),
    meter("flat-3", "pro380-mb+phase_values", "address = 0"),
)


def test_the_past_of_mbus_and_grow_meters_is_made_and_reported(tmp_path: Path) -> None:
    file = a_config(tmp_path, *MIXED)
    done = command(
        "simulate-past", "--config", str(file), "--from", "1h", "--listen", "tcp://127.0.0.1:0",
        "--for", "10ms",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^virtual meters at socket://", done.stdout, re.MULTILINE)
    assert re.search(r"^virtual meters on M-Bus at socket://", done.stdout, re.MULTILINE)
    span = ("--from", "2d")  # on the first of a month nearly all of it was last month
    shown = command("report", "statement", *span, "--json", "--config", str(file))
    assert shown.returncode == 0, shown.stderr
    for name in ("grid", "roof", "flat-1", "flat-2", "flat-3", "23050017"):
        assert name in shown.stdout
    again = command("simulate-past", "--config", str(file))
    assert "filled before" in again.stdout


def panels(directory: Path) -> dict[str, dict[str, list[str]]]:
    """Return the queries of each panel, by title, of each dashboard, by file."""
    found: dict[str, dict[str, list[str]]] = {}
    for file in (directory / "dashboards").glob("*.json"):
        board: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        found[file.stem] = {
            one["title"]: [asked["query"] for asked in one.get("targets", ())]
            for one in board["panels"]
        }
    return found


def test_dashboards_ask_each_role_for_what_its_meters_measure(tmp_path: Path) -> None:
    """A grid meter with counters only beside a PV meter with power: no tile stays empty."""
    influx = '[influxdb]\nurl = "http://localhost:8086"\nbucket = "energy"\n'
    bus = BUS.format(name="board", protocol="modbus", port="socket://127.0.0.1:9", more="")
    there = [
        bus,
        meter("roof", "pro380", role="pv"),
        mbus(),
        meter("main", "pro380-mb", role="grid"),
    ]
    file = a_config(tmp_path, *there, influx)
    done = command("grafana", str(tmp_path / "out"), "--config", str(file))
    assert done.returncode == 0, done.stderr
    found = panels(tmp_path / "out")
    assert "PV" in found["home"]
    assert found["home"].keys().isdisjoint({"Grid", "Load", "Voltage", "Frequency", "Tariff"})
    assert "Base load" not in found["home"]
    assert "Power flows" not in found["pv"]
    (seen,) = found["logger"]["Last seen"]
    assert 'FROM "energy"' in seen


def test_scan_without_a_meter_says_what_to_try_on_mbus() -> None:
    with scripted(lambda _: []) as line:
        port = f"socket://127.0.0.1:{line.port}"
        done = command(
            "scan", "--protocol", "mbus", "--port", port, "--range", "1", "--baudrate", "9600"
        )
    assert done.returncode == 1
    assert "level converter" in done.stdout
    assert "A and B" not in done.stdout
    assert "tcp://" not in done.stdout
