"""How many bytes really go to the medium: what SQLite adds to its log, and moves from there.

Positions are those of the WAL file format, which SQLite documents (sqlite.org, "WAL-mode
File Format", section 1).

Only the log is opened here, never the database or its shared index (`-shm`): closing any
handle of a file gives up all locks that this process holds on it (fcntl(2)). SQLite locks
those two files; without its locks the next program to look at the buffer would take the
index for abandoned and truncate it, and this process would die by SIGBUS.
"""

from __future__ import annotations

from pathlib import Path

from logger.store.database import PAGE
from logger.store.wal import FRAME, FRAME_HEADER, HEADER, log_of

_SALT = slice(16, 24)  # of the log's header; each frame in use repeats it
_FRAME_SALT = slice(8, 16)


class Medium:
    """Counts the bytes written to a database and its log, commit by commit."""

    def __init__(self, path: Path) -> None:
        self._wal = log_of(path)
        self._salt = b""
        self._count = 0
        self._frames = self.frames()

    def frames(self) -> int:
        """Return how many frames of the log are in use; 0 without a log."""
        try:
            with self._wal.open("rb", buffering=0) as file:
                salt = file.read(HEADER)[_SALT]
                if salt != self._salt:  # the log began anew
                    self._salt, self._count = salt, 0
                while salt:
                    file.seek(HEADER + self._count * FRAME)
                    header = file.read(FRAME_HEADER)
                    if len(header) < FRAME_HEADER or header[_FRAME_SALT] != salt:
                        break
                    self._count += 1
        except OSError:
            return 0
        return self._count

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
                    file.seek(HEADER + number * FRAME)
                    pages.add(file.read(4))
        except OSError:
            return 0
        return len(pages) * PAGE
