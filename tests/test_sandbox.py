"""The shipped unit's filter of system calls does not hinder the logger, and never kills it.

Real processes run under the filter that the unit asks for. Three filters: the unit as it is
shipped; the same, but a system call it does not allow is the end of the process, so that a
process that lives made none; and one that kills for asking what the clock is, as a unit
written for an older version may.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.points.line import Point
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from tests.engines.process import free_port
from tests.running import ROOT, RunningLogger, command, wait_until
from tests.sandbox import UNIT, filter_of, names
from tests.test_cli import BUFFER, FAST, write

AHEAD_S = 3600.0
SECTIONS = """
[influxdb]
url = "http://127.0.0.1:9"
timeout = "2s"
bucket = "energy"
token_file = "token"
[metrics]
port = {port}
"""
CLOCK = "adjtimex clock_adjtime clock_adjtime64"
# Asked for, refused by the shipped unit, and nothing is missed: SQLite keeps the owner of its
# files when it runs as root, Arrow (an extra) says where it would like its memory.
SPARED = "SystemCallFilter=fchown fchown32 mbind"
ASK = "import ctypes, sys; sys.exit(ctypes.CDLL(None).adjtimex(bytes(1024)) < 0)"
SET = "import time; time.clock_settime(time.CLOCK_REALTIME, time.time())"


@pytest.fixture
def unit(tmp_path: Path) -> Callable[[str], list[str]]:
    """Give the command that runs a command under the named filter."""

    def under(kind: str) -> list[str]:
        text = UNIT.read_text(encoding="utf-8")
        if kind != "shipped":
            text = text.replace("SystemCallErrorNumber=EPERM", SPARED)
        if kind == "deadly question":
            text = text.replace(f"SystemCallFilter={CLOCK}", "#")
        path = tmp_path / "unit.service"
        path.write_text(text, encoding="utf-8")
        return [sys.executable, "-m", "tests.sandbox", str(path)]

    return under


@pytest.fixture
def line() -> Iterator[VirtualLine]:
    site = virtual_site(7, start=0.0)
    with VirtualLine(site.meters, clock=VirtualClock(0.0), paced=False) as line:
        yield line


def python(code: str, under: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*under, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=120,
    )


def configure(tmp_path: Path, line: VirtualLine, more: str = "") -> Path:
    (tmp_path / "token").write_text("token-of-the-test", encoding="utf-8")
    return write(tmp_path, FAST.replace("5020", str(line.start_tcp())) + BUFFER + more)


def fill(path: Path, ahead_s: float) -> None:
    """Make the buffer of a logger that ran until `ahead_s` from now."""
    now_ms = int((time.time() + ahead_s) * 1000)
    buffer = Buffer(path, now_ms=lambda: now_ms)
    buffer.open()
    tags = {"meter": "grid", "phase": "total", "site": "home"}
    buffer.append([Point("power", tags, {"active_power": 1.0}, now_ms)])
    assert buffer.flush()
    buffer.close()


def test_the_question_is_allowed_and_setting_is_not(unit: Callable[[str], list[str]]) -> None:
    assert python(ASK, unit("shipped")).returncode == 0
    refused = python(SET, unit("shipped"))
    assert "PermissionError" in refused.stderr
    assert python(SET, unit("nothing else")).returncode == -signal.SIGSYS
    assert python(ASK, unit("deadly question")).returncode == -signal.SIGSYS


def test_what_the_filter_takes_away() -> None:
    """The filter is read as systemd reads it: these are neither all names nor none."""
    wanted = filter_of(UNIT)
    assert {"openat", "flock", "execve", "clock_adjtime"} <= wanted.allowed
    assert not wanted.allowed & (names("@module") | names("@reboot") | {"clock_settime"})


@pytest.mark.parametrize("kind", ["shipped", "nothing else", "deadly question"])
def test_a_clock_behind_the_buffer_kills_nobody(
    tmp_path: Path, unit: Callable[[str], list[str]], line: VirtualLine, kind: str
) -> None:
    """The newest point lies an hour ahead, so the logger asks whether the clock is kept."""
    config = configure(tmp_path, line)
    fill(tmp_path / "state" / "buffer.sqlite", AHEAD_S)
    with RunningLogger(config, under=unit(kind)) as logger:
        logger.wait_for("started")
        wait_until(lambda: not logger.alive or logger.status().get("readings", 0) >= 4)
        assert logger.alive, logger.process.returncode
    assert command("buffer", "verify", "--config", str(config)).returncode == 0


@pytest.mark.parametrize("kind", ["shipped", "nothing else"])
def test_a_whole_life_needs_nothing_the_filter_forbids(
    tmp_path: Path, unit: Callable[[str], list[str]], line: VirtualLine, kind: str
) -> None:
    """Start, read, deliver, tell, be killed, mend a damaged buffer, stop."""
    port = free_port()
    config = configure(tmp_path, line, SECTIONS.format(port=port))
    buffer = tmp_path / "state" / "buffer.sqlite"
    with RunningLogger(config, under=unit(kind)) as logger:
        logger.wait_for("127.0.0.1:9")
        wait_until(lambda: logger.status().get("readings", 0) >= 4)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert b"inepro_logger" in answer.read()
        logger.kill()
    buffer.write_bytes(b"\xff" * 8192)
    buffer.with_name("buffer.sqlite-wal").unlink()
    with logger:
        logger.wait_for("set aside as")
        wait_until(lambda: logger.status().get("readings", 0) >= 4)
    assert command("buffer", "verify", "--config", str(config)).returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        "config check --config {config}",
        "check --config {config}",
        "scan --port {port} --range 1-3",
        "read grid --config {config}",
        "report energy --config {config}",
        "buffer verify --config {config}",
        "buffer backfill --config {config}",
        "buffer export --out {out}.csv --force --config {config}",
        "buffer export --out {out}.parquet --force --config {config}",
    ],
)
def test_no_command_needs_what_the_filter_forbids(
    tmp_path: Path, unit: Callable[[str], list[str]], line: VirtualLine, words: str
) -> None:
    config = configure(tmp_path, line, SECTIONS.format(port=free_port()))
    fill(tmp_path / "state" / "buffer.sqlite", -60.0)
    port = tomllib.loads(config.read_text(encoding="utf-8"))["bus"][0]["port"]
    places = {"config": config, "port": port, "out": tmp_path / "out"}
    arguments = [word.format(**places) for word in words.split()]
    bare = command(*arguments)
    done = command(*arguments, under=unit("nothing else"))
    assert done.returncode == bare.returncode >= 0, done.stderr + bare.stderr
    assert "Traceback" not in done.stderr
