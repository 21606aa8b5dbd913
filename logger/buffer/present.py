"""How the buffer is at this moment: the file after the last commit, and what is in memory."""

from __future__ import annotations

from logger.buffer.exchange import Exchange
from logger.buffer.writer import Writer
from logger.store.capacity import days_left
from logger.store.state import BufferState


def present(
    writer: Writer,
    exchange: Exchange,
    *,
    problem: str,
    newest_ms: int | None,
    elapsed_s: float,
    store: bool,
) -> BufferState:
    """Return the state of a buffer that has been open for `elapsed_s`, without touching the
    disk; `store` says that nothing takes the points from it. The caller holds the lock of
    `exchange`."""
    file, pending = writer.state, exchange.pending
    oldest = [time for time in (file.oldest_ms, pending.oldest_ms()) if time is not None]
    left = days_left(writer.capacity, file.used, file.bytes_a_day, writer.max_age_ms)
    return BufferState(
        ok=not problem,
        problem=problem,
        waiting=file.books.total.waiting + pending.points.total(),
        in_memory=pending.points.total(),
        oldest_ms=min(oldest, default=None),
        newest_ms=newest_ms or file.newest_ms,
        stamped_ms=file.stamped_ms,
        parked=file.parked + len(exchange.parking),
        file_size=file.size,
        max_size=writer.max_size,
        full=file.used / writer.capacity.room,
        written_per_day=int(file.written / elapsed_s * 86_400) if elapsed_s > 3600 else None,
        room_to_make=writer.capacity.excess(file.pages),
        store=store,
        bytes_per_day=file.bytes_a_day if store else None,
        days_left=left if store else None,
        dropped=file.dropped,
        damages=writer.file.damages,
        scrub=writer.scrubbed,
    )
