"""Checks every row of a buffer file, in steps: what no reader would notice for months.

A step reads some rows on in the order of their numbers. Their checksums and seals must be
right, and the indexes must name these rows and no others. A row whose text is not what was
stored is set aside, or marked if it was delivered; anything else is damage of the file,
which is then rebuilt.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from logger.domain.datamodel import Lane
from logger.domain.errors import BufferCorruptError
from logger.store import rows
from logger.store.database import Database
from logger.store.ledger import Ledger, Scrub
from logger.store.rows import COLUMNS, DAMAGED, RowState, StoredRow, as_row, has_counters
from logger.store.schema import SELDOM
from logger.store.seal import seal, sql

STEP_ROWS = (50, 1000)  # fewest and most rows a step
STEP_S = 10.0
PASS_S = 6 * 3600.0  # how long a pass may take, and how often one begins
_LAST = 2**63 - 1
_ROWS = (
    f"SELECT state, changed_ms, counters, seal, reason, {COLUMNS} FROM rows WHERE id>? "  # noqa: S608
    "ORDER BY id LIMIT ?"
)
_BY_STATE = (
    "SELECT id FROM rows INDEXED BY rows_by_state WHERE state=? AND lane=? AND id>? AND id<=? "
    "ORDER BY id"
)
_BY_KEY = (
    "SELECT count(*) FROM json_each(?) AS held CROSS JOIN rows INDEXED BY rows_by_state "
    "WHERE rows.state=? AND rows.lane=? AND rows.id=held.value"
)


@dataclass(frozen=True, slots=True)
class Step:
    """What a step found: the last row, or 0 at the end; how many; those whose text is not
    what was stored and who do not say so yet; those of an older file without a seal."""

    last: int
    rows: int
    damaged: Sequence[StoredRow]
    unsealed: Sequence[int]


def step(database: Database, after: int, limit: int) -> Step:
    """Check up to `limit` rows above number `after`. Raises BufferCorruptError for what
    only a rebuild can mend."""
    with database.snapshot():
        found = database.rows(_ROWS, after, limit)
        last = int(found[-1][5]) if len(found) == limit else 0
        _compare_index(database, found, after, last or _LAST)
        damaged: list[StoredRow] = []
        unsealed: list[int] = []
        for state, changed_ms, counters, sealed, reason, *values in found:
            row = as_row(values)
            _seek(database, row, counters)
            if not row.intact:
                if reason != DAMAGED:
                    damaged.append(row)
                continue
            if sealed is None:
                unsealed.append(row.id)
            elif not isinstance(changed_ms, int):
                raise _corrupt(database, row.id, "it has no time of its state")
            elif sealed != seal(row.crc, state, changed_ms):
                raise _corrupt(database, row.id, "the seal of its state is broken")
            if (counters == 1) != has_counters(row.lines) or len(row.lines) != row.points:
                raise _corrupt(database, row.id, "it does not describe its lines")
    return Step(last, len(found), damaged, unsealed)


def small_tables(database: Database) -> None:
    """Check what no step over the rows meets: the other tables, and both ends of the
    indexes that may name no row at all. Raises as `step` does."""
    for table in ("ledger", "leases", "parked"):
        if found := database.integrity(table):
            raise BufferCorruptError(f"{database.path}: table {table}: {found[0]}")
    for name, chosen in SELDOM.items():
        for order in ("", "DESC"):
            database.value(
                f"SELECT first_ms FROM rows INDEXED BY rows_with_{name} WHERE {chosen} "  # noqa: S608
                f"ORDER BY first_ms {order} LIMIT 1"
            )


def mend(database: Database, ledger: Ledger, found: Step, now_ms: int) -> int:
    """Set rows aside that wait and are damaged, mark the other damaged ones, and seal those
    without a seal, within the caller's transaction; return how many rows that are."""
    for row in found.damaged:
        if row.packed is None and len(row.lines) != row.points:
            raise _corrupt(database, row.id, "its number of points is not known any more")
    numbers = [row.id for row in found.damaged]
    rows.set_aside_damaged(database, ledger, numbers, now_ms)
    for number in numbers:
        database.run("UPDATE rows SET reason=? WHERE state<>0 AND id=?", DAMAGED, number)
    database.many(
        f"UPDATE rows SET seal={sql()} WHERE id=? AND seal IS NULL",  # noqa: S608
        ((number,) for number in found.unsealed),
    )
    return len(numbers) + len(found.unsealed)


def step_size(total: int) -> int:
    """Return how many rows a step takes in a file of `total` rows."""
    fewest, most = STEP_ROWS
    return min(most, max(fewest, int(total * STEP_S / PASS_S) + 1))


def pause_s(scrub: Scrub, now_ms: int) -> float:
    """Return the seconds until the next step, whatever the clock did meanwhile."""
    if scrub.after:
        return STEP_S
    return min(PASS_S, max(STEP_S, PASS_S - (now_ms - scrub.began_ms) / 1000))


def advanced(scrub: Scrub, found: Step, now_ms: int) -> Scrub:
    """Return where the scrub is after a step."""
    scrub = replace(
        scrub,
        after=found.last,
        began_ms=scrub.began_ms if scrub.after else now_ms,
        rows=scrub.rows + found.rows,
        damaged=scrub.damaged + len(found.damaged),
    )
    if found.last:
        return scrub
    return replace(
        scrub,
        rows=0,
        damaged=0,
        done_ms=now_ms,
        done_rows=scrub.rows,
        done_damaged=scrub.damaged,
    )


def _compare_index(
    database: Database, found: Sequence[Sequence[Any]], after: int, last: int
) -> None:
    """Compare rows with the index that delivery finds them by: it has them and no others
    here, and each is found by its key."""
    for state in RowState:
        for lane in Lane:
            held = [row[5] for row in found if row[0] == state and row[6] == lane.value]
            key = (int(state), lane.value)
            named = [row[0] for row in database.rows(_BY_STATE, *key, after, last)]
            if held != named or database.value(_BY_KEY, json.dumps(held), *key) != len(held):
                raise _corrupt(database, after + 1, "from here on rows and index do not agree")
    for row in found:
        if row[0] not in set(RowState) or row[6] not in set(Lane):
            raise _corrupt(database, row[5], "it has no known state")


def _seek(database: Database, row: StoredRow, counters: int) -> None:
    """Look up a row in the indexes of seldom measurements, if it belongs there."""
    if row.lane is not Lane.MAIN:
        return
    for name, chosen in SELDOM.items():
        if not (counters == 1 if name == "energy" else f"{name}," in row.body):
            continue
        sought = (
            f"SELECT 1 FROM rows INDEXED BY rows_with_{name} WHERE {chosen} "  # noqa: S608
            "AND first_ms=? AND last_ms=? AND id=?"
        )
        if database.value(sought, row.first_ms, row.last_ms, row.id) is None:
            raise _corrupt(database, row.id, "the index of its measurement does not have it")


def _corrupt(database: Database, number: int, why: str) -> BufferCorruptError:
    return BufferCorruptError(f"{database.path}: row {number}: {why}")
