"""What a batch is as a commit of the journal."""

from __future__ import annotations

import logging

from logger.buffer.exchange import Batch
from logger.store import fold, parked, rows
from logger.store.database import Database
from logger.store.frames import Commit
from logger.store.ledger import Ledger
from logger.store.recent import Recent

log = logging.getLogger(__name__)


def noted(database: Database, on_top: Recent, ledger: Ledger, batch: Batch, now_ms: int) -> Commit:
    """Return a batch as a commit of the journal, and book it."""
    new = [rows.numbered(row, ledger.next_id + at) for at, row in enumerate(batch.rows)]
    ledger.next_id += len(new)
    rows.book(ledger, batch.rows)
    if new:
        ledger.stamped_ms = now_ms  # follows the clock when that is set back
    ledger.released_id = max(ledger.released_id, *(row.released for row in batch.rows), 0)
    if lost := parked.in_the_way(database, on_top, ledger, len(batch.parked)):
        log.warning("buffer: %d readings without a time had to go for later ones", lost)
    waits = parked.numbered(ledger, batch.parked)
    for (lane, reason), points in batch.drops.items():
        ledger.lanes[lane].read += points
        ledger.lanes[lane].drops[reason] += points
    done = fold.still_waiting(database, on_top, batch.settled)
    for row in done:
        ledger.lanes[row.lane].waiting -= row.points
        ledger.lanes[row.lane].delivered += row.points
    counters = [row.counters for row in batch.rows]
    return Commit(0, now_ms, ledger, new, counters, [row.id for row in done], waits)
