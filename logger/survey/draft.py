"""A configuration file from what a scan found. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from logger.bus import busload
from logger.config import Config
from logger.config.addresses import MBUS_SELECTED
from logger.config.write import value
from logger.domain.errors import ConfigError
from logger.domain.times import duration_text
from logger.meter.identify import Found
from logger.models import Model

_HEAD = """\
# Written by inepro-logger scan. Look at each meter's name and role, then:
#   inepro-logger check
# Roles: grid, pv, battery, load. A meter that is wired the other way round: invert = true.

[site]
name = "site"
timezone = "UTC"  # yours, such as "Europe/Amsterdam"
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


def config_text(port: str, found: Sequence[Found], models: Mapping[str, Model]) -> str:
    """Return a configuration that reads every meter of `found` that has a table.

    A bus has one speed and parity: meters set otherwise than most are left out, with
    what to do about it. Raises ConfigError when no meter is left.
    """
    known = [one for one in found if one.model]
    if not known:
        raise ConfigError("no meter to write a configuration for", "scan with --all")
    (baudrate, parity), _ = Counter((one.baudrate, one.parity) for one in known).most_common(1)[0]
    here = [one for one in known if (one.baudrate, one.parity) == (baudrate, parity)]
    lines = [_HEAD]
    if fast := _fast_interval(port, here, baudrate, parity, models):
        lines.append(f"[intervals]\nfast = {value(fast)}  # the shortest that fits this line\n")
    protocol = models[here[0].model].protocol
    name, kind = ("mbus", 'protocol = "mbus"\n') if protocol == "mbus" else ("rs485", "")
    lines.append(
        f"[[bus]]\nname = {value(name)}\n{kind}port = {value(port)}\n"
        f"baudrate = {baudrate}\nparity = {value(parity)}\n"
    )
    lines += [_section(one) for one in here]
    for one in found:
        if one not in here:
            lines.append(_left_out(one, baudrate, parity))
    return "\n".join(lines) + _TAIL


def _section(one: Found) -> str:
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
        f"# {about}\n{note}[[bus.meter]]\nname = {value(_name(one))}\n"
        f"model = {value(one.model)}\n{_place(one)}\nrole = {value('load')}\n"
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


def _fast_interval(
    port: str, found: Sequence[Found], baudrate: int, parity: str, models: Mapping[str, Model]
) -> str:
    """Return the fast interval to set, empty when the usual one fits."""
    meters: list[Mapping[str, Any]] = [
        {"name": _name(one), "model": one.model, "address": one.address, "role": "load"}
        | ({"secondary": one.serial} if one.address == MBUS_SELECTED else {})
        for one in found
    ]
    protocol = models[found[0].model].protocol
    bus = {
        "name": "line",
        "protocol": protocol,
        "port": port,
        "baudrate": baudrate,
        "parity": parity,
        "meter": meters,
    }
    config = Config.model_validate({"site": {"name": "site"}, "bus": [bus]})
    try:
        busload.check(config, models)
    except ConfigError:
        fastest = busload.fastest(config, config.bus[0], models)
        return duration_text(float(-(-(fastest or 60.0) // 1)))
    return ""
