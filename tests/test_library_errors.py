"""Every error class of the libraries at the program's edges comes out as one of its own.

The classes are taken from the libraries as they are installed: one that a new version
brings and that nothing maps makes a test here fail.
"""

from __future__ import annotations

import contextlib
import inspect
import sqlite3
import termios
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import minimalmodbus
import pytest
import serial
import urllib3
import urllib3.exceptions

from logger.bus import Bus
from logger.domain.errors import (
    BufferCorruptError,
    BufferDiskError,
    BufferSuspectError,
    BusError,
    PortError,
    ReportError,
)
from logger.influx.outcome import OutcomeKind
from logger.influx.write import Client
from logger.models.plan import Block
from logger.report.influx import InfluxSource
from logger.store.database import Database
from tests.lines import bus_config

FAST = Block(0x5002, 48)


def errors_of(module: ModuleType) -> list[type[Exception]]:
    """Return the error classes that `module` has, with all their subclasses."""
    found: set[type[Exception]] = set()
    root = module.__name__.partition(".")[0]
    todo = [
        each
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, Exception)
    ]
    while todo:
        each = todo.pop()
        if issubclass(each, Warning) or each in found:
            continue
        if each.__module__.partition(".")[0] == root:
            found.add(each)
            todo += each.__subclasses__()
    return sorted(found, key=lambda each: f"{each.__module__}.{each.__qualname__}")


def made(kind: type[Exception]) -> Exception:
    """Return an error as its library makes it, with something in every argument."""
    start: object = kind.__init__
    if not inspect.isfunction(start):
        return kind("broken")
    wanted = [
        each
        for each in list(inspect.signature(start).parameters.values())[1:]
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    return kind(*(MagicMock() for _ in wanted))


def name_of(kind: object) -> str:
    return getattr(kind, "__name__", str(kind))


def raises(err: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise err

    return fail


class FaultyPort:
    """A serial port on which one operation fails."""

    def __init__(self, operation: str, err: Exception) -> None:
        self._timeout = 0.05
        self.is_open = True
        self.in_waiting = 0
        self._operation, self._err = operation, err
        self.exclusive = self.rs485_mode = None

    def _do(self, operation: str) -> None:
        if operation == self._operation:
            raise self._err

    @property
    def timeout(self) -> float:
        return self._timeout

    @timeout.setter
    def timeout(self, value: float) -> None:
        self._do("timeout")
        self._timeout = value

    def open(self) -> None:
        self._do("open")

    def close(self) -> None:
        self._do("close")

    def read(self, size: int) -> bytes:
        self._do("read")
        return b""

    def write(self, data: bytes) -> int:
        self._do("write")
        return len(data)

    def flush(self) -> None:
        self._do("flush")


SERIAL_ERRORS = [*errors_of(serial), termios.error, OSError]


@pytest.mark.parametrize("operation", ["open", "timeout", "write", "read"])
@pytest.mark.parametrize("kind", SERIAL_ERRORS, ids=name_of)
def test_whatever_a_serial_port_raises_is_a_port_error(
    kind: type[Exception], operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = FaultyPort(operation, made(kind))
    monkeypatch.setattr(serial, "serial_for_url", lambda *_, **__: port)
    bus = Bus(bus_config("/dev/ttyS9", timeout=0.01))
    with pytest.raises(PortError, match="bus line"):
        bus.read(1, FAST)
    bus.close()


@pytest.mark.parametrize("kind", SERIAL_ERRORS, ids=name_of)
def test_whatever_a_serial_port_raises_when_it_is_closed_is_passed_over(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial, "serial_for_url", lambda *_, **__: FaultyPort("close", made(kind)))
    bus = Bus(bus_config("/dev/ttyS9"))
    bus.open()
    bus.close()


@pytest.mark.parametrize("kind", [*errors_of(minimalmodbus), ValueError, TypeError], ids=name_of)
def test_whatever_a_transaction_raises_is_a_bus_error(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = FaultyPort("", OSError())
    monkeypatch.setattr(serial, "serial_for_url", lambda *_, **__: port)
    for name in ("read_registers", "write_register", "write_registers"):
        monkeypatch.setattr(minimalmodbus.Instrument, name, raises(made(kind)))
    bus = Bus(bus_config("/dev/ttyS9"))
    with pytest.raises(BusError, match="address 7, reading"):
        bus.read(7, FAST)
    for words, function in (([1], 6), ([1, 2], 16)):
        with pytest.raises(BusError, match="address 7, writing"):
            bus.write(7, 0x4003, words, function)
    bus.close()


class Section:
    """The section [influxdb] of a configuration."""

    url, org, timeout, gzip = "http://127.0.0.1:9", "home", 1.0, True

    def token(self) -> str:
        return "secret"


HTTP_ERRORS = errors_of(urllib3.exceptions)
# A proxy is set in the environment: a wrong one is no URL of the configuration.
FEW_WORDS = {
    OutcomeKind.UNREACHABLE,
    OutcomeKind.TIMEOUT,
    OutcomeKind.WRONG_TARGET,
    OutcomeKind.BUSY,
}


@pytest.mark.parametrize("kind", HTTP_ERRORS, ids=name_of)
def test_whatever_a_write_to_a_server_raises_keeps_the_points(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib3.PoolManager, "urlopen", raises(made(kind)))
    client = Client(Section(), "energy")
    outcome = client.write(["m v=1 1"])
    client.close()
    assert outcome.kind in FEW_WORDS
    assert outcome.text


@pytest.mark.parametrize("kind", HTTP_ERRORS, ids=name_of)
def test_whatever_a_query_of_a_server_raises_is_a_report_error(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib3.PoolManager, "urlopen", raises(made(kind)))
    source = InfluxSource("http://127.0.0.1:9", "energy", "secret", "home")
    with pytest.raises(ReportError, match=r"http://127\.0\.0\.1:9"):
        list(source.read("energy", [(0, 10)], {}, ("active_import",)))


# What SQLite calls an error by its own rules, and what the program makes of it.
DAMAGE = {"CORRUPT", "NOTADB"}
DISK = {
    "FULL", "READONLY", "IOERR", "CANTOPEN", "PERM", "BUSY", "LOCKED", "PROTOCOL", "NOLFS",
    "NOMEM", "AUTH", "INTERRUPT",
}  # fmt: skip
# What a sound file and this program never give, and no errors at all.
SUSPECT = {
    "ABORT", "CONSTRAINT", "EMPTY", "ERROR", "FORMAT", "INTERNAL", "MISMATCH", "MISUSE",
    "NOTFOUND", "RANGE", "SCHEMA", "TOOBIG", "OK", "NOTICE", "WARNING", "ROW", "DONE",
}  # fmt: skip
# Constants that are no result of a call: actions for an authorizer, limits, options.
ACTIONS = {
    "ALTER", "ANALYZE", "ATTACH", "CREATE", "DELETE", "DENY", "DETACH", "DROP", "FUNCTION",
    "IGNORE", "INSERT", "PRAGMA", "READ", "RECURSIVE", "REINDEX", "SAVEPOINT", "SELECT",
    "TRANSACTION", "UPDATE", "LIMIT", "DBCONFIG",
}  # fmt: skip
CODES = {
    name.removeprefix("SQLITE_"): getattr(sqlite3, name)
    for name in dir(sqlite3)
    if name.startswith("SQLITE_") and name.split("_")[1] not in ACTIONS
}


def opened_with(err: Exception, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "connect", raises(err))
    with contextlib.closing(Database.open(path)):
        pass


@pytest.mark.parametrize("name", sorted(CODES))
def test_every_result_of_sqlite_is_the_disks_or_the_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its extended results, as SQLITE_IOERR_FSYNC."""
    err = sqlite3.OperationalError("what it says")
    err.sqlite_errorcode = CODES[name]
    family = name.split("_")[0]
    expected: type[Exception]
    if family in DAMAGE:
        expected = BufferCorruptError
    elif family in DISK:
        expected = BufferDiskError
    else:
        assert family in SUSPECT, f"SQLITE_{name} is new: whose fault is it?"
        expected = BufferSuspectError
    with pytest.raises(expected, match="what it says"):
        opened_with(err, tmp_path / "buffer.sqlite", monkeypatch)


@pytest.mark.parametrize(
    "kind", [each for each in errors_of(sqlite3) if each is not sqlite3.Warning], ids=name_of
)
def test_every_error_class_of_sqlite_is_mapped_by_its_result(
    kind: type[sqlite3.Error], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    err = kind("what it says")
    err.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    with pytest.raises(BufferDiskError, match="what it says"):
        opened_with(err, tmp_path / "buffer.sqlite", monkeypatch)
