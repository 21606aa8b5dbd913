"""Writes the journal of a buffer file: one write and one flush for each commit."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from logger.disk.durable import sync_directory
from logger.store import frames, recent, schema
from logger.store.database import Database, mapped
from logger.store.frames import BLOCK, Commit
from logger.store.ledger import Ledger
from logger.store.recent import Recent

MARKS = 20_000


def damage(database: Database) -> str:
    """Return what is wrong with the journal of a database, "" if nothing is.

    A logger that writes meanwhile may look like damage: only what two looks in a row find
    alike is believed. Raises BufferDiskError and BufferCorruptError.
    """
    found = _look(database)
    while found and (again := _look(database)) != found:
        found = again
    return found


def missing(database: Database) -> str:
    """Return why the journal of a database lacks what was committed last, "" if it does not.

    Beside a file that was not closed in order lies a journal of the size that the books name,
    with the last commit that is in the tables, or later ones. What another journal had is
    known to nobody. Raises BufferDiskError and BufferCorruptError.
    """
    ledger = schema.load_ledger(database)  # before the journal: that goes on meanwhile
    if ledger.clean or not (ledger.folded or ledger.journal_size):
        return ""
    data, salt = _data(database), bytes.fromhex(ledger.journal)
    why = ""
    if not data:
        why = "its journal is gone"
    elif len(data) < ledger.journal_size:
        why = f"its journal was cut off: {len(data)} bytes of {ledger.journal_size}"
    elif not frames.reaches(data, salt, ledger.folded):
        why = "the journal beside it is not its own, or an older one"
    if why and ledger.stamped_ms is not None:
        since = datetime.fromtimestamp(ledger.stamped_ms / 1000, UTC)
        why = f"{why}; lost is what was committed after {since:%Y-%m-%d %H:%M:%S} UTC"
    return f"{why}; how many points that were is not known" if why else ""


def _look(database: Database) -> str:
    data = _data(database)
    ledger = schema.load_ledger(database)
    if found := frames.damage(data, bytes.fromhex(ledger.journal), ledger.folded):
        return found
    commits = recent.above(ledger, recent.commits_of(database))
    if commits and commits[0].ledger.commit > ledger.commit + 1:
        return f"the tables lack what was committed before frame {commits[0].seq} of the journal"
    return ""


def _data(database: Database) -> bytes:
    path = recent.journal_of(database.path)
    with mapped(path):
        return path.read_bytes() if path.exists() else b""


class Journal:
    """The journal of one logger, for its keeping thread. Raises BufferDiskError.

    The file is written full once: later commits change blocks that are there, and the file
    system has nothing to note beside them.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = recent.journal_of(path)
        self.size = size
        self.recent = Recent(Ledger())  # what is in the file and not in the database
        self._tail = recent.tail_of(path)
        self._file: int | None = None
        self._end = 0
        self._begun = False

    @property
    def pending(self) -> Sequence[Commit]:
        """What is in the file and not in the database."""
        return self.recent.commits

    def open(self, ledger: Ledger) -> None:
        """Open the file, or make it; `pending` is what it holds beyond the books."""
        with mapped(self.path):
            self.recent = Recent(ledger, recent.above(ledger, self._tail.refresh()))
            self._open()
        self._begun = bool(self.pending)
        self._end = sum(commit.size for commit in self._tail.refresh()) if self.pending else 0

    @property
    def length(self) -> int:
        """The bytes that the file has, or will have when it begins anew; 0 if nothing of
        this buffer is in it yet."""
        length = 0
        with contextlib.suppress(OSError):
            if self._file is not None and self._begun:
                length = min(os.fstat(self._file).st_size, self.size)
        return length

    @property
    def present(self) -> bool:
        """True while the file that is open lies at its place."""
        with contextlib.suppress(OSError):
            return self._file is not None and os.path.samestat(
                os.fstat(self._file), self.path.stat()
            )
        return False

    def taken_in(self, ledger: Ledger) -> None:
        """Forget the commits that are in the database; the next one begins the file anew
        when none is left."""
        if self.pending and self.pending[0].seq <= ledger.folded:
            left = [commit for commit in self.pending if commit.seq > ledger.folded]
            self.recent = Recent(ledger, left)
        if not self.pending:
            self._end = 0

    def append(self, commit: Commit) -> Commit | None:
        """Write a commit and flush it; None if it does not fit in now."""
        data = frames.encode(bytes.fromhex(commit.ledger.journal), commit)
        if self._end + len(data) > self.size or not self._room(commit):
            return None
        if not self.present:
            if self.pending:
                return None  # they are in memory only: into the database with them
            with mapped(self.path):
                self._open()
        with mapped(self.path):
            if not self._end:
                self._shorten()
            self._write(data)
        done = replace(commit, size=len(data))
        self._tail.add(done, self._end)
        self.recent = self.recent.followed_by(done)
        self._end += len(data)
        self._begun = True
        return done

    def close(self) -> None:
        """Close the file, also where it is read in this process."""
        self._tail.close()
        self._let_go()

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)

    def _room(self, commit: Commit) -> bool:
        """What a journal holds is in the memory of all who read it."""
        if not self.pending:
            return True
        marks = len(self.recent.delivered) + len(commit.delivered)
        text = self.recent.text + sum(len(row.body) for row in commit.rows)
        return marks <= MARKS and text <= self.size

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        try:
            if os.pwrite(self._file, data, self._end) != len(data):
                raise OSError(0, "the journal was written in part")
            os.fdatasync(self._file)
        except OSError:
            # nobody may find later what is told to have failed
            with contextlib.suppress(OSError):
                os.pwrite(self._file, bytes(BLOCK), self._end)
            self._tail.forget()
            raise

    def _shorten(self) -> None:
        """Give back what the file has above its size, for `max_size` was lowered."""
        assert self._file is not None
        if os.fstat(self._file).st_size > self.size:
            os.ftruncate(self._file, self.size)

    def _open(self) -> None:
        self._let_go()
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._file = file
        missing = self.size - os.fstat(file).st_size
        if missing > 0:
            os.pwrite(file, bytes(missing), self.size - missing)
            os.fsync(file)
            sync_directory(self.path.parent)
