"""How many rows a buffer file has, and of which times."""

from __future__ import annotations

from logger.domain.datamodel import Lane
from logger.store import recent
from logger.store.capacity import ROW_COST
from logger.store.database import Database

_NEWEST = "SELECT max(last_ms) FROM (SELECT last_ms FROM rows ORDER BY id DESC LIMIT ?)"
_ROWS = 100  # the last ones
_RATED = 10_000  # rows that the rate is taken from
_DAY_MS = 86_400_000
_LIVE_MS = 3_600_000  # a window carries the time when it began, and is written at its end
_SPAN_MS = 60_000


def extremes(database: Database) -> tuple[int | None, int | None]:
    """Return the time of the oldest row that waits, and the newest of the last rows."""
    with recent.view(database) as on_top:
        oldest = [
            _first_waiting(database, on_top, lane)
            for lane, account in on_top.ledger.lanes.items()
            if account.waiting
        ]
        fresh = [row.last_ms for row in on_top.rows()[-_ROWS:]]
        stored = database.value(_NEWEST, _ROWS - len(fresh)) if len(fresh) < _ROWS else None
    newest = max((time for time in (*fresh, stored) if time is not None), default=None)
    return min((time for time in oldest if time is not None), default=None), newest


def growth(database: Database) -> float | None:
    """Return the bytes a day that come at present, by the newest rows; None if these are
    too few. Imported rows, whose time is not that of their coming, do not count."""
    total, first, last = 0, 0, 0
    for size, last_ms, changed_ms in database.stream(
        "SELECT length(body), last_ms, changed_ms FROM rows ORDER BY id DESC LIMIT ?", _RATED
    ):
        if not 0 <= changed_ms - last_ms <= _LIVE_MS:
            continue
        if last and last_ms < last - _DAY_MS:
            break
        last = max(last, last_ms)
        first = min(first or last_ms, last_ms)
        total += size + ROW_COST
    return total / (last - first) * _DAY_MS if last - first >= _SPAN_MS else None


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
