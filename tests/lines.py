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


def requests_in(data: bytes) -> Iterator[bytes]:
    """Yield the requests that came together: a master that has waited in vain asks again, also
    while a busy machine has not brought its first question yet. What is no frame of Modbus is
    one request."""
    while data:
        sizes = [8]  # of functions 3 and 6
        if len(data) > 6:
            sizes.append(9 + data[6])  # of function 16
        sealed = [size for size in sizes if crc16(data[: size - 2]) == data[size - 2 : size]]
        header = len(data) > 8 and data[2:4] == b"\0\0"  # of Modbus TCP
        size = sealed[0] if sealed else 6 + int.from_bytes(data[4:6], "big") if header else 0
        size = size or len(data)
        yield data[:size]
        data = data[size:]


class ScriptedLine:
    """A TCP server that answers every request as `script` says; it keeps the requests, and the
    number of the connection that each came by."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.came_by: list[int] = []
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
            data = connection.recv(3000)
            if not data:
                return
            for request in requests_in(data):
                self.requests.append(request)
                self.came_by.append(self.connections)
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
    """Return the configuration of a bus on a TCP port of this machine, or on a device.

    Where all answer a busy machine has time for it; who waits for silence gives a shorter
    `timeout`.
    """
    where = f"socket://127.0.0.1:{port}" if isinstance(port, int) else port
    given: dict[str, Any] = {
        "name": "line",
        "port": where,
        "timeout": 5.0,
        "baudrate": 115200,
        "meter": list(meters) or [meter_config()],
    }
    return BusConfig.model_validate(given | more)
