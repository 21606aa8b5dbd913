"""Mistakes that show only when several keys are looked at together. Pure.

They are looked for in the file's data as it was read, whatever else is wrong with it, so
that all mistakes can be told at once: what is of a wrong type is passed over here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from logger.config.addresses import MBUS_EVERYBODY, MBUS_FAST_S, MBUS_SELECTED, address_fault
from logger.config.places import used_twice
from logger.config.section import MisplacedError
from logger.domain import times

Data = Mapping[str, Any]
SLOW_S = 60.0  # the usual interval of energy counters
# Grafana sees a meter in its slow points: so many may be late or missing before an alert.
SLOW_BEFORE_SILENT = 4


def clashes(data: Data) -> Iterator[MisplacedError]:
    """Yield every mistake, in the order of the file."""
    yield from _buses(data)
    yield from _meters(data)
    yield from _silence(data)
    yield from used_twice(data, list(sections(data, "bus")))


def sections(data: object, name: str) -> Iterator[tuple[int, Data]]:
    """Yield position and content of each table `[[name]]` of `data` that is one."""
    found = data.get(name) if isinstance(data, Mapping) else None
    if isinstance(found, list):
        yield from ((at, one) for at, one in enumerate(found) if isinstance(one, Mapping))


def _buses(data: Data) -> Iterator[MisplacedError]:
    names: set[str] = set()
    devices: dict[str, str] = {}
    for b, bus in sections(data, "bus"):
        name, port = bus.get("name"), bus.get("port")
        if isinstance(name, str):
            if name in names:
                where = ("bus", b, "name")
                hint = "give each its own name"
                yield MisplacedError(where, f"two buses are called {name!r}", hint)
            names.add(name)
        # A device, and a place to listen at, lets in one bus; gateways may take several.
        if isinstance(port, str) and ("://" not in port or port.startswith("listen:")):
            if port in devices:
                yield MisplacedError(
                    ("bus", b, "port"),
                    f"{port} is the port of bus {devices[port]!r}, too",
                    "one bus has all meters of a line; another line needs a port of its own",
                )
            devices.setdefault(port, str(name))


def _meters(data: Data) -> Iterator[MisplacedError]:
    names: dict[str, str] = {}
    for b, bus in sections(data, "bus"):
        protocol = bus.get("protocol", "modbus")
        addresses: dict[int | str, str] = {}
        meters = list(sections(bus, "meter"))
        for m, meter in meters:
            name = meter.get("name")
            if isinstance(name, str):
                if name in names:
                    yield MisplacedError(
                        ("bus", b, "meter", m, "name"),
                        f"two meters are called {name!r}",
                        f"names must differ across all buses; the other is on {names[name]}",
                    )
                names[name] = str(bus.get("name"))
            secondary = meter.get("secondary")
            address = meter.get("address", MBUS_SELECTED if secondary is not None else None)
            if type(address) is not int or not 0 <= address <= MBUS_EVERYBODY:
                continue
            where = ("bus", b, "meter", m, "address")
            if fault := address_fault(protocol, address, secondary, alone=len(meters) == 1):
                yield MisplacedError(where, *fault)
            place = secondary or address
            if place in addresses:
                setting = "modbus_id" if protocol == "modbus" else "primary_address"
                hint = (
                    "it is the last eight digits of each meter's own serial number"
                    if secondary is not None
                    else "each meter on a bus needs its own; change one at the meter's buttons, or "
                    f"alone on the line with inepro-logger settings set METER {setting} N"
                )
                number = f"{'address' if secondary is None else 'secondary'} {place}"
                text = f"{number} is given to {addresses[place]!r} and {name!r}"
                yield MisplacedError(where, text, hint)
            addresses[place] = str(name)


def slowest_s(data: Data) -> float:
    """Return the longest interval of energy counters of any meter, in seconds."""
    intervals = data.get("intervals")
    usual = _seconds(intervals.get("slow") if isinstance(intervals, Mapping) else None) or SLOW_S
    found = [0.0]
    for _, bus in sections(data, "bus"):
        shortest = MBUS_FAST_S if bus.get("protocol") == "mbus" else 0.0
        for _, meter in sections(bus, "meter"):
            found.append(_seconds(meter.get("slow")) or max(usual, shortest))
    return max(found)


def _silence(data: Data) -> Iterator[MisplacedError]:
    alerts = data.get("alerts")
    given = _seconds(alerts.get("silent_after")) if isinstance(alerts, Mapping) else None
    slow = slowest_s(data)
    if given is not None and given < SLOW_BEFORE_SILENT * slow:
        least = times.duration_text(SLOW_BEFORE_SILENT * slow)
        yield MisplacedError(
            ("alerts", "silent_after"),
            f"{times.duration_text(given)} is shorter than four slow intervals of "
            f"{times.duration_text(slow)}: the alert would fire between two readings",
            f'silent_after = "{least}", or leave it out',
        )


def _seconds(value: object) -> float | None:
    """Return a duration as the file or code gives it; None for none, or a wrong one."""
    if isinstance(value, str):
        try:
            return times.seconds(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and value > 0 else None
