"""The stop of a running logger when a line cannot be closed: all else ends and is saved."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from logger.bus.port import Port
from logger.runtime.app import App
from logger.runtime.configured import state_directory
from logger.simulate import VirtualLine
from tests.readers import NOW
from tests.running import PATIENCE_S, wait_until
from tests.share_rig import bus, config_of, fixed_meter

_Wait = Callable[[], bool]


def _fails(_released: _Wait) -> None:
    raise RuntimeError("the driver has a fault")


def _hangs(released: _Wait) -> None:
    assert released()


@pytest.mark.parametrize(
    ("trouble", "said"), [(_fails, "stopping it failed"), (_hangs, "it does not end")]
)
def test_a_line_that_cannot_be_closed_keeps_nothing_from_ending(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trouble: Callable[[_Wait], None],
    said: str,
) -> None:
    release, stopped = threading.Event(), threading.Event()
    early: list[bool] = []  # whether the stop had ended before the trouble did

    def released() -> bool:
        done = release.wait(PATIENCE_S)
        early.append(stopped.is_set())
        return done

    plain, closed = Port.close, list[str]()

    def close(port: Port) -> None:
        if port.port == ports[0]:
            trouble(released)
        plain(port)
        closed.append(port.port)

    with ExitStack() as stack:
        meter = {"model": "pro380", "address": 1}
        lines = [
            stack.enter_context(
                VirtualLine([fixed_meter("pro380", 1)], clock=lambda: NOW, paced=False)
            )
            for _ in range(2)
        ]
        ports = [f"socket://127.0.0.1:{line.start_tcp()}" for line in lines]
        buses = [
            bus(f"line{number}", port, [{"name": f"m{number}", **meter}], timeout=30.0)
            for number, port in enumerate(ports)
        ]
        config = config_of(tmp_path, buses, None)
        app = App(config)
        app.start()
        wait_until(lambda: all(one["reads"] for one in app.state()["meters"]))
        monkeypatch.setattr(Port, "close", close)
        with caplog.at_level(logging.WARNING):
            app.stop()
        assert f"bus line0: {said}" in caplog.text
        assert closed == ports[1:]
        assert (state_directory(config.buffer.path) / "derived.json").exists()
        stopped.set()
        release.set()
        wait_until(lambda: trouble is _fails or closed[1:])
        monkeypatch.undo()
        app.buses[0].close()
        again = App(config)  # the buffer is free, and what was read is in it
        again.start()
        assert again.buffer.state().stamped_ms
        again.stop()
    assert early == ([True] if trouble is _hangs else [])
