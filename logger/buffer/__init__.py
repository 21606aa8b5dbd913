"""The buffer of a running logger: a queue in front of the buffer file, and its keeping thread.

It promises: `append` never touches the disk, never blocks and raises for no disk; what was
committed outlives the process; while the disk fails what comes waits in memory, within a
bound, and what is dropped is counted.

    readings --append--> pending --+                      +--> outlets of the delivery
                                   +-- exchange -- writer --> store
    delivery --settle-------------+

One lock, that of `exchange`. One thread, that of `keeper`, calls `writer`; only it writes.
"""

from logger.buffer.buffer import Buffer
from logger.store.ledger import Books, LaneBooks
from logger.store.parked import Parked
from logger.store.state import BufferState

__all__ = ["Books", "Buffer", "BufferState", "LaneBooks", "Parked"]
