"""Reads lines out of a buffer file for an export, all from one moment of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from logger.points.split import series, stamp_of
from logger.store import extent, recent
from logger.store.database import Database
from logger.store.rows import RowState
from logger.store.schema import check_owner
from logger.store.tools import between

STATES: Mapping[str, Sequence[RowState]] = {
    "all": (RowState.WAITING, RowState.DELIVERED),
    "waiting": (RowState.WAITING,),
    "delivered": (RowState.DELIVERED,),
    "set-aside": (RowState.SET_ASIDE,),
}


@contextmanager
def source(
    path: Path,
    chosen: str,
    from_ms: int | None,
    to_ms: int | None,
    measurements: frozenset[str],
    progress: Callable[[int, int], None],
) -> Iterator[Callable[[], Iterator[str]]]:
    """Give a function that yields the lines of a range, each time the same ones.

    A running logger may go on writing meanwhile. `progress` gets (rows, rows in all).
    Rows that fail their checksum are left out.
    """
    database = Database.open_readonly(path)
    try:
        check_owner(database)
        with recent.view(database):
            total = extent.count(database)

            def lines() -> Iterator[str]:
                done = 0
                for row in between(database, STATES[chosen], from_ms, to_ms):
                    done += 1
                    if done % 500 == 0:
                        progress(min(done, total), total)
                    if not row.intact:
                        continue
                    for line in row.lines:
                        if measurements and series(line).split(",")[0] not in measurements:
                            continue
                        stamp = stamp_of(line)
                        if (from_ms is None or stamp >= from_ms) and (
                            to_ms is None or stamp < to_ms
                        ):
                            yield line
                progress(total, total)

            yield lines
    finally:
        database.close()
