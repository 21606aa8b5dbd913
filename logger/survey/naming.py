"""Names meters that a scan found by the rows of a table: by serial number, else by address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from logger.config.addresses import MBUS_SELECTED
from logger.config.metertable import Entry, Value
from logger.meter.identify import Found
from logger.survey import ports
from logger.survey.draft import Place

_PLACED = frozenset({"name", "model", "address", "secondary", "role"})


@dataclass(frozen=True, slots=True)
class Named:
    """The rows of meters that were found, what the table calls their line, and what is to be
    said of rows that fit none or differ."""

    rows: Mapping[Found, Entry]
    bus: str = ""
    notes: Sequence[str] = field(default_factory=list)


def by_table(entries: Sequence[Entry], found: Sequence[Found], port: str) -> Named:
    """Return which row each meter of the line on `port` has; rows of other ports have none."""
    ports_of = {
        one.bus["name"]: one.bus["port"] for one in entries if {"name", "port"} <= set(one.bus)
    }
    here = [one for one in entries if _is_of(one, ports_of.get(one.bus.get("name", "")), port)]
    numbers = {_number(one.serial): one for one in here if one.serial}
    numbers |= {_number(str(one.place)): one for one in here if "secondary" in one.meter}
    rows: dict[Found, Entry] = {}
    notes: list[str] = []
    addressed = [one for one in here if "address" in one.meter]
    places = {one.place: one for one in addressed}
    several = {at for at, count in Counter(one.place for one in addressed).items() if count > 1}
    for meter in found:
        entry = numbers.get(_number(meter.serial)) if meter.serial else None
        if entry is None and meter.address != MBUS_SELECTED:
            entry = places.get(meter.address)
            if meter.address in several:
                notes.append(
                    f"address {meter.address} is on several lines of the table: give it a column "
                    "port, or serial"
                )
                entry = None
            if entry is not None and entry.serial and meter.serial:
                notes.append(
                    f"line {entry.line}: at address {meter.address} is {meter.serial}, not "
                    f"{entry.serial}: it is not called {entry.name!r}"
                )
                entry = None
        if entry is not None:
            rows[meter] = entry
            notes += _differing(meter, entry)
    lacking = [str(one.name) for one in here if one not in rows.values()]
    if lacking:
        notes.append(f"in the table, and not found: {', '.join(lacking)}")
    others = [str(one.address) for one in found if one not in rows]
    if others:
        notes.append(f"found, and not in the table: address {', '.join(others)}")
    buses = {str(one.bus["name"]) for one in rows.values() if "name" in one.bus}
    return Named(rows, buses.pop() if len(buses) == 1 else "", notes)


def place(meter: Found, entry: Entry, guess: Place) -> Place:
    """Return what a row makes of a meter; what it does not say is guessed."""
    model = str(entry.meter.get("model", ""))
    return Place(
        entry.name or guess.name,
        str(entry.meter.get("role", guess.role)),
        model if model.partition("+")[0] == meter.model else "",
        {key: one for key, one in entry.meter.items() if key not in _PLACED},
    )


def _is_of(entry: Entry, bus_port: Value | None, port: str) -> bool:
    """Return whether a row is of the line on `port`: by its own port, or that of its line."""
    named = entry.bus.get("port", bus_port)
    return named is None or port in {named, ports.lasting_name(ports.here(str(named)))}


def _number(serial: str) -> str:
    """Return a serial number as a spreadsheet may have left it: without zeros in front."""
    return serial.strip().lstrip("0")


def _differing(meter: Found, entry: Entry) -> Iterator[str]:
    address, model = entry.meter.get("address"), entry.meter.get("model")
    if address not in (None, meter.address) and meter.address != MBUS_SELECTED:
        yield f"line {entry.line}: {entry.name!r} answers at {meter.address}, not at {address}"
    if isinstance(model, str) and model.partition("+")[0] != meter.model:
        yield f"line {entry.line}: {entry.name!r} is a {meter.model}, not a {model}"
