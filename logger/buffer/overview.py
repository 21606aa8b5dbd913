"""What `buffer status` says: the file as it lies, and what its logger knows beyond that."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from logger.store.capacity import Capacity, days_left
from logger.store.ledger import LaneBooks
from logger.store.state import LASTING_DAYS, STORE_HINT, WARNINGS, lasting
from logger.store.tools import summary


def report(
    path: Path,
    max_size: int,
    live: dict[str, Any] | None = None,
    *,
    store: bool = False,
    max_age_ms: int | None = None,
) -> dict[str, Any]:
    """Return the state of a buffer file as plain data; `problems` is empty if all is well.

    `live` is the running logger's own BufferState, if it could be asked; `store` says that
    there is no database, and the file keeps the points. Raises BufferFileError if there is
    no such file.
    """
    found = summary(path)
    capacity = Capacity(max_size)
    full = found.used / capacity.room
    room_to_make = capacity.excess(found.pages)
    left = days_left(capacity, found.used, found.bytes_a_day, max_age_ms) if store else None
    books = {lane.value: _plain(account) for lane, account in found.books.lanes.items()}
    problems = []
    if not found.books.balanced:
        problems.append("the books do not balance: run buffer verify")
    if found.damage:
        problems.append(f"{found.damage}: start the logger, it mends its buffer")
    if full >= WARNINGS[-1]:
        problems.append(f"{full:.0%} of max_size in use: points will be dropped")
    if left is not None and left <= min(LASTING_DAYS[:2]):
        problems.append(f"it is the store and full in {lasting(left)}: {STORE_HINT}")
    if live is not None and live["problem"]:
        problems.append(str(live["problem"]))
    problems += [
        f"a damaged file was set aside: {file}; move it away when you have looked into it"
        for file in found.corrupt
    ]
    return {
        "path": str(path),
        "running": found.running,
        "books": books | {"total": _plain(found.books.total)},
        "balanced": found.books.balanced,
        "in_memory": live["in_memory"] if live is not None else 0,
        "oldest_ms": found.oldest_ms,
        "newest_ms": found.newest_ms,
        "size": found.size,
        "max_size": max_size,
        "full": full,
        "room_to_make": room_to_make,
        "store": store,
        "bytes_per_day": found.bytes_a_day if store else None,
        "days_left": left,
        "written": found.written,
        # The running logger writes down how far it is with its next commits only.
        "scrub": live["scrub"] if live is not None else asdict(found.scrub),
        "corrupt_files": [str(file) for file in found.corrupt],
        "problems": problems,
    }


def _plain(books: LaneBooks) -> dict[str, Any]:
    return asdict(books) | {"drops": dict(books.drops), "dropped": books.dropped}
