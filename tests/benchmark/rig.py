"""The logger under measurement: a process of its own, watched from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from logger.domain.errors import StatusError
from logger.runtime.status import ask

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 60.0
MIB = 1024**2
# Where buffers and databases lie: kept across reboots (FHS 5.15), so hardly ever in memory.
DISK = Path("/var/tmp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A configuration to measure: intervals in seconds, meters by line."""

    ports: Sequence[int]
    lines: Sequence[Sequence[int]]
    fast_s: float
    slow_s: float = 60.0
    identity_s: float = 3600.0
    commit_s: float = 1.0
    influx_url: str = ""

    def write(self, directory: Path) -> Path:
        """Write the configuration file and return its path."""
        text = [
            '[site]\nname = "bench"\n',
            (
                f'[intervals]\nfast = "{self.fast_s!r}s"\nslow = "{self.slow_s!r}s"\n'
                f'identity = "{self.identity_s!r}s"\n'
            ),
        ]
        if self.influx_url:
            (directory / "token").write_text("the-token", encoding="utf-8")
            text.append(
                f'[influxdb]\nurl = "{self.influx_url}"\norg = "home"\nbucket = "energy"\n'
                'fast_bucket = "live"\ntoken_file = "token"\n'
            )
        text.append(f'[buffer]\npath = "buffer.sqlite"\ncommit_interval = "{self.commit_s!r}s"\n')
        for number, (port, addresses) in enumerate(zip(self.ports, self.lines, strict=True)):
            text.append(f'[[bus]]\nname = "line{number:02}"\nport = "socket://127.0.0.1:{port}"\n')
            text += [
                f'[[bus.meter]]\nname = "m{number:02}-{address:03}"\nmodel = "pro380"\n'
                f'address = {address}\nrole = "load"\n'
                for address in addresses
            ]
        path = directory / "logger.toml"
        path.write_text("\n".join(text), encoding="utf-8")
        return path


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at one moment: seconds since the start of the watch, MiB, counts."""

    at_s: float
    memory_mib: float
    cpu_s: float
    threads: int
    files: int


class Watch:
    """Samples a process until it is stopped or the process ends."""

    def __init__(self, pid: int, every_s: float = 0.5) -> None:
        self.process = psutil.Process(pid)
        self.samples: list[Sample] = []
        self._every_s = every_s
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def look(self) -> Sample:
        """Take a sample now."""
        with self.process.oneshot():
            times = self.process.cpu_times()
            sample = Sample(
                time.monotonic() - self._began,
                self.process.memory_info().rss / MIB,
                times.user + times.system,
                self.process.num_threads(),
                self.process.num_fds(),
            )
        self.samples.append(sample)
        return sample

    def stop(self) -> list[Sample]:
        """End the watch and return its samples."""
        self._stop.set()
        self._thread.join()
        return self.samples

    def _run(self) -> None:
        try:
            while True:
                self.look()
                if self._stop.wait(self._every_s):
                    return
        except psutil.NoSuchProcess:
            return


class Logger:
    """`inepro-logger run` on a configuration file, as a process."""

    def __init__(self, config: Path, program: Sequence[str] = ("-m", "logger")) -> None:
        self._log_path = config.with_suffix(".log")
        self._buffer = config.parent / "buffer.sqlite"
        with self._log_path.open("ab") as log:
            self.started = time.time()
            self._process = subprocess.Popen(
                [sys.executable, *program, "run", "--config", str(config), "--log-format", "json"],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        self.watch = Watch(self._process.pid)

    def state(self) -> dict[str, Any]:
        """Return the logger's state, as `status` shows it."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return ask(self._buffer)
            except StatusError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(
                        f"the logger does not run:\n{self._log_path.read_text()[-3000:]}"
                    ) from None
                time.sleep(0.05)

    def stop(self) -> list[Sample]:
        """Stop it in order; return how it was."""
        samples = self.watch.stop()
        self._process.terminate()
        if self._process.wait(120) != 0:
            raise RuntimeError(f"the logger failed:\n{self._log_path.read_text()[-3000:]}")
        return samples

    def problems(self) -> list[str]:
        """Return its warnings and errors so far."""
        lines = map(json.loads, self._log_path.read_text(encoding="utf-8").splitlines())
        return [line["message"] for line in lines if line["level"] not in {"info", "debug"}]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.watch.stop()


def cpu_share(samples: Sequence[Sample]) -> float:
    """Return the percentage of one core that was used between first and last sample."""
    first, last = samples[0], samples[-1]
    return 100 * (last.cpu_s - first.cpu_s) / (last.at_s - first.at_s)


def missed(state: dict[str, Any]) -> int:
    """Return how many jobs all meters missed."""
    return sum(int(meter["missed"]) for meter in state["meters"])


def errors(state: dict[str, Any]) -> int:
    """Return how many requests of all meters failed."""
    return sum(int(meter["read_errors"]) for meter in state["meters"])
