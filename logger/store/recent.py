"""What was committed to the journal and is not in the database yet, for whoever reads.

A reader sees the database at one moment, and on top of it the commits that its books do not
know. The journal is read first and the moment is chosen after that: what the journal had to
give up meanwhile is then in the database.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

from logger.domain.datamodel import Lane
from logger.store import frames, schema
from logger.store.database import Database, mapped
from logger.store.frames import Commit
from logger.store.ledger import Ledger
from logger.store.row import Parked, StoredRow


def journal_of(path: Path) -> Path:
    """Return where the journal of a buffer file lies."""
    return path.with_name(path.name + ".journal")


class Recent:
    """Commits on top of the database; `ledger` is what the books are with them, `text` how
    many characters their rows have. Many have the same one in their hands: it never changes."""

    def __init__(
        self, ledger: Ledger, commits: Sequence[Commit] = (), before: Recent | None = None
    ) -> None:
        """`before` has the first ones of `commits`, and spares to go through them again."""
        self.ledger = commits[-1].ledger if commits else ledger
        self.commits = list(commits)
        self.delivered: set[int] = set() if before is None else before.delivered.copy()
        self.text: int = 0 if before is None else before.text
        self._rows: list[StoredRow] = [] if before is None else before._rows.copy()
        self._parked: list[Parked] = [] if before is None else before._parked.copy()
        for commit in commits[0 if before is None else len(before.commits) :]:
            self.delivered.update(commit.delivered)
            self._rows += commit.rows
            self._parked += commit.parked
            self.text += sum(len(row.body) for row in commit.rows)

    def rows(self, lane: Lane | None = None) -> Sequence[StoredRow]:
        """Return the rows, of one lane or all, in the order of their numbers."""
        return self._rows if lane is None else [row for row in self._rows if row.lane is lane]

    def row(self, number: int) -> StoredRow | None:
        """Return the row with a number, None if it is not among these."""
        at = bisect_left(self._rows, number, key=lambda row: row.id)
        found = self._rows[at] if at < len(self._rows) else None
        return found if found is not None and found.id == number else None

    def parked(self) -> list[Parked]:
        """Return the readings without a time that were not released since."""
        released = self.ledger.released_id
        return [one for one in self._parked if one.id > released]

    def followed_by(self, commit: Commit) -> Recent:
        """Return this with one commit more on top."""
        return Recent(self.ledger, [*self.commits, commit], self)


class Tail:
    """The commits of a journal, read once each. Shared by all that read it in a process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: int | None = None
        self._begin = (b"", 0)
        self._end = 0
        self._commits: list[Commit] = []
        self._recent = Recent(Ledger())

    def on_top(self, ledger: Ledger, commits: Sequence[Commit]) -> Recent:
        """Return those of `commits`, from `refresh`, that the books in the database lack."""
        wanted, before = above(ledger, commits), self._recent
        have = len(before.commits)
        # Each is decoded once: the same object says that all before it are the same, too.
        if have and have <= len(wanted) and before.commits[-1] is wanted[have - 1]:
            known = before if before.commits[0] is wanted[0] else None
        else:
            known = None
        if known is not None and have == len(wanted):
            return known
        self._recent = Recent(ledger, wanted, known)
        return self._recent

    def refresh(self) -> list[Commit]:
        """Return what the journal holds now. Raises OSError."""
        with self._lock:
            self._reopen()
            if self._file is not None:
                self._read(self._file)
            return list(self._commits)

    def add(self, commit: Commit, at: int) -> None:
        """Take a commit that its writer has put at `at`, without reading it again."""
        with self._lock:
            if at == 0 or at == self._end:
                if at == 0:
                    self._commits, self._end = [], 0
                    self._begin = (bytes.fromhex(commit.ledger.journal), commit.seq)
                self._commits.append(commit)
                self._end += commit.size

    def close(self) -> None:
        """Close the file; it is opened again when somebody reads."""
        with self._lock:
            self._close()

    def forget(self) -> None:
        """Read everything again: what was written last is told to have failed."""
        with self._lock:
            self._begin, self._end, self._commits = (b"", 0), 0, []

    def _reopen(self) -> None:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - often
        except FileNotFoundError:
            self._close()
            return
        if self._file is not None and not os.path.samestat(os.fstat(self._file), status):
            self._close()
        if self._file is None:
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file, self._end, self._commits = None, 0, []

    def _read(self, file: int) -> None:
        begin = frames.mark_of(os.pread(file, frames.HEAD.size, 0))
        if begin != self._begin:
            self._begin, self._end, self._commits = begin, 0, []
        while True:
            head = os.pread(file, frames.BLOCK, self._end)
            salt, seq = frames.mark_of(head)
            if salt != begin[0] or seq != begin[1] + len(self._commits):
                return
            frame = head
            if (size := frames.size_of(head)) > len(head):
                frame = os.pread(file, size, self._end)
            if not frames.intact(frame):
                return
            try:
                self._commits.append(frames.decode(frame))
            except ValueError:
                return
            self._end += size

    def __del__(self) -> None:
        self._close()


_TAILS: weakref.WeakValueDictionary[Path, Tail] = weakref.WeakValueDictionary()
_LOCK = threading.Lock()


def tail_of(path: Path) -> Tail:
    """Return what reads the journal of the buffer file `path` in this process."""
    with _LOCK:
        found = _TAILS.get(path)
        if found is None:
            found = _TAILS[path] = Tail(journal_of(path))
        return found


@contextlib.contextmanager
def view(database: Database) -> Iterator[Recent]:
    """Let all reads inside see one moment, with the commits that belong to it.

    Inside a transaction that writes nothing is on top: it has begun by taking all in.
    """
    if isinstance(database.on_top, Recent):
        yield database.on_top
        return
    if database.in_transaction:
        yield Recent(schema.load_ledger(database))
        return
    commits = commits_of(database)
    with database.snapshot():
        database.on_top = _tail(database).on_top(schema.load_ledger(database), commits)
        try:
            yield database.on_top
        finally:
            database.on_top = None


def commits_of(database: Database) -> list[Commit]:
    """Return what the journal of a database holds now."""
    with mapped(database.path):
        return _tail(database).refresh()


def above(ledger: Ledger, commits: Sequence[Commit]) -> Sequence[Commit]:
    """Return those commits of a journal, one after the other, that the books in the database
    do not know."""
    if not commits or commits[0].ledger.journal != ledger.journal:
        return []
    known = ledger.folded + 1 - commits[0].seq
    return commits[known:] if known > 0 else commits


def _tail(database: Database) -> Tail:
    if not isinstance(database.tail, Tail):
        database.tail = tail_of(database.path)
    return database.tail
