"""Changes sections in the text of a configuration; comments and all else stay. Pure."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from logger.config.merge import Merged
from logger.config.metertable import Value
from logger.config.write import bus_section, keys, meter_section
from logger.domain.errors import ConfigError
from logger.domain.locate import Location, key_lines

# A value that ends in its own line, and what may stand behind it.
_VALUE = r"\"{3}(?:[^\"\\]|\\.|\"(?!\"\"))*\"{3}|'{3}(?:[^']|'(?!''))*'{3}"
_VALUE += r"|\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s#\"'\[{]+"


def edited(text: str, merged: Merged) -> str:
    """Return `text`, whose data `merged` was made of, with its changes.

    Raises ConfigError for a text that is not written in sections.
    """
    places = key_lines(text)
    lines = text.splitlines(keepends=True)
    end = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    if lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += end
    instead: dict[int, str] = {}
    behind: defaultdict[int, list[str]] = defaultdict(list)
    for location, changed in merged.changes.items():
        for key, new in changed.items():
            at = places.get((*location, key))
            if at is not None:
                instead[at] = _line(lines[at - 1], key, new, end)
            elif new is not None and location in places:
                behind[_last_key(places, location)] += keys(**{key: new})
    for b, meters in merged.added.items():
        for meter in meters:
            behind[_end(lines, places, ("bus", b))] += ["", *meter_section(meter)]
    for bus in merged.buses:
        behind[_end(lines, places, ("bus",))] += ["", *bus_section(bus)]
    found: list[str] = []
    for number in range(len(lines) + 1):
        if number:
            found.append(instead.get(number, lines[number - 1]))
        found += [f"{line}{end}" for line in behind[number]]
    made = "".join(found)
    if _data(made) != merged.data:
        raise ConfigError(
            "the meters of this configuration are not written as sections, each key in a line",
            "write each as a [[bus.meter]] below its [[bus]], as in config/logger.toml",
        )
    return made


def _line(line: str, key: str, value: Value | None, end: str) -> str:
    """Return the line of a key with another value; what stands behind it stays."""
    if value is None:
        return ""
    (fresh,) = keys(**{key: value})
    old = re.fullmatch(
        rf"(\s*[\"']?{re.escape(key)}[\"']?\s*=\s*)(?:{_VALUE})(\s*(?:#.*)?)", line, re.S
    )
    return f"{old[1]}{fresh.partition(' = ')[2]}{old[2]}" if old else f"{fresh}{end}"


def _end(lines: Sequence[str], places: Mapping[Location, int], above: Location) -> int:
    """Return the last line of the section `above` and all below it, with the comments that
    follow at once, unless they stand at the head of what comes next; 0 without one."""
    size = len(above)
    last = max((line for place, line in places.items() if place[:size] == above), default=0)
    at = last
    while last and at < len(lines) and lines[at].lstrip().startswith("#"):
        at += 1
    return last if at < len(lines) and lines[at].strip() else at


def _last_key(places: Mapping[Location, int], section: Location) -> int:
    """Return the line of the last key of `section` itself, or of its head."""
    own = (line for place, line in places.items() if place[:-1] == section)
    return max(own, default=places[section])


def _data(text: str) -> object:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
