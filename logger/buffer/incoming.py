"""Makes rows of the points that come in: encoded once, masked, and those that cannot be counted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from logger.buffer.pending import Drops
from logger.points.encode import by_lane
from logger.points.line import Point
from logger.store.rows import NewRow, new_rows
from logger.texts import clean, mask

log = logging.getLogger(__name__)


def rows_of(points: Sequence[Point], released: int = 0) -> tuple[list[NewRow], Drops]:
    """Return points that belong together as rows, and those that line protocol cannot hold.

    With the first row the parked readings up to number `released` are forgotten; the
    others come in the same commit.
    """
    rows: list[NewRow] = []
    invalid = Drops()
    for lane, group in by_lane(points).items():
        lines: list[str] = []
        times: list[int] = []
        for point in group:
            try:
                line = point.line()
                # a text may hold a line break; a row is read line by line
                lines.append(clean(mask(line)).replace("\n", " ") if '"' in line else line)
                times.append(point.time_ms)
            except ValueError as err:
                log.error("buffer: a point that line protocol cannot hold: %s", err)
                invalid[lane, "invalid"] += 1
        rows += new_rows(lane, lines, times, joined=bool(rows))
    rows[1:] = [row if row.joined else replace(row, joined=True) for row in rows[1:]]
    if rows and released:
        rows[0] = replace(rows[0], released=released)
    return rows, invalid
