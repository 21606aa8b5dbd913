"""Where a line is reached: a device, or a gateway on the network. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

Scheme = Literal["tcp", "socket", "udp", "rfc2217", "listen"]
# What each speaks, and an example for messages.
SCHEMES: dict[str, tuple[str, str]] = {
    "tcp": ("Modbus TCP, as most gateways are shipped", "tcp://192.168.1.50:502"),
    "socket": ("RTU frames over TCP", "socket://192.168.1.50:4196"),
    "udp": ("RTU frames in datagrams", "udp://192.168.1.50:4196"),
    "rfc2217": ("a serial port over Telnet", "rfc2217://192.168.1.50:2217"),
    "listen": ("a gateway that connects to this machine", "listen://0.0.0.0:4196"),
}
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HOST_AND_PORT = re.compile(r"[^/:\s]+:\d+")
_BRACKETS = re.compile(r"\[([^\]]*)\](?::(.*))?", re.DOTALL)
_HOST = re.compile(r"[^\s/@:?#\[\]]+")
_NUMBERS = re.compile(r"[\d.]+", re.ASCII)
# What looks like a scheme whose "://" was mistyped.
_NEARLY = re.compile(rf"({'|'.join(SCHEMES)})\s*[:/]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Network:
    """A place on the network: how it is spoken to, its host and its port (1 to 65535)."""

    scheme: Scheme
    host: str
    number: int

    @property
    def address(self) -> str:
        """Host and port, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.number}"

    def spoken_as(self, scheme: Scheme) -> str:
        """Return the port to configure when the same gateway speaks `scheme`."""
        return f"{scheme}://{self.address}"


def network(port: str) -> Network | None:
    """Return the place that `port` names, None when it is a device of this machine.

    Raises ValueError, with what is wrong and an example, for what is neither.
    """
    if not port.strip():
        raise ValueError(f"{port!r}: empty; {_expected()}")
    if port != port.strip():
        raise ValueError(f"{_shown(port)}: a space stands at its begin or end")
    if (url := _URL.fullmatch(port)) is None:
        if nearly := _NEARLY.match(port):
            scheme = nearly[1].lower()
            raise ValueError(
                f"{_shown(port)}: behind {scheme} comes ://, as in {SCHEMES[scheme][1]}"
            )
        if _is_ipv4(port):
            raise ValueError(
                f"{port!r}: how does it speak, and at which port? Write tcp://{port}:502 for "
                f"Modbus TCP, socket://{port}:4196 for RTU frames over TCP"
            )
        if _HOST_AND_PORT.fullmatch(port):
            raise ValueError(
                f"{port!r}: how does it speak? tcp://{port} for Modbus TCP, socket://{port} for "
                "RTU frames over TCP"
            )
        return None
    scheme, rest = url[1].lower(), url[2]
    if scheme not in SCHEMES:
        raise ValueError(f"{port!r}: {scheme}:// is unknown; {_expected()}")
    example = SCHEMES[scheme][1]
    host, number = _parts(port, scheme, rest, example)
    if not number:
        raise ValueError(f"{port!r}: the port number is missing: write {example}")
    if not number.isascii() or not number.isdecimal() or not 1 <= int(number[:9]) <= 65535:
        raise ValueError(f"{port!r}: a port number is 1 to 65535: write {example}")
    return Network(cast("Scheme", scheme), host, int(number))


def check_device(port: str) -> None:
    """Raise ValueError for what cannot be the path of a device."""
    if not port.startswith("/"):
        raise ValueError(f"{_shown(port)} is no device: its path begins with /dev/; {_expected()}")
    if port.endswith("/") or port.rstrip("/") == "/dev":
        raise ValueError(f"{port!r} is a directory: which device of it? {_expected()}")


def _parts(port: str, scheme: str, rest: str, example: str) -> tuple[str, str]:
    """Return host and port number of what stands behind `scheme`, as they are written."""
    if "@" in rest or "?" in rest or "#" in rest or "/" in rest.rstrip("/"):
        raise ValueError(f"{scheme}://...: only host and port stand there: write {example}")
    rest = rest.rstrip("/")
    if rest.startswith("["):
        found = _BRACKETS.fullmatch(rest)
        try:
            ipaddress.IPv6Address(found[1] if found else "")
        except ValueError:
            raise ValueError(
                f"{port!r}: no IPv6 address in brackets: write {scheme}://[fd00::5]:502"
            ) from None
        return (found[1], found[2] or "") if found else ("", "")
    if rest.count(":") > 1 and not _is_ipv6(rest) and not _is_ipv6(rest.rpartition(":")[0]):
        raise ValueError(f"{port!r}: more than one port number: write {example}")
    if rest.count(":") > 1:
        raise ValueError(
            f"{port!r}: an IPv6 address goes into brackets: write {scheme}://[fd00::5]:502"
        )
    host, _, number = rest.partition(":")
    if not host or (not number and host.isdecimal()):
        raise ValueError(f"{port!r}: the host is missing: write {example}")
    if not _is_host(host):
        raise ValueError(f"{port!r}: {host!r} is no host: write {example}")
    return host, number


def is_host(text: str) -> bool:
    """Tell whether `text` can be the name or the address of a host; IPv6 without brackets."""
    return _is_ipv6(text) or _is_host(text)


def is_address(text: str) -> bool:
    """Tell whether `text` is an IP address, without brackets, or `localhost`."""
    return text == "localhost" or _is_ipv4(text) or _is_ipv6(text)


def to_listen_on(text: str, fits: Callable[[str], bool]) -> str:
    """Return `text`, the place to listen on of a section. Raises ValueError if it does not fit."""
    if not fits(text):
        raise ValueError(
            f"{text!r} is no address to listen on: write 127.0.0.1, 0.0.0.0 (every network of "
            "this machine) or an address that this machine has, without a port"
        )
    return text


def _is_host(text: str) -> bool:
    labels = text.removesuffix(".").split(".")
    if any(not one or one.startswith("-") or one.endswith("-") for one in labels):
        return False
    numbers = _NUMBERS.fullmatch(text) is not None
    return bool(_HOST.fullmatch(text)) and text.isprintable() and (not numbers or _is_ipv4(text))


def _shown(port: str) -> str:
    """Return `port` for a message, without what may be a password."""
    return "'...'" if "@" in port else repr(port)


def _is_ipv4(text: str) -> bool:
    return _is(ipaddress.IPv4Address, text)


def _is_ipv6(text: str) -> bool:
    return _is(ipaddress.IPv6Address, text)


def _is(kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _expected() -> str:
    known = ", ".join(f"{name}:// ({what})" for name, (what, _) in SCHEMES.items())
    return f"expected a device such as /dev/serial/by-id/usb-..., or one of {known}"
