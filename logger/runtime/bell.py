"""Tells a thread that waits for a line that something waits for the thread."""

from __future__ import annotations

import os
import weakref


class Bell:
    """A file that can be read while it rings. Not thread-safe: its owner's lock guards it."""

    def __init__(self) -> None:
        self._file = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._rings = False
        weakref.finalize(self, os.close, self._file)

    def fileno(self) -> int:
        """Return the file to wait for."""
        return self._file

    def ring(self) -> None:
        """Ring until `hush`."""
        if not self._rings:
            self._rings = True
            os.eventfd_write(self._file, 1)

    def hush(self) -> None:
        """Ring no more."""
        if self._rings:
            self._rings = False
            os.eventfd_read(self._file)
