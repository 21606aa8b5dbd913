"""Gateways that nobody here wrote: pymodbus's Modbus TCP server, ser2net; and mbpoll."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymodbus.client import ModbusTcpClient

from logger.bus import Bus
from logger.domain.errors import RefusedError, SilentError
from logger.models import load
from logger.models.plan import Block, plans
from logger.simulate import VirtualLine
from tests.engines.process import free_port
from tests.lines import bus_config
from tests.opponents import device, modbus_tcp_meter
from tests.readers import NOW, real_meter
from tests.running import COMMAND, PATIENCE_S, ROOT, command, wait_until

MODEL = load("pro380")


def _words() -> dict[int, int]:
    """Return the registers of a PRO380 as it would send them."""
    meter = real_meter()
    found: dict[int, int] = {}
    for blocks in plans(MODEL).values():
        for block in blocks:
            words = meter.read_words(block.address, block.count, NOW)
            found |= dict(enumerate(words, start=block.address))
    return found


def _config(tmp_path: Path, port: str, *more: str) -> Path:
    file = tmp_path / "logger.toml"
    lines = [
        '[site]\nname = "home"\n[buffer]\npath = "b.sqlite"',
        f'[[bus]]\nname = "line"\nport = "{port}"\ntimeout = "3s"',
        *more,
        '[[bus.meter]]\nname = "house"\nmodel = "pro380"\naddress = 1\nrole = "load"\n',
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_the_modbus_tcp_server_of_pymodbus_is_read(tmp_path: Path) -> None:
    words = _words()
    with modbus_tcp_meter(device(1, words)) as port:
        bus = Bus(bus_config(port, timeout=30.0))
        for blocks in plans(MODEL).values():
            for block in blocks:
                wanted = [words[at] for at in range(block.address, block.end)]
                assert bus.read(1, block) == wanted
        with pytest.raises(RefusedError):
            bus.read(1, type(block)(0x7FF0, 2))
        serial = block.address
        bus.write(1, serial, [7], 6)
        bus.write(1, serial, [8, 9], 16)
        assert bus.read(1, type(block)(serial, 2)) == [8, 9]
        bus.close()
        done = command("read", "house", "--config", str(_config(tmp_path, port)), "--json")
        assert done.returncode == 0, done.stderr
        done = command("scan", "--port", port, "--range", "1", "--json")
        assert [one["address"] for one in json.loads(done.stdout)] == [1]


def test_check_and_scan_find_that_a_silent_gateway_speaks_modbus_tcp(tmp_path: Path) -> None:
    """RTU frames are met with silence there; asked the other way, the meter answers."""
    with modbus_tcp_meter(device(1, _words())) as port:
        wrong = port.replace("tcp://", "socket://")
        done = command(
            "check", "--meters-only", "--json", "--config", str(_config(tmp_path, wrong))
        )
        assert done.returncode == 1
        found = [one for one in json.loads(done.stdout) if one["verdict"] == "fail"]
        assert f"{wrong}: this gateway speaks Modbus TCP" in [one["text"] for one in found]
        assert any(one["remedy"].startswith(f'port = "{port}"') for one in found)
        assert not any("A and B" in one["remedy"] for one in found)
        done = command("scan", "--port", wrong, "--range", "1")
        assert done.returncode == 1
        assert f"--port {port}" in done.stdout.replace("\n", " ")
        assert "swap" not in done.stdout
        done = command("scan", "--port", port, "--range", "1", "--all")
        assert "gateway" in done.stderr


@contextmanager
def ser2net(tmp_path: Path, device_path: str) -> Iterator[str]:
    """Run ser2net of Debian in front of a pty; gives the port's name for the configuration."""
    number = free_port()
    file = tmp_path / "ser2net.yaml"
    file.write_text(
        "connection: &meters\n"
        f"  accepter: telnet(rfc2217),tcp,127.0.0.1,{number}\n"
        f"  connector: serialdev,{device_path},9600n81,local\n",
        encoding="utf-8",
    )
    process = subprocess.Popen(
        ["ser2net", "-n", "-d", "-c", str(file), "-P", str(tmp_path / "pid")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"},
    )
    try:
        wait_until(lambda: _listens(number) or process.poll() is not None)
        assert process.poll() is None
        yield f"rfc2217://127.0.0.1:{number}"
    finally:
        process.terminate()
        process.wait()


def _listens(number: int) -> bool:
    wanted = f"0100007F:{number:04X} 00000000:0000 0A"
    return wanted in Path("/proc/net/tcp").read_text(encoding="ascii")


def test_a_port_over_rfc_2217_is_read_through_ser2net(tmp_path: Path) -> None:
    meter = real_meter()
    line = VirtualLine([meter], clock=lambda: NOW, paced=False)
    with line:
        path = line.start_pty()
        meter.identity.parity = line.parity
        with ser2net(tmp_path, path) as port:
            file = _config(tmp_path, port, 'parity = "none"')
            done = command("read", "house", "--config", str(file), "--json")
            assert done.returncode == 0, done.stderr + done.stdout
            assert line.answered > 3


def test_mbpoll_and_pymodbus_read_a_simulated_gateway_that_speaks_modbus_tcp() -> None:
    """Negative and large values, a refusal, and a meter that is not there."""
    process = subprocess.Popen(
        [*COMMAND, "simulate", "--modbus-tcp", "--listen", "tcp://127.0.0.1:0", "--no-pace"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"tcp://127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found is not None
        number = found[1]
        told = {}
        for unit in ("1", "2"):
            where = ["-m", "tcp", "-a", unit, "-p", number, "-t", "4:hex", "-0", "-1", "-o", "10"]
            done = subprocess.run(
                ["mbpoll", *where, "-r", str(0x4000), "-c", "5", "127.0.0.1"],
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE_S,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            told[unit] = [int(one, 16) for one in re.findall(r"0x([0-9A-F]{4})\b", done.stdout)]
        with ModbusTcpClient("127.0.0.1", port=int(number), timeout=60) as client:
            for address in (1, 2):
                answer = client.read_holding_registers(0x4000, count=5, device_id=address)
                assert answer.registers == told[str(address)][-5:]
            assert client.read_holding_registers(0x0010, count=2, device_id=1).exception_code == 2
            assert client.write_register(0x4010, 0x0025, device_id=1).registers == [0x0025]
        assert told["1"] != told["2"]
        bus = Bus(bus_config(f"tcp://127.0.0.1:{number}", timeout=30.0))
        assert bus.read(1, Block(0x4010, 1)) == [0x0025]
        with pytest.raises(SilentError):
            bus.read(9, Block(0x4000, 2), 0.2)
        assert bus.read(2, Block(0x4000, 5)) == told["2"][-5:]
        bus.close()
    finally:
        process.terminate()
        process.communicate()
