"""What a buffer file may take of its limit, and how long that lasts. Pure.

`max_size` is for all of it: the pages of the database, log and journal beside it, and the
reserve that is given up on a full disk.
"""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1024**2
_BLOCK = 4096
ROW_COST = 120  # bytes a row costs beside its body: columns, index, page headers
_SPARE = 0.03  # of the room: kept free beside the commits, so that they need not wait
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Capacity:
    """The limit of a file, in bytes, and its parts."""

    max_size: int

    @property
    def log(self) -> int:
        """The part that is kept for the log."""
        return min(8 * _MIB, self.max_size // 4)

    @property
    def journal(self) -> int:
        """The part that is kept for the journal, whole blocks."""
        return min(_MIB, max(8 * _BLOCK, self.max_size // 16 // _BLOCK * _BLOCK))

    @property
    def reserve(self) -> int:
        """The part that is given up when the disk is full."""
        return min(_MIB, self.max_size // 16)

    @property
    def room(self) -> int:
        """What the pages of the database may take."""
        return self.max_size - self.log - self.journal - self.reserve

    @property
    def aim(self) -> int:
        """What is in use when enough room was made."""
        return int(self.room * (1 - _SPARE))

    def wanting(self, used: int) -> bool:
        """Return whether room is to be made before it is needed."""
        return used > self.room * (1 - _SPARE / 2)

    def excess(self, pages: int) -> int:
        """Return by how many bytes a database of so many is above its limit."""
        return max(0, pages - self.room)


def days_left(
    capacity: Capacity, used: int, bytes_a_day: float | None, max_age_ms: int | None = None
) -> float | None:
    """Return after how many days a file that keeps everything is full, at `bytes_a_day`;
    None when that is not known, or it never is: at that rate the points go by age before."""
    if not bytes_a_day or bytes_a_day <= 0:
        return None
    if max_age_ms is not None and bytes_a_day * max_age_ms / _DAY_MS <= capacity.aim:
        return None
    return max(0, capacity.aim - used) / bytes_a_day
