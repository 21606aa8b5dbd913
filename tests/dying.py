"""The logger with a fault in one of its threads: `python -m tests.dying FAULT TRIGGER run ...`.

As long as the file TRIGGER is there the thread ends ("end ..."), stays where it is
("hang ..."), sleeps on ("sleep ...") or lives and finds nothing to do ("starve ...");
a thread that ends takes the file away, so that it happens once, unless FAULT begins
with "again". Who is late ends the process after a few seconds, or those of DYING_END_S.
"""

from __future__ import annotations

import functools
import os
import socketserver
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIServer

from apscheduler.schedulers.background import BackgroundScheduler

import logger.delivery.delivery
import logger.influx.write
import logger.runtime.parts
import logger.runtime.watch
from logger.buffer.exchange import Exchange
from logger.buffer.writer import Writer
from logger.cli import main
from logger.delivery.outlet import BufferOutlet, SecondOutlet
from logger.derive.intake import Intake
from logger.influx.write import Client
from logger.meter.session import MeterReader
from logger.runtime.overview import Overview
from logger.runtime.schedule import _Worker
from logger.runtime.watch import Part

PLACES: dict[str, tuple[type, str]] = {
    "schedule": (BackgroundScheduler, "_process_jobs"),
    "bus": (MeterReader, "read"),
    "health": (Overview, "points"),
    "buffer": (Writer, "commit"),
    "deliver": (Client, "write"),
    "backlog": (SecondOutlet, "oldest"),
    "idle": (Exchange, "wait"),
    "rows": (BufferOutlet, "_fetch"),
    "status": (socketserver.ThreadingUnixStreamServer, "service_actions"),
    "metrics": (WSGIServer, "service_actions"),
    "main": (Intake, "refresh"),
}


# The part that is late when a place hangs, by a word of its name.
LATE = {
    "schedule": "the schedule",
    "bus": "bus line",
    "buffer": "the buffer",
    "deliver": "deliver-",
    "idle": "deliver-",
    "rows": "the delivery of",
}


class Ended(BaseException):
    """No `except Exception` holds it up."""


def break_at(place: str, fault: Callable[[Any], None]) -> None:
    """Let `fault` come before what is done at `place`."""
    owner, name = PLACES[place]
    original = getattr(owner, name)

    @functools.wraps(original)
    def broken(self: Any, *args: Any, **options: Any) -> Any:
        fault(self)
        return original(self, *args, **options)

    setattr(owner, name, broken)


def impatient(
    place: str, trigger: Path, name: str, late_s: Callable[[], float], *more: Any, **options: Any
) -> Part:
    """Return a part that may be late for seconds only, if it is the one with the fault and
    there is a `trigger`: on a busy machine others are late without any."""
    if LATE.get(place, "?") not in name:
        return Part(name, late_s, *more, **options)

    def late() -> float:
        return late_s() if trigger.exists() else min(late_s(), 0.0)

    end_s = float(os.environ.get("DYING_END_S", "6"))
    return Part(name, late, *more, **{**options, "end_s": end_s})


def starve(place: str, trigger: Path) -> None:
    """Let what is done at `place` find nothing while there is a `trigger`."""
    owner, name = PLACES[place]
    original = getattr(owner, name)

    def nothing(*args: Any, **options: Any) -> Any:
        return [] if trigger.exists() else original(*args, **options)

    setattr(owner, name, nothing)


def install(fault: str, trigger: Path) -> None:
    """Put the fault in its place; waits become short enough for a test."""
    kind, place = fault.rsplit(" ", 1)

    def end(_: object) -> None:
        if trigger.exists():
            if not kind.startswith("again"):
                trigger.unlink(missing_ok=True)
            raise Ended(place)

    def hang(_: object) -> None:
        if trigger.exists():
            threading.Event().wait()

    def sleep(worker: Any) -> None:
        if trigger.exists() and "bus" in worker._thread.name:
            worker._wakeup.notify = lambda: None

    if kind == "sleep":
        PLACES[place] = (_Worker, "_do_submit_job")
        break_at(place, sleep)
    elif kind == "starve":
        starve(place, trigger)
    else:
        break_at(place, hang if kind == "hang" else end)
    if kind in {"hang", "sleep", "starve"}:
        for owner, name, value in (
            (logger.runtime.watch, "TOLD_S", 3.0),
            (logger.runtime.parts, "Part", functools.partial(impatient, place, trigger)),
            (logger.delivery.delivery, "_LOOK_S", 1.0),
            (logger.delivery.delivery, "_LEASE_S", 0.0),
            (logger.influx.write, "_FIND_S", 0.0),
        ):
            setattr(owner, name, value)


if __name__ == "__main__":
    _, wanted, file, *arguments = sys.argv
    install(wanted, Path(file))
    sys.argv = ["inepro-logger", *arguments]
    main()
