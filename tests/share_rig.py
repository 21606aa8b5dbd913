"""A running logger that lets others read: virtual meters behind it, clients before it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pymodbus.client import ModbusTcpClient
from pymodbus.framer import FramerType

from logger import models
from logger.config import Config
from logger.meter.reading import Reading
from logger.runtime.app import App
from logger.simulate import VirtualLine, VirtualMeter
from logger.simulate.ledger import Books
from logger.simulate.world import World
from tests.engines.process import free_port
from tests.running import wait_until

NOON = 1_795_000_000.0
# An exception that asks to come again: the line was busy.
BUSY = 6


def still() -> float:
    """A clock that stands: what is read twice is the same twice."""
    return NOON


def fixed_meter(model: str, address: int) -> VirtualMeter:
    """Return a meter with a value of its own in every register."""
    return VirtualMeter(models.load(model), address, "load", Books(World(7), NOON), fixed=True)


@dataclass
class Rig:
    """The running logger `app`, its lines, and where it listens: `tcp` and `rtu` are ports."""

    app: App
    lines: Sequence[VirtualLine]
    tcp: int
    rtu: int
    readings: list[Reading] = field(default_factory=list)

    def client(self, *, rtu: bool = False) -> ModbusTcpClient:
        """Return a client that is connected."""
        framer = FramerType.RTU if rtu else FramerType.SOCKET
        port = self.rtu if rtu else self.tcp
        made = ModbusTcpClient("127.0.0.1", port=port, framer=framer, timeout=60, retries=0)
        assert made.connect()  # type: ignore[no-untyped-call]
        return made

    def state(self) -> Mapping[str, Any]:
        """Return what `status` says of the sharing."""
        found: Mapping[str, Any] = self.app.state()["share"]
        return found

    def read_all(self) -> None:
        """Wait until every job of every meter was read."""
        wanted = {
            (reader.meter.name, job)
            for reader in self.app.readers
            for job in ("fast", "slow", "identity")
            if reader.model.of_job(models.Job(job))
        }
        wait_until(lambda: wanted <= {(one.meter, str(one.job)) for one in list(self.readings)})


def words(client: ModbusTcpClient, unit: int, address: int, count: int, function: int = 3) -> Any:
    """Return the words that a unit answers, or its exception; one that is busy is asked again."""
    read = client.read_holding_registers if function == 3 else client.read_input_registers
    while True:
        found = read(address, count=count, device_id=unit)
        if not found.isError():
            return found.registers
        if found.exception_code != BUSY:
            return found.exception_code


def floats(raw: Sequence[int]) -> list[float]:
    """Return the float32 numbers in `raw`."""
    data = b"".join(word.to_bytes(2, "big") for word in raw)
    return list(struct.unpack(f">{len(raw) // 2}f", data))


FAST = {"fast": 0.5, "slow": 1.0, "identity": 5.0}


def config_of(
    tmp_path: Path,
    buses: list[Any],
    share: Mapping[str, Any] | None,
    intervals: Mapping[str, float] = FAST,
) -> Config:
    """Return a configuration with `buses` and `[share.modbus]`."""
    data: dict[str, Any] = {
        "site": {"name": "home"},
        "intervals": dict(intervals),
        "bus": buses,
        "buffer": {"path": tmp_path / "buffer.sqlite", "commit_interval": 0.1},
    }
    if share is not None:
        data["share"] = {"modbus": share}
    return Config.model_validate(data)


def bus(name: str, port: str, meters: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """Return a `[[bus]]`; its meters need a name, a model and an address. All have time for an
    answer; who waits for silence gives a shorter `timeout`."""
    full = [{"role": "load", "accept_model": True, **meter} for meter in meters]
    return {"name": name, "port": port, "timeout": 4.0, "meter": full, **more}


@contextmanager
def shared(
    tmp_path: Path,
    buses: list[Any],
    share: Mapping[str, Any],
    lines: Sequence[VirtualLine] = (),
    intervals: Mapping[str, float] = FAST,
) -> Iterator[Rig]:
    """Run a logger on `buses` that listens on two ports of its own."""
    tcp, rtu = free_port(), free_port()
    listen = [f"tcp://127.0.0.1:{tcp}", f"socket://127.0.0.1:{rtu}", *share.get("also", [])]
    section = {key: value for key, value in share.items() if key != "also"}
    # Old answers are no matter here unless a test makes them one: machines may be slow.
    ages = {"max_age": 600.0, "counters_max_age": 600.0}
    made = config_of(tmp_path, buses, {"listen": listen, **ages, **section}, intervals)
    heard: list[Reading] = []
    app = App(made, heard.append)
    with ExitStack() as stack:
        for line in lines:
            stack.enter_context(line)
        app.start()
        stack.callback(app.stop)
        rig = Rig(app, lines, tcp, rtu, heard)
        wait_until(lambda: len(rig.state()["listening"]) == len(listen))
        yield rig


def raw_client(port: int) -> socket.socket:
    """Return a bare connection."""
    made = socket.create_connection(("127.0.0.1", port), timeout=60)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def receive(client: socket.socket, count: int) -> bytes:
    """Return `count` bytes, fewer if the connection ends before."""
    got = b""
    while len(got) < count:
        part = client.recv(count - len(got))
        if not part:
            break
        got += part
    return got


class Secrets(yaml.SafeLoader):
    """Knows `!secret`, as Home Assistant does."""


Secrets.add_constructor("!secret", lambda loader, node: f"secret {node.value}")
