"""The logger as a service: signals, locks that fail, a directory that is moved, the stop."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from logger.simulate import VirtualClock, VirtualLine, virtual_site
from logger.store.lock import OwnerLock
from tests.running import PATIENCE_S, ROOT, RunningLogger, command, wait_until
from tests.test_cli import BUFFER, FAST, write

NOBODY_LISTENS = """
[influxdb]
url = "http://127.0.0.1:9"
bucket = "energy"
token_file = "token"
"""
LONG_S = 600.0  # SQLite tries for ten seconds and more before it gives up a lock


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """A configuration with a virtual line behind it, and nobody to deliver to."""
    site = virtual_site(7, start=0.0)
    with VirtualLine(site.meters, clock=VirtualClock(0.0), paced=False) as line:
        (tmp_path / "token").write_text("token-of-the-test", encoding="utf-8")
        port = str(line.start_tcp())
        yield write(tmp_path, FAST.replace("5020", port) + NOBODY_LISTENS + BUFFER)


@pytest.fixture(scope="session")
def failing_locks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes locks fail."""
    library = tmp_path_factory.mktemp("locks") / "failing_locks.so"
    source = ROOT / "tests" / "failing_locks.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def preloaded(library: Path, orders: Path) -> dict[str, str]:
    orders.touch()
    return {"LD_PRELOAD": str(library), "FAILING_LOCKS": str(orders)}


def reads(logger: RunningLogger, more: int = 4) -> None:
    """Wait until so many more readings were taken."""
    enough = wait_until(lambda: logger.status().get("readings")) + more
    wait_until(lambda: logger.status().get("readings", 0) >= enough)


def books_balance(config: Path) -> bool:
    return command("buffer", "verify", "--config", str(config)).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_order(config: Path, number: signal.Signals) -> None:
    # Tests that run under nohup would hand it on: then SIGHUP ends nothing.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    logger = RunningLogger(config)
    with logger:
        signal.signal(signal.SIGHUP, before)
        reads(logger)
        logger.process.send_signal(number)
        assert logger.process.wait(PATIENCE_S) == 0
    messages = logger.messages()
    assert f"{number.name}: stopping" in messages
    assert messages[-1] == "stopped"
    assert books_balance(config)


def test_under_nohup_a_closed_terminal_changes_nothing(config: Path) -> None:
    with RunningLogger(config, under=["nohup"]) as logger:
        reads(logger)
        logger.process.send_signal(signal.SIGHUP)
        reads(logger)
    assert not any("SIGHUP" in message for message in logger.messages())


def test_an_unlock_that_fails_once_locks_nobody_out(
    config: Path, tmp_path: Path, failing_locks: Path
) -> None:
    orders = tmp_path / "orders"
    with RunningLogger(config, env=preloaded(failing_locks, orders)) as logger:
        logger.wait_for("127.0.0.1:9")  # the delivery has connections of its own
        reads(logger)
        orders.write_text("unlock", encoding="utf-8")
        wait_until(lambda: orders.read_text(encoding="utf-8") == "lock")
        logger.wait_for("not writable", patience_s=LONG_S)
        orders.write_text("", encoding="utf-8")
        logger.wait_for("writing again", patience_s=LONG_S)
    assert books_balance(config)


def test_where_locks_fail_the_stop_does_not_wait_for_them(
    config: Path, tmp_path: Path, failing_locks: Path
) -> None:
    orders = tmp_path / "orders"
    with RunningLogger(config, env=preloaded(failing_locks, orders)) as logger:
        logger.wait_for("127.0.0.1:9")
        reads(logger)
        orders.write_text("lock", encoding="utf-8")
        logger.wait_for("not writable", patience_s=LONG_S)
        with orders.open("r+", encoding="utf-8") as file:
            file.write("hang")  # in the place of what is there: at no time there is no order
        wait_until(lambda: orders.read_text(encoding="utf-8") == "hung")
        logger.process.send_signal(signal.SIGTERM)
        logger.wait_for("stopped")  # while the lock is still waited for
        orders.write_text("", encoding="utf-8")
        assert logger.process.wait(PATIENCE_S) == 1  # what waited in memory is lost
    assert books_balance(config)


def test_a_moved_directory_does_not_hide_the_logger(config: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with RunningLogger(config) as logger:
        reads(logger)
        state.rename(tmp_path / "elsewhere")
        wait_until(lambda: (state / "buffer.sqlite").exists())
        reads(logger)
        assert logger.status()["pid"] == logger.process.pid
    assert not (state / "buffer.sqlite.sock").exists()
    assert books_balance(config)


def test_a_logger_that_cannot_be_asked_is_not_denied(config: Path, tmp_path: Path) -> None:
    """The lock says that a logger runs, although nothing answers at its socket."""
    buffer = tmp_path / "state" / "buffer.sqlite"
    buffer.parent.mkdir()
    lock = OwnerLock(buffer)
    lock.take()
    done = command("status", "--config", str(config))
    lock.release()
    assert done.returncode == 1
    assert f"a logger runs with the buffer {buffer} (process {os.getpid()})" in done.stderr
    assert "no logger is running" in command("status", "--config", str(config)).stderr
