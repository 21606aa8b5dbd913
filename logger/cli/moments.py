"""Moments as people write them on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import typer

_AGO = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def moment(text: str, zone: str, now_ms: int) -> int:
    """Return milliseconds UTC for "2026-11-01", "2026-11-01T12:30", "2d" (ago) or "now".

    A time without an offset is local time of `zone`.
    """
    text = text.strip()
    if text == "now":
        return now_ms
    if match := _AGO.fullmatch(text):
        return now_ms - int(float(match[1]) * _SECONDS[match[2]] * 1000)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time: write 2026-11-01, 2026-11-01T12:30, 2d (ago) or now"
        ) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=ZoneInfo(zone))
    return int(time.timestamp() * 1000)


def shown(time_ms: int | None, zone: str = "UTC") -> str:
    """Return a time for a person, "-" for none."""
    if time_ms is None:
        return "-"
    time = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    return time.strftime("%Y-%m-%d %H:%M:%S %Z")
