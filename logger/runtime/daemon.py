"""The life of the process: signals, the service manager, the orderly end."""

from __future__ import annotations

import logging
import os
import threading

from logger.domain.errors import BufferDiskError, StalledError
from logger.runtime import systemd as service
from logger.runtime.app import App
from logger.runtime.signals import Stop, on_stop

log = logging.getLogger(__name__)

# What hangs may keep the orderly end from ending, too: then the process ends without.
_STOP_S = 20.0
_LOOK_EVERY_S = 1.0


def serve(app: App, for_s: float | None = None) -> None:
    """Run `app` until SIGTERM, SIGINT or SIGHUP, or for `for_s` seconds.

    Raises StalledError, after an end as orderly as may be, when a part of it hangs or ended
    for good; BufferDiskError when the disk did not take the last points.
    """
    hook, threading.excepthook = threading.excepthook, _thread_ended
    watchdog_s = service.watchdog_s()
    started = False
    with on_stop() as stop:
        try:
            app.start()
            started = True
            log.info("started, process %d", os.getpid())
            service.notify("READY=1")
            if reason := _wait(app, stop, for_s, watchdog_s):
                log.critical("%s; the process ends to be started again", reason)
                end = threading.Timer(_STOP_S, os._exit, (1,))
                end.daemon = True
                end.start()
                raise StalledError(reason, "the log says more; a service manager starts it again")
        finally:
            if stop.by is not None:
                log.info("%s: stopping", stop.by.name)
            service.notify("STOPPING=1")
            lost = app.stop()
            if started:
                log.info("stopped")
            threading.excepthook = hook
    if lost:
        raise BufferDiskError(
            f"buffer {app.buffer.path}: the disk took nothing more; {lost} points are lost",
            "make room on the disk, or give [buffer] path a disk that can be written",
        )


def _thread_ended(what: threading.ExceptHookArgs) -> None:
    name = what.thread.name if what.thread is not None else "?"
    error = (what.exc_type, what.exc_value or what.exc_type(), what.exc_traceback)
    log.error("thread %s ended", name, exc_info=error)


def _wait(app: App, stop: Stop, for_s: float | None, watchdog_s: float | None) -> str:
    """Wait for `stop`; meanwhile watch clock and threads, and give the service manager
    signs of life. Return why the process has to end, "" if it was told to."""
    look_s = min(_LOOK_EVERY_S, watchdog_s / 2) if watchdog_s else _LOOK_EVERY_S
    left = for_s
    while left is None or left > 0:
        pause = look_s if left is None else min(look_s, left)
        if stop.wait(pause):
            return ""
        if reason := app.refresh():
            return reason
        service.notify("WATCHDOG=1")
        if left is not None:
            left -= pause
    return ""
