"""The life of the process: signals, the service manager, the orderly end."""

from __future__ import annotations

import logging
import os
import signal
import threading

from logger import service
from logger.app import App
from logger.signals import on_stop

log = logging.getLogger(__name__)

# A task that has not ended for this long hangs: the watchdog is then left to bite.
_STUCK_S = 60.0
_LOOK_EVERY_S = 1.0


def serve(app: App, for_s: float | None = None) -> None:
    """Run `app` until SIGTERM, SIGINT or SIGHUP, or for `for_s` seconds."""
    stop = threading.Event()

    def stopping(number: signal.Signals) -> None:
        log.info("%s: stopping", number.name)
        stop.set()

    watchdog_s = service.watchdog_s()
    started = False
    with on_stop(stopping):
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


def _wait(app: App, stop: threading.Event, for_s: float | None, watchdog_s: float | None) -> None:
    """Wait for `stop`; meanwhile watch the clock and give the service manager signs of life."""
    look_s = min(_LOOK_EVERY_S, watchdog_s / 2) if watchdog_s else _LOOK_EVERY_S
    left = for_s
    while left is None or left > 0:
        pause = look_s if left is None else min(look_s, left)
        if stop.wait(pause):
            return
        app.look()
        if not (stuck := app.schedule.stuck(_STUCK_S)):
            service.notify("WATCHDOG=1")
        else:
            log.error("%s hangs", stuck)
        if left is not None:
            left -= pause
