"""What a server's answer to a write means. Pure: no socket, no clock.

Sources: InfluxDB 2.7 API documentation, POST /api/v2/write; InfluxDB 1.8 HTTP API; RFC 9110.
"""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from logger.influx.redirect import advice

MAX_RETRY_AFTER_S = 3600.0
_MAX_TEXT = 300


class OutcomeKind(StrEnum):
    """What to do with the points that were sent."""

    DELIVERED = "delivered"  # they are in the database
    UNREACHABLE = "unreachable"  # nobody took them: try again soon
    TIMEOUT = "no answer"  # perhaps they were taken: try again, sending twice is harmless
    BUSY = "server error"  # the server cannot just now: try again, later and later
    WRONG_TARGET = "wrong target"  # a person has to mend something: keep all, try slowly
    REJECTED = "rejected"  # some of the lines are at fault
    TOO_LARGE = "too large"  # the request is


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer. `sure` says that a rejection is about lines and not about the request;
    `dropped` is how many lines a partial write left out, if it says so."""

    kind: OutcomeKind
    text: str = ""
    hint: str = ""
    retry_after_s: float | None = None
    sure: bool = False
    dropped: int | None = None


DELIVERED = Outcome(OutcomeKind.DELIVERED)

UNPARSED = "unable to parse"  # what every InfluxDB says before it quotes a bad line
# How servers name what is wrong with single lines.
_LINE_FAULTS = (
    "partial write",
    UNPARSED,
    "field type conflict",
    "beyond retention policy",
    "max-values-per-tag",
    "max key length exceeded",
    "invalid field format",
    "missing fields",
    "time outside range",
)
# Its disk has no room: as Linux and Windows say it.
_FULL = ("no space left on device", "not enough space on the disk")
_DROPPED = re.compile(r"dropped=(\d+)")
_TITLE = re.compile(r"<title>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<[^>]*>")


def classify(status: int, headers: Mapping[str, str], body: str, now_s: float) -> Outcome:
    """Return what an HTTP answer means; `now_s` is the time in seconds since 1970."""
    message = error_message(body)
    text = f"{status} {message}" if message else f"answered {status}"
    faults = message is not None and any(fault in message for fault in _LINE_FAULTS)
    if status == 204:
        return DELIVERED
    if status == 413:
        return Outcome(OutcomeKind.TOO_LARGE, text, "raise the body limit of the server or proxy")
    if status in {400, 422} or (status >= 500 and faults):
        # versions differ on the status of a partial write, not on its words
        return Outcome(
            OutcomeKind.REJECTED,
            text if message else f"answered {status}: {plain(body)}",
            "if all points are refused, check url, org and bucket",
            sure=faults or (status == 422 and message is not None),
            dropped=_dropped(message),
        )
    if status in {408, 425, 429} or status >= 500:
        shown = text if message else f"answered {status}: {plain(body)}"
        return Outcome(OutcomeKind.BUSY, shown, _full(shown), retry_after(headers, now_s))
    if 300 <= status < 400:
        where = _header(headers, "Location") or ""
        text = f"{status}: redirects to {where or 'nowhere'}"
        return Outcome(OutcomeKind.WRONG_TARGET, text, advice(where))
    return Outcome(
        OutcomeKind.WRONG_TARGET,
        text if message else f"answered {status}: {plain(body)}",
        _hint(status),
        retry_after(headers, now_s),
    )


def error_message(body: str) -> str | None:
    """Return InfluxDB's own message in a JSON error, None if the body is no such thing."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    for name in ("message", "error"):
        if isinstance(data.get(name), str) and data[name]:
            return str(data[name])
    return None


def plain(body: str) -> str:
    """Return what a page says, short enough for a log line."""
    title = _TITLE.search(body)
    text = title[1] if title else _TAGS.sub(" ", body)
    text = " ".join(text.split())
    return (text[:_MAX_TEXT] + "...") if len(text) > _MAX_TEXT else (text or "no text")


def retry_after(headers: Mapping[str, str], now_s: float) -> float | None:
    """Return the seconds of a Retry-After header, given as seconds or as a date."""
    value = _header(headers, "Retry-After")
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():  # "\N{SUPERSCRIPT TWO}" is a digit, too
        seconds = float(value)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now_s
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in headers.items() if key.lower() == name.lower()), None)


def _dropped(message: str | None) -> int | None:
    if message is None or "partial write" not in message or UNPARSED in message:
        return None  # lines that do not parse are not among those it counts
    found = _DROPPED.search(message)
    return int(found[1]) if found and int(found[1]) > 0 else None


def _full(text: str) -> str:
    if not any(words in text for words in _FULL):
        return ""
    # Its log keeps the error when there is room again (influxdata/influxdb#9923, #24460).
    return "make room there, then restart InfluxDB: by itself it does not take points again"


def _hint(status: int) -> str:
    match status:
        case 401:
            return (
                "the token is not accepted: put a valid one into influxdb.token_file or "
                "INFLUXDB_TOKEN; the file is read again without a restart"
            )
        case 403:
            return "the token may not write to this bucket: give it write permission"
        case 404:
            return "create the bucket, or correct influxdb.url, org and bucket"
        case _ if 200 <= status < 300:
            return "InfluxDB acknowledges with 204: something else answers at influxdb.url"
        case _:
            return "check influxdb.url: an InfluxDB 2 API is expected there"
