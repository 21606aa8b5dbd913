"""Buffer files as older versions left them."""

from __future__ import annotations

import zlib
from pathlib import Path

from logger.domain.datamodel import Lane
from logger.store.database import Database
from logger.store.schema import SELDOM, load_ledger, migrate, save_ledger


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


def write_version(path: Path, version: int, lines: list[str]) -> None:
    """Make a file of a version with one row of lines, all of one time, that waits."""
    database = Database.open(path)
    migrate(database, version)
    body, time_ms = "\n".join(lines), int(lines[0].rsplit(" ", 1)[1])
    crc = zlib.crc32(f"1|fast|{len(lines)}|{time_ms}|{time_ms}|{body}".encode())
    with database.transaction():
        database.run(
            "INSERT INTO rows (id, state, lane, points, first_ms, last_ms, changed_ms, counters, "
            "crc, body) VALUES (1, 0, 'fast', ?, ?2, ?2, ?2, 0, ?3, ?4)",
            *(len(lines), time_ms, crc, body),
        )
        ledger = load_ledger(database)
        ledger.next_id = 2
        ledger.lanes[Lane.FAST].read = ledger.lanes[Lane.FAST].waiting = len(lines)
        save_ledger(database, ledger)
    database.checkpoint(truncate=True)
    database.close()
