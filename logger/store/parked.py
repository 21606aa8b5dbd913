"""Readings that wait in the buffer file for the clock to be set.

They have the moment since boot instead of a time. `released_id` of the ledger says up to
which number they became rows: a damaged file may still show some of those.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from logger.store.database import Database
from logger.store.ledger import Ledger

LIMIT = 20_000  # readings; the oldest go

TABLE = """\
CREATE TABLE parked (
  id INTEGER PRIMARY KEY,     -- in the order of arrival, never used twice
  boot TEXT NOT NULL,         -- the kernel's boot_id when it was read
  moment_ms INTEGER NOT NULL, -- when, in milliseconds since that boot, time asleep included
  crc INTEGER NOT NULL,       -- CRC-32 of 'id|boot|moment_ms|' and body
  body TEXT NOT NULL          -- JSON: the reading
)"""


@dataclass(frozen=True, slots=True)
class Parked:
    """A reading in the file: its number, in which boot and when it was read (milliseconds
    since that boot began), and what it says."""

    id: int
    boot: str
    moment_ms: int
    body: str

    @property
    def crc(self) -> int:
        """The checksum that belongs to it."""
        text = f"{self.id}|{self.boot}|{self.moment_ms}|{self.body}"
        return zlib.crc32(text.encode("utf-8", "surrogateescape"))


def insert(database: Database, ledger: Ledger, new: Sequence[Parked]) -> int:
    """Add readings, whose numbers are given here; return how many had to go for them."""
    for one in new:
        put(database, Parked(ledger.next_parked, one.boot, one.moment_ms, one.body))
        ledger.next_parked += 1
    oldest = ledger.next_parked - LIMIT
    return database.run("DELETE FROM parked WHERE id<?", oldest) if new else 0


def put(database: Database, one: Parked) -> None:
    """Store a reading under its own number."""
    database.run(
        "REPLACE INTO parked (id, boot, moment_ms, crc, body) VALUES (?, ?, ?, ?, ?)",
        one.id,
        one.boot,
        one.moment_ms,
        one.crc,
        one.body,
    )


def release(database: Database, ledger: Ledger, number: int) -> None:
    """Forget the readings up to `number`: their points are rows by this commit."""
    if number > ledger.released_id:
        ledger.released_id = number
        database.run("DELETE FROM parked WHERE id<=?", number)


def load(path: Path, after: int, limit: int) -> list[Parked]:
    """Return readings above number `after`, oldest first; damaged ones are left out.

    Raises BufferFileError.
    """
    with closing(Database.open_readonly(path)) as database:
        found = database.rows(
            "SELECT id, boot, moment_ms, body, crc FROM parked WHERE id>? ORDER BY id LIMIT ?",
            after,
            limit,
        )
    read = [(Parked(*values), crc) for *values, crc in found]
    return [one for one, crc in read if one.crc == crc]


def first_of(path: Path, boot: str) -> int | None:
    """Return the first moment of a boot from which readings wait. Raises BufferFileError."""
    with closing(Database.open_readonly(path)) as database:
        found: int | None = database.value("SELECT min(moment_ms) FROM parked WHERE boot=?", boot)
        return found


def count(database: Database) -> int:
    """Return how many readings wait; they go from one end only."""
    found = database.row("SELECT min(id), max(id) FROM parked")
    return 0 if found is None or found[0] is None else int(found[1] - found[0] + 1)
