"""Leases of rows: what a command delivers, the running logger leaves alone until they end."""

from __future__ import annotations

from logger.domain.datamodel import Lane
from logger.store.database import Database
from logger.store.rows import LEASE_MS


def take(
    database: Database, lease: int, lane: Lane, first_id: int, last_id: int, now_ms: int
) -> None:
    """Lease the rows `first_id` to `last_id` of `lane` under the number `lease`."""
    database.run(
        "INSERT INTO leases (id, lane, first_id, last_id, until_ms) VALUES (?, ?, ?, ?, ?)",
        lease,
        lane.value,
        first_id,
        last_id,
        now_ms + LEASE_MS,
    )


def end(database: Database, lease: int) -> None:
    """End the lease of the number `lease`, if there is one."""
    database.run("DELETE FROM leases WHERE id=?", lease)


def end_expired(database: Database, now_ms: int) -> None:
    """End the leases that have run out: their commands were killed."""
    database.run("DELETE FROM leases WHERE until_ms<?", now_ms)
