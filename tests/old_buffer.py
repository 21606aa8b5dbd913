"""Buffer files as older versions left them."""

from __future__ import annotations

from logger.store.database import Database
from logger.store.schema import SELDOM, load_ledger, save_ledger


def make_version_two(database: Database) -> None:
    """Take away what versions 3 to 11 added, within the caller's transaction if there is one."""
    database.run("ALTER TABLE rows DROP COLUMN seal")
    for name in SELDOM:
        database.run(f"DROP INDEX rows_with_{name}")
    database.run("DROP TABLE parked")
    ledger = load_ledger(database)
    ledger.stamped_ms = None
    save_ledger(database, ledger)
    database.run("PRAGMA user_version=2")


def make_version_one(database: Database) -> None:
    """Take away what versions 2 to 11 added."""
    make_version_two(database)
    database.run("DROP TABLE leases")
    database.run("PRAGMA user_version=1")
