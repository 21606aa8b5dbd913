"""Docker of Debian: the engine that runs, or one started for these tests alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

READY_S = 120.0
# Builds install packages, and the machine may be busy.
PATIENCE_S = 1200.0


class NoEngineError(Exception):
    """There is no engine, and none can be started; the text says why."""


def as_root() -> list[str]:
    """Return what goes before a command that only root may run."""
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


class Engine:
    """The client of an engine. One that had to be started ends with the tests, and all
    that it kept lies in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = dict(os.environ)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if shutil.which("docker") is None:
            raise NoEngineError("docker is missing: apt-get install docker.io")
        if not self._answers():
            self._start()
        return self

    def _answers(self) -> bool:
        done = subprocess.run(
            ["docker", "info", "--format", "{{.ServerVersion}}"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode == 0 and done.stdout.strip() != ""

    def _start(self) -> None:
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        if shutil.which("dockerd", path=path) is None:
            raise NoEngineError("dockerd is missing: apt-get install docker.io")
        self.directory.mkdir(parents=True)
        socket = f"unix://{self.directory}/docker.sock"
        command = [
            *as_root(), "env", f"PATH={path}", "dockerd", "--host", socket,
            "--data-root", f"{self.directory}/data", "--exec-root", f"{self.directory}/exec",
            "--pidfile", f"{self.directory}/pid",
            # The containers have a network of their own; the builds use the machine's.
            "--bridge", "none", "--group", str(os.getegid()),
        ]  # fmt: skip
        log = self.directory / "log"
        with log.open("wb") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=file)
        self.environment["DOCKER_HOST"] = socket
        until = time.monotonic() + READY_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                last = log.read_text(errors="replace")[-1500:]
                self._end()
                raise NoEngineError(f"dockerd does not start here:\n{last}")
            time.sleep(0.2)

    def _end(self) -> None:
        if self._process is None:
            return
        pid = (self.directory / "pid").read_text() if (self.directory / "pid").exists() else ""
        if pid and self._process.poll() is None:
            subprocess.run([*as_root(), "kill", pid.strip()], check=False)
        try:
            self._process.wait(READY_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._end()
            # Its network name space stays mounted.
            for mounted in (self.directory / "exec" / "netns").glob("*"):
                subprocess.run([*as_root(), "umount", str(mounted)], check=False)
            subprocess.run([*as_root(), "rm", "-rf", str(self.directory)], check=False)

    def run(
        self, *arguments: str, code: int | None = 0, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command of the client; `code` is the exit code it must have, None any."""
        return run(["docker", *arguments], self.environment, code=code, stdin=stdin)

    def build(self, dockerfile: Path, context: Path, tag: str) -> None:
        """Build an image. The builder of the engine itself needs no package of its own."""
        environment = {**self.environment, "DOCKER_BUILDKIT": "0"}
        proxies = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
        given = [f"--build-arg={name}" for name in proxies if name in os.environ]
        command = ["docker", "build", "--network", "host", "-f", str(dockerfile), "-t", tag]
        run([*command, *given, str(context)], environment)


def run(
    command: list[str],
    environment: dict[str, str],
    *,
    directory: Path | None = None,
    code: int | None = 0,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its exit code must be `code`, unless that is None."""
    done = subprocess.run(
        command,
        env=environment,
        cwd=directory,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    said = f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert code is None or done.returncode == code, said
    return done
