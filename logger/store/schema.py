"""The tables of the buffer file, and how older files become newer ones.

The comments are kept by SQLite: `.schema` in any SQLite shell explains the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from logger.domain.errors import BufferCorruptError, BufferFileError
from logger.store.database import Database
from logger.store.ledger import Ledger, checksum

APPLICATION_ID = 0x494E4550  # "INEP": tells the file from any other SQLite database

_ROWS = """\
CREATE TABLE rows (
  id INTEGER PRIMARY KEY,     -- in the order of arrival, never used twice
  state INTEGER NOT NULL,     -- 0 waiting, 1 delivered, 2 set aside
  lane TEXT NOT NULL,         -- 'main' or 'fast': which bucket it goes to
  points INTEGER NOT NULL,    -- lines in body
  first_ms INTEGER NOT NULL,  -- earliest time in body, milliseconds UTC
  last_ms INTEGER NOT NULL,   -- latest time in body
  changed_ms INTEGER NOT NULL,-- when it came to its state
  counters INTEGER NOT NULL,  -- 1 if body holds energy counters
  crc INTEGER NOT NULL,       -- CRC-32 of 'id|lane|points|first_ms|last_ms|' and body
  reason TEXT,                -- why it was set aside: the server's words
  body TEXT NOT NULL          -- line protocol, one job of one meter
)"""
_LEDGER = """\
CREATE TABLE ledger (
  id INTEGER PRIMARY KEY,     -- always 1
  value TEXT NOT NULL,        -- JSON: the books, points by lane
  crc INTEGER NOT NULL        -- CRC-32 of value
)"""
_LEASES = """\
CREATE TABLE leases (
  id INTEGER PRIMARY KEY,
  lane TEXT NOT NULL,
  first_id INTEGER NOT NULL,  -- rows first_id..last_id are being delivered by a command;
  last_id INTEGER NOT NULL,   -- the running logger leaves them alone
  until_ms INTEGER NOT NULL   -- and takes them back then
)"""
_PARKED = """\
CREATE TABLE parked (
  id INTEGER PRIMARY KEY,     -- in the order of arrival, never used twice
  boot TEXT NOT NULL,         -- the kernel's boot_id when it was read
  moment_ms INTEGER NOT NULL, -- when, in milliseconds since that boot, time asleep included
  crc INTEGER NOT NULL,       -- CRC-32 of 'id|boot|moment_ms|' and body
  body TEXT NOT NULL          -- JSON: the reading
)"""
_SEAL = "ALTER TABLE rows ADD COLUMN seal INTEGER /* checksum of crc, state, changed_ms */"

# Which rows of the main lane hold a measurement that reports look for over years: these are
# few among very many, and each kind has an index of its own. A query must have the very
# same words, or SQLite does not take the index.
SELDOM = {
    "energy": "lane = 'main' AND counters = 1",
    **{
        name: f"lane = 'main' AND instr(body, '{name},') > 0"
        for name in (
            *("event", "quality_voltage", "quality_frequency_15m", "energy_15m"),
            "day_digest",
        )
    },
}


def _index(name: str) -> str:
    return f"CREATE INDEX rows_with_{name} ON rows (first_ms, last_ms) WHERE {SELDOM[name]}"


_LOOKED_AT = 20_000  # rows: most of a day of a meter read every 5 s


def last_stamp(database: Database) -> int | None:
    """Return the newest time in the file that a logger can have given, milliseconds UTC.

    An older version did not note it. A logger commits a row after the newest time in it
    and an import may bring any time: a row that came to its state before its own time
    proves nothing. Only the newest rows are looked at, for the file may be large.
    """
    found: int | None = database.value(
        "SELECT max(last_ms) FROM (SELECT last_ms, changed_ms FROM rows ORDER BY id DESC LIMIT ?) "
        "WHERE last_ms <= changed_ms",
        _LOOKED_AT,
    )
    return found


def sought_by_text(body: str) -> bool:
    """Return whether an index finds a row by this text: then it is not packed."""
    return any(f"{name}," in body for name in SELDOM if name != "energy")


def _name_journal(database: Database) -> None:
    ledger = load_ledger(database)
    ledger.journal = os.urandom(8).hex()
    save_ledger(database, ledger)


def _note_last_stamp(database: Database) -> None:
    ledger = load_ledger(database)
    ledger.stamped_ms = last_stamp(database)
    save_ledger(database, ledger)


# One entry a version, of statements and functions; entries are never changed, only added.
MIGRATIONS: tuple[tuple[str | Callable[[Database], None], ...], ...] = (
    (
        _ROWS,
        "CREATE INDEX rows_by_state ON rows (state, lane, id)",
        _LEDGER,
        f"PRAGMA application_id={APPLICATION_ID}",
    ),
    (_LEASES,),
    # A version for each: a large file on a slow medium is read through for every index, and
    # a service manager that loses patience must not undo those that are made.
    (_index("energy"),),
    (_index("event"),),
    (_index("quality_voltage"),),
    (_index("quality_frequency_15m"),),
    # Rows of older files are sealed when their state changes, and by the scrub.
    (_SEAL,),
    (_note_last_stamp,),
    (_PARKED,),
    (_index("energy_15m"),),
    (_index("day_digest"),),
    # From here on a body may be a blob: packed, see `pack`. And there is a journal.
    (_name_journal,),
)
VERSION = len(MIGRATIONS)
SEALED = 1 + next(number for number, steps in enumerate(MIGRATIONS) if _SEAL in steps)


def migrate(database: Database, version: int = VERSION) -> None:
    """Bring the file to `version`, step by step, each step whole or not at all.

    Raises BufferFileError for another program's file, or one of a newer logger.
    """
    present = check_owner(database)
    for number in range(present, version):
        with database.transaction():
            if int(database.value("PRAGMA user_version")) != number:
                continue  # somebody else was faster
            for step in MIGRATIONS[number]:
                if isinstance(step, str):
                    database.run(step)
                else:
                    step(database)
            if number == 0:
                save_ledger(database, Ledger())
            database.run(f"PRAGMA user_version={number + 1}")


def check_owner(database: Database) -> int:
    """Return the schema version of the file; raises as `migrate` does."""
    present = int(database.value("PRAGMA user_version"))
    owner = int(database.value("PRAGMA application_id"))
    tables = int(database.value("SELECT count(*) FROM sqlite_schema"))
    if owner != APPLICATION_ID and (tables or present):
        raise BufferFileError(
            f"{database.path}: is a database of another program",
            "give buffer.path a name of its own",
        )
    if present > VERSION:
        raise BufferFileError(
            f"{database.path}: was written by a newer version (schema {present}, this "
            f"program knows {VERSION})",
            "install the newer inepro-logger again, or give buffer.path another name",
        )
    return present


def load_ledger(database: Database) -> Ledger:
    """Return the ledger. Raises BufferCorruptError if it is not what was stored."""
    found = database.row("SELECT value, crc FROM ledger WHERE id=1")
    if database.books is not None and found == database.books[0]:
        known = database.books[1]
        if isinstance(known, Ledger):
            return known.copy()
    if found is None or not isinstance(found[0], str) or checksum(found[0]) != found[1]:
        raise BufferCorruptError(f"{database.path}: the books fail their checksum")
    try:
        ledger = Ledger.loads(found[0])
        database.books = found, ledger.copy()
        return ledger
    except ValueError as err:
        raise BufferCorruptError(f"{database.path}: {err}") from err


def save_ledger(database: Database, ledger: Ledger) -> None:
    """Store the ledger, inside the caller's transaction."""
    ledger.commit += 1
    text = ledger.dumps()
    database.run("REPLACE INTO ledger (id, value, crc) VALUES (1, ?, ?)", text, checksum(text))
