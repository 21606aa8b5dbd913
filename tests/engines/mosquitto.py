"""Mosquitto of Debian: a broker of MQTT, and a client that remembers what it is told."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.engines.process import Server, program

USER, PASSWORD = "energy meter", "pass word#42"


class Broker(Server):
    """mosquitto on a random port. With `login` it lets `USER` in, by `PASSWORD`, whose
    rights are `acl`; with `certificate` (file and key) it speaks TLS."""

    def __init__(
        self,
        directory: Path,
        *,
        login: bool = False,
        acl: str = "",
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        super().__init__(directory)
        rows = [f"listener {self.port} 127.0.0.1", "persistence false", "user root"]
        if certificate is not None:
            rows += [f"certfile {certificate[0]}", f"keyfile {certificate[1]}"]
        if login:
            passwords = directory / "passwords"
            maker = program("mosquitto_passwd", "mosquitto")
            subprocess.run([maker, "-b", "-c", passwords, USER, PASSWORD], check=True)
            rows += ["allow_anonymous false", f"password_file {passwords}"]
        else:
            rows.append("allow_anonymous true")
        if acl:
            (directory / "acl").write_text(f"user {USER}\n{acl}\n", encoding="utf-8")
            rows.append(f"acl_file {directory / 'acl'}")
        (directory / "mosquitto.conf").write_text("\n".join(rows) + "\n", encoding="utf-8")

    def command(self) -> list[str]:
        return [program("mosquitto", "mosquitto"), "-c", str(self.directory / "mosquitto.conf")]

    def ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return False
        return True


class Ear:
    """A subscriber to everything, as Home Assistant is one: the last text of each topic,
    and all of them in order. It connects again by itself."""

    def __init__(self, broker: Broker) -> None:
        self.last: dict[str, str] = {}
        self.heard: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#")
        self._client.on_message = self._take
        self._port = broker.port

    def _take(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        text = bytes(message.payload).decode()
        with self._lock:
            self.heard.append((message.topic, text))
            if text:
                self.last[message.topic] = text
            else:
                self.last.pop(message.topic, None)

    def json(self, topic: str) -> dict[str, Any]:
        """Return the last message in `topic` as JSON, {} if there is none."""
        return dict(json.loads(self.last.get(topic, "{}")))

    def count(self, wanted: Callable[[str, str], bool]) -> int:
        """Return how many messages so far were as `wanted`."""
        with self._lock:
            return sum(wanted(*one) for one in self.heard)

    def say(self, topic: str, text: str, *, retain: bool = False) -> None:
        self._client.publish(topic, text, qos=1, retain=retain).wait_for_publish(60)

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
