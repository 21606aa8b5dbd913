"""What a running logger tells other processes, and the service manager."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from logger.domain.errors import StatusError
from logger.points.encode import points
from logger.runtime import health
from logger.runtime import systemd as service
from logger.runtime.health import BusHealth, MeterHealth
from logger.runtime.status import StatusServer, ask, socket_path


def meter(**changes: object) -> MeterHealth:
    values: dict[str, object] = {
        "name": "grid",
        "bus": "a",
        "role": "grid",
        "model": "pro380",
        "address": 7,
        "interval_s": 5.0,
        "reads": 101,
        "errors": 3,
        "rejected": 2,
        "missed": 4,
        "read_ms": 151.25,
        "last_good": 1_000_000,
        "error": "",
    }
    return MeterHealth(**(values | changes))  # type: ignore[arg-type]


def test_ask_and_answer(tmp_path: Path) -> None:
    buffer = tmp_path / "buffer.sqlite"
    server = StatusServer(socket_path(buffer), lambda: {"healthy": True, "readings": 42})
    server.start()
    try:
        assert ask(buffer) == {"healthy": True, "readings": 42}
        assert ask(buffer)["readings"] == 42
    finally:
        server.stop()
    with pytest.raises(StatusError, match="no logger is running"):
        ask(buffer)


def test_a_socket_left_behind_is_not_a_running_logger(tmp_path: Path) -> None:
    buffer = tmp_path / "buffer.sqlite"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(socket_path(buffer)))
    left.close()
    with pytest.raises(StatusError, match="no logger is running"):
        ask(buffer)
    server = StatusServer(socket_path(buffer), lambda: {"healthy": False})
    server.start()
    assert ask(buffer) == {"healthy": False}
    server.stop()


def test_long_paths_find_each_other(tmp_path: Path) -> None:
    buffer = tmp_path / ("d" * 90) / ("e" * 90) / "buffer.sqlite"
    assert len(os.fsencode(socket_path(buffer))) <= 107
    server = StatusServer(socket_path(buffer), lambda: {"readings": 1})
    server.start()
    assert ask(buffer) == {"readings": 1}
    server.stop()


def test_a_place_that_cannot_be_used_is_no_reason_to_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = StatusServer(tmp_path / "missing" / "x.sock", dict)
    server.start()
    server.stop()
    assert "cannot listen" in caplog.text


def test_silent_meters_are_problems() -> None:
    now = 1_000_000 + 15_000
    assert health.meter_problems([meter()], 0, now) == []
    (problem,) = health.meter_problems([meter(error="no answer")], 0, now + 1)
    assert problem == "meter grid: nothing for 15 s: no answer"
    (problem,) = health.meter_problems([meter(last_good=None)], now - 16_000, now)
    assert problem == "meter grid: never answered"
    assert health.meter_problems([meter(interval_s=60)], 0, now + 164_000) == []
    wrong = meter(wrong_model="meter grid: it is a PRO380-Mod DC")
    assert health.meter_problems([wrong], 0, now) == ["meter grid: it is a PRO380-Mod DC"]


def test_health_points() -> None:
    bus = BusHealth(
        name="a",
        port="/dev/ttyUSB0",
        planned_load=0.25,
        busy=0.26,
        requests=104,
        answered=101,
        silent=1,
        garbled=1,
        refused=1,
        port_errors=5,
        echo=False,
    )
    lines = [
        point.line()
        for point in points(health.counts([meter()], [bus], {"buffer_points": 9}, 1234), "home")
    ]
    assert lines == [
        (
            "logger,bus=a,meter=grid,role=grid,site=home reads=101i,read_errors=3i,missed=4i,"
            "rejected_values=2i,read_ms=151.25 1234"
        ),
        "logger,bus=a,site=home reads=101i,read_errors=8i,bus_load=0.26 1234",
        "logger,site=home buffer_points=9i 1234",
    ]


def test_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        service.notify("READY=1")
        assert manager.recv(100) == b"READY=1"
    service.notify("WATCHDOG=1")  # nobody listens any more: no error
    monkeypatch.delenv("NOTIFY_SOCKET")
    service.notify("READY=1")
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert service.watchdog_s() == 30
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert service.watchdog_s() is None
