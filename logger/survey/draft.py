"""A configuration file from what a scan found. Pure, but for where a file lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logger.bus import busload
from logger.config import Bus, Config, Site
from logger.config.addresses import MBUS_SELECTED
from logger.config.load import bus_of_options
from logger.config.metertable import Value
from logger.config.write import keys, value
from logger.domain.errors import ConfigError
from logger.domain.times import duration_text
from logger.meter.identify import Found
from logger.models import Model

_HEAD = """\
# Written by inepro-logger scan. Look at each meter's name and role (its role is a guess), then:
#   inepro-logger check
# Roles: grid, pv, battery, load. A meter that is wired the other way round: invert = true.
"""
_TAIL = """
# Without [influxdb] the buffer is the store.
# [influxdb]
# url = "http://localhost:8086"
# org = "home"
# bucket = "energy"
# fast_bucket = "live"
# token_file = "influxdb-token"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """How a meter that was found is to be called, and what it measures; its table if that is
    other than the usual one of its model, and further keys of its section."""

    name: str
    role: str
    model: str = ""
    rest: Mapping[str, Value] = field(default_factory=dict)


def most_usual(found: Sequence[Found]) -> list[Found]:
    """Return the meters that have a table, and the speed and parity that most have.

    Raises ConfigError when there is none.
    """
    known = [one for one in found if one.model]
    if not known:
        raise ConfigError("no meter to write a configuration for", "scan with --all")
    (setting, _), *_ = Counter((one.baudrate, one.parity) for one in known).most_common(1)
    return [one for one in known if (one.baudrate, one.parity) == setting]


def named(found: Sequence[Found], roles: Sequence[str]) -> list[Place]:
    """Return a place for each meter, called by its address or number."""
    return [Place(_name(one), role) for one, role in zip(found, roles, strict=True)]


def buffer_of(file: Path) -> str:
    """Return a buffer for the configuration `file` that no other one has: beside it, or
    where a service may write."""
    if str(file.resolve()).startswith("/etc/"):
        return f"/var/lib/inepro-logger/{file.stem}.sqlite"
    return f"data/{file.stem}.sqlite"


def config_text(
    port: str,
    found: Sequence[Found],
    models: Mapping[str, Model],
    places: Sequence[Place],
    zone: str,
    buffer: str,
    bus: str = "",
) -> str:
    """Return a configuration that reads the meters of `most_usual(found)` under `places`, on a
    line called `bus`.

    A bus has one speed and parity: meters set otherwise than most are left out, with
    what to do about it. Raises ConfigError when no meter is left.
    """
    here = most_usual(found)
    baudrate, parity = here[0].baudrate, here[0].parity
    lines = [_HEAD, f"[site]\nname = {value('home')}\ntimezone = {value(zone)}\n"]
    if fast := fast_interval(line_of(port, here, models), models):
        lines.append(
            "[intervals]\n# The shortest that fits this line; longer leaves room for others.\n"
            f"fast = {value(fast)}\n"
        )
    protocol = models[here[0].model].protocol
    name, kind = ("mbus", 'protocol = "mbus"\n') if protocol == "mbus" else ("rs485", "")
    lines.append(
        f"[[bus]]\nname = {value(bus or name)}\n{kind}port = {value(port)}\n"
        f"baudrate = {baudrate}\nparity = {value(parity)}\n"
    )
    lines += [_section(one, place) for one, place in zip(here, places, strict=True)]
    for one in found:
        if one not in here:
            lines.append(_left_out(one, baudrate, parity))
    lines.append(f"[buffer]\npath = {value(buffer)}\n")
    return "\n".join(lines) + _TAIL


def _section(one: Found, place: Place) -> str:
    about = ", ".join(
        part
        for part in (
            one.sold_as,
            one.serial and f"serial number {one.serial}",
            one.ct_ratio and f"CT {one.ct_ratio}",
        )
        if part
    )
    note = f"# {one.note}\n" if one.note else ""
    return (
        f"# {about}\n{note}[[bus.meter]]\nname = {value(place.name)}\n"
        f"model = {value(place.model or one.model)}\n{_place(one)}\nrole = {value(place.role)}\n"
        + "".join(f"{line}\n" for line in keys(**place.rest))
    )


def _left_out(one: Found, baudrate: int, parity: str) -> str:
    if not one.model:
        return f"# Address {one.address}: {one.note}\n"
    return (
        f"# Address {one.address} ({one.sold_as}, {one.serial}) speaks {one.baudrate} baud, parity "
        f"{one.parity}:\n# set it to {baudrate} and {parity} (settings set) to read it here.\n"
    )


def _name(one: Found) -> str:
    return f"meter-{one.serial if one.address == MBUS_SELECTED else one.address}"


def _place(one: Found) -> str:
    """Return how the meter is addressed, as a line of the configuration."""
    if one.address == MBUS_SELECTED:
        return f"secondary = {value(one.serial)}"
    return f"address = {one.address}"


def line_of(port: str, found: Sequence[Found], models: Mapping[str, Model]) -> Bus:
    """Return the line on `port` with the meters of `found`."""
    meters: list[Mapping[str, Any]] = [
        {"name": _name(one), "model": one.model, "address": one.address, "role": "load"}
        | ({"secondary": one.serial} if one.address == MBUS_SELECTED else {})
        for one in found
    ]
    return bus_of_options(
        {
            "name": "line",
            "protocol": models[found[0].model].protocol,
            "port": port,
            "baudrate": found[0].baudrate,
            "parity": found[0].parity,
            "meter": meters,
        }
    )


def fast_interval(line: Bus, models: Mapping[str, Model]) -> str:
    """Return the fast interval to set, empty when the usual one fits."""
    config = Config(site=Site(name="home"), bus=[line])
    try:
        busload.check(config, models)
    except ConfigError:
        return duration_text(busload.fitting(config, config.bus[0], models, 1.0) or 60.0)
    return ""
