"""Lines for tests: one that answers as a script says, and configurations for them."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from logger import models
from logger.bus.frames import crc16
from logger.config import Bus as BusConfig
from logger.config import Meter as MeterConfig

# The models that are read over Modbus.
MODBUS_MODELS = tuple(name for name in models.available() if models.load(name).protocol == "modbus")
# What to send upon a request: bytes, seconds to wait, or None to close the connection.
Script = Callable[[bytes], Iterable[bytes | float | None]]


def seal(*body: int) -> bytes:
    """Return a frame of `body` with its checksum."""
    raw = bytes(body)
    return raw + crc16(raw)


def answer_to(request: bytes, words: Iterable[int]) -> bytes:
    """Return the answer that carries `words`."""
    data = b"".join(word.to_bytes(2, "big") for word in words)
    body = bytes((request[0], 3, len(data))) + data
    return body + crc16(body)


def words_at(address: int, count: int, salt: int = 0) -> list[int]:
    """Return words that tell from which register (and meter, by `salt`) they are."""
    return [(address + offset) * 7 + salt * 4099 & 0xFFFF for offset in range(count)]


def honest(request: bytes, salt: int = 0) -> bytes:
    """Return the right answer of a meter whose registers hold `words_at`."""
    address, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
    return answer_to(request, words_at(address, count, salt))


class ScriptedLine:
    """A TCP server that answers every request as `script` says; it keeps the requests."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.connections = 0
        self.connected = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._stop = threading.Event()
        self._kick = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def kick(self) -> None:
        """Close the connection that is open."""
        self._kick.set()

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join()
        self._server.close()

    def __enter__(self) -> ScriptedLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            if not select.select([self._server], [], [], 0.02)[0]:
                continue
            connection, _ = self._server.accept()
            self.connections += 1
            self.connected = True
            with connection, contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._serve(connection)
            self.connected = False

    def _serve(self, connection: socket.socket) -> None:
        while not self._stop.is_set():
            if self._kick.is_set():
                self._kick.clear()
                return
            if not select.select([connection], [], [], 0.02)[0]:
                continue
            request = connection.recv(300)
            if not request:
                return
            self.requests.append(request)
            for step in self.script(request):
                if step is None:
                    return
                if isinstance(step, bytes):
                    connection.sendall(step)
                else:
                    time.sleep(step)


@contextlib.contextmanager
def scripted(script: Script) -> Iterator[ScriptedLine]:
    """Run a line that answers as `script` says."""
    with ScriptedLine(script) as line:
        yield line


def meter_config(address: int = 1, model: str = "pro380", **more: Any) -> MeterConfig:
    """Return the configuration of a meter called m<address>."""
    return MeterConfig.model_validate(
        {"name": f"m{address}", "model": model, "address": address, "role": "load"} | more
    )


def bus_config(port: int | str, *meters: MeterConfig, **more: Any) -> BusConfig:
    """Return the configuration of a bus on a TCP port of this machine, or on a device."""
    where = f"socket://127.0.0.1:{port}" if isinstance(port, int) else port
    given: dict[str, Any] = {
        "name": "line",
        "port": where,
        "timeout": 0.2,
        "baudrate": 115200,
        "meter": list(meters) or [meter_config()],
    }
    return BusConfig.model_validate(given | more)
