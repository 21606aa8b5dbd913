"""Whether the other end of a connection is another machine, with a clock of its own."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from pathlib import Path

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def elsewhere(peer: str, own: str, root: Path = Path("/")) -> bool:
    """Return whether address `peer`, connected from `own`, is that of another machine.

    A container is none: it is reached without a router through a device without hardware
    (proc_net_route in proc(5), /sys/class/net). `root` is where /proc and /sys lie.
    """
    there, here = _address(peer), _address(own)
    if there == here or there.is_loopback:
        return False
    routes = [route for route in _routes(root, there.version) if there in route[0]]
    if not routes:
        return True
    _, routed, device = max(routes, key=lambda route: route[0].prefixlen)
    return routed or (root / "sys/class/net" / device / "device").exists()


def _address(text: str) -> Address:
    found = ipaddress.ip_address(text.split("%", 1)[0])
    return getattr(found, "ipv4_mapped", None) or found


def _routes(root: Path, version: int) -> Iterator[tuple[Network, bool, str]]:
    """Yield the routes of this machine: where to, whether by a router, and the device."""
    name = "route" if version == 4 else "ipv6_route"
    try:
        lines = (root / "proc/self/net" / name).read_text(encoding="ascii").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if version == 6:
            to = ipaddress.IPv6Address(bytes.fromhex(words[0]))
            yield ipaddress.IPv6Network((to, int(words[1], 16))), int(words[4], 16) != 0, words[9]
        elif words[0] != "Iface":
            net, mask = (ipaddress.IPv4Address(_turned(words[at])) for at in (1, 7))
            yield ipaddress.IPv4Network(f"{net}/{mask}"), int(words[2], 16) != 0, words[0]


def _turned(text: str) -> bytes:
    """Return an address that stands there as a number of this machine's byte order."""
    return int(text, 16).to_bytes(4, sys.byteorder)
