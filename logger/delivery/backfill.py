"""Delivers a buffer now, from a command: beside a running logger or without one.

Rows are taken under a lease that the file itself holds. A running logger leaves leased
rows alone; the lease of a command that was killed runs out by itself. Should both send a
row all the same, the database has it once and the books count it once.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence

from logger.delivery.delivery import Target, bucket_of
from logger.delivery.health import Health
from logger.delivery.outlet import batch
from logger.delivery.worker import Worker
from logger.domain.datamodel import Lane
from logger.influx.outcome import OutcomeKind
from logger.influx.write import Client
from logger.store import fold, leases, recent, schema
from logger.store.database import Database
from logger.store.rows import Settlement, StoredRow, set_aside_damaged, settle, waiting


class LeasedOutlet:
    """Rows of one lane, taken under a lease in the file; marks are committed at once."""

    def __init__(self, database: Database, lane: Lane, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._lane = lane
        self._now_ms = now_ms
        self._lease = random.getrandbits(62)  # its number: no two commands have the same

    def newest(self, after: int, lines: int) -> list[StoredRow]:  # noqa: ARG002 - an Outlet
        """Return nothing: the newest rows are the running logger's."""
        return []

    def oldest(self, after: int, lines: int, size: int) -> list[StoredRow]:
        """Take the oldest waiting rows that nobody else has."""
        database, now_ms = self._database, self._now_ms()
        with database.transaction():
            fold.begin(database)
            leases.end(database, self._lease)
            leases.end_expired(database, now_ms)
            with contextlib.closing(waiting(database, self._lane, now_ms, after=after)) as found:
                rows = batch(found, lines, size)
            if rows:
                leases.take(database, self._lease, self._lane, rows[0].id, rows[-1].id, now_ms)
            bad = [row.id for row in rows if not row.intact]
            if bad:
                ledger = fold.begin(database)
                set_aside_damaged(database, ledger, bad, now_ms)
                schema.save_ledger(database, ledger)
        return [row for row in rows if row.intact]

    def settle(self, done: Settlement) -> None:
        """Mark rows and end the lease."""
        with self._database.transaction():
            ledger = fold.begin(self._database)
            settle(self._database, ledger, done, self._now_ms())
            schema.save_ledger(self._database, ledger)
            self._end()
        self._database.checkpoint()

    def release(self, rows: Sequence[StoredRow]) -> None:
        """End the lease of rows that were not sent after all."""
        if rows:
            with self._database.transaction():
                self._end()

    def waiting(self) -> int:
        """Return how many points of this lane wait."""
        with recent.view(self._database) as on_top:
            return on_top.ledger.lanes[self._lane].waiting

    def _end(self) -> None:
        leases.end(self._database, self._lease)


def backfill(
    database: Database,
    target: Target,
    *,
    now_ms: Callable[[], int],
    progress: Callable[[int, int], None],
    rate: float | None = None,
    patience_s: float,
) -> str:
    """Deliver what waits, at most `rate` points a second, until nothing waits or the
    server takes nothing for `patience_s`.

    Returns what stopped it, "" if nothing waits any more. `progress` is called with
    (points delivered or set aside, points that waited at the start).
    """
    stop = threading.Event()
    health = Health(
        target.url, target.org, {lane: bucket_of(target, lane) for lane in Lane}, now_ms
    )
    with recent.view(database) as on_top:
        total = sum(account.waiting for account in on_top.ledger.lanes.values())
    done = 0
    problems = []
    for lane in Lane:
        client = Client(target, bucket_of(target, lane))
        outlet = LeasedOutlet(database, lane, now_ms)
        worker = Worker(lane, outlet, client.write, health, stop, _batch_lines(rate))
        quiet_since = time.monotonic()
        try:
            while True:
                before, began = _gone(health, lane), time.monotonic()
                pause = worker.step()
                if pause is None:
                    break
                moved = _gone(health, lane) - before
                if moved:
                    quiet_since = time.monotonic()
                    done += moved
                    progress(min(done, total), total)
                    if rate:
                        pause = max(pause, moved / rate - (time.monotonic() - began))
                elif pause and time.monotonic() + pause - quiet_since > patience_s:
                    state = health.state(lane)
                    problems.append(f"bucket {bucket_of(target, lane)!r}: {state.error}")
                    if state.status == OutcomeKind.UNREACHABLE.value:
                        patience_s = 0.0  # nor will it answer for the other bucket
                    break
                if pause:
                    time.sleep(pause)
        finally:
            outlet.release([])
            client.close()
    return "; ".join(problems)


def _gone(health: Health, lane: Lane) -> int:
    state = health.state(lane)
    return state.delivered + state.set_aside


def _batch_lines(rate: float | None) -> int | None:
    return None if rate is None else max(1, int(rate))
