"""Programs that read one meter a second from a line of their own, to be compared."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from logger.domain.errors import StatusError
from logger.runtime.status import ask
from tests.benchmark.rig import ROOT, Plan, Sample, Watch
from tests.engines.process import free_port
from tests.running import PATIENCE_S

# The whole of a PRO380's instantaneous values: so many registers from here.
FIRST, COUNT = 0x5002, 48


class Contender(ABC):
    """One program. It is started, killed, and started again as a supervisor would do."""

    title: str
    binary = ""  # what has to be on the PATH

    def __init__(self, directory: Path, port: int) -> None:
        self._directory, self._port = directory, port
        directory.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = directory / "output"
        self.watch: Watch | None = None
        self._steady = 0

    @classmethod
    def found(cls) -> bool:
        """Return whether the program is there."""
        return not cls.binary or shutil.which(cls.binary) is not None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command line, after writing what it needs."""

    @abstractmethod
    def reads(self) -> bool:
        """Return whether it has read something since it was started."""

    def start(self) -> None:
        """Start it and wait for its first reading."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=ROOT)
        self.watch = Watch(self._process.pid)
        until = time.monotonic() + PATIENCE_S
        while not self.reads():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self.title} reads nothing: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def steady(self) -> None:
        """Let what it is judged by begin now, after all that a start costs."""
        if self.watch is not None:
            self.watch.look()
            self._steady = len(self.watch.samples) - 1

    def kill(self) -> Sequence[Sample]:
        """Kill it; return how it was."""
        samples = self.watch.stop()[self._steady :] if self.watch is not None else []
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        return samples


class Written(Contender):
    """A program that appends what it reads to a file."""

    def __init__(self, directory: Path, port: int) -> None:
        super().__init__(directory, port)
        self.data = directory / "readings"
        self._before = 0

    def start(self) -> None:
        """Start it and wait for its first reading."""
        self._before = self._size()
        super().start()

    def reads(self) -> bool:
        """Return whether the file has grown."""
        return self._size() > self._before

    def _size(self) -> int:
        return self.data.stat().st_size if self.data.exists() else 0


class Ours(Contender):
    """This logger."""

    title = "inepro-logger"

    def command(self) -> Sequence[str]:
        """Return its command line."""
        plan = Plan(ports=[self._port], lines=[[1]], fast_s=1.0)
        config = plan.write(self._directory)
        return [sys.executable, "-m", "logger", "run", "--config", str(config)]

    def reads(self) -> bool:
        """Return whether its status tells of a power."""
        try:
            state = ask(self._directory / "buffer.sqlite")
        except StatusError:
            return False
        return "active_power/total" in json.dumps(state["latest"])


_NAIVE = """
import sys, time
import minimalmodbus, serial
port = serial.serial_for_url(sys.argv[1], timeout=1)
meter = minimalmodbus.Instrument(port, 1)
with open(sys.argv[2], "a") as file:
    while True:
        try:
            words = meter.read_registers(int(sys.argv[3]), int(sys.argv[4]), 3)
            print(time.time(), *words, file=file, flush=True)
        except Exception as err:
            print(err)
        time.sleep(1)
"""


class Naive(Written):
    """A loop of a dozen lines around minimalmodbus, as it is written in an evening."""

    title = "a loop around minimalmodbus"

    def command(self) -> Sequence[str]:
        """Return its command line."""
        where = f"socket://127.0.0.1:{self._port}"
        return [sys.executable, "-c", _NAIVE, where, str(self.data), str(FIRST), str(COUNT)]


class Telegraf(Written):
    """Telegraf's Modbus input with one request, its points to a file."""

    title = binary = "telegraf"

    def command(self) -> Sequence[str]:
        """Return its command line."""
        config = self._directory / "telegraf.conf"
        config.write_text(self.configuration(), encoding="utf-8")
        return [self.binary, "--config", str(config)]

    def configuration(self) -> str:
        """Return its configuration: 24 float32 in one request."""
        fields = "\n".join(
            f'    {{ address = {at}, name = "value_{at}", type = "FLOAT32" }},'
            for at in range(FIRST, FIRST + COUNT, 2)
        )
        return (
            '[agent]\n  interval = "1s"\n  flush_interval = "1s"\n  omit_hostname = true\n'
            f'[[outputs.file]]\n  files = ["{self.data}"]\n'
            '[[inputs.modbus]]\n  name = "meter"\n'
            f'  controller = "tcp://127.0.0.1:{self._port}"\n'
            '  transmission_mode = "RTUoverTCP"\n  configuration_type = "request"\n'
            "  [[inputs.modbus.request]]\n    slave_id = 1\n"
            '    byte_order = "ABCD"\n    register = "holding"\n'
            f"    fields = [\n{fields}\n    ]\n"
        )


class Mbmd(Contender):
    """mbmd, which asks a PRO380 value by value."""

    title = binary = "mbmd"

    def __init__(self, directory: Path, port: int) -> None:
        super().__init__(directory, port)
        self._page = free_port()

    def command(self) -> Sequence[str]:
        """Return its command line."""
        return [
            *(self.binary, "run", "--adapter", f"127.0.0.1:{self._port}", "--rtu"),
            *("--devices", "INEPRO:1", "--rate", "1s", "--api", f"127.0.0.1:{self._page}"),
        ]

    def reads(self) -> bool:
        """Return whether its interface has values."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._page}/api/last") as answer:
                return bool(json.load(answer))
        except (OSError, ValueError):
            return False


CONTENDERS: tuple[type[Contender], ...] = (Ours, Naive, Telegraf, Mbmd)
