"""Complaints about a table of meters, each with line and column: what a configuration would say
of its sections is said of the rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from logger.config.merge import Merged
from logger.config.metertable import OF_BUS, Entry, place_of
from logger.config.section import MisplacedError
from logger.config.sheet import Mistake
from logger.domain.datamodel import ROLES
from logger.domain.errors import ConfigError, nearest
from logger.domain.locate import Location

_COLUMN = {key: column for column, key in OF_BUS.items()}
EMPTY = "is empty"
_WANTED: Mapping[str, str] = {
    "name": "what the meter measures, such as flat-101: it is in all reports",
    "model": "such as pro380; inepro-logger models lists them",
    "address": "as the meter's display or inepro-logger scan shows it",
    "role": f"one of {', '.join(ROLES)}",
    "port": "a device such as /dev/serial/by-id/..., tcp://HOST:502 or socket://HOST:PORT",
}


def placed(merged: Merged, found: Iterable[MisplacedError]) -> list[Mistake]:
    """Return mistakes of the configuration `merged` by the rows that they are from; line 0 is
    for those of no row."""
    return [
        _placed(merged, one)
        for one in found
        # All rows of a new line are of meters on other ones, which is said.
        if not (merged.mistakes and one.location[2:] == ("meter",))
    ]


def _placed(merged: Merged, one: MisplacedError) -> Mistake:
    place = one.location
    text, hint = str(one), one.hint
    key = next((str(part) for part in place[2:] if isinstance(part, str) and part != "meter"), "")
    match place:
        case ("bus", int(b), "meter", int(m), *_):
            entry, column = merged.where.get((b, m)), key
            twin = _twin(merged, (b, m), key) if text != "missing" else None
            if entry is None:
                entry = twin  # the meter was there; it is the row that cannot be
            elif twin is not None:
                text += f"; line {twin.line} has it, too"
            if key == "address" and entry is not None and "secondary" in entry.meter:
                column = "secondary"
        case ("bus", int(b), *_):
            entry = merged.said.get((b, key)) or _first(merged, b)
            column = _COLUMN.get(key, "")
        case _:
            entry, column = None, ""
    if text == "missing":
        text, hint = EMPTY, _slip(merged, place) or _WANTED.get(key, hint)
    if entry is None:
        return Mistake(0, ".".join(str(part) for part in place), text, hint)
    return Mistake(entry.line, column, text, hint)


def _slip(merged: Merged, place: Location) -> str:
    """Return what a new line without a port may be instead: one that is there."""
    match place:
        case ("bus", int(b), "port"):
            names = [str(bus.get("name")) for bus in merged.data["bus"]]
            others = {one.casefold(): one for one in names if one != names[b]}
            near = nearest(names[b].casefold(), others)
            return f"did you mean bus {others[near]!r}? A new one needs its port" if near else ""
        case _:
            return ""


def _twin(merged: Merged, at: tuple[int, int], key: str) -> Entry | None:
    """Return the row that has the name, or the address on its line, of the meter at `at`."""
    meter = merged.data["bus"][at[0]]["meter"][at[1]]
    for (bus, m), other in sorted(merged.where.items(), key=lambda one: one[1].line):
        if (bus, m) == at:
            continue
        names = key == "name" and other.name == meter.get("name")
        if names or (key == "address" and bus == at[0] and other.place == place_of(meter)):
            return other
    return None


def _first(merged: Merged, b: int) -> Entry | None:
    own = [entry for (bus, _), entry in merged.where.items() if bus == b]
    return min(own, key=lambda entry: entry.line, default=None)


def told(file: Path, columns: Sequence[str], found: Iterable[Mistake]) -> ConfigError:
    """Return one error that tells all mistakes of the table `file`; one that many rows have is
    told once, with their lines."""
    same: dict[tuple[str, str, str], list[int]] = {}
    refused = {(one.line, one.column) for one in found if one.text != EMPTY}
    for one in sorted(found, key=lambda one: (one.line, one.column)):
        if one.text == EMPTY and (one.line, one.column) in refused:
            continue  # it was given, and said to be wrong
        text = one.text
        if text == EMPTY and one.column not in columns:
            text = "there is no column of this name"
        lines = same.setdefault((one.column, text, one.hint), [])
        if one.line not in lines:
            lines.append(one.line)
    count = f"{len(same)} mistakes" if len(same) > 1 else "a mistake"
    rows = [f"{file}: {count}, nothing is written"]
    for (column, text, hint), lines in same.items():
        where = f"{file}:{lines[0]}" if lines[0] else str(file)
        also = f" (lines {_spans(lines)})" if len(lines) > 1 else ""
        rows.append(f"{where}: {f'{column}: ' if column else ''}{text}{also}")
        rows += [f"  try: {hint}"] if hint else []
    return ConfigError("\n".join(rows))


def _spans(lines: Sequence[int]) -> str:
    """Return numbers for people: "2 to 9, 12"."""
    spans: list[list[int]] = []
    for line in lines:
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    texts = (f"{a}" if a == b else f"{a} to {b}" if b > a + 1 else f"{a}, {b}" for a, b in spans)
    return ", ".join(texts)
