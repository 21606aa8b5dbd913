"""Where a key stands in a TOML file, for telling people what to edit: the one line finder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from logger.config.sections import Config

# A path of table names, positions in arrays of tables (from 0), and a key.
Location = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]+\")\s*=")


def key_lines(text: str) -> Mapping[Location, int]:
    """Return the line of each key and table header, as far as plain TOML style goes."""
    found: dict[Location, int] = {}
    counts: dict[Location, int] = {}
    table: Location = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.fullmatch(line):
            table = ()
            names = [name.strip(' "') for name in header[2].split(".")]
            for depth, name in enumerate(names):
                table = (*table, name)
                last = depth == len(names) - 1
                if last and header[1] == "[[":
                    counts[table] = counts.get(table, -1) + 1
                if table in counts:
                    table = (*table, counts[table])
            found[table] = number
        elif key := _KEY.match(line):
            found.setdefault((*table, key[1].strip('"')), number)
    return found


def place_of(path: Path, config: Config, bus: str, meter: str, key: str) -> str:
    """Return "file:line" of `key` of a bus, or of a meter when `meter` is named.

    Where the key is left out, the line of its section.
    """
    b = next(number for number, one in enumerate(config.bus) if one.name == bus)
    where: Location = ("bus", b)
    if meter:
        names = [one.name for one in config.bus[b].meter]
        where = (*where, "meter", names.index(meter))
    try:
        lines = key_lines(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return str(path)
    line = lines.get((*where, key)) or lines.get(where)
    return f"{path}:{line}" if line else str(path)
