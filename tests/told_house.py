"""A running logger that tells by Modbus, MQTT and HTTP, for tests that read what it tells."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3
from pymodbus.client import ModbusTcpClient
from typer.testing import CliRunner

from logger.cli import app as commands
from logger.config import load_config
from logger.domain.quantity import Quantity
from logger.domain.records import SiteFlow
from logger.runtime.app import App
from logger.simulate import VirtualLine, virtual_site
from tests.engines.mosquitto import Broker, Ear
from tests.engines.process import free_port, program
from tests.running import wait_until

# A summer day at noon, that lasts: what is read twice is the same twice.
DAY = 1_782_037_800.0
GRID, ROOF, FLAT = "Küche [1] #2/+", 'Dach "Süd" <b>: %s', "東京"
METERS = {GRID: (1, "pro380", "grid"), ROOF: (2, "pro380", "pv"), FLAT: (3, "grow-800", "load")}

CONFIG = """
[site]
name = "Haus/1"
[intervals]
fast = "2s"
slow = "5s"
identity = "20s"
[[bus]]
name = "line"
port = "socket://127.0.0.1:{line}"
{meters}
[buffer]
path = "state/buffer.sqlite"
[mqtt]
url = "mqtt://127.0.0.1:{broker}"
discovery = false
[http]
port = {http}
[share.modbus]
listen = ["tcp://127.0.0.1:{modbus}"]
max_age = "10m"
counters_max_age = "10m"
"""
UNITS = [(1, GRID, "meter"), (2, ROOF, "meter"), (3, FLAT, "meter"), (101, ROOF, "sunspec-float"),
         (102, ROOF, "sunspec"), (103, FLAT, "pro380")]  # fmt: skip


@dataclass
class House:
    """A running logger with all ways open, and what reads it."""

    app: App
    config: Path
    ear: Ear
    modbus: int

    def told(self, name: str) -> str:
        done = CliRunner().invoke(commands, ["share", "--config", str(self.config), "--for", name])
        assert done.exit_code == 0, done.output
        return done.output

    def truth(self, meter: str, quantity: Quantity) -> float:
        found = self.app.latest.value(meter, quantity)
        assert isinstance(found, int | float), (meter, quantity)
        return float(found)

    def register(self, unit: int, address: int, kind: str, function: str = "holding") -> float:
        with ModbusTcpClient("127.0.0.1", port=self.modbus, timeout=60, retries=0) as client:
            kinds = {name.name.lower(): name for name in client.DATATYPE}
            found = kinds[kind.lower()]
            assert function == "holding"
            while True:
                answer = client.read_holding_registers(
                    address, count=found.value[1], device_id=unit
                )
                if not answer.isError():
                    break
                assert answer.exception_code == 6, (unit, address, answer)
            value = client.convert_from_registers(answer.registers, found)
            assert isinstance(value, int | float)
            return float(value)

    def get(self, url: str) -> str:
        answer = urllib3.request("GET", url, retries=False, timeout=60)
        assert answer.status == 200, (url, answer.data)
        return answer.data.decode()


def quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=True)


@contextlib.contextmanager
def running(place: Path) -> Iterator[House]:
    """Run a logger with virtual meters, a broker and all ways open; its files lie in `place`."""
    site = virtual_site(7, start=DAY, meters={1: "grid", 2: "pv"})
    flat = virtual_site(7, start=DAY, meters={3: "load"}, model="grow-800")
    line = VirtualLine([*site.meters, *flat.meters], clock=lambda: DAY, paced=False)
    modbus, path = free_port(), place / "logger.toml"
    with line, Broker(place / "broker") as broker, Ear(broker) as ear:
        meters = "".join(
            f"[[bus.meter]]\nname = {quoted(name)}\nmodel = {quoted(model)}\naddress = {address}\n"
            f'role = "{role}"\n' + ('wiring = "1P2W"\n' if name == FLAT else "")
            for name, (address, model, role) in METERS.items()
        )
        text = CONFIG.format(
            line=line.start_tcp(),
            meters=meters,
            broker=broker.port,
            http=free_port(),
            modbus=modbus,
        )
        for unit, name, kind in UNITS:
            text += f'[[share.modbus.unit]]\nid = {unit}\nmeter = {quoted(name)}\nmap = "{kind}"\n'
        path.write_text(text, encoding="utf-8")
        app = App(load_config(path))
        app.start()
        try:
            wait_until(
                lambda: (
                    all(
                        app.latest.value(name, Quantity("active_import", "total", "total"))
                        is not None
                        and app.latest.value(name, Quantity("active_power", "total")) is not None
                        for name in METERS
                    )
                    and app.latest.value("", Quantity("load_energy")) is not None
                    and app.state()["share"]["listening"]
                )
            )
            wait_until(
                lambda: sum("active_import" in text for text in list(ear.last.values())) == 3
            )
            wait_until(lambda: any("load_energy" in text for text in list(ear.last.values())))
            with demand(app):
                wait_until(lambda: any('"demand"' in text for text in list(ear.last.values())))
                yield House(app, path, ear, modbus)
        finally:
            app.stop()


@contextlib.contextmanager
def demand(app: App) -> Iterator[None]:
    """Give the site a demand all the time: it has none before a quarter hour begins."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(1.0):
            at_ms = app.clock.now_ms()
            app.latest.take([SiteFlow(at_ms, {"demand": 1.25, "demand_forecast": 2.5})])

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def jq(expression: str, text: str) -> str:
    done = subprocess.run(
        [program("jq", "jq"), expression], input=text, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def near(value: float, other: float) -> bool:
    """The same to the digits of a float32, or of an integer with a scale."""
    return abs(value - other) <= 1e-5 * max(1.0, abs(other))
