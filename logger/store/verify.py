"""Recounts a buffer file and checks every row of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from logger.domain.datamodel import Lane
from logger.domain.errors import BufferCorruptError
from logger.store import journal, recent
from logger.store.database import Database, mapped
from logger.store.ledger import Books
from logger.store.rows import DAMAGED, RowState, as_row, has_counters
from logger.store.schema import SEALED, check_owner
from logger.store.seal import seal
from logger.store.wal import damage, log_of

MAX_PROBLEMS = 100
_SQL = (
    "SELECT state, reason, id, lane, points, first_ms, last_ms, crc, body, changed_ms, "
    "counters, {} FROM rows ORDER BY id"
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check found. `rows` and `points` are those in the file."""

    rows: int
    points: int
    problems: tuple[str, ...]
    books: Books | None

    @property
    def ok(self) -> bool:
        """True if nothing is off."""
        return not self.problems


def unseen(done: int, total: int) -> None:
    """Show no progress."""


def verify(path: Path, progress: Callable[[int, int], None] = unseen) -> Verification:
    """Check structure, checksums and books of a file, beside a running logger or not.

    `progress` is called with (rows done, rows in all). Raises BufferFileError if there
    is no such file and BufferDiskError if it cannot be read.
    """
    with mapped(path):
        found = damage(log_of(path))
    problems = (found,) if found else ()
    try:
        database = Database.open_readonly(path)
    except BufferCorruptError as err:
        return Verification(0, 0, (*problems, err.message), None)
    try:
        sealed = check_owner(database) >= SEALED  # it may wait for a logger to carry it over
        if found := journal.damage(database) or journal.missing(database):
            problems = (*problems, found)
        with recent.view(database) as on_top:
            report = _verify(database, on_top, progress, sealed=sealed)
        return replace(report, problems=(*problems, *report.problems))
    except BufferCorruptError as err:
        return Verification(0, 0, (*problems, err.message), None)
    finally:
        database.close()


def _verify(
    database: Database,
    on_top: recent.Recent,
    progress: Callable[[int, int], None],
    *,
    sealed: bool,
) -> Verification:
    problems = [f"structure: {text}" for text in database.integrity()]
    total = int(database.value("SELECT count(*) FROM rows"))
    counts: Counter[tuple[str, RowState]] = Counter()
    rows = points = highest = 0
    sql = _SQL.format("seal" if sealed else "NULL")
    for state, reason, *values, changed_ms, counters, mark in database.stream(sql):
        rows += 1
        if rows % 1000 == 0:
            progress(rows, total)
        row = as_row(values)
        highest = row.id
        taken = RowState.DELIVERED if state == 0 and row.id in on_top.delivered else state
        known = state in set(RowState)
        if known:
            counts[row.lane, RowState(taken)] += row.points
            points += row.points
        else:
            problems.append(f"row {row.id}: no such state: {state}")
        if not row.intact and reason != DAMAGED:
            problems.append(f"row {row.id}: {DAMAGED.removeprefix('the row ')}")
        elif row.intact and known and mark not in {None, seal(row.crc, state, changed_ms)}:
            problems.append(f"row {row.id}: the seal of its state is broken")
        elif row.intact and (counters == 1) != has_counters(row.lines):
            problems.append(f"row {row.id}: says wrongly whether it holds energy counters")
        elif row.intact and len(row.lines) != row.points:
            problems.append(f"row {row.id}: {len(row.lines)} lines, counted as {row.points}")
    progress(rows, total)
    for row in on_top.rows():
        rows, points, highest = rows + 1, points + row.points, row.id
        done = row.id in on_top.delivered
        counts[row.lane, RowState.DELIVERED if done else RowState.WAITING] += row.points
        if not row.intact:
            problems.append(f"row {row.id}: {DAMAGED.removeprefix('the row ')}")
    ledger = on_top.ledger
    books = ledger.books()
    if highest >= ledger.next_id:
        problems.append(f"row {highest} has a number that the books would give again")
    for lane in Lane:
        account = books.lanes[lane]
        for name, booked, state in (
            ("waiting", account.waiting, RowState.WAITING),
            ("set aside", account.set_aside, RowState.SET_ASIDE),
        ):
            if booked != counts[lane, state]:
                problems.append(
                    f"books: {lane.value}: {booked} points {name}, but {counts[lane, state]} in "
                    "the file"
                )
        if counts[lane, RowState.DELIVERED] > account.delivered:
            problems.append(
                f"books: {lane.value}: {account.delivered} points delivered, but "
                f"{counts[lane, RowState.DELIVERED]} in the file"
            )
        if not account.balanced:
            problems.append(
                f"books: {lane.value}: {account.read} read is not {account.delivered} delivered "
                f"+ {account.waiting} waiting + {account.set_aside} set aside "
                f"+ {account.dropped} dropped"
            )
    return Verification(rows, points, tuple(problems[:MAX_PROBLEMS]), books)
