"""What keeps the connection to a broker from working is said by `check`, and what a bad
broker does costs nothing."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logger import models
from logger.config import Config
from logger.derive.info import MeterInfo
from logger.domain.errors import MqttError
from logger.domain.records import MeterFacts, Sample, SiteFlow
from logger.latest import Latest, planned
from logger.mqtt import MqttOutput, messages, names, try_broker
from logger.mqtt.names import Topics
from logger.mqtt.standing import STEADY_S, Standing
from tests.engines.mosquitto import PASSWORD, USER, Broker, Ear
from tests.engines.process import free_port
from tests.running import PATIENCE_S, command, wait_until

NOW_MS = 1_795_000_000_000


def config(role: str = "grid", **mqtt: Any) -> Config:
    return Config.model_validate(
        {
            "site": {"name": "home"},
            "bus": [
                {
                    "name": "line",
                    "port": "socket://127.0.0.1:1",
                    "meter": [{"name": "grid", "model": "pro380", "address": 1, "role": role}],
                }
            ],
            "mqtt": mqtt,
        }
    )


def tried(**mqtt: Any) -> str:
    loaded = config(**mqtt)
    assert loaded.mqtt is not None
    return " -> ".join(part for part in try_broker(loaded, loaded.mqtt) if part)


def password(directory: Path, text: str = PASSWORD) -> Path:
    path = directory / "password"
    path.write_text(f"{text}\n", encoding="utf-8")
    return path


def certificate(directory: Path) -> tuple[Path, Path]:
    """Return a certificate for 127.0.0.1 that nobody has signed, and its key."""
    key, made = directory / "key.pem", directory / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(made)),
        ],
        check=True,
        capture_output=True,
    )
    return made, key


def test_a_broker_that_wants_a_login(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker", login=True, acl="topic readwrite mine/#") as broker:
        url = f"mqtt://127.0.0.1:{broker.port}"
        login = {"url": url, "user": USER, "password_file": password(tmp_path)}
        assert tried(**login, prefix="mine/energy") == ""
        assert "does not come back" in tried(**login, prefix="other")
        assert tried(url=url).startswith("wrong password: mqtt://127")
        password(tmp_path, "not the one")
        found = tried(**login)
        assert found.startswith("wrong password: ")
        assert "mqtt.password_file" in found
        assert "not the one" not in found


def test_a_broker_with_tls(tmp_path: Path) -> None:
    pair = certificate(tmp_path)
    with Broker(tmp_path / "broker", certificate=pair) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        assert "TLS: " in (found := tried(url=url))
        assert "certificate is not trusted" in found
        assert "mqtt.ca_file" in found
        assert tried(url=url, ca_file=pair[0]) == ""
        assert "certificate" in tried(url=url.replace("127.0.0.1", "localhost"), ca_file=pair[0])
        assert tried(url=url, insecure=True) == ""
        assert "mqtts://" in tried(url=url.replace("mqtts:", "mqtt:"))
    with Broker(tmp_path / "plain") as broker:
        assert "TLS: " in tried(url=f"mqtts://127.0.0.1:{broker.port}")


def test_what_is_no_broker() -> None:
    port = free_port()
    assert tried(url=f"mqtt://127.0.0.1:{port}").startswith("unreachable: ")
    assert "nobody listens there" in tried(url=f"mqtt://127.0.0.1:{port}")
    for answer in (
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\xff\xff\xff\xff\xff",
        b"\x20\x00",
        b"",
    ):
        with answering(answer) as port:
            found = tried(url=f"mqtt://127.0.0.1:{port}")
            assert "no MQTT" in found, (answer, found)
    with answering(b"\x20\x02\x00\x02") as port:
        assert tried(url=f"mqtt://127.0.0.1:{port}").startswith("client id: ")


@contextlib.contextmanager
def answering(answer: bytes, *, hold: bool = False) -> Iterator[int]:
    """Give a port where each connection gets `answer` to its first bytes, and is closed;
    with `hold` it stays open and nothing more is read."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    channel, _ = server.accept()
                    channel.recv(1000)
                    channel.sendall(answer)
                    if hold:
                        held.append(channel)
                    else:
                        channel.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    for channel in held:
        channel.close()


@contextlib.contextmanager
def output(directory: Path, role: str = "grid", **mqtt: Any) -> Iterator[tuple[MqttOutput, Latest]]:
    loaded = config(role, **mqtt)
    assert loaded.mqtt is not None
    latest = Latest(planned(loaded), lambda: NOW_MS)
    info = MeterInfo(
        name="grid", role=role, model=models.load("pro380"), fast_ms=5000, slow_ms=60_000
    )
    made = MqttOutput(loaded, loaded.mqtt, [info], latest, directory, lambda: NOW_MS)
    made.start()
    try:
        yield made, latest
    finally:
        made.stop()


DEMAND = SiteFlow(NOW_MS, {"demand": 1.25, "demand_forecast": 2.5})


def test_a_site_with_nothing_but_a_grid_meter_tells_its_demand(tmp_path: Path) -> None:
    """Which is unknown, and not unavailable, until a quarter hour was read from its beginning:
    what Home Assistant has no value for is told with each reading."""
    topics = Topics("energy", "home")
    with Broker(tmp_path / "broker") as broker, Ear(broker) as ear:
        url = f"mqtt://127.0.0.1:{broker.port}"

        def said() -> dict[str, Any]:
            return dict(json.loads(ear.last.get(topics.state(""), "{}")))

        with output(tmp_path, url=url, prefix="energy") as (_, latest):
            latest.take([Sample("grid", "grid", NOW_MS, "L1", "", {"voltage": 230.5})])
            wait_until(lambda: ear.last.get(topics.status("")) == "online" and said())
            assert said() == {"site": "home"}
            device = messages.site("home").id
            topic = names.discovery_topic("homeassistant", device)
            wait_until(lambda: topic in ear.last)
            found = json.loads(ear.last[topic])
            assert sorted(found["components"]) == ["demand", "demand_forecast"]
            assert {one["topic"] for one in found["availability"]} == {
                topics.logger,
                topics.status(""),
            }
            latest.take([DEMAND])
            wait_until(lambda: said().get("demand") == 1.25)
            assert said()["demand_forecast"] == 2.5


def test_a_site_without_a_grid_meter_is_told_about_nowhere(tmp_path: Path) -> None:
    topics = Topics("energy", "home")
    with Broker(tmp_path / "broker") as broker, Ear(broker) as ear:
        url = f"mqtt://127.0.0.1:{broker.port}"
        with output(tmp_path, "load", url=url, prefix="energy") as (_, latest):

            def take(volts: float) -> None:
                sample = Sample("grid", "load", NOW_MS, "L1", "", {"voltage": volts})
                latest.take([DEMAND, sample])
                wait_until(lambda: str(volts) in ear.last.get(topics.state("grid"), ""))

            for volts in (230.5, 231.5, 232.5):
                take(volts)
        told = {one for one in ear.last if one.startswith("energy/")}
    assert told == {topics.logger, topics.state("grid"), topics.status("grid")}


def test_a_broker_that_takes_nothing_is_sent_nothing_more(tmp_path: Path) -> None:
    text = "x" * 100_000  # the system keeps megabytes for the broker
    facts = MeterFacts("grid", "grid", NOW_MS, "", "", {"status_word": text})
    sample = Sample("grid", "grid", NOW_MS, "L1", "", {"voltage": 230.5})
    with (
        answering(b"\x20\x02\x00\x00", hold=True) as port,
        output(tmp_path, url=f"mqtt://127.0.0.1:{port}") as (made, latest),
    ):
        sent, same = -1, 0
        while same < 20:  # until it has not sent anything for a while, though there is news
            latest.take([facts, sample])
            threading.Event().wait(0.1)
            connected = made.state()["status"] == "connected"
            now = made.state()["published"]
            sent, same = now, same + 1 if connected and now == sent else 0
        for _ in range(10_000):
            latest.take([facts, sample])
        assert made.state()["published"] < sent + 200
        assert made.late_s() == 0.0


def test_a_broker_that_never_answers_does_not_hold_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logger.mqtt.link._ANSWER_S", 10 * PATIENCE_S)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        with output(tmp_path, url=url) as (made, _):
            channel, _ = server.accept()
            with channel:
                channel.recv(1000)
                made.stop(PATIENCE_S)
                assert made.late_s() == math.inf  # its thread has ended
                assert not made.problems()  # nobody's fault


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_day_without_a_broker_is_two_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    standing = Standing("mqtt://broker", lambda: NOW_MS, clock)
    pauses = []
    away = MqttError("unreachable", "mqtt://broker: nobody listens there")
    while clock.now < 86_400:
        pauses.append(standing.failed(away))
        clock.now += pauses[-1]
        if len(pauses) % 50 == 0:  # it comes up for a moment
            standing.worked()
            clock.now += STEADY_S - 1
            standing.lasts()
    assert pauses[:7] == [1, 2, 4, 8, 16, 30, 30]
    assert standing.problems() == [f"mqtt: unreachable: {away}"] or not standing.problems()
    standing.worked()
    clock.now += STEADY_S + 1
    standing.lasts()
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(" to ")[0] for line in lines] == [
        "mqtt: unreachable: mqtt://broker: nobody listens there; the log goes on",
        "mqtt: connected",
        "mqtt: connected",
    ]
    assert lines[-1].endswith(f"again, after {clock.now - STEADY_S - 1:.0f} s")
    assert standing.failed(away) == 1
    assert len(caplog.records) == 4


def test_check_and_config_check_say_it(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker", login=True) as broker:
        path = tmp_path / "logger.toml"
        text = f"""\
[site]
name = "home"
[[bus]]
name = "line"
port = "socket://127.0.0.1:{free_port()}"
[[bus.meter]]
name = "grid"
model = "pro380"
address = 1
role = "grid"
[buffer]
path = "buffer.sqlite"
[mqtt]
url = "mqtt://127.0.0.1:{broker.port}"
user = "{USER}"
password_file = "password"
"""
        path.write_text(text, encoding="utf-8")
        missing = command("config", "check", "--config", str(path))
        assert missing.returncode == 2
        assert "mqtt.password_file: " in missing.stderr
        password(tmp_path)
        good = command("config", "check", "--config", str(path))
        assert f"MQTT mqtt://127.0.0.1:{broker.port}, topics below inepro-logger/" in good.stdout
        password(tmp_path, "wrong-password-1")
        done = command("check", "--config", str(path))
        assert "wrong password: " in done.stdout
        assert "wrong-password-1" not in done.stdout + done.stderr
