"""Puts a table of meters into a configuration: which rows are meters that are there. Pure.

A row and a meter are one if they have the same address on the same line, or the same name. What
a column says is set; an empty cell takes a key out, one of a line if it is empty in all rows and
each meter of the line has one; a key without a column, and a meter without a row, stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from logger.config.clashes import sections
from logger.config.metertable import OF_BUS, OF_METER, Entry, Value, place_of
from logger.config.sheet import Mistake, plain
from logger.domain.errors import nearest
from logger.domain.locate import Location

USUAL_BUS = "cabinet"
_KEPT = frozenset({"name", "model", "role"})  # an empty cell does not take these out
_KEPT_OF_BUS = frozenset({"name", "port", "protocol"})
_COLUMN = {key: column for column, key in OF_BUS.items()}
_Where = tuple[int, int]  # of a meter: bus and meter, from 0


@dataclass(slots=True)
class Merged:
    """A configuration with the meters of a table: its data; what was changed in sections that
    were there (None for a key that goes); what was added to lines that were there, by line;
    lines that are new; whose row is where."""

    data: dict[str, Any]
    changes: dict[Location, dict[str, Value | None]] = field(default_factory=dict)
    added: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    buses: list[dict[str, Any]] = field(default_factory=list)
    where: dict[_Where, Entry] = field(default_factory=dict)
    # The row that says a key of a line, by line and key.
    said: dict[tuple[int, str], Entry] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    untouched: list[str] = field(default_factory=list)  # names of meters without a row


def merged(data: Mapping[str, Any], entries: Sequence[Entry]) -> Merged:
    """Return a configuration, as it was read, with the meters of `entries`."""
    found = Merged(deepcopy(dict(data)))
    found.data.setdefault("bus", [])
    lines = _Lines(found, entries)
    own = [(entry, b) for entry in entries if (b := lines.of(entry)) is not None]
    there = {
        (b, m): meter for b, bus in sections(data, "bus") for m, meter in sections(bus, "meter")
    }
    matched = _matched(own, there)
    for number, (entry, b) in enumerate(own):
        lines.set(entry, b)
        if number not in matched:
            _add(found, entry, b, lines.old)
            continue
        at = matched[number]
        if at[0] != b:
            other = found.data["bus"][at[0]].get("name")
            text = f"{entry.name!r} is on bus {other!r}"
            hint = (
                f"write {other!r} in column bus; or move its section in the configuration by hand, "
                "then leave the others to this"
            )
            found.mistakes.append(Mistake(entry.line, "bus", text, hint))
        _change(found, entry, at)
    if there:
        placed = {entry.line for number, (entry, _) in enumerate(own) if number in matched}
        names = [str(meter.get("name")) for meter in there.values()]
        for entry in entries:
            if entry.line not in placed:
                _doubt(found, entry, names)
    taken = set(matched.values())
    for b in range(lines.old):
        if taken >= {at for at in there if at[0] == b}:
            _clear(found, b, [entry for entry, bus in own if bus == b])
    found.untouched = [str(meter.get("name")) for at, meter in there.items() if at not in taken]
    found.buses = found.data["bus"][lines.old :]
    return found


class _Lines:
    """Which line each row is on: that with its name, its port, its meter, or the only one."""

    def __init__(self, found: Merged, entries: Sequence[Entry]) -> None:
        self._found = found
        self._buses: list[dict[str, Any]] = found.data["bus"]
        self.old = len(self._buses)
        self._named = {plain(str(bus.get("name"))): b for b, bus in enumerate(self._buses)}
        self._meters = {
            plain(str(meter.get("name"))): b
            for b, bus in sections(found.data, "bus")
            for _, meter in sections(bus, "meter")
        }
        self._ports: dict[str, list[int]] = {}
        for b, bus in enumerate(self._buses):
            self._ports.setdefault(str(bus.get("port")), []).append(b)
        self._of: dict[int, int] = {}
        # Those that name their line tell which others there are.
        for key in ("name", "port"):
            for entry in entries:
                if key in entry.bus and entry.line not in self._of:
                    at = self._found_or_made(entry)
                    if at is not None:
                        self._of[entry.line] = at
        for entry in entries:
            if entry.line not in self._of and (at := self._only(entry)) is not None:
                self._of[entry.line] = at

    def of(self, entry: Entry) -> int | None:
        """Return the position of the line of a row, None if that cannot be told."""
        return self._of.get(entry.line)

    def set(self, entry: Entry, b: int) -> None:
        """Take what a row says of its line; all rows of a line must say the same."""
        for key, value in entry.bus.items():
            before = self._found.said.setdefault((b, key), entry)
            if before.bus[key] != value:
                text = f"{value!r} is not what line {before.line} says: {before.bus[key]!r}"
                hint = f"one bus has one {key}; another line needs another name in column bus"
                self._found.mistakes.append(Mistake(entry.line, _COLUMN[key], text, hint))
            elif plain(self._buses[b].get(key)) != value:
                self._buses[b][key] = value
                if b < self.old:
                    self._found.changes.setdefault(("bus", b), {})[key] = value

    def _found_or_made(self, entry: Entry) -> int | None:
        """Return the line that a row names, None if several have its port."""
        name, port = entry.bus.get("name"), entry.bus.get("port")
        if isinstance(name, str):
            if name not in self._named:
                self._make(name)
            at = self._named[name]
            if isinstance(port, str):
                self._ports.setdefault(port, [at])
            return at
        if port not in self._ports:
            count = len(self._buses) + 1
            names = (USUAL_BUS, *(f"{USUAL_BUS}-{n}" for n in range(2, count + 2)))
            self._ports[str(port)] = [self._make(next(n for n in names if n not in self._named))]
        at, *others = self._ports[str(port)]
        return None if others else at

    def _only(self, entry: Entry) -> int | None:
        if entry.name in self._meters:
            return self._meters[str(entry.name)]
        if not self._buses:
            return self._make(USUAL_BUS)
        if len(self._buses) == 1:
            return 0
        names = ", ".join(str(bus.get("name")) for bus in self._buses)
        text = "on which line is it?"
        self._found.mistakes.append(Mistake(entry.line, "bus", text, f"one of {names}, or another"))
        return None

    def _make(self, name: str) -> int:
        self._buses.append({"name": name})
        self._named[name] = len(self._buses) - 1
        return self._named[name]


def _matched(
    own: Sequence[tuple[Entry, int]], there: Mapping[_Where, Mapping[str, Any]]
) -> dict[int, _Where]:
    """Return where the meter of each row is that is there; rows by their number.

    By address first, then by name, or the other way round if that finds more.
    """
    places = {(at[0], place_of(meter)): at for at, meter in there.items()}
    names = {plain(meter.get("name")): at for at, meter in there.items()}

    def match(*ways: str) -> dict[int, _Where]:
        found: dict[int, _Where] = {}
        taken: set[_Where] = set()
        for way in ways:
            for number, (entry, b) in enumerate(own):
                if way == "place":
                    at = places.get((b, entry.place)) if entry.place is not None else None
                else:
                    at = names.get(entry.name) if entry.name is not None else None
                if at is not None and at not in taken and number not in found:
                    found[number] = at
                    taken.add(at)
        return found

    return max(match("place", "name"), match("name", "place"), key=len)


def _add(found: Merged, entry: Entry, b: int, old: int) -> None:
    meter = {key: entry.meter[key] for key in OF_METER if key in entry.meter}
    meters: list[dict[str, Any]] = found.data["bus"][b].setdefault("meter", [])
    meters.append(meter)
    if b < old:
        found.added.setdefault(b, []).append(meter)
    found.where[b, len(meters) - 1] = entry


def _doubt(found: Merged, entry: Entry, names: Sequence[str]) -> None:
    """Say that a row that cannot be a meter of its own is none that is there."""
    if entry.name and not ({"model", "role"} <= set(entry.meter) and entry.place is not None):
        near = nearest(entry.name, names)
        hint = f"did you mean {near!r}?" if near else "inepro-logger config meters prints all"
        text = f"no meter is called {entry.name!r} or has its address; a new one needs more"
        found.mistakes.append(Mistake(entry.line, "name", text, hint))


def _clear(found: Merged, b: int, rows: Sequence[Entry]) -> None:
    """Take keys out of a line whose cells are empty in all its rows."""
    bus = found.data["bus"][b]
    for key in sorted(rows[0].bus_blank - _KEPT_OF_BUS if rows else ()):
        if key in bus and (b, key) not in found.said:
            del bus[key]
            found.changes.setdefault(("bus", b), {})[key] = None


def _change(found: Merged, entry: Entry, at: _Where) -> None:
    meter = found.data["bus"][at[0]]["meter"][at[1]]
    found.where[at] = entry
    changed: dict[str, Value | None] = {
        key: value for key, value in entry.meter.items() if plain(meter.get(key)) != value
    }
    gone = entry.blank - _KEPT - (set() if "secondary" in entry.meter else {"address"})
    changed |= {key: None for key in OF_METER if key in gone and key in meter}
    for key, value in changed.items():
        if value is None:
            del meter[key]
        else:
            meter[key] = value
    if changed:
        found.changes["bus", at[0], "meter", at[1]] = changed
