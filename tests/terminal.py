"""A command on a terminal of its own: what it shows is read, answers are typed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.running import COMMAND, PATIENCE_S, ROOT


class Terminal:
    """A command on a pseudo-terminal. `shown` is all that it wrote so far; `frames` are its
    pieces with their times in seconds since the start."""

    def __init__(
        self,
        *arguments: str,
        columns: int = 100,
        rows: int = 40,
        env: Mapping[str, str] | None = None,
        program: Sequence[str] = COMMAND,
    ) -> None:
        self._command = [*program, *arguments]
        self._size = struct.pack("HHHH", rows, columns, 0, 0)
        self._env = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        self._env.pop("COLUMNS", None)
        self._env.pop("NO_COLOR", None)
        self.frames: list[tuple[float, str]] = []
        self.shown = ""
        self._raw = b""
        self._seen = 0
        self._over = False

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, self._size)
        self._began = time.monotonic()
        self.process = subprocess.Popen(
            self._command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env=self._env,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _read(self, until: float) -> None:
        ready, _, _ = select.select([self._master], [], [], max(0.0, until - time.monotonic()))
        assert ready, f"nothing more is shown after {self.shown[-500:]!r}"
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the last holder of the other side is gone
            data = b""
        self._over = not data
        self._raw += data
        text = self._raw.decode("utf-8", "ignore")
        if new := text[len(self.shown) :]:
            self.frames.append((time.monotonic() - self._began, new))
        self.shown = text

    def wait_for(self, text: str) -> None:
        """Read on until `text` is shown behind what was waited for before."""
        until = time.monotonic() + PATIENCE_S
        while (at := self.shown.find(text, self._seen)) < 0:
            assert not self._over, f"ended without {text!r}: {self.shown[-800:]!r}"
            self._read(until)
        self._seen = at + len(text)

    def read_until(self, good: Callable[[str], object]) -> None:
        """Read on until `good` is true of all that was shown."""
        until = time.monotonic() + PATIENCE_S
        while not good(self.shown):
            assert not self._over, f"ended before that: {self.shown[-800:]!r}"
            self._read(until)

    def answer(self, question: str, typed: str) -> None:
        """Wait for `question`, and type an answer."""
        self.wait_for(question)
        os.write(self._master, typed.encode() + b"\n")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._master, b"\x03")

    def interrupt_until_end(self) -> None:
        """Press Ctrl-C until the program has ended: a prompt that is about to read notices
        the first one only with the next key."""
        until = time.monotonic() + PATIENCE_S
        while not self._over and time.monotonic() < until:
            self.interrupt()
            if select.select([self._master], [], [], 1.0)[0]:
                self._read(until)

    def end(self) -> int:
        """Read to the end and return the exit code; 130 for an end by SIGINT."""
        until = time.monotonic() + PATIENCE_S
        while not self._over:
            self._read(until)
        code = self.process.wait(PATIENCE_S)
        return 128 - code if code == -signal.SIGINT else code
