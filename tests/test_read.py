"""`read --json` against a meter of another maker, decoded a second time here."""

from __future__ import annotations

import csv
import json
import re
import socket
import struct
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from logger import models
from logger.bus import Bus as Master
from logger.cli.read import read
from logger.config import Bus, load_config
from logger.domain.errors import PortError
from logger.meter.session import MeterReader
from logger.models import Job
from logger.runtime.status import StatusServer, socket_path
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from tests.engines.process import program
from tests.opponents import Serve, device, pty_meter, tcp_meter
from tests.readers import complete
from tests.running import command

TABLE = Path(__file__).parent / "registers" / "pro380.csv"
NAMES = {"float32": 2, "int16": 1, "hex": 1, "ascii": 1}

CONFIG = """\
[site]
name = "test"
[[bus]]
name = "line"
port = "{port}"
parity = "none"
[[bus.meter]]
name = "grid"
model = "pro380"
address = 17
role = "grid"
"""


def table() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def distinct_words() -> tuple[dict[int, int], dict[str, object]]:
    """Return words for every register of the table, and what they mean by address."""
    words: dict[int, int] = {}
    meaning: dict[str, object] = {}
    for number, row in enumerate(table()):
        address = int(row["address"], 16)
        count = int(row["registers"])
        value: object
        if row["type"] == "float32":
            low = 0.9 if "ower factor" in row["name"] else 45.0
            text = f"{low + number / 1000:.3f}"
            value = float(text)
            raw = struct.pack(">f", float(text))
        elif row["type"] == "int16":
            value = 300 + number
            raw = struct.pack(">h", 300 + number)
        elif row["name"] == "Meter code":
            value = "0103"
            raw = bytes.fromhex(str(value))
        elif row["type"] == "hex":
            value = f"{number:02d}" * 2 * count
            raw = bytes.fromhex(str(value))
        else:
            value = f"{1 + number % 3}{'FR'[number % 2]}"
            raw = str(value).encode()
        assert len(raw) == 2 * count
        for offset in range(count):
            words[address + offset] = int.from_bytes(raw[2 * offset : 2 * offset + 2], "big")
        meaning[row["address"]] = value
    return words, meaning


def read_json(tmp_path: Path, port: str) -> dict[str, object]:
    config = tmp_path / "logger.toml"
    config.write_text(CONFIG.format(port=port), encoding="utf-8")
    done = command("read", "grid", "--json", "--config", str(config))
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("serve", [tcp_meter, pty_meter])
def test_every_register_of_another_makers_meter(tmp_path: Path, serve: Serve) -> None:
    words, meaning = distinct_words()
    assert len(set(map(str, meaning.values()))) == len(meaning)
    fill = dict.fromkeys(gaps(words), 57005)
    with serve(device(17, words | fill)) as port:
        found = read_json(tmp_path, port)
    values = found["values"]
    assert isinstance(values, list)
    assert {row["address"]: row["value"] for row in values} == {
        f"0x{int(address, 16):04X}": value for address, value in meaning.items()
    }
    assert found["requests"] == 4  # identity, fast, slow, and the two for PRO1 only
    assert found["failures"] == []
    assert found["rejected"] == []
    assert [row["unit"] for row in values] == [row["unit"] for row in table()]


def gaps(words: dict[int, int]) -> set[int]:
    """Return the registers between those of the table, in each of its three parts."""
    found = set()
    for base in (0x4000, 0x5000, 0x6000):
        part = [address for address in words if base <= address < base + 0x1000]
        found |= set(range(min(part), max(part))) - set(part)
    return found


def test_a_meter_that_is_not_there(tmp_path: Path) -> None:
    with tcp_meter(device(17, {0x4000: 1})) as port:
        config = tmp_path / "logger.toml"
        text = CONFIG.format(port=port).replace("address = 17", "address = 18")
        config.write_text(text.replace('"none"', '"none"\ntimeout = "300ms"'), encoding="utf-8")
        done = command("read", "grid", "--config", str(config))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "address 18" in done.stderr


def test_a_missing_port_and_a_running_logger_are_said(tmp_path: Path) -> None:
    config = tmp_path / "logger.toml"
    config.write_text(CONFIG.format(port="/dev/ttyUSB99"), encoding="utf-8")
    app = typer.Typer()
    app.command()(read)
    missing = CliRunner().invoke(app, ["grid", "--config", str(config)])
    assert isinstance(missing.exception, PortError)
    assert f"(port from {config})" in missing.exception.hint
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = f"socket://127.0.0.1:{taken.getsockname()[1]}"
        buffered = CONFIG.format(port=port) + '[buffer]\npath = "b.sqlite"\n'
        config.write_text(buffered, encoding="utf-8")
        buffer = load_config(config).buffer.path
        server = StatusServer(socket_path(buffer), lambda: {"buses": [{"port": port}]})
        server.start()
        try:
            noted = CliRunner().invoke(app, ["grid", "--config", str(config)])
        finally:
            server.stop()
    assert "a logger is running" in noted.stderr


def test_one_request_a_job() -> None:
    """The virtual meter counts: fast, slow and identity take one request each, and once for all
    the product code is asked for, which only a GROW has."""
    site = virtual_site(3, start=0.0)
    with VirtualLine(site.meters, clock=VirtualClock(0.0), paced=False) as line:
        bus_config = Bus.model_validate(
            {
                "name": "line",
                "port": f"socket://127.0.0.1:{line.start_tcp()}",
                "meter": [{"name": "grid", "model": "pro380", "address": 1, "role": "grid"}],
            }
        )
        bus = Master(bus_config)
        reader = MeterReader(bus, bus_config.meter[0], models.load("pro380"), lambda: 5)
        for job, first, count in (
            (Job.FAST, 0x5002, 48),
            (Job.SLOW, 0x6000, 75),
            (Job.IDENTITY, 0x4000, 32),
        ):
            before = Counter(line.requests)
            reading = reader.read(job, 0)
            assert complete(reading)
            whether_grow = {(1, 3, 0x4025, 1): 1} if job is Job.IDENTITY else {}
            asked = Counter({(1, 3, first, count): 1} | whether_grow)
            assert line.requests - before == asked
        before = Counter(line.requests)
        reader.read(Job.IDENTITY, 0)
        assert line.requests - before == Counter({(1, 3, 0x4000, 32): 1})  # known by now
        bus.close()


def test_mbpoll_gets_what_the_logger_gets(tmp_path: Path) -> None:
    """Debian's mbpoll as master reads the virtual meter: the same numbers."""
    mbpoll = program("mbpoll", "mbpoll")
    site = virtual_site(3, start=0.0, meters={17: "grid"}, fixed=True)
    with VirtualLine(site.meters, clock=VirtualClock(0.0), paced=False, parity="N") as line:
        path = line.start_pty()
        values = read_json(tmp_path, path)["values"]
        assert isinstance(values, list)
        logged = {row["address"]: row["value"] for row in values}
        compared = 0
        for row in table():
            if row["type"] != "float32":
                continue
            first = str(int(row["address"], 16))
            place = ["-0", "-1", "-q", "-o", "10", "-r", first, "-c", "1", "-t", "4:float", "-B"]
            done = subprocess.run(
                [mbpoll, "-m", "rtu", "-b", "9600", "-P", "none", "-a", "17", *place, path],
                capture_output=True,
                text=True,
                check=True,
                timeout=300,
            )
            (shown,) = re.findall(r"^\[\d+\]:\s+(\S+)\s*$", done.stdout, re.MULTILINE)
            # mbpoll prints six digits of the float32.
            assert shown == f"{float(np.float32(logged[row['address']])):g}", row["name"]
            compared += 1
    assert compared == 66
    assert len(set(logged.values())) > 66


def test_the_wrong_model_is_an_error_of_its_own(tmp_path: Path) -> None:
    site = virtual_site(3, start=0.0, meters={17: "grid"})
    with VirtualLine(site.meters, clock=VirtualClock(0.0), paced=False) as line:
        port = f"socket://127.0.0.1:{line.start_tcp()}"
        config = tmp_path / "logger.toml"
        text = CONFIG.format(port=port).replace('"pro380"', '"ambition-2pu-ct"')
        config.write_text(text, encoding="utf-8")
        done = command("read", "grid", "--config", str(config))
    assert done.returncode == 1
    assert "configured as ambition-2pu-ct" in done.stderr
    assert 'try: model = "pro380"' in done.stderr
    assert len(done.stderr.splitlines()) == 2  # no log lines between
    assert done.stdout.count("left out") == 1
    assert "week" not in done.stdout
