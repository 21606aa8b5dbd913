"""The life of the process: signals, the service manager, the orderly end."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType

from logger.runtime import systemd as service
from logger.runtime.app import App

log = logging.getLogger(__name__)

# A task that has not ended for this long hangs: the watchdog is then left to bite.
_STUCK_S = 60.0
_LOOK_EVERY_S = 1.0


def serve(app: App, for_s: float | None = None) -> None:
    """Run `app` until SIGTERM or SIGINT, or for `for_s` seconds."""
    stop = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        log.info("%s: stopping", signal.Signals(number).name)
        stop.set()

    before = {one: signal.signal(one, on_signal) for one in (signal.SIGTERM, signal.SIGINT)}
    watchdog_s = service.watchdog_s()
    started = False
    try:
        app.start()
        started = True
        log.info("started, process %d", os.getpid())
        service.notify("READY=1")
        _wait(app, stop, for_s, watchdog_s)
    finally:
        service.notify("STOPPING=1")
        app.stop()
        if started:
            log.info("stopped")
        for one, handler in before.items():
            signal.signal(one, handler)


def _wait(app: App, stop: threading.Event, for_s: float | None, watchdog_s: float | None) -> None:
    """Wait for `stop`; meanwhile watch the clock and give the service manager signs of life."""
    look_s = min(_LOOK_EVERY_S, watchdog_s / 2) if watchdog_s else _LOOK_EVERY_S
    left = for_s
    while left is None or left > 0:
        pause = look_s if left is None else min(look_s, left)
        if stop.wait(pause):
            return
        app.refresh()
        if not (stuck := app.schedule.stuck(_STUCK_S)):
            service.notify("WATCHDOG=1")
        else:
            log.error("%s hangs", stuck)
        if left is not None:
            left -= pause
