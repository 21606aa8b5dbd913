"""The buffer: a SQLite file that holds every point until InfluxDB has acknowledged it."""

from logger.buffer.buffer import Buffer
from logger.store.ledger import Books, LaneBooks
from logger.store.parked import Parked
from logger.store.state import BufferState

__all__ = ["Books", "Buffer", "BufferState", "LaneBooks", "Parked"]
