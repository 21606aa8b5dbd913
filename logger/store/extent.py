"""How many rows a buffer file has, and of which times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from logger.domain.datamodel import Lane
from logger.store import recent
from logger.store.capacity import ROW_COST
from logger.store.database import Database
from logger.store.pack import pack

_NEWEST = "SELECT max(last_ms) FROM (SELECT last_ms FROM rows ORDER BY id DESC LIMIT ?)"
_ROWS = 100  # the last ones
_RATED = (
    "SELECT lane, length(body), CASE typeof(body) WHEN 'text' THEN body END, "
    "first_ms, last_ms, changed_ms FROM rows ORDER BY id DESC LIMIT ?"
)
_ROWS_RATED = 10_000
_SAMPLE = 128 * 1024  # characters
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
    """Return the bytes a day that come at present to a file that is the store, by the newest
    rows; None if these are too few. What is not packed yet counts as if it were. Imported
    rows, whose time is not that of their coming, do not count. How long the rows took to come
    is told by those of the fast lane, which carry the time of their reading: the others have
    the beginning of a window or of the day whose prices they are."""
    total, last = 0.0, 0
    spans: dict[Lane, tuple[int, int]] = {}
    texts: dict[Lane, list[str]] = {lane: [] for lane in Lane}  # to be packed later
    with recent.view(database) as on_top:
        for lane, size, text, first_ms, last_ms, changed_ms in _newest_first(database, on_top):
            if not 0 <= changed_ms - last_ms <= _LIVE_MS:
                continue
            if last and last_ms < last - _DAY_MS:
                break
            last = max(last, last_ms)
            begin, end = spans.get(lane, (first_ms, last_ms))
            spans[lane] = min(begin, first_ms), max(end, last_ms)
            if text is None:
                total += size + ROW_COST
            else:
                texts[lane].append(text)
    begin, end = spans.get(Lane.FAST) or spans.get(Lane.MAIN) or (0, 0)
    if end - begin < _SPAN_MS:
        return None
    total += sum(_packed(lane, found) for lane, found in texts.items())
    return total / (end - begin) * _DAY_MS


def _newest_first(
    database: Database, on_top: recent.Recent
) -> Iterator[tuple[Lane, int, str | None, int, int, int]]:
    """Yield lane, bytes, the text unless it is packed, first and last time of rows, and when
    they came to their state."""
    for commit in reversed(on_top.commits):
        for row in reversed(commit.rows):
            text = row.body if row.packed is None else None
            size = len(row.body) if row.packed is None else len(row.packed)
            yield row.lane, size, text, row.first_ms, row.last_ms, commit.now_ms
    for lane, *values in database.stream(_RATED, _ROWS_RATED):
        size, text, first_ms, last_ms, changed_ms = values
        yield Lane(lane), size, text, first_ms, last_ms, changed_ms


def _packed(lane: Lane, texts: Sequence[str]) -> float:
    """Return the bytes that rows of a store will take, by those of the newest."""
    size = count = 0
    for text in texts:
        size += len(text) + 1
        count += 1
        if size >= _SAMPLE:
            break
    if not size:
        return 0.0
    share = len(pack("\n".join(texts[:count]), columns=lane is Lane.FAST)) / size
    return share * sum(len(text) + 1 for text in texts)


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
