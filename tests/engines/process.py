"""A server process on a data directory and a port that outlive it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import urllib3

READY_S = 120.0
# The newest ports that were given away; a test needs a few.
_kept: deque[socket.socket] = deque()
_MOST_KEPT = 100


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on.

    The system gives it to nobody else who asks for any port, before it is used and between
    two uses: it stays bound here, which hinders no server that sets SO_REUSEADDR, as all do.
    """
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    _kept.append(kept)
    if len(_kept) > _MOST_KEPT:
        _kept.popleft().close()
    return int(kept.getsockname()[1])


def program(name: str, package: str) -> str:
    """Return the path of a program that Debian's `package` has.

    Where it is missing the test is skipped, but not in CI: there it is an error.
    """
    found = shutil.which(name)
    if found is not None:
        return found
    missing = f"{name} is missing: apt-get install {package}"
    if os.environ.get("CI"):
        raise RuntimeError(missing)
    pytest.skip(missing)


class Server:
    """A server that can be killed and started again on the same data and port."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self.http = urllib3.PoolManager(retries=False, timeout=10.0)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the engine's own HTTP interface is."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Tell whether the server answers requests now."""
        raise NotImplementedError

    def start(self, *, wait: bool = True) -> Self:
        """Start the process; with `wait`, return once it answers."""
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        if wait:
            self.await_ready()
        return self

    def await_ready(self) -> None:
        """Return once the server answers. Raises RuntimeError if it ends or never does."""
        until = time.monotonic() + READY_S
        while not self._answers():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > until:
                log = (self.directory / "server.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{type(self).__name__} does not answer:\n{log}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return self.ready()
        except urllib3.exceptions.HTTPError:
            return False

    @property
    def running(self) -> bool:
        """Tell whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: what a power cut or the out-of-memory killer does to it."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as a service manager stops it."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(READY_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self.http.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self.http.clear()
