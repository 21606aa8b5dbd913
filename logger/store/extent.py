"""How many rows a buffer file has, and of which times."""

from __future__ import annotations

from logger.store.database import Database


def extremes(database: Database) -> tuple[int | None, int | None]:
    """Return the time of the oldest row that waits, and the newest of the last rows."""
    times = database.row(
        "SELECT (SELECT first_ms FROM rows WHERE state=0 AND lane='main' "
        "ORDER BY id LIMIT 1), (SELECT first_ms FROM rows WHERE state=0 "
        "AND lane='fast' ORDER BY id LIMIT 1), (SELECT max(last_ms) FROM (SELECT last_ms "
        "FROM rows ORDER BY id DESC LIMIT 100))"
    )
    main, fast, newest = times or (None, None, None)
    return min((time for time in (main, fast) if time is not None), default=None), newest


def count(database: Database) -> int:
    """Return how many rows there are."""
    return int(database.value("SELECT count(*) FROM rows"))
