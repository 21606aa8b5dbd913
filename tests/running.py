"""The logger as a process of its own: started, watched, asked, stopped, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

COMMAND = [sys.executable, "-m", "logger"]
ROOT = Path(__file__).parent.parent
# Bounds on what hangs, not on what is slow: a busy machine takes ten times as long.
PATIENCE_S = 300.0
STOP_S = 60.0


def wait_until(what: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Wait until `what` gives something true and return that."""
    until = time.monotonic() + patience_s
    while not (found := what()):
        assert time.monotonic() < until, f"waited {patience_s} s in vain for {what}"
        time.sleep(0.02)
    return found


def wait_for_handler(process: subprocess.Popen[Any]) -> None:
    """Wait until a process handles SIGTERM itself: what is sent earlier just ends it."""

    def handled() -> bool:
        assert process.poll() is None, process.communicate()[0]
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
        return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)

    wait_until(handled)


def command(
    *arguments: str, env: Mapping[str, str] | None = None, under: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run one command of the logger to its end; `under` is a command that runs commands."""
    return subprocess.run(
        [*under, *COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE_S,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
    )


class RunningLogger:
    """`inepro-logger run` on a configuration file; `under` is a command that runs commands,
    `program` may stand for the logger's own."""

    def __init__(
        self,
        config: Path,
        env: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
        program: Sequence[str] = COMMAND,
    ) -> None:
        self.config = config
        self._program = (*under, *program)
        self._env = {**os.environ, **(env or {})}
        self._log = config.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the process; its log goes on in the same file."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program, "run", "--config", str(self.config), "--log-format", "json"],
                stderr=log,
                stdout=log,
                cwd=ROOT,
                env=self._env,
            )
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def log(self) -> list[dict[str, Any]]:
        """Return the log lines so far; each is one JSON object. The last one counts when it is
        whole."""
        lines = self._log.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def output(self) -> str:
        """Return all that the process printed so far, what no logger wrote among it."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def messages(self) -> list[str]:
        return [line["message"] for line in self.log()]

    def wait_for(self, text: str, count: int = 1, patience_s: float = PATIENCE_S) -> None:
        """Wait until `count` log messages hold `text`."""

        def there() -> bool:
            return sum(text in message for message in self.messages()) >= count

        try:
            wait_until(there, patience_s)
        except AssertionError:
            raise AssertionError(f"no {text!r} in {self.messages()}") from None

    def peak_mib(self) -> float:
        """Return how much memory the process had at most so far, MiB (Linux: proc(5))."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        (line,) = [one for one in text.splitlines() if one.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024

    def status(self) -> dict[str, Any]:
        """Return what `status --json` says, with its exit code as `exit`; of a logger that is
        still starting when it can be asked."""

        def told() -> subprocess.CompletedProcess[str] | None:
            done = command("status", "--json", "--config", str(self.config))
            return done if done.stdout or not self.alive else None

        done = wait_until(told)
        state = json.loads(done.stdout) if done.stdout else {"error": done.stderr}
        return {**state, "exit": done.returncode}

    def stop(self, code: int = 0) -> None:
        """Stop as a service manager does; the process must end by itself, with `code`."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == code, self.messages()

    def kill(self) -> None:
        """End the process at once, wherever it is."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None and self.alive:
            if error is None:
                self.stop()
            else:
                self.kill()
