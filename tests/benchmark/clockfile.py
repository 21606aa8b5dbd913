"""The time of a run in virtual time, in a file that several processes map."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_ONE = struct.Struct("<d")
_NOW, _OFFSET = 0, 8


class Time:
    """The virtual time of a run, epoch seconds, shared by processes through a file.

    `offset` is how wrong the wall clock of the logger's machine is.
    """

    def __init__(self, path: Path, start: float | None = None) -> None:
        self.path = path
        if start is not None:
            path.write_bytes(_ONE.pack(start) + _ONE.pack(0.0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 16)

    @property
    def now(self) -> float:
        """The time."""
        return float(_ONE.unpack_from(self._map, _NOW)[0])

    @now.setter
    def now(self, value: float) -> None:
        _ONE.pack_into(self._map, _NOW, value)

    @property
    def offset(self) -> float:
        """What the wall clock shows beyond the time."""
        return float(_ONE.unpack_from(self._map, _OFFSET)[0])

    @offset.setter
    def offset(self, value: float) -> None:
        _ONE.pack_into(self._map, _OFFSET, value)
