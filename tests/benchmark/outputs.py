"""What the outputs cost: a logger with Modbus server, MQTT and HTTP, all in use, beside one with
none of them, both at the same time on lines of their own."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.benchmark.figure import Figure, Result
from tests.benchmark.line import LineProcess
from tests.benchmark.rig import Logger, Plan, Sample, cpu_share, missed
from tests.engines.mosquitto import Broker
from tests.engines.process import free_port
from tests.running import wait_until

_ADDRESSES = [1, 2, 3]
_FAST_S = 2.0
_FEW, _MANY = 5, 50  # open pages
_MASTERS = 4  # Modbus masters, each with a question twice a second
_QUESTION = bytes.fromhex("000100000006 01 03 5002 0030")
_SITE = """
[mqtt]
url = "mqtt://127.0.0.1:{broker}"
[http]
port = {http}
[share.modbus]
listen = ["tcp://127.0.0.1:{modbus}"]
"""


@dataclass
class _Ran:
    """A run: what both processes used while a few pages were open, and while many were."""

    off: list[tuple[Sample, Sample]] = field(default_factory=list)
    on: list[tuple[Sample, Sample]] = field(default_factory=list)
    missed_off: int = 0
    missed_on: int = 0
    heard: int = 0
    answered: int = 0


class _Clients:
    """Pages that listen to the stream, and masters that poll; one thread for all of each."""

    def __init__(self, http: int, modbus: int) -> None:
        self._http, self._modbus = http, modbus
        self._stop = threading.Event()
        self.heard = 0  # bytes of streams
        self.answered = 0

    @contextmanager
    def pages(self, count: int) -> Iterator[None]:
        """Keep so many pages open."""
        with ExitStack() as stack:
            stop = threading.Event()
            stack.callback(stop.set)
            for _ in range(count):
                page = socket.create_connection(("127.0.0.1", self._http), timeout=30)
                stack.enter_context(page)
                page.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
                threading.Thread(target=self._listen, args=(page, stop), daemon=True).start()
            yield

    def _listen(self, page: socket.socket, stop: threading.Event) -> None:
        try:
            while not stop.is_set() and (data := page.recv(65536)):
                self.heard += len(data)
        except OSError:
            return

    def poll(self) -> None:
        """Ask as a master until `stop`."""
        with socket.create_connection(("127.0.0.1", self._modbus), timeout=30) as master:
            while not self._stop.wait(0.5):
                master.sendall(_QUESTION)
                self.answered += len(master.recv(300)) == 9 + 2 * 0x30

    @contextmanager
    def masters(self) -> Iterator[None]:
        """Have the masters poll."""
        self._stop.clear()
        threads = [threading.Thread(target=self.poll, daemon=True) for _ in range(_MASTERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()


def outputs(short: bool) -> Result:
    """Compare a logger with all outputs in use with one that has none."""
    seconds, runs = (8, 1) if short else (120, 3)
    ran = [_once(seconds) for _ in range(runs)]

    def shares(pairs: list[list[tuple[Sample, Sample]]], phase: int) -> list[float]:
        return [cpu_share(pair[phase]) for pair in pairs]

    on, off = [one.on for one in ran], [one.off for one in ran]
    figures = []
    for phase, pages in enumerate((_FEW, _MANY)):
        figures.append(
            Figure(
                name=f"outputs_cpu_{pages}",
                text=f"{pages} open pages, {_MASTERS} Modbus masters, MQTT: processor time beyond "
                "that without outputs, share of one core",
                unit="%",
                runs=[a - b for a, b in zip(shares(on, phase), shares(off, phase), strict=True)],
                at_most=5.0 if pages == _MANY else None,
                raw={"on": shares(on, phase), "off": shares(off, phase)},
            )
        )
    figures += [
        Figure(
            name="outputs_cpu_off",
            text="three meters every two seconds, no outputs: processor time, share of one core",
            unit="%",
            runs=shares(off, 0),
        ),
        Figure(
            name="outputs_memory",
            text=f"resident memory with all outputs and {_MANY} open pages",
            unit="MiB",
            runs=[one[1][1].memory_mib for one in on],
        ),
        Figure(
            name="outputs_memory_off",
            text="resident memory without outputs",
            unit="MiB",
            runs=[one[1][1].memory_mib for one in off],
        ),
        Figure(
            name="outputs_missed",
            text="jobs missed with all outputs, beyond those without",
            unit="",
            runs=[float(one.missed_on - one.missed_off) for one in ran],
            at_most=0,
            raw={"off": [one.missed_off for one in ran]}
            | {"heard": [one.heard for one in ran], "answered": [one.answered for one in ran]},
        ),
    ]
    return Result(figures)


def _open(logger: Logger, pages: int) -> bool:
    return bool(logger.state()["http"]["pages"] == pages)


def _once(seconds: float) -> _Ran:
    ran = _Ran()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        line = stack.enter_context(LineProcess(place, [_ADDRESSES, _ADDRESSES]))
        broker = stack.enter_context(Broker(place / "broker"))
        http, modbus = free_port(), free_port()
        loggers = []
        for number, name in enumerate(("off", "on")):
            (place / name).mkdir()
            plan = Plan(ports=[line.ports[number]], lines=[_ADDRESSES], fast_s=_FAST_S)
            path = plan.write(place / name)
            if name == "on":
                more = _SITE.format(broker=broker.port, http=http, modbus=modbus)
                path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
            loggers.append(stack.enter_context(Logger(path)))
        off, on = loggers
        wait_until(lambda: all(one.state().get("readings", 0) > 12 for one in loggers))
        state = on.state()
        assert state["http"]["listening"]
        assert state["share"]["listening"]
        assert state["mqtt"]["status"] == "connected"
        clients = _Clients(http, modbus)
        for count in (_FEW, _MANY):
            with clients.pages(count), clients.masters():
                wait_until(partial(_open, on, count))
                before = off.watch.look(), on.watch.look()
                time.sleep(seconds)
                after = off.watch.look(), on.watch.look()
                ran.off.append((before[0], after[0]))
                ran.on.append((before[1], after[1]))
            wait_until(partial(_open, on, 0))
        ran.missed_off, ran.missed_on = (missed(one.state()) for one in loggers)
        ran.heard, ran.answered = clients.heard, clients.answered
        for one in loggers:
            one.stop()
        line.stop()
    return ran
