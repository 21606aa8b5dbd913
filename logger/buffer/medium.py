"""How many bytes really go to the medium: what SQLite adds to its log, and moves from there.

Positions are those of the WAL file format and of the WAL index, which SQLite documents
(sqlite.org, "WAL-mode File Format", sections 1.1 and 2.1).
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from logger.buffer.database import PAGE

FRAME = PAGE + 24
_WAL_HEADER = 32
_MX_FRAME = 16  # offset in the WAL index: number of valid frames in the log
_BYTE_ORDER = "<" if sys.byteorder == "little" else ">"


class Medium:
    """Counts the bytes written to a database and its log, commit by commit."""

    def __init__(self, path: Path) -> None:
        self._wal = path.with_name(path.name + "-wal")
        self._shm = path.with_name(path.name + "-shm")
        self._frames = self.frames()

    def frames(self) -> int:
        """Return how many frames of the log are in use; 0 without a log."""
        try:
            with self._shm.open("rb") as file:
                file.seek(_MX_FRAME)
                data = file.read(4)
        except OSError:
            return 0
        return int(struct.unpack(f"{_BYTE_ORDER}I", data)[0]) if len(data) == 4 else 0

    def committed(self) -> int:
        """Return the bytes that went into the log since the last call."""
        frames, before = self.frames(), self._frames
        self._frames = frames
        added = frames - before if frames >= before else frames
        return added * FRAME

    def to_move(self) -> int:
        """Return the bytes that moving the whole log into the database will write: each
        page once, however often the log has it."""
        pages: set[bytes] = set()
        try:
            with self._wal.open("rb") as file:
                for number in range(self.frames()):
                    file.seek(_WAL_HEADER + number * FRAME)
                    pages.add(file.read(4))
        except OSError:
            return 0
        return len(pages) * PAGE
