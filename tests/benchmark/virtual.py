"""The logger in virtual time, as a process: everything real but the clock.

Run as a program with a configuration file, a time file and the virtual time to stop at.
A loop does the tasks one after the other, each when the virtual clock reaches its turn,
so that a day takes as long as its readings and not longer. The line's process goes by the
same time file.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import logger.meter.mbusreader
import logger.meter.readers
import logger.runtime.app
from logger.config import load_config
from logger.derive.clock import Clock, Machine
from logger.meter.mbusreader import MbusReader
from logger.meter.session import MeterReader
from logger.runtime import logs
from logger.runtime.task import Task
from tests.benchmark.clockfile import Time

# Points that may wait for a commit before the virtual clock is held up.
_IN_MEMORY = 20_000


class _Turns:
    """The tasks by the time they are due; stands in for the schedule."""

    def __init__(self, tasks: tuple[Task, ...], now: float) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._numbers = itertools.count()
        self._heap: list[tuple[float, int, Task, bool]] = []
        for task in tasks:
            if task.at_start:
                self._push(now, task, again=False)
            self._push(_multiple(now, task.interval_s), task)

    def soon(self, name: str) -> None:
        """Do the task called `name` out of turn."""
        self._push(0.0, self._tasks[name], again=False)

    def next(self, now: float) -> tuple[float, Task]:
        """Return what comes next and when."""
        due, _, task, again = heapq.heappop(self._heap)
        due = max(due, now)
        if again:
            self._push(_multiple(due, task.interval_s), task)
        return due, task

    def _push(self, due: float, task: Task, *, again: bool = True) -> None:
        heapq.heappush(self._heap, (due, next(self._numbers), task, again))


def _multiple(now: float, interval_s: float) -> float:
    return (now // interval_s + 1) * interval_s


def run(config: Path, clock: Time, until: float, stopping: Callable[[], bool]) -> None:
    """Run the logger from the time on the clock until `until`."""
    machine = Machine(lambda: clock.now + clock.offset, lambda: clock.now, lambda: True)
    wall = partial(Clock, not_before_ms=0, patience_s=0.0)  # the time is that of another year
    reader = partial(MeterReader, clock=lambda: clock.now)
    mbus_reader = partial(MbusReader, clock=lambda: clock.now)
    with (
        patch.object(logger.runtime.app, "Clock", wall),
        patch.object(logger.meter.readers, "MeterReader", reader),
        patch.object(logger.meter.mbusreader, "MbusReader", mbus_reader),
        # The line takes no time, so nobody has to wait for its silence.
        patch("minimalmodbus._calculate_minimum_silent_period", lambda baudrate: 0.0),
    ):
        app = logger.runtime.app.App(load_config(config), machine=machine)
        turns = _Turns(app.schedule.tasks, clock.now)
        dice = random.Random()  # no two runs read in the same millisecond, as in life
        with (
            patch.object(app.schedule, "start"),
            patch.object(app.schedule, "clock_stepped"),
            patch.object(app.schedule, "soon", turns.soon),
        ):
            app.start()
            looked = 0.0
            while not stopping():
                due, task = turns.next(clock.now)
                if due >= until:
                    break
                clock.now = max(clock.now, due + dice.uniform(0.01, 0.2))
                if due - looked >= 1.0:
                    app.refresh()
                    looked = due
                task.run(round(due * 1000))
                if next(_hold) % 64 == 0:
                    while app.buffer.state().in_memory > _IN_MEMORY and not stopping():
                        time.sleep(0.01)
            app.stop()


_hold = itertools.count()


def start(config: Path, clock: Time, until: float, log: Path) -> subprocess.Popen[bytes]:
    """Start `run` as a process."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.benchmark.virtual",
                str(config),
                str(clock.path),
                repr(until),
            ],
            stdout=file,
            stderr=file,
        )


def main() -> None:
    """Run until the given virtual time or SIGTERM."""
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    logs.set_up("text", logging.INFO)
    run(Path(sys.argv[1]), Time(Path(sys.argv[2])), float(sys.argv[3]), lambda: bool(stop))


if __name__ == "__main__":
    main()
