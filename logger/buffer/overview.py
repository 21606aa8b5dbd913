"""What `buffer status` says: the file as it lies, and what its logger knows beyond that."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from logger.store.ledger import LaneBooks
from logger.store.state import WARNINGS
from logger.store.tools import summary


def report(path: Path, max_size: int, live: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the state of a buffer file as plain data; `problems` is empty if all is well.

    `live` is the running logger's own BufferState, if it could be asked. Raises
    BufferFileError if there is no such file.
    """
    found = summary(path)
    full = found.used / max_size
    books = {lane.value: _plain(account) for lane, account in found.books.lanes.items()}
    problems = []
    if not found.books.balanced:
        problems.append("the books do not balance: run buffer verify")
    if found.damage:
        problems.append(f"{found.damage}: start the logger, it mends its buffer")
    if full >= WARNINGS[-1]:
        problems.append(f"{full:.0%} of max_size in use: points will be dropped")
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
        "written": found.written,
        "scrub": asdict(found.scrub),
        "corrupt_files": [str(file) for file in found.corrupt],
        "problems": problems,
    }


def _plain(books: LaneBooks) -> dict[str, Any]:
    return asdict(books) | {"drops": dict(books.drops), "dropped": books.dropped}
