"""Moves the points of one lane to its bucket: the newest first, then the backlog."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from logger.delivery.backoff import Backoff
from logger.delivery.bisect import SendResult, Write, send
from logger.delivery.health import Health
from logger.domain.datamodel import Lane
from logger.domain.errors import BufferFileError
from logger.influx.outcome import Outcome, OutcomeKind
from logger.store.rows import Settlement, StoredRow

log = logging.getLogger(__name__)

LIVE_LINES = 1000  # the newest points, after an outage: one small request
BATCH_LINES = 5000
BATCH_BYTES = 1024**2  # before compression
_DECIDED = {OutcomeKind.DELIVERED, OutcomeKind.REJECTED, OutcomeKind.TOO_LARGE}
_GROW_AFTER = 10  # good batches, until a batch that was made smaller may grow again


class Outlet(Protocol):
    """Where rows come from and where their marks go."""

    def newest(self, after: int, lines: int) -> list[StoredRow]:
        """Return waiting rows above number `after`, the newest ones, in order."""
        ...

    def oldest(self, after: int, lines: int, size: int) -> list[StoredRow]:
        """Return the oldest waiting rows above `after`, up to so many lines and bytes."""
        ...

    def settle(self, done: Settlement) -> None:
        """Note what became of rows."""
        ...

    def release(self, rows: Sequence[StoredRow]) -> None:
        """Rows were not sent after all."""
        ...

    def waiting(self) -> int:
        """Return how many points wait."""
        ...


class Worker:
    """Takes batches from an outlet and sends them, one at a time. For one thread."""

    def __init__(
        self,
        lane: Lane,
        outlet: Outlet,
        write: Write,
        health: Health,
        stop: threading.Event,
        most_lines: int | None = None,
        longest_s: float = 600.0,
    ) -> None:
        self.lane = lane
        self._outlet = outlet
        self._write = write
        self._health = health
        self._stop = stop
        self._backoff = Backoff(random.random)
        self._live_mark = 0  # rows up to here are not live any more
        self._cursor = 0  # the backlog is done up to here
        self._most = min(BATCH_LINES, most_lines or BATCH_LINES)
        self._lines = self._most
        self._good = 0
        self.longest_s = longest_s
        self.answers = 0  # requests after which the server has decided about lines
        self._known = ""  # a line that the server took
        self.due = 0.0
        self.get_on()

    def get_on(self, pause: float = 0.0) -> None:
        """Give a sign of life; the next one is due, by the monotonic clock at `due`, after
        `pause` seconds and the longest time that one step may take."""
        self.due = time.monotonic() + pause + self.longest_s

    def step(self) -> float | None:
        """Send one batch. Return the pause in seconds that the answer asks for, 0 if
        there may be more to send, None if nothing waits."""
        rows = self._outlet.newest(self._live_mark, min(LIVE_LINES, self._lines))
        live = bool(rows)
        if not live:
            rows = self._outlet.oldest(self._cursor, self._lines, BATCH_BYTES)
        if not rows:
            again, self._cursor = self._cursor > 0, 0
            return 0.0 if again else None
        verdict = self._send(rows)
        if verdict.stopped is not None:
            self._resize(verdict)
            self._health.failed(self.lane, verdict.stopped)
            return self._backoff.after(verdict.stopped)
        if self._stop.is_set():
            return None
        self._resize(verdict)
        self._backoff.reset()
        if live:
            self._live_mark = max(self._live_mark, rows[-1].id)
        else:
            self._cursor = rows[-1].id
        return 0.0

    def _send(self, rows: list[StoredRow]) -> SendResult:
        """Send rows, settle those that are decided, release the others."""
        try:
            return self._sent(rows)
        except BaseException:
            self._outlet.release(rows)  # else nobody would send them before the next start
            raise

    def _sent(self, rows: list[StoredRow]) -> SendResult:
        bodies = [row.body for row in rows]
        whole = None
        if not any('"' in body for body in bodies) and not self._stop.is_set():
            whole = self._attempt(bodies)  # joined as they are: nearly always that is all
            if whole.kind is OutcomeKind.DELIVERED:
                self._known = bodies[-1].rpartition("\n")[2]
                self._settle(rows, {}, SendResult())
                return SendResult()
        del bodies
        lines = [line for row in rows for line in row.lines]
        verdict = send(lines, self._attempt, self._stop.is_set, self._known, whole)
        if verdict.accepted:
            self._known = lines[max(verdict.accepted)]
        if len(verdict.accepted) == len(lines):  # as nearly always
            self._settle(rows, {}, verdict)
            return verdict
        places = [(at, n) for at, row in enumerate(rows) for n in range(row.points)]
        refused: dict[int, dict[int, str]] = {}
        open_rows = set(range(len(rows)))
        undecided = set()
        for index, (at, number) in enumerate(places):
            if index in verdict.refused:
                refused.setdefault(rows[at].id, {})[number] = verdict.refused[index]
            elif index not in verdict.accepted:
                undecided.add(at)
        done = [rows[at] for at in sorted(open_rows - undecided)]
        self._outlet.release([rows[at] for at in sorted(undecided)])
        settled = {row.id for row in done}
        kept = {number: reasons for number, reasons in refused.items() if number in settled}
        if done:
            self._settle(done, kept, verdict)
        return verdict

    def _attempt(self, lines: Sequence[str]) -> Outcome:
        self.get_on()
        outcome = self._write(lines)
        self.answers += outcome.kind in _DECIDED
        return outcome

    def _settle(
        self, done: list[StoredRow], kept: dict[int, dict[int, str]], verdict: SendResult
    ) -> None:
        """Hand over decided rows, with the reasons of those lines that were refused."""
        self._outlet.settle(Settlement(done, kept))
        aside = [reason for reasons in kept.values() for reason in reasons.values()]
        if aside:
            self._health.refused(self.lane, aside)
        if verdict.stopped is None:
            self._health.worked(
                self.lane,
                max(row.last_ms for row in done),
                sum(row.points for row in done) - len(aside),
                self._outlet.waiting,
            )

    def _resize(self, verdict: SendResult) -> None:
        """Make batches smaller after 413 or a timeout, and larger again in time."""
        stopped = verdict.stopped
        if verdict.too_large is not None:
            self._lines, self._good = max(1, verdict.too_large // 2), 0
        elif stopped is not None and stopped.kind is OutcomeKind.TIMEOUT:
            self._lines, self._good = max(100, self._lines // 2), 0
        elif stopped is None:
            self._good += 1
            if self._good >= _GROW_AFTER and self._lines < self._most:
                self._lines, self._good = min(2 * self._lines, self._most), 0

    def run(self, idle: Callable[[], None]) -> None:
        """Go on until `stop` is set; `idle` waits for new rows."""
        while not self._stop.is_set():
            self.get_on()
            try:
                pause = self.step()
            except BufferFileError as err:
                log.debug("delivery of %s: %s", self.lane.value, err)
                pause = 1.0  # the buffer says in the log what is wrong with it
            except Exception as err:
                log.exception("delivery of %s: unexpected", self.lane.value)
                self._health.failed(self.lane, Outcome(OutcomeKind.BUSY, f"unexpected: {err}"))
                pause = 10.0
            self.get_on(pause or 0.0)
            if pause is None:
                idle()
            elif pause:
                self._stop.wait(pause)
