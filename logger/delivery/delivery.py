"""Delivers a buffer to InfluxDB: threads for each lane, so that a bucket that is missing
does not stop the other."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from logger.buffer import Buffer
from logger.delivery.health import Health, LaneState
from logger.delivery.outlet import BufferOutlet, SecondOutlet
from logger.delivery.progress import Progress
from logger.delivery.worker import Worker
from logger.domain.datamodel import Lane
from logger.influx.write import Client, WriteTarget
from logger.store.rows import LEASE_MS

_LOOK_S = 30.0  # the longest time without a look into the buffer
# A backlog longer than this is sent by two: one waits for the server, one prepares.
_LONG_LINES = 20_000
_LEASE_S = LEASE_MS / 1000  # a command may keep the rows that wait for so long
_MENDING_S = 30.0  # the buffer is not just committing: nothing is delivered meanwhile


class Target(WriteTarget, Protocol):
    """The section [influxdb]."""

    @property
    def bucket(self) -> str: ...
    @property
    def fast_bucket(self) -> str: ...


def bucket_of(target: Target, lane: Lane) -> str:
    """Return the bucket that a lane goes to."""
    return (lane is Lane.FAST and target.fast_bucket) or target.bucket


class Delivery:
    """Sends what the buffer holds, for as long as it runs, whatever the server does."""

    def __init__(self, buffer: Buffer, target: Target, *, now_ms: Callable[[], int]) -> None:
        self._buffer = buffer
        self._target = target
        self._stop = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._workers: dict[str, Worker] = {}
        self._runs = {
            f"{name}-{lane.value}": partial(run, lane)
            for lane in Lane
            for run, name in ((self._run, "deliver"), (self._help, "backlog"))
        }
        buckets = {lane: bucket_of(target, lane) for lane in Lane}
        self._progress = {lane: Progress() for lane in Lane}
        self._health = Health(target.url, target.org, buckets, now_ms)

    def start(self) -> None:
        """Start delivering. Returns at once; the server need not be there."""
        self._stop.clear()
        for name in self._runs:
            self.restart(name)

    def restart(self, name: str) -> None:
        """Start one of the threads, also in place of one that has ended."""
        self._workers.pop(name, None)
        self._threads[name] = threading.Thread(target=self._runs[name], name=name, daemon=True)
        self._threads[name].start()

    def threads(self) -> Mapping[str, Callable[[], float]]:
        """Return for each thread what tells by how many seconds its sign of life is late,
        infinity when it has ended."""
        return {name: partial(self._late_s, name) for name in self._runs}

    def _late_s(self, name: str) -> float:
        thread, worker = self._threads.get(name), self._workers.get(name)
        if thread is None or self._stop.is_set():
            return 0.0
        if not thread.is_alive():
            return math.inf
        return 0.0 if worker is None else time.monotonic() - worker.due

    def lanes(self) -> Mapping[str, Callable[[], float]]:
        """Return for each lane what tells by how many seconds its points are late: they
        wait, nothing is known to be wrong, and none is delivered or set aside."""
        return {lane.value: partial(self._stands_s, lane) for lane in Lane}

    def _stands_s(self, lane: Lane) -> float:
        buffer, state = self._buffer, self._health.state(lane)
        workers = [self._workers.get(f"{name}-{lane.value}") for name in ("deliver", "backlog")]
        first = workers[0]
        if first is None or self._stop.is_set():
            return 0.0
        with buffer.exchange.changed:
            books = buffer.books().lanes[lane]
            in_file = books.waiting - buffer.exchange.pending.points[lane]
        kept = not buffer.state().ok or buffer.late_s() > _MENDING_S
        answers = sum(worker.answers for worker in workers if worker is not None)
        return self._progress[lane].late_s(
            (books.delivered, books.set_aside, books.dropped, answers),
            can=state.ok and in_file > 0 and not kept,
            may_take_s=first.longest_s + _LEASE_S,
            now=time.monotonic(),
        )

    def stop(self, timeout_s: float = 2.0) -> None:
        """Stop. A request that still hangs after `timeout_s` is left to itself: its
        points wait in the buffer and are sent again after the next start."""
        self._stop.set()
        self._buffer.exchange.wake()
        until = time.monotonic() + timeout_s
        for thread in self._threads.values():
            thread.join(max(0.0, until - time.monotonic()))
        self._threads.clear()

    def state(self) -> Mapping[Lane, LaneState]:
        """Return how the delivery of each lane is."""
        return {lane: self._health.state(lane) for lane in Lane}

    def _run(self, lane: Lane) -> None:
        exchange = self._buffer.exchange
        seen = -1

        def idle() -> None:
            nonlocal seen
            exchange.emptied()
            seen = exchange.wait(seen, _LOOK_S, self._stop.is_set)

        self._work(lane, BufferOutlet(self._buffer, lane), idle)

    def _help(self, lane: Lane) -> None:
        exchange = self._buffer.exchange
        seen = -1

        def wanted() -> bool:
            long = self._buffer.books().lanes[lane].waiting > _LONG_LINES
            return long and self._health.state(lane).status == "ok"

        def idle() -> None:  # a backlog grows, and shrinks, with a commit
            nonlocal seen
            seen = exchange.wait(seen, _LOOK_S, self._stop.is_set)

        self._work(lane, SecondOutlet(self._buffer, lane, wanted), idle)

    def _work(self, lane: Lane, outlet: BufferOutlet, idle: Callable[[], None]) -> None:
        client = Client(self._target, bucket_of(self._target, lane))
        longest_s = client.longest_s + _LOOK_S
        worker = Worker(lane, outlet, client.write, self._health, self._stop, longest_s=longest_s)
        self._workers[threading.current_thread().name] = worker
        try:
            worker.run(idle)
        finally:
            outlet.close()
            client.close()
