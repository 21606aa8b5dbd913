"""Places that the logger would use twice: what it listens on, and the ports of its buses. Pure.

Like `clashes` it looks at the file's data as it was read: what is of a wrong type, or no place at
all, is passed over here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from logger.config.http import Http
from logger.config.metrics import Metrics
from logger.config.ports import Network, network
from logger.config.section import MisplacedError, Section
from logger.config.share import LISTEN

Data = Mapping[str, Any]
_SHARE = ("share", "modbus", "listen")
_SERVERS: Mapping[str, type[Section]] = {"metrics": Metrics, "http": Http}
_EVERYWHERE = {"0.0.0.0": ".", "::": ":"}  # noqa: S104 - compared with, not listened on


@dataclass(frozen=True, slots=True)
class _Used:
    """A place that is used: by whom, as what, and where the file says so."""

    who: str
    host: str
    number: int
    where: tuple[str | int, ...]


def used_twice(data: Data, buses: list[tuple[int, Data]]) -> Iterator[MisplacedError]:
    """Yield a mistake for each place of the logger's own that is used already."""
    devices: dict[str, str] = {}
    used: list[_Used] = []
    read: list[tuple[str, Network]] = []
    for at, bus in buses:
        port, who = bus.get("port"), f"bus {bus.get('name')!r}"
        if not isinstance(port, str):
            continue
        found = _network(port)
        if found is None:
            devices.setdefault(port, who)
        elif found.scheme == "listen":
            used.append(_Used(who, _host(found.host), found.number, ("bus", at, "port")))
        else:
            read.append((who, found))
    for text in _listen(data):
        found = _network(text)
        if found is None:
            if text in devices:
                yield MisplacedError(
                    _SHARE,
                    f"{text} is the port of {devices[text]}: a line has one master",
                    "others are answered at an address, or on a second serial port",
                )
            continue
        for who, other in read:
            if other.number == found.number and _both(_host(other.host), _host(found.host)):
                yield MisplacedError(
                    _SHARE,
                    f"{text} is what {who} reads: the logger would read itself",
                    "give it a port of its own",
                )
        used.append(_Used("[share.modbus]", _host(found.host), found.number, _SHARE))
    for name, kind in _SERVERS.items():
        section, usual = data.get(name), kind.model_fields
        if isinstance(section, Mapping):
            own = [section.get(key, usual[key].default) for key in ("host", "port")]
            if isinstance(own[0], str) and type(own[1]) is int:
                used.append(_Used(f"[{name}]", _host(own[0]), own[1], (name, "port")))
    for at, one in enumerate(used):
        for before in used[:at]:
            if one.number == before.number and _both(one.host, before.host):
                yield MisplacedError(
                    one.where,
                    f"port {one.number} is that of {before.who}, too",
                    "give each a port of its own",
                )


def _listen(data: Data) -> list[str]:
    share = data.get("share")
    section = share.get("modbus") if isinstance(share, Mapping) else None
    if not isinstance(section, Mapping):
        return []
    found = section.get("listen", [LISTEN])
    return [one for one in found if isinstance(one, str)] if isinstance(found, list | tuple) else []


def _network(text: str) -> Network | None:
    try:
        return network(text)
    except ValueError:
        return None


def _host(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host


def _both(one: str, other: str) -> bool:
    """Return whether two addresses cannot be listened on at one port."""
    return one == other or any(
        a in _EVERYWHERE and _EVERYWHERE[a] in b for a, b in ((one, other), (other, one))
    )
