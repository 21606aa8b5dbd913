"""What this machine says about itself: time zone, name, who owns its serial ports."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

LOCALTIME = Path("/etc/localtime")
TIMEZONE = Path("/etc/timezone")  # Debian's, also where localtime is a copy


def zone() -> str:
    """Return the time zone of this machine, UTC if it does not tell."""
    from zoneinfo import available_timezones

    known = available_timezones()
    named = os.environ.get("TZ", "").lstrip(":")
    linked = str(LOCALTIME.resolve()).partition("zoneinfo/")[2] if LOCALTIME.is_symlink() else ""
    try:
        written = TIMEZONE.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        written = ""
    return next((name for name in (named, linked, written) if name in known), "UTC")


def name() -> str:
    """Return the name of this machine; that of a container means nothing to anybody else."""
    found = socket.gethostname()
    return "localhost" if re.fullmatch(r"[0-9a-f]{12}", found) or not found else found


def serial_group() -> int:
    """Return the number of the group that owns serial ports; 20 is Debian's dialout."""
    import grp

    for group in ("dialout", "uucp"):
        try:
            return grp.getgrnam(group).gr_gid
        except KeyError:
            continue
    return 20
