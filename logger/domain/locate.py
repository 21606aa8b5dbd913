"""Where a key stands in a TOML file, for telling people what to edit: the one line finder. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

# A path of table names, positions in arrays (from 0), and a key.
Location = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]+\"|'[^']+')\s*=")
_ARRAY = re.compile(r"[^=]*=\s*\[\s*(?:#.*)?")


@lru_cache(maxsize=1)  # a file is asked about many times in a row
def key_lines(text: str) -> Mapping[Location, int]:
    """Return the line of each key, table header and inline table that begins a line of an
    array, as far as plain TOML style goes."""
    found: dict[Location, int] = {}
    counts: dict[Location, int] = {}
    table: Location = ()
    array: Location | None = None  # one that goes on in the next line
    for number, line in enumerate(text.splitlines(), start=1):
        if array is not None:
            if line.lstrip().startswith("{"):
                counts[array] = counts.get(array, -1) + 1
                found[(*array, counts[array])] = number
            elif line.lstrip().startswith("]"):
                array = None
        elif header := _HEADER.fullmatch(line):
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
            place = (*table, key[1].strip("\"'"))
            found.setdefault(place, number)
            if _ARRAY.fullmatch(line):
                array = place
    return MappingProxyType(found)


def line_of(text: str, location: Location) -> int | None:
    """Return the line of `location`, or of the nearest table around it; None without any."""
    lines = key_lines(text)
    while location:
        if location in lines:
            return lines[location]
        location = location[:-1]
    return None
