"""The buffer against a plain list: whatever is done to it, in whatever order.

The writer is driven as the keeping thread drives it, one step at a time. A crash is a copy
of the files as they lie, opened again; nothing that was committed may differ.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from logger.buffer.exchange import Exchange
from logger.buffer.pending import Drops, Pending
from logger.buffer.writer import Writer
from logger.domain.datamodel import Lane
from logger.store import tools
from logger.store.database import Database
from logger.store.recover import rebuild
from logger.store.rows import RowState, Settlement, StoredRow, new_rows, waiting
from logger.store.verify import unseen, verify

T0 = 1_700_000_000_000


@dataclass
class Line:
    """What the model knows of a point."""

    text: str
    lane: Lane
    state: RowState | None  # None: dropped


class BufferMachine(RuleBasedStateMachine):
    """Random sequences of everything that can happen to a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.generation = 0
        self.number = 0
        self.now_ms = T0
        self.committed: list[Line] = []
        self.fresh: list[Line] = []  # in memory only
        self.discarded = 0
        self.limited = False  # the limit has dropped something: only the books are compared
        self.start(self.root / "0" / "buffer.sqlite", 10**9)

    def start(self, path: Path, max_size: int) -> None:
        self.path = path
        self.exchange = Exchange(Pending(), 1.0)
        self.writer = Writer(path, keep_ms=1000, max_size=max_size)
        self.writer.open(self.now_ms)

    def teardown(self) -> None:
        self.writer.close(self.now_ms)
        assert verify(self.path).problems == ()
        shutil.rmtree(self.root)

    @rule(lane=st.sampled_from(Lane), count=st.integers(1, 6), width=st.sampled_from([5, 3000]))
    def append(self, lane: Lane, count: int, width: int) -> None:
        lines = []
        for _ in range(count):
            self.number += 1
            lines.append(f'm,n={self.number} s="{"x" * width}" {T0 + self.number}')
        self.exchange.add(new_rows(lane, lines, [T0 + self.number] * count), Drops())
        self.fresh += [Line(line, lane, RowState.WAITING) for line in lines]

    @rule()
    def commit(self) -> None:
        self.now_ms += 10
        batch = self.exchange.take()
        if not batch.empty:
            self.writer.commit(batch, self.now_ms)
            self.exchange.committed(batch)
        self.committed += self.fresh
        self.fresh = []

    def take(self, lane: Lane, count: int) -> list[StoredRow]:
        database = Database.open_readonly(self.path)
        try:
            rows = [row for row, _ in zip(waiting(database, lane, self.now_ms), range(count))]  # noqa: B905
        finally:
            database.close()
        return self.exchange.claim(rows)

    @rule(lane=st.sampled_from(Lane), count=st.integers(1, 4), twice=st.booleans())
    def deliver(self, lane: Lane, count: int, twice: bool) -> None:
        rows = self.take(lane, count)
        for _ in range(1 + twice):
            self.exchange.settle(Settlement(rows))
        self.commit()
        self.mark({line for row in rows for line in row.lines}, RowState.DELIVERED)

    @rule(lane=st.sampled_from(Lane), every=st.integers(1, 3))
    def reject(self, lane: Lane, every: int) -> None:
        rows = self.take(lane, 2)
        bad = {row.id: dict.fromkeys(range(0, row.points, every), "why") for row in rows}
        self.exchange.settle(Settlement(rows, bad))
        self.commit()
        for row in rows:
            lines = row.lines
            self.mark({lines[n] for n in bad[row.id]}, RowState.SET_ASIDE)
            self.mark({x for n, x in enumerate(lines) if n not in bad[row.id]}, RowState.DELIVERED)

    def mark(self, lines: set[str], state: RowState | None) -> None:
        for line in self.committed:
            if line.text in lines:
                line.state = state

    @rule()
    def retry(self) -> None:
        with tools.changing(self.path) as database:
            tools.retry(database, None, self.now_ms, unseen)
        for line in self.committed:
            if line.state is RowState.SET_ASIDE:
                line.state = RowState.WAITING

    @rule()
    def discard(self) -> None:
        with tools.changing(self.path) as database:
            self.discarded += tools.discard(database, None, unseen)
        for line in self.committed:
            if line.state is RowState.SET_ASIDE:
                line.state = None

    @rule()
    def replay_everything_kept(self) -> None:
        with tools.changing(self.path) as database:
            kept = {
                line
                for row in tools.between(database, [RowState.DELIVERED], None, None)
                for line in row.lines
            }
            tools.replay(database, 0, 2**60, self.now_ms, unseen)
        self.mark(kept, RowState.WAITING)

    @rule()
    def age(self) -> None:
        """Delivered rows leave the file after a while; the books go on counting them."""
        self.now_ms += 700
        self.writer.maintain(self.exchange.busy(), self.now_ms)

    @rule()
    def crash(self) -> None:
        self.generation += 1
        copy = self.root / str(self.generation) / "buffer.sqlite"
        copy.parent.mkdir()
        for tail in ("", "-wal", ".journal"):
            source = self.path.with_name(self.path.name + tail)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + tail))
        max_size = self.writer.max_size
        self.writer.close(self.now_ms)
        self.fresh = []  # what was in memory only is what a crash may take
        self.start(copy, max_size)

    @rule()
    def reopen(self) -> None:
        self.commit()
        self.writer.close(self.now_ms)
        self.start(self.path, self.writer.max_size)

    @precondition(lambda self: not self.limited)
    @rule()
    def rebuild(self) -> None:
        """A rebuild of a file that is well loses nothing that waits."""
        self.commit()
        before = Counter(x.text for x in self.committed if x.state is RowState.WAITING)
        self.writer.close(self.now_ms)
        rebuild(self.path, self.now_ms)
        self.now_ms += 2000  # rows of free pages that are gone may come back for a while
        self.start(self.path, self.writer.max_size)
        database = Database.open_readonly(self.path)
        found = Counter(
            text
            for lane in Lane
            for row in waiting(database, lane, self.now_ms)
            for text in row.lines
        )
        database.close()
        assert before <= found
        self.limited = True  # delivered and discarded rows may be seen again

    @rule()
    def tighten(self) -> None:
        """The limit comes down to what is there: from now on points are dropped."""
        self.commit()
        self.writer.close(self.now_ms)
        self.limited = True
        self.start(self.path, 400_000)

    @invariant()
    def the_books_balance(self) -> None:
        books = self.writer.state.books
        if self.limited:
            assert books.balanced
            return
        self.writer.refresh()
        books = self.writer.state.books
        assert books.balanced
        for lane in Lane:
            count = Counter(line.state for line in self.committed if line.lane is lane)
            account = books.lanes[lane]
            assert account.read == count.total()
            assert account.waiting == count[RowState.WAITING]
            assert account.delivered == count[RowState.DELIVERED]
            assert account.set_aside == count[RowState.SET_ASIDE]
            assert account.dropped == count[None]

    @invariant()
    def what_waits_is_what_the_list_says(self) -> None:
        if self.limited:
            return
        database = Database.open_readonly(self.path)
        try:
            for lane in Lane:
                found = [line for row in waiting(database, lane, self.now_ms) for line in row.lines]
                expected = [
                    line.text
                    for line in self.committed
                    if line.lane is lane and line.state is RowState.WAITING
                ]
                assert sorted(found) == sorted(expected)
        finally:
            database.close()


TestBufferModel = BufferMachine.TestCase
TestBufferModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
