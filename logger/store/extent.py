"""How many rows a buffer file has, and of which times."""

from __future__ import annotations

from logger.domain.datamodel import Lane
from logger.store import recent
from logger.store.database import Database

_NEWEST = "SELECT max(last_ms) FROM (SELECT last_ms FROM rows ORDER BY id DESC LIMIT ?)"
_ROWS = 100  # the last ones


def extremes(database: Database) -> tuple[int | None, int | None]:
    """Return the time of the oldest row that waits, and the newest of the last rows."""
    with recent.view(database) as on_top:
        oldest = [_first_waiting(database, on_top, lane) for lane in Lane]
        fresh = [row.last_ms for row in on_top.rows()][-_ROWS:]
        stored = database.value(_NEWEST, _ROWS - len(fresh))
    newest = max((time for time in (*fresh, stored) if time is not None), default=None)
    return min((time for time in oldest if time is not None), default=None), newest


def count(database: Database) -> int:
    """Return how many rows there are."""
    with recent.view(database) as on_top:
        return int(database.value("SELECT count(*) FROM rows")) + len(on_top.rows())


def _first_waiting(database: Database, on_top: recent.Recent, lane: Lane) -> int | None:
    sql = "SELECT id, first_ms FROM rows WHERE state=0 AND lane=? ORDER BY id"
    for number, first_ms in database.stream(sql, lane.value):
        if number not in on_top.delivered:
            return int(first_ms)
    fresh = (row.first_ms for row in on_top.rows(lane) if row.id not in on_top.delivered)
    return next(fresh, None)
