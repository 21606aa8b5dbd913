"""The only module that knows sqlite3: connections, transactions, and what their errors mean."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from logger.domain.errors import (
    BufferCorruptError,
    BufferDiskError,
    BufferFileError,
    BufferSuspectError,
)

PAGE = 4096  # bytes; the block of most file systems and the smallest write of an SD card
LOCK_WAIT_S = 5.0
_CACHE_KIB = 2048

_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DISK = {
    sqlite3.SQLITE_FULL: "no space left on the disk",
    sqlite3.SQLITE_READONLY: "the file system is read-only, or the file is not writable",
    sqlite3.SQLITE_IOERR: "input/output error",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_PERM: "no permission",
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked",
    sqlite3.SQLITE_PROTOCOL: "another program keeps it locked",
    sqlite3.SQLITE_NOLFS: "too large for this file system",
    sqlite3.SQLITE_NOMEM: "out of memory",
    sqlite3.SQLITE_AUTH: "no permission",
    sqlite3.SQLITE_INTERRUPT: "interrupted",
}
# What the statements of this program never meet where the tables are as it made them.
_DAMAGED_TABLES = ("no such table", "no such column", "no such index", "already exists")
_DISK_HINT = "check space, mount options and permissions; the logger goes on by itself"


class Database:
    """One connection to a buffer file, for one thread at a time.

    Every method raises BufferDiskError for a full, read-only, locked or failing disk,
    BufferCorruptError for a damaged file, and BufferSuspectError for all else that SQLite
    may refuse, such as a number that is there already: then the file is to be checked.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        # a row with damaged text can still be read, and then fails its checksum
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        self._connection = connection
        self.path = path
        # for `store.recent`: what reads the journal, and what is on top of a snapshot
        self.tail: object = None
        self.on_top: object = None
        self.books: tuple[tuple[object, ...], object] | None = None  # as they were stored, and read

    @classmethod
    def open(cls, path: Path, check: Callable[[Database], object] = bool) -> Database:
        """Open for reading and writing; the file is made if there is none. `check` may
        refuse a file before anything in it is changed."""
        with mapped(path):
            connection = sqlite3.connect(
                path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False
            )
            database = cls(connection, path)
            try:
                check(database)
                # auto_vacuum has to be set before the first table; FULL makes each commit
                # reach the medium, which WAL alone does not promise after a power cut.
                for pragma in (
                    f"page_size={PAGE}",
                    "auto_vacuum=INCREMENTAL",
                    "journal_mode=WAL",
                    "synchronous=FULL",
                    "wal_autocheckpoint=0",
                    "cell_size_check=ON",
                    f"cache_size=-{_CACHE_KIB}",
                ):
                    connection.execute(f"PRAGMA {pragma}")
            except BaseException:
                connection.close()
                raise
        return database

    @classmethod
    def open_readonly(cls, path: Path) -> Database:
        """Open an existing file for reading, beside a logger that writes to it."""
        with mapped(path):
            size = path.stat().st_size if path.exists() else None
        if size is None:
            raise BufferFileError(f"{path}: no such buffer file", "has the logger run yet?")
        if not size:  # whoever opens it takes its log away
            raise BufferCorruptError(f"{path}: is empty", "start the logger: it mends its buffer")
        uri = path.resolve().as_uri()
        with mapped(path):
            try:
                database = cls(_reader(f"{uri}?mode=ro"), path)
                database.value("PRAGMA schema_version")
            except sqlite3.OperationalError:
                # On a read-only file system the shared memory file cannot be made; then
                # nobody writes either, and the file may be read as it lies there.
                database = cls(_reader(f"{uri}?immutable=1"), path)
                database.value("PRAGMA schema_version")
        return database

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with mapped(self.path):
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        """Return the first row of a query, None if there is none."""
        with mapped(self.path):
            found: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
            return found

    def value(self, sql: str, *values: object) -> Any:
        """Return the first column of the first row, None if there is none."""
        found = self.row(sql, *values)
        return None if found is None else found[0]

    def stream(self, sql: str, *values: object) -> Generator[tuple[Any, ...], None, None]:
        """Yield the rows of a query one by one; the query ends when the iterator does."""
        with mapped(self.path), contextlib.closing(self._connection.execute(sql, values)) as cursor:
            yield from cursor

    def batches(
        self, sql: str, values: Mapping[str, object], size: int
    ) -> Generator[list[tuple[Any, ...]], None, None]:
        """Yield the rows of a query, `size` at a time, with values by name."""
        with mapped(self.path), contextlib.closing(self._connection.execute(sql, values)) as cursor:
            while found := cursor.fetchmany(size):
                yield found

    def run(self, sql: str, *values: object) -> int:
        """Run a statement and return how many rows it changed."""
        with mapped(self.path):
            return self._connection.execute(sql, values).rowcount

    def many(self, sql: str, values: Iterable[tuple[object, ...]]) -> None:
        """Run a statement once for each tuple of values."""
        with mapped(self.path):
            self._connection.executemany(sql, values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is committed, or nothing of it."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else changes the file meanwhile; nothing is changed here either."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    @property
    def in_transaction(self) -> bool:
        """True inside a transaction or a snapshot."""
        return self._connection.in_transaction

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see one state of the file, whatever others write meanwhile."""
        self.run("BEGIN")
        try:
            yield
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def checkpoint(self, *, truncate: bool = False) -> None:
        """Move what the write-ahead log holds into the database file, as far as possible."""
        self.rows(f"PRAGMA wal_checkpoint({'TRUNCATE' if truncate else 'PASSIVE'})")

    def size(self) -> tuple[int, int]:
        """Return (bytes of all pages, bytes of pages free for reuse)."""
        pages = int(self.value("PRAGMA page_count"))
        free = int(self.value("PRAGMA freelist_count"))
        return pages * PAGE, free * PAGE

    def shrink(self, pages: int) -> None:
        """Give up to `pages` unused pages back to the file system. Not in a transaction."""
        with mapped(self.path):
            # `execute` ends a statement without columns at its first step, which is one page
            self._connection.executescript(f"PRAGMA incremental_vacuum({pages})")

    def integrity(self, limit: int | str = 20) -> list[str]:
        """Return what SQLite finds wrong with the file, at most `limit` findings, or with
        one table, if `limit` is its name."""
        try:
            found = [str(row[0]) for row in self.rows(f"PRAGMA integrity_check({limit})")]
        except BufferCorruptError as err:
            return [err.message]
        return [] if found == ["ok"] else found

    def copy_to(self, path: Path) -> None:
        """Write a whole copy to `path`, which must not exist."""
        with mapped(path), contextlib.closing(sqlite3.connect(path)) as target:
            self._connection.backup(target)

    def close(self) -> None:
        """Close the connection. Errors are of no use to anyone then."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def _reader(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    return connection


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[None]:
    """Turn the errors of sqlite3 and of the file system into this program's own."""
    try:
        yield
    except sqlite3.Error as err:
        code = getattr(err, "sqlite_errorcode", 0) & 0xFF
        if code in _CORRUPT:
            raise BufferCorruptError(f"{path}: {err}", "the file is damaged") from err
        if code in _DISK:
            why = "the file system is read-only" if _read_only(path) else _DISK[code]
            raise BufferDiskError(f"{path}: {why} ({err})", _DISK_HINT) from err
        if any(words in str(err) for words in _DAMAGED_TABLES):
            raise BufferCorruptError(f"{path}: {err}", "the file is damaged") from err
        raise BufferSuspectError(
            f"{path}: SQLite refuses: {err}", "inepro-logger buffer verify checks the file"
        ) from err
    except OSError as err:
        raise BufferDiskError(f"{path}: {err.strerror or err}", _DISK_HINT) from err


def _read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False
