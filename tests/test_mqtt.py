"""MQTT with a broker that nobody here wrote: what a subscriber such as Home Assistant sees
when the broker, the logger and a meter go and come."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from logger.mqtt.names import Topics
from logger.runtime.status import ask
from logger.simulate import VirtualClock, VirtualLine, quirks_named, virtual_site
from tests.engines.mosquitto import Broker, Ear
from tests.running import RunningLogger, command, wait_until

NOON = 1_782_037_800.0
SITE, GRID, ROOF = "Haus am See", "Küche [1] #2/+", "roof"
DEVICES = "homeassistant/device/"
TOPICS = Topics("energy/inepro", SITE)
WAYS = (TOPICS.state, TOPICS.status)

CONFIG = """\
[site]
name = "{site}"
[intervals]
fast = "1s"
slow = "2s"
identity = "20s"
[[bus]]
name = "line"
port = "socket://127.0.0.1:{port}"
timeout = "1s"
{meters}
[buffer]
path = "state/buffer.sqlite"
[mqtt]
url = "mqtt://127.0.0.1:{broker}"
prefix = "energy/inepro"
{more}
"""


def section(name: str, address: int, role: str) -> str:
    return (
        f'[[bus.meter]]\nname = "{name}"\nmodel = "pro380"\naddress = {address}\nrole = "{role}"\n'
    )


@dataclass
class House:
    """A broker, a subscriber, two meters on a line, and the logger's configuration."""

    directory: Path
    broker: Broker
    ear: Ear
    line: VirtualLine

    def __post_init__(self) -> None:
        self.port = self.line.start_tcp()
        self.configure((GRID, 1, "grid"), (ROOF, 2, "pv"))

    def configure(self, *meters: tuple[str, int, str], more: str = "") -> None:
        path = self.directory / "logger.toml"
        path.write_text(
            CONFIG.format(
                site=SITE,
                port=self.port,
                broker=self.broker.port,
                meters="".join(section(*one) for one in meters),
                more=more,
            ),
            encoding="utf-8",
        )

    def state(self) -> dict[str, Any]:
        """Return what the running logger says of itself."""
        return ask(self.directory / "state" / "buffer.sqlite")

    def descriptions(self) -> dict[str, dict[str, Any]]:
        """Return the description of every device that there is, by the device's name."""
        topics = [
            topic for topic in list(self.ear.last) if topic.startswith("homeassistant/device/")
        ]
        found = (self.ear.json(topic) for topic in topics)
        return {one["device"]["name"]: one for one in found if one}

    def available(self, *names: str) -> bool:
        """Tell whether these devices, and no others, are available, as Home Assistant would:
        all topics that the description names say online."""
        found = {
            name
            for name, one in self.descriptions().items()
            if all(self.ear.last.get(a["topic"]) == "online" for a in one["availability"])
        }
        return found == set(names)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    site = virtual_site(7, start=NOON)
    line = VirtualLine(site.meters, clock=VirtualClock(NOON), paced=False)
    with line, Broker(tmp_path / "broker") as broker, Ear(broker) as ear:
        yield House(tmp_path, broker, ear, line)


def described(house: House) -> int:
    """Return how many descriptions were published so far."""
    return house.ear.count(
        lambda topic, text: topic.startswith("homeassistant/device/") and bool(text)
    )


def test_devices_follow_broker_logger_and_meter(house: House) -> None:
    ear, logger = house.ear, RunningLogger(house.directory / "logger.toml")
    with logger:
        wait_until(lambda: house.available(GRID, ROOF, SITE))
        state = wait_until(lambda: ear.json(TOPICS.state(GRID)))
        wait_until(lambda: "active_import" in ear.json(TOPICS.state(GRID)))
        wait_until(lambda: "load_energy" in ear.json(TOPICS.state("")))
        assert (state["site"], state["meter"], state["role"]) == (SITE, GRID, "grid")
        grid = house.descriptions()[GRID]
        serial = ear.json(TOPICS.state(GRID))["serial"]
        assert grid["device"]["serial_number"] == serial
        assert grid["device"]["sw_version"] == "2.18"
        sensors = grid["components"]
        assert sensors["active_import"]["unique_id"] == f"inepro_{serial}_active_import"
        assert grid["state_topic"] == TOPICS.state(GRID)
        # What a sensor is made of is there, and nothing but what the meter has.
        assert set(sensors) <= set(ear.json(TOPICS.state(GRID)))
        topics = [one for one in list(ear.last) if one.startswith(DEVICES)]
        assert all(re.fullmatch(rf"{DEVICES}[A-Za-z0-9_-]+/config", topic) for topic in topics)

        before = described(house)  # Home Assistant was started again
        ear.say("homeassistant/status", "online")
        wait_until(lambda: described(house) == before + 3)
        ear.say(TOPICS.logger, "offline", retain=True)  # the will of an earlier connection
        wait_until(lambda: ear.count(lambda *one: one == (TOPICS.logger, "offline")))
        wait_until(lambda: house.available(GRID, ROOF, SITE))

        house.line.set_quirks(quirks_named(["dead@2"]))
        wait_until(lambda: house.available(GRID, SITE))  # the site still has its grid power
        wait_until(lambda: "load_power" not in ear.json(TOPICS.state("")))
        house.line.set_quirks(())
        wait_until(lambda: house.available(GRID, ROOF, SITE))

        house.broker.kill()  # it keeps nothing on disk: all is told anew
        wait_until(lambda: house.state()["mqtt"]["status"] == "unreachable")
        away = logger.status()
        assert away["exit"] == 1
        assert any("nobody listens" in one for one in away["problems"])
        wait_until(lambda: house.state()["readings"] > away["readings"] + 8)
        ear.last.clear()
        house.broker.start()
        wait_until(lambda: house.available(GRID, ROOF, SITE))
        wait_until(lambda: ear.json(TOPICS.state(ROOF)).get("meter") == ROOF)
        wait_until(lambda: logger.status()["exit"] == 0)
        shown = command("status", "--config", str(logger.config))
        assert f"mqtt mqtt://127.0.0.1:{house.broker.port}: connected, " in shown.stdout
        told = [line for line in logger.messages() if line.startswith("mqtt: ")]
        assert len(told) <= 3, told  # connected, lost, unreachable

        logger.kill()
        wait_until(lambda: house.available())
        logger.start()
        wait_until(lambda: house.available(GRID, ROOF, SITE))
    assert house.available()


def test_messages_that_nobody_should_send(house: House) -> None:
    """Whoever may write to the broker costs the logger neither memory nor time."""
    ear = house.ear
    with RunningLogger(house.directory / "logger.toml") as logger:
        wait_until(lambda: house.available(GRID, ROOF, SITE))
        before, began = described(house), time.monotonic()
        for text in ("online", "", "\x00", "ONLINE", "{", "online" * 200) * 5:
            ear.say("homeassistant/status", text)
            ear.say(TOPICS.logger, text)
        wait_until(lambda: ear.last.get(TOPICS.logger) == "online")
        wait_until(lambda: described(house) > before)
        # All is told again once in ten seconds at most, and each time three devices.
        assert described(house) - before <= 3 * (2 + (time.monotonic() - began) / 10)

        # What a stranger says of who is there, and leaves with the broker, is put right.
        left = {TOPICS.logger: "", TOPICS.status(GRID): "offline", TOPICS.status(""): "junk"}

        def said() -> dict[str, int]:
            right = [topic for topic, text in list(ear.heard) if text == "online"]
            return {topic: right.count(topic) for topic in left}

        already = said()
        for topic, text in left.items():
            ear.say(topic, text, retain=True)
        wait_until(lambda: all(said()[topic] > already[topic] for topic in left))
        wait_until(lambda: all(ear.last.get(topic) == "online" for topic in left))

        peak = logger.peak_mib()
        ear.say("homeassistant/status", "x" * 100_000_000)
        logger.wait_for("somebody sends a message of 100000022 bytes")
        logger.wait_for("nothing is listened to until the logger's next start")
        wait_until(lambda: house.state()["mqtt"]["status"] == "connected")
        news = ear.count(lambda topic, _: topic == TOPICS.state(GRID))
        wait_until(lambda: ear.count(lambda topic, _: topic == TOPICS.state(GRID)) > news)
        assert logger.peak_mib() < peak + 100


def test_what_leaves_the_configuration_while_the_logger_is_down_is_removed(house: House) -> None:
    ear, file = house.ear, house.directory / "logger.toml"
    with RunningLogger(file):
        wait_until(lambda: house.available(GRID, ROOF, SITE))
        wait_until(lambda: house.ear.json(TOPICS.state(GRID)))
        before = house.descriptions()[GRID]
    house.configure(("Keller", 1, "grid"))
    with RunningLogger(file):
        wait_until(lambda: house.available("Keller", SITE))  # which has a demand, still
        wait_until(lambda: set(house.descriptions()) == {"Keller", SITE})
        wait_until(lambda: TOPICS.state(GRID) not in ear.last)
        here = {TOPICS.logger, *(way(one) for one in ("Keller", "") for way in WAYS)}
        wait_until(lambda: {one for one in ear.last if one.startswith("energy/")} == here)
        after = house.descriptions()["Keller"]
        assert after["device"]["identifiers"] == before["device"]["identifiers"]
        ids = [{one["unique_id"] for one in d["components"].values()} for d in (before, after)]
        assert ids[0] == ids[1]
    house.configure(("Keller", 1, "grid"), more="discovery = false")
    with RunningLogger(file):
        wait_until(lambda: not house.descriptions())
        wait_until(lambda: ear.last.get(TOPICS.status("Keller")) == "online")
