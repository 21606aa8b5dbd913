"""What systemd is told: ready, alive, stopping (sd_notify(3)). Does nothing elsewhere."""

from __future__ import annotations

import os
import socket


def notify(message: str) -> None:
    """Send `message` (such as "READY=1") to the service manager, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # a name in the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(message.encode(), address)
        except OSError:  # a service manager that does not listen is no reason to stop
            return


def watchdog_s() -> float | None:
    """Return how often the service manager wants a sign of life, in seconds."""
    period = os.environ.get("WATCHDOG_USEC")
    if not period or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(period) / 1_000_000
