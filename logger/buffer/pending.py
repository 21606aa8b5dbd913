"""Rows that were read and are not in the file yet. Bounded: a dead disk fills no memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from logger.domain.datamodel import Lane
from logger.store.ledger import Books, LaneBooks
from logger.store.rows import NewRow

MEMORY_BYTES = 16 * 1024**2  # of line protocol: about 100,000 points
Drops = Counter[tuple[Lane, str]]

_ORDER: Sequence[Callable[[NewRow], bool]] = (
    lambda row: row.lane is Lane.FAST,
    lambda row: not row.counters,
    lambda row: row.points > 0,
)


class Pending:
    """A queue of rows. Beyond its bound the oldest fast rows go first, then the oldest
    others, energy counters last; what went is counted until it is booked in the file.

    Not thread-safe: its owner locks.
    """

    def __init__(self, bound: int = MEMORY_BYTES) -> None:
        self.bound = bound
        self.size = 0  # bytes of line protocol, taken rows included
        self.points: Counter[Lane] = Counter()
        self.drops: Drops = Counter()
        self._rows: deque[NewRow] = deque()
        self._taken: list[NewRow] = []

    def __len__(self) -> int:
        return len(self._rows) + len(self._taken)

    def add(self, rows: Iterable[NewRow]) -> None:
        """Add rows at the end."""
        for row in rows:
            self._rows.append(row)
            self.size += len(row.body)
            self.points[row.lane] += row.points
        while self.size > self.bound and self._rows:
            self._sacrifice()

    def take(self, limit: int) -> tuple[list[NewRow], Drops]:
        """Take the oldest rows, about `limit` at most, and the drops so far, to be committed.
        Joined rows stay together."""
        while self._rows and len(self._taken) < limit:
            self._taken.append(self._rows.popleft())
        while self._taken and self._rows and self._rows[0].joined:
            self._taken.append(self._rows.popleft())
        return list(self._taken), Counter(self.drops)

    def committed(self, drops: Drops) -> None:
        """The rows taken last are in the file, and `drops` are booked there."""
        for row in self._taken:
            self.size -= len(row.body)
            self.points[row.lane] -= row.points
        self._taken.clear()
        self.drops.subtract(drops)

    def failed(self) -> None:
        """The rows taken last are not in the file: they wait again, in their old place."""
        self._rows.extendleft(reversed(self._taken))
        self._taken.clear()

    def oldest_ms(self) -> int | None:
        """Return the time of the oldest point that is not in the file."""
        rows = self._taken or self._rows
        return rows[0].first_ms if rows else None

    def _sacrifice(self) -> None:
        for wanted in _ORDER:
            chosen = [row for row in self._rows if wanted(row)]
            if chosen:
                break
        chosen = chosen[: max(1, len(self._rows) // 20)]
        gone = set(map(id, chosen))
        self._rows = deque(row for row in self._rows if id(row) not in gone)
        for row in chosen:
            self.size -= len(row.body)
            self.points[row.lane] -= row.points
            self.drops[row.lane, "memory"] += row.points

    def added_to(self, books: Books) -> Books:
        """Return the books of the file with what is still in memory."""
        lanes = {}
        for lane, own in books.lanes.items():
            fresh = self.points[lane]
            drops = {
                reason: count for (of, reason), count in self.drops.items() if of is lane and count
            }
            lanes[lane] = own + LaneBooks(fresh + sum(drops.values()), 0, fresh, 0, drops)
        return Books(lanes)
