"""Readings that wait in the buffer file for the clock to be set.

They have the moment since boot instead of a time. `released_id` of the ledger says up to
which number they became rows: a damaged file may still show some of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from logger.store import recent
from logger.store.database import Database
from logger.store.ledger import Ledger
from logger.store.row import Parked

__all__ = ["LIMIT", "Parked", "count", "first_of", "insert", "load", "put", "release"]

LIMIT = 20_000  # readings; the oldest go


def numbered(ledger: Ledger, new: Sequence[Parked]) -> list[Parked]:
    """Return readings with numbers of their own."""
    found = []
    for one in new:
        found.append(Parked(ledger.next_parked, one.boot, one.moment_ms, one.body))
        ledger.next_parked += 1
    return found


def in_the_way(database: Database, on_top: recent.Recent, ledger: Ledger, new: int) -> int:
    """Return how many readings have to go for `new` ones that come on top."""
    if not new:
        return 0
    stored = database.value("SELECT count(*) FROM parked WHERE id>?", _gone(ledger))
    fresh = sum(one.id > _gone(ledger) for one in on_top.parked())
    return max(0, int(stored) + fresh + new - LIMIT)


def insert(database: Database, ledger: Ledger, new: Sequence[Parked]) -> int:
    """Add readings, whose numbers are given here; return how many had to go for them."""
    for one in numbered(ledger, new):
        put(database, one)
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
    with closing(Database.open_readonly(path)) as database, recent.view(database) as on_top:
        after = max(after, _gone(on_top.ledger))
        found = database.rows(
            "SELECT id, boot, moment_ms, body, crc FROM parked WHERE id>? ORDER BY id LIMIT ?",
            after,
            limit,
        )
        fresh = [one for one in on_top.parked() if one.id > after]
    read = [(Parked(*values), crc) for *values, crc in found]
    return [*(one for one, crc in read if one.crc == crc), *fresh][:limit]


def first_of(path: Path, boot: str) -> int | None:
    """Return the first moment of a boot from which readings wait. Raises BufferFileError."""
    with closing(Database.open_readonly(path)) as database, recent.view(database) as on_top:
        gone = _gone(on_top.ledger)
        found: int | None = database.value(
            "SELECT min(moment_ms) FROM parked WHERE boot=? AND id>?", boot, gone
        )
        moments = [one.moment_ms for one in on_top.parked() if one.boot == boot and one.id > gone]
    return min([*moments, *([] if found is None else [found])], default=None)


def count(database: Database) -> int:
    """Return how many readings wait; they go from one end only."""
    with recent.view(database) as on_top:
        gone = _gone(on_top.ledger)
        if gone >= on_top.ledger.next_parked - 1:
            return 0
        found = database.row("SELECT min(id), max(id) FROM parked WHERE id>?", gone)
        fresh = on_top.parked()
    stored = 0 if found is None or found[0] is None else int(found[1] - found[0] + 1)
    return min(stored + len(fresh), LIMIT)


def _gone(ledger: Ledger) -> int:
    """Return up to which number readings became rows, or went for later ones."""
    return max(ledger.released_id, ledger.next_parked - 1 - LIMIT)
