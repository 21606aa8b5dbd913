"""What commands do to a buffer file, beside a running logger or without one.

Every change is one short transaction that keeps the books true. A logger that runs sees
it with its next look into the file; nothing here needs its lock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from logger.domain.datamodel import Lane
from logger.domain.errors import BufferCorruptError, BufferFileError
from logger.store import check, extent, fold, journal, recent, recover, rows, schema, seal, wal
from logger.store.capacity import ROW_COST, Capacity
from logger.store.database import Database, mapped
from logger.store.ledger import Books, Scrub
from logger.store.lock import OwnerLock
from logger.store.rows import COLUMNS, NewRow, RowState, StoredRow, as_row

_CHUNK = 500  # rows a transaction: a running logger waits no longer than that
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What a file says about itself. Times in milliseconds UTC, sizes in bytes;
    `pages` are the bytes of the database, used or not, `bytes_a_day` what it grows by at
    present, None when not known; `written` is what went to the medium by UTC day, `damage`
    what is wrong with the log."""

    path: Path
    running: bool
    books: Books
    size: int
    used: int
    pages: int
    bytes_a_day: float | None
    oldest_ms: int | None
    newest_ms: int | None
    written: dict[str, int]
    corrupt: tuple[Path, ...]
    damage: str
    scrub: Scrub


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was set aside, and why."""

    row: StoredRow
    reason: str
    since_ms: int


@contextmanager
def changing(path: Path, *, new: bool = False, directory: bool = False) -> Iterator[Database]:
    """Open an existing buffer file to change it, or with `new` one that is made if there
    is none, and with `directory` what it lies in. Raises BufferFileError."""
    with mapped(path):
        if directory:
            path.parent.mkdir(parents=True, exist_ok=True)
        there, placed = path.exists(), path.parent.is_dir()
    if not new and not there:
        raise BufferFileError(f"{path}: no such buffer file", "has the logger run yet?")
    if not placed:
        raise BufferFileError(f"{path.parent}: no such directory", "make it, or see buffer.path")
    with mapped(path):
        if found := recover.orphaned(path) or wal.damage(wal.log_of(path)):
            raise BufferCorruptError(f"{path}: {found}", "start the logger: it mends its buffer")
    database = Database.open(path, schema.check_owner)
    try:
        schema.migrate(database)
        if found := journal.damage(database):
            raise BufferCorruptError(f"{path}: {found}", "start the logger: it mends its buffer")
        with _believed(path):
            yield database
    finally:
        database.checkpoint()
        database.close()


@contextmanager
def _believed(path: Path) -> Iterator[None]:
    """A damaged row with a text for a number comes as the error of whoever uses it: say what
    it is. Raises BufferCorruptError."""
    try:
        yield
    except (TypeError, ValueError) as err:
        if not (found := check.whole(path)):
            raise
        text = f"{path}: {found}"
        raise BufferCorruptError(text, "start the logger: it mends its buffer") from err


def summary(path: Path) -> FileSummary:
    """Return what the file says about itself. Raises BufferFileError."""
    database = Database.open_readonly(path)
    try:
        schema.check_owner(database)
        with mapped(path):
            damage = wal.damage(wal.log_of(path))
            damage = damage or journal.damage(database) or journal.missing(database)
        with _believed(path), recent.view(database) as on_top:
            ledger = on_top.ledger
            size, free = database.size()
            rate = extent.growth(database)
            oldest, newest = extent.extremes(database)
    finally:
        database.close()
    files = [path, wal.log_of(path), recent.journal_of(path)]
    return FileSummary(
        path,
        OwnerLock(path).held_elsewhere(),
        ledger.books(),
        sum(file.stat().st_size for file in files if file.exists()),
        size - free,
        size,
        rate,
        oldest,
        newest,
        ledger.written,
        tuple(
            file
            for file in sorted(path.parent.glob(path.name + ".corrupt-*"))
            if not file.name.endswith(recover.SIDE_FILES)
        ),
        damage,
        ledger.scrub,
    )


def between(
    database: Database, states: Sequence[RowState], from_ms: int | None, to_ms: int | None
) -> Generator[StoredRow, None, None]:
    """Yield the rows in some states with a point from `from_ms` up to, without, `to_ms`."""
    sql = (
        f"SELECT state, {COLUMNS} FROM rows "  # noqa: S608
        "WHERE state IN (SELECT value FROM json_each(?)) AND last_ms>=? AND first_ms<? ORDER BY id"
    )
    low = -(2**62) if from_ms is None else from_ms
    high = 2**62 if to_ms is None else to_ms
    wanted = {int(state) for state in states}
    sought = json.dumps(sorted(wanted | ({0} if RowState.DELIVERED in wanted else set())))
    with recent.view(database) as on_top:
        done = on_top.delivered
        with closing(database.stream(sql, sought, low, high)) as found:
            for state, *values in found:
                if (1 if state == 0 and values[0] in done else state) in wanted:
                    yield as_row(values)
        for row in on_top.rows():
            if int(row.id in done) in wanted and row.last_ms >= low and row.first_ms < high:
                yield row


def replay(database: Database, from_ms: int, to_ms: int, now_ms: int, progress: Progress) -> int:
    """Let rows of a time range that were delivered wait again; return their points."""
    _take_in(database)  # what comes later was not meant
    with database.snapshot():
        wanted = [
            number
            for (number,) in database.stream(
                "SELECT id FROM rows WHERE state=1 AND last_ms>=? AND first_ms<? ORDER BY id",
                from_ms,
                to_ms,
            )
        ]
    return _move(database, wanted, RowState.DELIVERED, now_ms, progress)


def _take_in(database: Database) -> None:
    with database.transaction():
        fold.begin(database)


def retry(
    database: Database, numbers: Iterable[int] | None, now_ms: int, progress: Progress
) -> int:
    """Let rows that were set aside wait again, all or those named; return their points."""
    return _move(database, _aside(database, numbers), RowState.SET_ASIDE, now_ms, progress)


def discard(database: Database, numbers: Iterable[int] | None, progress: Progress) -> int:
    """Delete rows that were set aside, all or those named; return their points."""
    wanted = _aside(database, numbers)
    points = 0
    for start in range(0, len(wanted), _CHUNK):
        chunk = json.dumps(wanted[start : start + _CHUNK])
        with database.transaction():
            ledger = fold.begin(database)
            for lane, count in _counts(database, chunk, RowState.SET_ASIDE):
                ledger.lanes[lane].drop("discarded", count, waiting=False)
                points += count
            database.run(
                "DELETE FROM rows WHERE state=2 AND id IN (SELECT value FROM json_each(?))", chunk
            )
            schema.save_ledger(database, ledger)
        progress(min(start + _CHUNK, len(wanted)), len(wanted))
    return points


def refused(database: Database) -> Iterator[Refused]:
    """Yield the rows that are set aside, oldest first."""
    sql = f"SELECT reason, changed_ms, {COLUMNS} FROM rows WHERE state=2 ORDER BY id"  # noqa: S608
    for reason, since, *values in database.stream(sql):
        yield Refused(as_row(values), str(reason or ""), since if isinstance(since, int) else 0)


def add(database: Database, new: Sequence[NewRow], now_ms: int, progress: Progress) -> int:
    """Add rows that wait for delivery; return their points."""
    for start in range(0, len(new), 50):
        with database.transaction():
            ledger = fold.begin(database)
            rows.append(database, ledger, new[start : start + 50], now_ms)
            schema.save_ledger(database, ledger)
        if start % 1000 == 0:
            database.checkpoint()
        progress(min(start + 50, len(new)), len(new))
    return sum(row.points for row in new)


def missing_room(path: Path, max_size: int, new: Iterable[NewRow]) -> int:
    """Return by how many bytes `new` is too much for a file with such a limit, 0 if there is
    room. Delivered rows count as room: they go first. Raises BufferFileError."""
    wanted = sum(len(row.body) + ROW_COST for row in new)
    used = 0
    if path.exists():
        with closing(Database.open_readonly(path)) as database, recent.view(database) as on_top:
            size, free = database.size()
            wanted += sum(len(row.body) for row in on_top.rows())
            gone = database.value(
                "SELECT coalesce(sum(length(body) + ?), 0) FROM rows WHERE state=1", ROW_COST
            )
        used = size - free - int(gone)
    return max(0, used + wanted - Capacity(max_size).room)


def _aside(database: Database, numbers: Iterable[int] | None) -> list[int]:
    if numbers is None:
        return [row[0] for row in database.rows("SELECT id FROM rows WHERE state=2 ORDER BY id")]
    wanted = sorted(set(numbers))
    found = database.rows(
        "SELECT id FROM rows WHERE state=2 AND id IN (SELECT value FROM json_each(?))",
        json.dumps(wanted),
    )
    missing = set(wanted) - {row[0] for row in found}
    if missing:
        raise BufferFileError(
            f"no row is set aside under number {', '.join(map(str, sorted(missing)))}",
            "buffer set-aside list shows the numbers",
        )
    return wanted


def _move(
    database: Database, wanted: Sequence[int], state: RowState, now_ms: int, progress: Progress
) -> int:
    """Let rows wait that are in `state`; return their points."""
    points = 0
    for start in range(0, len(wanted), _CHUNK):
        chunk = json.dumps(wanted[start : start + _CHUNK])
        with database.transaction():
            ledger = fold.begin(database)
            for lane, count in _counts(database, chunk, state):
                account = ledger.lanes[lane]
                account.waiting += count
                if state is RowState.DELIVERED:
                    account.delivered -= count
                else:
                    account.set_aside -= count
                points += count
            database.run(
                "UPDATE rows SET state=0, changed_ms=?1, reason=NULL, "  # noqa: S608
                f"seal={seal.sql(state='0', changed_ms='?1')} "
                "WHERE state=?2 AND id IN (SELECT value FROM json_each(?3))",
                now_ms,
                int(state),
                chunk,
            )
            schema.save_ledger(database, ledger)
        progress(min(start + _CHUNK, len(wanted)), len(wanted))
    return points


def _counts(database: Database, chunk: str, state: RowState) -> list[tuple[Lane, int]]:
    found = database.rows(
        "SELECT lane, sum(points) FROM rows WHERE state=? "
        "AND id IN (SELECT value FROM json_each(?)) GROUP BY lane",
        int(state),
        chunk,
    )
    return [(Lane(lane), int(count)) for lane, count in found]
