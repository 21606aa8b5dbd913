"""More than one machine: loggers of one site, through vmagent, into VictoriaMetrics."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from logger.simulate import Served, VirtualClock, VirtualLine, virtual_site
from tests.engines import VictoriaServer
from tests.engines.process import Server, program
from tests.running import RunningLogger, command, wait_until

NOON = 1_795_000_000.0
POWER = 0x5012  # total active power, kW

CONFIG = """\
[site]
name = "works"
[intervals]
fast = "1s"
slow = "2s"
identity = "1h"
[[bus]]
name = "{hall}"
port = "socket://127.0.0.1:{port}"
[[bus.meter]]
name = "{hall}-main"
model = "pro380"
address = 1
role = "load"
[[bus.meter]]
name = "{hall}-press"
model = "pro380"
address = 2
role = "load"
[influxdb]
url = "{url}"
bucket = "energy"
token_file = "token"
[buffer]
path = "buffer.sqlite"
commit_interval = "200ms"
"""


class Agent(Server):
    """vmagent of Debian: takes points from loggers and passes them on to `target`."""

    def __init__(self, directory: Path, target: Server) -> None:
        super().__init__(directory)
        self._target = target

    def command(self) -> list[str]:
        return [
            program("vmagent", "victoria-metrics"),
            f"-httpListenAddr=127.0.0.1:{self.port}",
            f"-remoteWrite.url={self._target.url}/api/v1/write",
            f"-remoteWrite.tmpDataPath={self.directory / 'queue'}",
            "-remoteWrite.flushInterval=200ms",
        ]

    def ready(self) -> bool:
        return self.http.request("GET", f"{self.url}/health").status == 200


class Hall:
    """One logger with its line: a hall of a works, and all powers that its meters sent."""

    def __init__(self, place: Path, name: str, seed: int, url: str) -> None:
        self.name = name
        self.served: list[Served] = []
        site = virtual_site(seed, start=NOON, meters={1: "load", 2: "load"})
        clock = VirtualClock(NOON)
        self.line = VirtualLine(site.meters, clock=clock, paced=False, on_served=self.served.append)
        place.mkdir()
        (place / "token").write_text("none", encoding="utf-8")
        config = place / "logger.toml"
        text = CONFIG.format(hall=name, port=self.line.start_tcp(), url=url)
        config.write_text(text, encoding="utf-8")
        self.logger = RunningLogger(config)

    def caught_up(self) -> bool:
        """Tell whether next to nothing waits in the logger."""
        return bool(self.logger.status()["buffer"]["waiting"] < 20)

    def sent(self) -> dict[str, list[float]]:
        """Return the total active power of every fast answer, W, by meter."""
        found: dict[str, list[float]] = {f"{self.name}-main": [], f"{self.name}-press": []}
        for one in self.served:
            first, count = struct.unpack(">HH", one.request[1:5])
            if first <= POWER < first + count:
                at = 2 + 2 * (POWER - first)
                kilowatt = np.float32(struct.unpack(">f", one.answer[at : at + 4])[0])
                meter = list(found)[one.address - 1]
                found[meter].append(float(Decimal(str(kilowatt)) * 1000))
        return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VictoriaServer]:
    with VictoriaServer(tmp_path / "store") as server:
        yield server


@pytest.fixture
def agent(tmp_path: Path, store: VictoriaServer) -> Iterator[Agent]:
    with Agent(tmp_path / "agent", store) as server:
        yield server


@pytest.fixture
def halls(tmp_path: Path, agent: Agent) -> Iterator[list[Hall]]:
    found = [
        Hall(tmp_path / name, name, seed, agent.url) for name, seed in (("north", 3), ("south", 5))
    ]
    try:
        for hall in found:
            hall.logger.start()
        for hall in found:
            hall.logger.wait_for("started")
        yield found
    finally:
        for hall in found:
            if hall.logger.alive:
                hall.logger.kill()
            hall.line.stop()


def stored(store: VictoriaServer) -> dict[str, list[float]]:
    """Return the total active power by meter as stored, each time once, in order."""
    found: dict[str, dict[int, float]] = {}
    for labels, stamp, value in store.samples('power_active_power{phase="total",site="works"}'):
        found.setdefault(labels["meter"], {})[stamp] = value
    return {meter: [values[at] for at in sorted(values)] for meter, values in found.items()}


def everything(halls: list[Hall]) -> dict[str, list[float]]:
    return {meter: values for hall in halls for meter, values in hall.sent().items()}


def readings(halls: list[Hall]) -> int:
    return min(len(values) for values in everything(halls).values())


def arrived(store: VictoriaServer, halls: list[Hall]) -> None:
    """Wait until the store holds what the meters sent, and each value once."""
    try:
        wait_until(lambda: stored(store) == everything(halls))
    except AssertionError:
        assert stored(store) == everything(halls)


@pytest.mark.engine
def test_two_loggers_of_one_site_through_outages(
    halls: list[Hall], agent: Agent, store: VictoriaServer
) -> None:
    wait_until(lambda: readings(halls) >= 3)
    agent.stop()  # its own outage: the loggers keep everything
    before = readings(halls)
    wait_until(lambda: readings(halls) >= before + 3)
    agent.start()
    store.stop()  # the store's outage: the agent keeps everything
    before = readings(halls)
    wait_until(lambda: readings(halls) >= before + 3)
    store.start()
    for hall in halls:
        wait_until(hall.caught_up)
        hall.logger.stop()
        left = command("buffer", "backfill", "--config", str(hall.logger.config))
        assert left.returncode == 0, left.stderr
    arrived(store, halls)
    # Neither logger's series are the other's: the meters keep them apart, and the buses.
    series = {
        (labels["__name__"], labels.get("bus", ""), labels.get("meter", ""))
        for labels, _, _ in store.samples('{__name__=~"logger_reads",site="works"}')
    }
    assert {bus for _, bus, _ in series} == {"north", "south"}
    assert {meter for _, _, meter in series} == {"", *everything(halls)}


@pytest.mark.engine
def test_what_a_killed_agent_lost_is_sent_again(
    halls: list[Hall], agent: Agent, store: VictoriaServer
) -> None:
    wait_until(lambda: readings(halls) >= 2)
    # vmagent acknowledges what it holds in memory: this may cost points.
    began = int(time.time()) - 10
    agent.kill()
    agent.start()
    before = readings(halls)
    wait_until(lambda: readings(halls) >= before + 2)
    for hall in halls:
        hall.logger.stop()
        config = str(hall.logger.config)
        again = command("buffer", "replay", "--from", _utc(began), "--config", config)
        assert again.returncode == 0, again.stderr
    arrived(store, halls)


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
