"""Meters of a table for a configuration: a new one, one that is there, or what a scan found.

All that is wrong with a table is told at once, by line and column.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from logger.config.addresses import MODBUS
from logger.config.edit import edited
from logger.config.load import examined, read
from logger.config.merge import Merged, merged
from logger.config.metertable import COLUMNS, Entry, entries
from logger.config.sheet import Mistake, sheet
from logger.config.sheet import read as read_table
from logger.config.tablemistakes import placed, told


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table, its columns, and what is wrong with its cells."""

    file: Path
    columns: Sequence[str]
    entries: Sequence[Entry]
    mistakes: Sequence[Mistake]


def load_table(file: Path) -> Table:
    """Return the table in `file`. Raises ConfigError for a file that is none."""
    found = sheet(read_table(file), COLUMNS)
    rows = entries(found)
    return Table(file, found.columns, rows, found.mistakes)


def new_lines(table: Table, model: str, port: str) -> list[Mapping[str, Any]]:
    """Return the lines of a new configuration with the meters of `table`.

    `model` and `port` are those of rows that say none. Raises ConfigError with all mistakes.
    """
    full = [replace(one, meter={"model": model, **one.meter}) for one in table.entries]
    found = _checked(table, full, {"site": {"name": "home"}}, Path(), port)
    return [{"name": bus["name"], "port": bus["port"], **bus} for bus in found.buses]


def check_names(table: Table, protocol: str) -> None:
    """Raise ConfigError with all mistakes of a table that meters, which a scan will find by their
    serial numbers or addresses, are to be named by."""
    mbus = protocol == "mbus"
    usual = {"model": "pro380-mb" if mbus else "pro380", "role": "load"}
    used = {one.place for one in table.entries}
    free = iter([one for one in reversed(MODBUS) if one not in used])
    full = []
    for one in table.entries:
        meter = {**usual, **one.meter}
        if one.place is None and (at := next(free, None)) is not None and one.serial:
            meter["address"] = at
        bus = {"protocol": protocol, **one.bus}
        full.append(replace(one, meter=meter, bus=bus))
    _checked(table, full, {"site": {"name": "home"}}, Path(), "socket://localhost:1", len(full))


def changed(config: Path, table: Table) -> tuple[str, Merged]:
    """Return the text of the configuration `config` with the meters of `table`, and what is
    other than before. Raises ConfigError with all mistakes of the table."""
    text = read(config, ends=True)
    if "\r" in text.replace("\r\n", ""):  # ends that TOML has not
        text = read(config)
    found = _checked(table, table.entries, tomllib.loads(text), config, "")
    return edited(text, found), found


def _checked(
    table: Table,
    rows: Sequence[Entry],
    data: Mapping[str, Any],
    path: Path,
    port: str,
    most: int = 1,
) -> Merged:
    """Return `data` with `rows`; `port` is that of new lines without one, if they are not more
    than `most`."""
    if not rows:
        raise told(table.file, table.columns, table.mistakes)
    found = merged(data, rows)
    unplaced = [bus for bus in found.buses if "port" not in bus]
    if port and len(unplaced) <= most:
        for bus in unplaced:
            bus["port"] = port
    _, wrong = examined(path, found.data)
    mistakes = [*table.mistakes, *found.mistakes, *placed(found, wrong)]
    if mistakes:
        raise told(table.file, table.columns, mistakes)
    return found
