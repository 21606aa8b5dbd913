"""The buffer: a SQLite file that holds every point until InfluxDB has acknowledged it."""

from logger.buffer.buffer import Buffer
from logger.buffer.state import BufferState
from logger.store.ledger import Books, LaneBooks

__all__ = ["Books", "Buffer", "BufferState", "LaneBooks"]
