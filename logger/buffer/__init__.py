"""The buffer: a SQLite file that holds every point until InfluxDB has acknowledged it."""

from logger.buffer.buffer import Buffer
from logger.buffer.ledger import Books, LaneBooks
from logger.buffer.parked import Parked
from logger.buffer.state import BufferState

__all__ = ["Books", "Buffer", "BufferState", "LaneBooks", "Parked"]
