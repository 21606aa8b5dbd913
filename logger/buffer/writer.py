"""Everything that changes a buffer file while a logger runs. One thread calls it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from logger.buffer.exchange import Batch
from logger.buffer.noted import noted
from logger.domain.errors import BufferCorruptError, BufferDiskError, BufferFileError
from logger.store import check, extent, fold, limits, parked, recent, rows, schema
from logger.store.capacity import ROW_COST, Capacity
from logger.store.database import Database
from logger.store.file import BufferFile
from logger.store.ledger import Books, Ledger, Scrub

log = logging.getLogger(__name__)

_MIB = 1024**2
_SHRINK_FREE = 64 * _MIB  # free pages are reused; only more than this is given back
_STEPS = 20  # of maintenance at a time
_STEPS_A_COMMIT = 50  # at most, to make room
_FEW_FREE = 4 * _MIB  # unused pages are cheap to give back while they are few
_RATE_MS = 600_000  # how often the rate is looked up
_MANY_MARKS = 500  # rows delivered: they are marked in the tables at once
_SLACK_MS = 3_600_000  # how long delivered rows may stay beyond `keep`


@dataclass(frozen=True, slots=True)
class FileState:
    """What the file was after the last commit; sizes in bytes."""

    books: Books
    used: int = 0
    size: int = 0
    pages: int = 0  # of the database, used or not
    bytes_a_day: float | None = None  # see extent.growth
    dropped: int = 0  # points at the limit, since this writer began
    oldest_ms: int | None = None
    newest_ms: int | None = None
    stamped_ms: int | None = None  # see Ledger
    parked: int = 0
    written: int = 0  # bytes to the medium since this writer began


class Writer:
    """Commits rows, settles deliveries, keeps limits. For one thread."""

    def __init__(
        self,
        path: Path,
        *,
        keep_ms: int,
        max_size: int,
        max_age_ms: int | None = None,
        store: bool = False,
    ) -> None:
        self.path = path
        self.keep_ms = keep_ms
        self.max_size = max_size
        self.max_age_ms = max_age_ms
        self.file = BufferFile(path, max_size)
        self.file.columns = store
        self.state = FileState(Ledger().books())
        self.scrubbed = Scrub()
        self._making_room = False
        self._rate: float | None = None
        self._rated_ms = 0
        self._dropped_before: int | None = None
        self._seen = -1  # the epoch of the file that `state` tells of

    @property
    def capacity(self) -> Capacity:
        """What the file may take."""
        return self.file.capacity

    def open(self, now_ms: int) -> None:
        """Open the file, make it, migrate it or mend it. Raises BufferDiskError, and
        BufferFileError for a file that is not this program's."""

        def attempt() -> None:
            if fresh:
                self.scrubbed = schema.load_ledger(self.file.database()).scrub
            if self._seen != self.file.epoch:  # it was opened, mended or put in another's place
                self.refresh()

        fresh = not self.file.is_open
        self.file.mending(attempt, now_ms)

    def rebuild(self, err: BufferFileError, now_ms: int) -> None:
        """A reader says that the file may be damaged: look, and mend it."""
        self.file.rebuild(err, now_ms)
        self.refresh()

    def commit(self, batch: Batch, now_ms: int) -> None:
        """Put everything into the file, at once; `refresh` is to follow.

        What is usual goes into the journal; what is much, or unusual, into the database, and
        what the journal holds before it. Raises BufferFileError; then nothing of it is in the file.
        """

        def work(database: Database, ledger: Ledger) -> int:
            ledger.scrub = self.scrubbed
            if much:
                packed, columns = fold.PACKED_FROM, self.file.columns
                found = fold.together(batch.rows)
                rows.append(database, ledger, found, now_ms, packed_from=packed, columns=columns)
            else:
                rows.append(database, ledger, batch.rows, now_ms)
            if batch.rows:
                ledger.stamped_ms = now_ms  # follows the clock when that is set back
            parked.release(database, ledger, max((r.released for r in batch.rows), default=0))
            if lost := parked.insert(database, ledger, batch.parked):
                log.warning("buffer: %d readings without a time had to go for later ones", lost)
            for (lane, reason), points in batch.drops.items():
                ledger.lanes[lane].read += points
                ledger.lanes[lane].drops[reason] += points
            for settlement in batch.settled:
                rows.settle(database, ledger, settlement, now_ms)
            rows.set_aside_damaged(database, ledger, batch.damaged, now_ms)
            return 1

        text = sum(len(row.body) for row in batch.rows)
        incoming = text + len(batch.rows) * ROW_COST
        much = text >= fold.PACKED_ABOVE
        marks = sum(len(done.rows) for done in batch.settled)

        def attempt() -> None:
            self._make_room(incoming, batch.busy, now_ms)
            refused = any(done.refused for done in batch.settled)
            if much or marks >= _MANY_MARKS or refused or batch.damaged:
                self.file.transact(work, now_ms)
                return
            for _ in range(2):
                if self.file.note(lambda d, r, g: noted(d, r, g, batch, now_ms), now_ms):
                    return
                self.file.take_in(now_ms)
            self.file.transact(work, now_ms)  # it is too long for a journal

        self.file.mending(attempt, now_ms)

    def maintain(self, busy: Collection[int], now_ms: int) -> bool:
        """Let go what is past `keep` and `max_age`, and give unused space back; return
        True if there is more to do. Takes short steps: new rows must not wait for it."""
        kept = now_ms - self.keep_ms
        oldest = None if self.max_age_ms is None else now_ms - self.max_age_ms
        more = False

        def attempt() -> None:
            nonlocal more
            touched = 0
            for _ in range(_STEPS):
                touched = 0
                # a transaction takes the journal in: not every minute, for one row
                if self._anything_kept(kept - min(_SLACK_MS, self.keep_ms // 16)):
                    touched = self.file.transact(lambda d, _: limits.purge_kept(d, kept), now_ms)
                if oldest is not None and self._anything_older(oldest):
                    touched += self.file.transact(
                        lambda d, g: limits.expire(d, g, oldest, busy), now_ms
                    )
                if not touched:
                    break
            more = touched > 0
            self.file.keep_reserve()
            late = self._rate is None or abs(now_ms - self._rated_ms) >= _RATE_MS
            if self.file.columns and late:
                self._rate, self._rated_ms = extent.growth(self.file.database()), now_ms

        self.file.mending(attempt, now_ms)
        self.refresh()
        return more

    @property
    def wants_room(self) -> bool:
        """Whether room is to be made, or space to be given back, beside the commits."""
        state, capacity = self.state, self.capacity
        return (
            self._making_room
            or capacity.wanting(state.used)
            or capacity.excess(state.pages) > 0
            or state.pages - state.used > max(_SHRINK_FREE, state.pages // 2)
        )

    def make_room(self, busy: Collection[int], now_ms: int, going_on: Callable[[], bool]) -> bool:
        """Let rows go and give space back, in short steps for as long as `going_on` says so,
        one at least; return True if there is more to do."""
        more = False
        capacity = self.capacity

        def attempt() -> None:
            nonlocal more
            self._making_room = more = True
            while more:
                pages, free = self.file.database().size()
                above = capacity.excess(pages)
                if free and (above and free >= min(_FEW_FREE, above)):
                    self.file.give_back()
                elif pages - free <= capacity.aim or not self.file.transact(
                    lambda d, g: limits.free_some(d, g, busy), now_ms
                ):
                    if free and (above or free > max(_SHRINK_FREE, pages // 2)):
                        self.file.give_back()
                    else:
                        self._making_room = more = False
                        self.file.move_log()
                if not going_on():
                    return

        self.file.mending(attempt, now_ms)
        self.refresh()
        return more

    def scrub(self, busy: Collection[int], now_ms: int) -> None:
        """Check some more rows of the file; `scrubbed` says how far that is. Where it is
        goes into the books with the next commit, at no cost."""

        def attempt() -> None:
            try:
                self.scrubbed = check.go_on(self.file, self.scrubbed, busy, now_ms)
            except BufferCorruptError:
                self.scrubbed = replace(self.scrubbed, damaged=self.scrubbed.damaged + 1)
                raise

        self.file.mending(attempt, now_ms)

    def _anything_kept(self, before_ms: int) -> bool:
        return limits.anything_kept(self.file.database(), before_ms) or any(
            commit.delivered and commit.now_ms < before_ms for commit in self.file.journal.pending
        )

    def _anything_older(self, before_ms: int) -> bool:
        return limits.anything_older(self.file.database(), before_ms) or any(
            row.last_ms < before_ms for commit in self.file.journal.pending for row in commit.rows
        )

    def close(self, now_ms: int) -> None:
        """Close in order: the log is moved into the file, the books say so."""
        file = self.file

        def work(_: Database, ledger: Ledger) -> int:
            ledger.clean, ledger.scrub = True, self.scrubbed
            return 1

        try:
            if file.is_open and file.same_file():
                file.transact(work, now_ms)
                file.database().checkpoint(truncate=True)
                file.mark(now_ms, clean=True)
        except (BufferDiskError, BufferCorruptError) as err:
            log.warning("buffer not closed in order: %s", err.message)
        finally:
            file.forget()

    def _make_room(self, incoming: int, busy: Collection[int], now_ms: int) -> None:
        """Let go what this commit takes, if there is no room for it. A file that is above
        its limit, because that was lowered, comes down beside the commits: see `make_room`."""
        file = self.file
        used = file.used() + file.journal.recent.text
        most = max(self.capacity.room, used)
        steps = 0
        while used + incoming > most and steps < _STEPS_A_COMMIT:
            if not file.transact(lambda d, g: limits.free_some(d, g, busy), now_ms):
                return
            used = file.used() + file.journal.recent.text
            steps += 1

    def refresh(self) -> None:
        """Note what the file is now, for those who ask without touching the disk."""
        database, self._seen = self.file.database(), self.file.epoch
        with recent.view(database) as on_top:
            oldest, newest = extent.extremes(database)
            waiting = parked.count(database)
        size, free = database.size()
        accounts = on_top.ledger.lanes.values()
        dropped = sum(account.drops["limit"] for account in accounts)
        if self._dropped_before is None:
            self._dropped_before = dropped
        self.state = FileState(
            on_top.ledger.books(),
            size - free,
            self.file.size(),
            size,
            self._rate,
            max(0, dropped - self._dropped_before),
            oldest,
            newest,
            on_top.ledger.stamped_ms,
            waiting,
            self.file.written,
        )
