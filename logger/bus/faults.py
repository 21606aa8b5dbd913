"""Faults of a line in words, and what to try. Pure, but for looking at the device."""

from __future__ import annotations

import errno
import getpass
import re
from pathlib import Path

from logger.config import Bus as BusConfig
from logger.domain.errors import PortError

_HOST_AND_PORT = re.compile(r"[^/:]+:\d+")
# Modbus application protocol V1.1b3, chapter 7.
EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target failed to respond",
}


def explain(config: BusConfig, err: Exception) -> PortError:
    """Say why the port of `config` could not be opened, and what to try."""
    where = f"bus {config.name}: {config.port}"
    number = _errno(err)
    if config.port.startswith("socket://"):
        return PortError(
            f"{where}: no connection: {err}", "is the gateway switched on, host and port right?"
        )
    if number == errno.ENOENT and _HOST_AND_PORT.fullmatch(config.port):
        return PortError(
            f"{where}: no such device", f"for a gateway on the network: socket://{config.port}"
        )
    if number == errno.ENOENT and config.port.endswith("CHANGE-ME"):
        return PortError(
            f"{where}: no such device",
            "no adapter was plugged in when this was written: ls -l /dev/serial/by-id, and write "
            "its name there into `port` of the configuration (with compose: config/local.toml, "
            "/host/dev/... instead of /dev/...)",
        )
    if number == errno.ENOENT:
        return PortError(
            f"{where}: no such device", "is the adapter plugged in? ls -l /dev/serial/by-id"
        )
    if number in {errno.EACCES, errno.EPERM}:
        return PortError(
            f"{where}: no permission",
            f"add the user to the group of the port: sudo usermod -aG {group_of(config.port)} "
            f"{getpass.getuser()}, then log in again",
        )
    if number in {errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK}:
        return PortError(
            f"{where}: in use by another program",
            "stop that program first; the logger itself: systemctl stop inepro-logger",
        )
    if number == errno.EINVAL or isinstance(err, ValueError):
        return PortError(
            f"{where}: does not take {config.baudrate} "
            f"8{config.parity[0].upper()}{config.stopbits}: {err}",
            'parity = "none" (a pseudo-terminal has none), or another baud rate'
            if config.parity != "none"
            else "another baud rate",
        )
    return PortError(f"{where}: cannot be opened: {err}")


def group_of(port: str) -> str:
    """Return the group that may use the device `port`; dialout when that is not known."""
    try:
        return Path(port).group()
    except (OSError, KeyError, NotImplementedError):
        return "dialout"


def _errno(err: Exception) -> int | None:
    """Return the system's error number; termios keeps it in its arguments only."""
    for one in (err, err.__cause__, err.__context__):
        if one is None:
            continue
        if isinstance(number := getattr(one, "errno", None), int):
            return number
        if one.args and isinstance(one.args[0], int):
            return one.args[0]
    return None


def shown(answer: bytes) -> str:
    """Return the bytes of a bad answer, shortened for a message."""
    text = answer[:40].hex(" ")
    return f"{text} and {len(answer) - 40} more" if len(answer) > 40 else text or "late answers"
