"""When jobs run.

Every task fires on wall-clock multiples of its interval; those of a worker that have one
interval are one job of APScheduler, however many meters there are. Each bus has one worker
thread, so no bus waits for another; among the tasks due on one bus the one whose next
turn comes first goes first (earliest deadline first), so that a round of counters never
delays the fast readings beyond their interval. A turn may begin until the next one is
due; one that has not begun by then is missed.
"""

from __future__ import annotations

import heapq
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from logger.runtime.bell import Bell
from logger.runtime.scheduler import BackgroundScheduler, BaseExecutor, BaseTrigger
from logger.runtime.task import EPOCH, Task

log = logging.getLogger(__name__)

_LENT = "a request of another master"


class _Multiples(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Fires at whole multiples of an interval since 1970, whatever happened before."""

    def __init__(self, interval_s: float) -> None:
        self._interval = timedelta(seconds=interval_s)

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """Return the first multiple that is not before `now` and not `previous`."""
        turns = -(-(now - EPOCH) // self._interval)
        due = EPOCH + turns * self._interval
        if previous is not None and due <= previous < due + self._interval:
            due += self._interval
        return due


class _Worker(BaseExecutor):  # type: ignore[misc]  # APScheduler has no types
    """One thread that does what is due, the earliest deadline first.

    A task waits at most once. A turn that comes while the one before still waits takes its
    place, with its deadline: a task that was passed over goes before those that were not.
    """

    def __init__(self, idle: Callable[[], None] | None = None, bell: Bell | None = None) -> None:
        super().__init__()
        self._wakeup = threading.Condition()
        self._queue: list[tuple[datetime, int, Task]] = []
        self._due: dict[str, datetime] = {}  # the newest turn of each task in the queue
        self._number = 0
        self._lent: deque[Callable[[], None]] = deque()  # for others, when nothing is due
        self._name = ""
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._idle = idle  # done behind each turn, when nothing waits
        self._bell = bell  # rings while anything waits, for who listens to a line meanwhile
        self.doing = ""  # the name of the running task
        # Monotonic: when turns came last from the scheduler, when this thread had or ended one.
        self.came = self._moved = 0.0

    def start(self, scheduler: Any, alias: str) -> None:
        """Start the thread; called by the scheduler."""
        super().start(scheduler, alias)
        self._name = alias
        self.came = time.monotonic()
        self.begin()

    def begin(self) -> None:
        """Start a thread, also in place of one that has ended."""
        self.doing = ""
        self._moved = time.monotonic()
        self._thread = threading.Thread(target=self._work, name=f"worker {self._name}", daemon=True)
        self._thread.start()

    @property
    def wanted(self) -> bool:
        """Whether anything waits for the thread, or it is to end."""
        return bool(self._queue or self._lent or self._stopping)

    def late_s(self) -> float:
        """Return for how many seconds a task has been running or waiting for the thread,
        infinity when that has ended, 0 when there is nothing to do."""
        if self._stopping or self._thread is None:
            return 0.0
        if not self._thread.is_alive():
            return math.inf
        return time.monotonic() - self._moved if self.doing or self._queue else 0.0

    def shutdown(self, wait: bool = True) -> None:
        """Let the running task end; those still waiting are dropped."""
        with self._wakeup:
            self._stopping = True
            self._queue.clear()
            self._due.clear()
            self._tell()
        if wait and self._thread is not None:
            self._thread.join()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end; return whether it did."""
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def clock_stepped(self) -> None:
        """Let what waits be due now: its times are those of the clock before the step."""
        now = datetime.now(UTC)
        with self._wakeup:
            self._due = dict.fromkeys(self._due, now)
            self._queue = [(_deadline(task, now), number, task) for _, number, task in self._queue]
            heapq.heapify(self._queue)

    def submit_job(self, job: Any, run_times: list[datetime]) -> None:
        """Let a turn wait for the thread, also while the one before is running.

        APScheduler would skip it then, though the line may be free a moment later.
        """
        self._do_submit_job(job, run_times)

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        self.came = time.monotonic()
        self.take(job.args, run_times[-1])

    def take(self, tasks: Iterable[Task], due: datetime) -> None:
        """Let `tasks` have a turn, which is due at `due`."""
        with self._wakeup:
            if not self.doing and not self._queue:
                self._moved = time.monotonic()
            for task in tasks:
                task.waits(due)
                if task.name not in self._due:
                    self._number += 1
                    heapq.heappush(self._queue, (_deadline(task, due), self._number, task))
                self._due[task.name] = due
            self._tell()

    def lend(self, run: Callable[[], None]) -> None:
        """Let `run` have the thread as soon as no task waits for it."""
        with self._wakeup:
            self._lent.append(run)
            self._tell()

    def _tell(self) -> None:
        """Say to the thread that something waits for it, whatever it is doing."""
        self._wakeup.notify()
        if self._bell is not None:
            self._bell.ring()

    def _work(self) -> None:
        while True:
            with self._wakeup:
                while not (self._queue or self._lent or self._stopping):
                    self._wakeup.wait()
                if self._stopping:
                    return
                if self._queue:
                    _, _, task = heapq.heappop(self._queue)
                    self.doing = task.name
                    run: Callable[[], None] = partial(task.take, self._due.pop(task.name))
                else:
                    self.doing, run = _LENT, self._lent.popleft()
                self._moved = time.monotonic()
                if self._bell is not None and not self.wanted:
                    self._bell.hush()
            try:
                run()
                if self._idle is not None and not self.wanted:
                    self._idle()
            except Exception:  # a fault in one task must not end the thread of a bus
                log.exception("%s failed", self.doing)
            with self._wakeup:
                self.doing = ""
                self._moved = time.monotonic()


def _deadline(task: Task, due: datetime) -> datetime:
    return due + timedelta(seconds=task.interval_s)


class Schedule:
    """All tasks of the logger and the threads that do them.

    `idle` is what a worker does behind each turn, if nothing waits for it; its bell rings
    while something does.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        idle: Mapping[str, Callable[[], None]] | None = None,
        bells: Mapping[str, Bell] | None = None,
    ) -> None:
        self.tasks = tuple(tasks)
        self._named = {task.name: task for task in self.tasks}
        for noisy in ("apscheduler.scheduler", "apscheduler.executors"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        idle, bells = idle or {}, bells or {}
        self._workers = {
            name: _Worker(idle.get(name), bells.get(name))
            for name in dict.fromkeys(task.worker for task in self.tasks)
        }
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors=self._workers,
            job_defaults={"coalesce": True, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """Start all workers and tasks; those marked `at_start` are due at once."""
        rounds: dict[tuple[str, float], list[Task]] = {}
        for task in self.tasks:
            rounds.setdefault((task.worker, task.interval_s), []).append(task)
        for (worker, interval_s), tasks in rounds.items():
            trigger = _Multiples(interval_s)
            self._scheduler.add_job(_nothing, trigger, args=tasks, executor=worker)
        self._scheduler.start()
        now = datetime.now(UTC)
        for task in self.tasks:
            if task.at_start:
                self._workers[task.worker].take([task], now)

    def soon(self, name: str) -> None:
        """Let the task called `name` run as soon as its worker is free."""
        task = self._named[name]
        self._workers[task.worker].take([task], datetime.now(UTC))

    def workers(self) -> Mapping[str, Callable[[], float]]:
        """Return for each worker what tells by how many seconds it is late; see `_Worker`."""
        return {name: worker.late_s for name, worker in self._workers.items()}

    def lend(self, name: str, run: Callable[[], None]) -> None:
        """Let `run` have the thread of a worker when none of its tasks waits."""
        self._workers[name].lend(run)

    def wanted(self, name: str) -> bool:
        """Return whether anything waits for a worker."""
        return self._workers[name].wanted

    def doing(self, name: str) -> str:
        """Return the name of the task that a worker is doing, "" if none."""
        return self._workers[name].doing

    def restart(self, name: str) -> None:
        """Start the thread of a worker again that has ended; what waited for it waits on."""
        self._workers[name].begin()

    def late_s(self) -> float:
        """Return by how many seconds the thread that says what is due is late, infinity
        when it has ended."""
        thread: threading.Thread | None = self._scheduler._thread
        if not self._scheduler.running or thread is None or not self.tasks:
            return 0.0
        if not thread.is_alive():
            return math.inf
        came = max(worker.came for worker in self._workers.values())
        return time.monotonic() - came - min(task.interval_s for task in self.tasks)

    def clock_stepped(self) -> None:
        """Plan every task anew after a step of the wall clock."""
        for worker in self._workers.values():
            worker.clock_stepped()
        for job in self._scheduler.get_jobs():
            for task in job.args:
                task.forget()
            job.reschedule(_Multiples(job.args[0].interval_s))

    def stop(self, timeout_s: float) -> bool:
        """Stop: running tasks may end, for `timeout_s` in all. Returns whether all did."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        deadline = time.monotonic() + timeout_s
        done = True
        for worker in self._workers.values():
            done = worker.join(max(0.0, deadline - time.monotonic())) and done
        return done


def _nothing(*_tasks: Task) -> None:
    """What APScheduler is told to call; the worker calls the tasks themselves."""
