"""Times as files of prices have them, and what they mean at a clock change. Pure.

Day comes before month where slashes part them, as ENTSO-E writes. A time may bring its offset,
or the name of it ("02:00 (CEST)"); else it is local time of a zone that is named once.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

_FORMATS = (
    *("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S"),
    *("%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d-%m-%Y %H:%M", "%d-%m-%Y %H:%M:%S"),
    *("%b %d, %Y %I:%M %p", "%b %d, %Y, %I:%M %p"),  # as SMARD writes in English
)
_NAMED = re.compile(r"\s*\(?\b(UTC|GMT|WET|WEST|CET|CEST|EET|EEST|BST)\)?$")
_UNIX = re.compile(r"\d{9,10}|\d{12,13}")
_YEARS = range(2000, 2100)
# How a header names a zone: a place that has these two times.
ZONES: Mapping[str, str] = {
    "utc": "UTC", "cet/cest": "Europe/Brussels", "cet": "Europe/Brussels",
    "wet/west": "Europe/Lisbon", "eet/eest": "Europe/Helsinki",
}  # fmt: skip
_OFFSETS_H = {
    "UTC": 0,
    "GMT": 0,
    "WET": 0,
    "WEST": 1,
    "BST": 1,
    "CET": 1,
    "CEST": 2,
    "EET": 2,
    "EEST": 3,
}
_SPAN = re.compile(r"\s+[-–]\s+")


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time: a moment (ms UTC), or the local time of a zone that is to be named."""

    text: str
    moment_ms: int | None
    local: dt.datetime | None = None


def parsed(text: str | float) -> Stamp:
    """Return the time that is written. Raises ValueError with what was expected."""
    word = str(text).strip()
    if _UNIX.fullmatch(word):
        number = int(word)
        found = number if len(word) > 11 else 1000 * number
        _check(word, dt.datetime.fromtimestamp(found / 1000, dt.UTC))
        return Stamp(word, found)
    named = _NAMED.search(word)
    local = _datetime(word[: named.start()] if named else word, word)
    _check(word, local)
    if named and local.tzinfo is None:
        local = local.replace(tzinfo=dt.timezone(dt.timedelta(hours=_OFFSETS_H[named[1]])))
    if local.tzinfo is not None:
        return Stamp(word, round(local.timestamp() * 1000))
    return Stamp(word, None, local)


def parts(text: str) -> tuple[str, str | None]:
    """Return both ends of a cell such as "01.01.2026 00:00 - 01.01.2026 01:00"; of a cell with
    one time this and None."""
    found = _SPAN.split(text.strip())
    return (found[0], found[1]) if len(found) == 2 else (text, None)


def _datetime(text: str, whole: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _FORMATS:
        try:
            return dt.datetime.strptime(text.strip(), form)  # noqa: DTZ007 - its zone comes later
        except ValueError:
            continue
    raise ValueError(
        f"{whole!r} is no time: expected 2026-01-31T13:00, 31.01.2026 13:00, 31/01/2026 13:00 or "
        "seconds since 1970"
    )


def _check(text: str, at: dt.datetime) -> None:
    if at.year not in _YEARS:
        raise ValueError(f"{text!r} is not between 2000 and 2100")


def resolved(stamps: Sequence[Stamp], zone: ZoneInfo | None) -> Iterator[int | str]:
    """Yield the moment of each time (ms UTC), or why it has none.

    Of a local time that comes twice a file has to tell both: the first in it is the earlier
    one, unless its times go backwards. Alone it is refused, as is one that the clock skips.
    """
    backwards = _backwards(stamps)
    places: dict[dt.datetime, list[int]] = {}
    for place, stamp in enumerate(stamps):
        if stamp.local is not None:
            places.setdefault(stamp.local, []).append(place)
    for place, stamp in enumerate(stamps):
        if stamp.moment_ms is not None:
            yield stamp.moment_ms
            continue
        assert stamp.local is not None
        if zone is None:
            yield f"{stamp.text!r} has no offset"
            continue
        first = stamp.local.replace(tzinfo=zone, fold=0)
        second = stamp.local.replace(tzinfo=zone, fold=1)
        if first.utcoffset() == second.utcoffset():
            yield round(first.timestamp() * 1000)
            continue
        back = first.astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None)
        if back != stamp.local:
            yield f"{stamp.text!r} does not exist in {zone}: the clocks go forward"
            continue
        both = places[stamp.local]
        if len(both) != 2:
            often = "once" if len(both) == 1 else f"{len(both)} times"
            yield (
                f"{stamp.text!r} comes twice in {zone}, and {often} in the file: "
                f"write it with its offset"
            )
            continue
        later = (both.index(place) == 1) != backwards
        yield round((second if later else first).timestamp() * 1000)


def _backwards(stamps: Sequence[Stamp]) -> bool:
    own = [stamp.local for stamp in stamps if stamp.local is not None]
    return bool(own) and own[0] > own[-1]
