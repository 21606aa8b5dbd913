"""Faults of a line in words, and what to try. Pure, but for looking at the device."""

from __future__ import annotations

import errno
import getpass
import grp
import os
import stat
from pathlib import Path

from logger.bus import belated
from logger.bus.frames import GATEWAY_SILENCE
from logger.config import Bus as BusConfig
from logger.config.ports import Network
from logger.domain.errors import BusError, PortError, RefusedError, SettingsError, SilentError

# Where the system tells what a device is.
SYSFS = Path("/sys")
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
    if (place := config.network) is not None:
        return _unconnected(where, place, err)
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
        return PortError(f"{where}: no permission", _let_in(config.port))
    if number in {errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK}:
        return PortError(
            f"{where}: in use by another program",
            "stop that program first. A logger: Ctrl-C in its terminal, or systemctl stop "
            "inepro-logger; while it runs, inepro-logger status and live show what it reads",
        )
    if number == errno.EINVAL or isinstance(err, ValueError):
        return SettingsError(
            f"{where}: does not take {config.baudrate} "
            f"8{config.parity[0].upper()}{config.stopbits}"
            + (f": {err}" if number is None else f": {os.strerror(number)}"),
            lacks_parity(config)
            or 'parity = "none" (--parity none for scan): a pseudo-terminal has no parity bit; or '
            "another baud rate"
            if config.parity != "none"
            else "another baud rate",
        )
    return PortError(f"{where}: cannot be opened: {err}")


def _unconnected(where: str, place: Network, err: Exception) -> PortError:
    if place.scheme == "rfc2217" and _errno(err) is None:
        return PortError(
            f"{where}: {_reason(err)}",
            "is that port of the gateway set to Telnet with RFC 2217? One that passes bytes is "
            f"{place.spoken_as('socket')}, one that speaks Modbus TCP {place.spoken_as('tcp')}",
        )
    if place.scheme != "listen":
        return PortError(
            f"{where}: no connection: {_reason(err)}",
            "is the gateway switched on, host and port right?",
        )
    if isinstance(err, TimeoutError):
        return PortError(
            f"{where}: no gateway has connected yet",
            f"is it set to connect as a client to this machine, port {place.number}, and does "
            "the firewall let it in?",
        )
    return PortError(
        f"{where}: cannot wait for a gateway: {err}",
        f"is another program using port {place.number}? Below 1024 it needs root",
    )


def refused(where: str, code: int, early: str = "") -> BusError:
    """Say what it means that the meter, or the gateway before it, refused with `code`.

    `early` tells that the gateway gave the meter up too early, and what to do about it.
    """
    if code in GATEWAY_SILENCE and early:
        return SilentError(f"{where}: {early}", belated.REMEDY)
    if code in GATEWAY_SILENCE:
        return SilentError(
            f"{where}: the gateway says that the meter does not answer",
            "is the meter powered and its address right? Speed and parity are set in the gateway, "
            "and how long it waits for an answer: that may be too short for this meter",
        )
    return RefusedError(
        f"{where}: the meter refused with exception {code} ({EXCEPTIONS.get(code, 'unknown')})",
        code,
    )


def lacks_parity(config: BusConfig) -> str:
    """Say what to do about a port that cannot send the parity of `config`, else "".

    The UART that a Raspberry Pi 3 or 4 has at its pins, unless told otherwise, is the
    mini-UART (ttyS0, also called serial0): it takes the setting and sends no parity bit,
    so that a meter with parity never answers (BCM2711 ARM Peripherals, 2.2).
    """
    if config.network is not None or config.parity == "none":
        return ""
    name = Path(config.port).resolve().name
    try:
        driver = (SYSFS / "class" / "tty" / name / "device/of_node/compatible").read_bytes()
    except OSError:
        return ""
    if b"bcm2835-aux-uart" not in driver:
        return ""
    return (
        f"{name} is the mini-UART of a Raspberry Pi, which has no parity bit, and the meters are "
        f"set to {config.parity} parity: write dtoverlay=disable-bt (or miniuart-bt) into "
        "/boot/firmware/config.txt and restart; /dev/serial0 is a full UART then"
    )


def _user() -> str:
    """Return the name of this user, "" if it has none, as often in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _let_in_container(found: os.stat_result) -> str:
    """Say what a container needs to open a device: the group, and leave for its kind."""
    rule = f"c {os.major(found.st_rdev)}:* rw"
    return (
        f"this container may not open it: docker run --group-add {found.st_gid} "
        f"--device-cgroup-rule '{rule}' ...; with compose SERIAL_GID={found.st_gid} in .env, and "
        f"'{rule}' among device_cgroup_rules"
    )


def _let_in(port: str) -> str:
    """Say how this user may use the device `port`; never by joining the group root."""
    user = _user()
    try:
        found = Path(port).stat()
        if stat.S_ISCHR(found.st_mode) and (not user or port.startswith("/host/dev/")):
            return _let_in_container(found)
        usable = bool(found.st_mode & stat.S_IRGRP and found.st_mode & stat.S_IWGRP)
        group = grp.getgrgid(found.st_gid)
    except KeyError:
        return (
            f"the port belongs to group {found.st_gid}, which has no name here: in a container "
            f"group_add: [{found.st_gid}]"
        )
    except OSError:
        return f"add the user to the group of the port: sudo usermod -aG dialout {user}"
    if not usable or group.gr_gid == 0:
        rule = f'KERNEL=="{Path(port).resolve().name}", GROUP="dialout", MODE="0660"'
        return (
            f"the port is {stat.filemode(found.st_mode)} {group.gr_name}, which lets in no "
            f"ordinary group: write {rule} into /etc/udev/rules.d/60-meters.rules, "
            f"sudo udevadm trigger, and sudo usermod -aG dialout {user}, then log in again"
        )
    if user in group.gr_mem:
        return f"{user} is in the group {group.gr_name} since this session began: log in again"
    return (
        f"add the user to the group of the port: sudo usermod -aG {group.gr_name} {user}, "
        "then log in again"
    )


def _reason(err: Exception) -> str:
    """Return what `err` says, without the address that pyserial repeats with its options."""
    return str(err).rpartition("?ign_set_control: ")[2]


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
