"""Reads a file of prices: each line checked, and taken or refused with the reason.

Only `read` opens a file; what it finds is worked out by `taken`, which is pure.
"""

from __future__ import annotations

import datetime as dt
import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from logger.domain.errors import PriceError
from logger.domain.limits import QUARTER_MS
from logger.domain.spot import quarters
from logger.prices.entsoe import document, is_xml
from logger.prices.stamps import Stamp, parsed, resolved
from logger.prices.tables import Cells, Table, table
from logger.prices.units import Unit, decimal_comma, given, nothing, number, unit_in
from logger.texts import one_line

_GZIP = b"\x1f\x8b"
_MOST_BYTES = 64 * 1024**2  # of text: some decades of quarter hours
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_LAST = (0, 1, 1000, 60_000)
_MINUTE = re.compile(r"\d:(\d\d)")
_STEPS = frozenset({QUARTER_MS, 2 * QUARTER_MS, _HOUR_MS})


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What a person says of a file: the zone of times without an offset, the unit, how long a
    price holds (ms), the column of the price, values that rows have to hold."""

    currency: str
    zone: str | None = None
    unit: str | None = None
    length_ms: int | None = None
    column: str | None = None
    only: tuple[str, ...] = ()


@dataclass(slots=True)
class Taken:
    """The prices of a file by quarter hour, of a kWh; what was refused, and what has no price.

    `unit` and `zone` are those that were used, the latter if a time had no offset.
    """

    spot: dict[int, Decimal] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    empty: int = 0
    repeated: int = 0
    rows: int = 0
    unit: str = ""
    zone: str = ""


def read(file: Path, how: How) -> Taken:
    """Return the prices in a file, plain or compressed by gzip. Raises PriceError."""
    try:
        with file.open("rb") as raw:
            packed = raw.peek(2)[:2] == _GZIP
            with gzip.open(raw) if packed else raw as data:
                content = data.read(_MOST_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise PriceError(f"{file}: damaged gzip data: {err}", "is it complete?") from err
    except OSError as err:
        raise PriceError(f"{file}: {err.strerror}", "check the name and permissions") from err
    if len(content) > _MOST_BYTES:
        raise PriceError(f"{file}: more than {_MOST_BYTES >> 20} MiB", "is it a file of prices?")
    try:
        text = _text(content)
    except UnicodeDecodeError as err:
        raise PriceError(f"{file}: not UTF-8 text: {err}", "is it CSV, JSON or XML?") from err
    try:
        return taken(text, how)
    except ValueError as err:
        raise PriceError(f"{file}: {err}", "the page on prices shows what can be read") from err


def _text(content: bytes) -> str:
    """Return UTF-8 text, with or without its mark, or what a spreadsheet saved as UTF-16."""
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return content.decode("utf-16")
    return content.decode("utf-8-sig")


def taken(text: str, how: How) -> Taken:
    """Return the prices in a text. Raises ValueError for what concerns all of it."""
    if is_xml(text):
        found = document(text, how.column, how.only)
    else:
        found = table(text, how.column, how.only, how.currency)
    zone = _zone(found, how)
    result = Taken(zone=zone or "")
    rows = [_Row(cells) for cells in found.cells]
    result.rows = len(rows)
    _times(rows, None if zone is None else ZoneInfo(zone))
    if all(row.bad for row in rows) and any("has no offset" in row.bad for row in rows):
        raise ValueError(
            f"{found.what} {rows[0].cells.number}: {rows[0].bad}: name the time zone of the "
            "file, such as --zone Europe/Vienna"
        )
    priced = [row for row in rows if not nothing(row.cells.price)]
    result.empty = len(rows) - len(priced)
    good = [row for row in priced if not row.bad]
    _lengths(sorted((row for row in rows if not row.bad), key=lambda row: row.start), how)
    comma = decimal_comma([str(row.cells.price) for row in priced], found.delimiter)
    units = _Units(found, how)
    known: dict[int, _Row] = {}
    for row in good:
        if not row.bad:
            _take(row, result, known, units, comma=comma)
    result.bad = [
        one_line(f"{found.what} {row.cells.number}: {row.bad}") for row in priced if row.bad
    ]
    result.unit = units.text
    return result


@dataclass(slots=True)
class _Row:
    cells: Cells
    start: int = 0
    end: int | None = None
    bad: str = ""


class _Units:
    """The unit of each row: that of the command, else of the row, else of the head."""

    def __init__(self, found: Table, how: How) -> None:
        self._common = unit_in(found.unit) if found.unit else None
        self._told = given(how.unit) if how.unit else None
        self._currency = how.currency
        self.text = ""

    def of(self, text: str | None, named: str) -> Unit:
        stated = unit_in(text) if text else self._common
        unit = self._told or stated
        if unit is None:
            raise ValueError("in what unit is the price? Add --unit EUR/MWh or --unit ct/kWh")
        own = (named,) if named else unit.currencies or (stated.currencies if stated else ())
        if own and self._currency not in own and len(self._currency) == 3:
            kind = own[0] if len(own) == 1 else f"{(stated or unit).text!r} ({', '.join(own)})"
            raise ValueError(
                f"the price is in {kind}, prices.currency is {self._currency}: "
                f"take a file in {self._currency}, or another column with --column"
            )
        self.text = unit.text
        return unit


def _take(row: _Row, result: Taken, known: dict[int, _Row], units: _Units, *, comma: bool) -> None:
    """Put the price of a row into `result`, or say why not."""
    assert row.end is not None
    try:
        unit = units.of(row.cells.unit, row.cells.currency)
        price = number(str(row.cells.price), comma=comma) * unit.factor
    except ValueError as err:
        row.bad = str(err)
        return
    span = quarters((row.start, row.end))
    for at in span:
        if at in known and result.spot[at] != price:
            other = known[at].cells
            row.bad = (
                f"{row.cells.start!r} has another price ({row.cells.price}) than in "
                f"{other.number} ({other.price}): of which area? See --only"
            )
            return
    if all(at in known for at in span):
        result.repeated += 1
    for at in span:
        known.setdefault(at, row)
        result.spot.setdefault(at, price)


def _zone(found: Table, how: How) -> str | None:
    """Return the zone of times without an offset: that of the head, else the one named."""
    stated = found.layout.zone
    if stated is None or how.zone is None:
        return stated or how.zone
    for cells in found.cells:
        try:
            local = parsed(cells.start).local
        except ValueError:
            continue
        if local is None:
            return None
        own, named = (local.replace(tzinfo=ZoneInfo(one)) for one in (stated, how.zone))
        if own.utcoffset() == named.utcoffset():
            return stated
        raise ValueError(
            f"the head {found.layout.start!r} says {stated}, --zone {how.zone} has another time: "
            "leave --zone out"
        )
    return stated


def _times(rows: Sequence[_Row], zone: ZoneInfo | None) -> None:
    """Resolve the times of all rows; both ends of a row are told by the same rules."""
    starts: list[tuple[_Row, Stamp]] = []
    ends: list[tuple[_Row, Stamp]] = []
    for row in rows:
        try:
            starts.append((row, parsed(row.cells.start)))
            if row.cells.end is not None:
                ends.append((row, parsed(row.cells.end)))
        except ValueError as err:
            row.bad = str(err)
    for (row, _), at in zip(starts, resolved([one for _, one in starts], zone), strict=True):
        if isinstance(at, str):
            row.bad = row.bad or at
        elif at % QUARTER_MS:
            row.bad = f"{row.cells.start!r} does not begin a quarter hour"
        else:
            row.start = at
    # An end may be the hour that comes twice, or 24:00 of a zone: what follows its start tells.
    for row, stamp in ends:
        if row.bad:
            continue
        row.end = _after(_end(row, stamp, zone))
        length = (row.end or 0) - row.start
        if row.end is None or length <= 0 or length > _DAY_MS + _HOUR_MS or length % QUARTER_MS:
            row.bad = (
                f"from {row.cells.start!r} to {row.cells.end!r}: expected a quarter hour, an "
                "hour, or several of them, up to a day"
            )


def _after(end: int | None) -> int | None:
    """Return the end itself of a span of which the last minute, second or millisecond is told."""
    if end is None:
        return None
    return next((end + part for part in _LAST if (end + part) % QUARTER_MS == 0), end)


def _end(row: _Row, stamp: Stamp, zone: ZoneInfo | None) -> int | None:
    """Return the first moment after the start that an end may mean.

    Where an hour comes twice both rows may say "02:00 - 03:00": then the difference of the
    clock's times tells.
    """
    if stamp.local is None:
        return stamp.moment_ms
    if zone is None:
        return None
    both = (stamp.local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    ends = [round(one * 1000) for one in both]
    begun = parsed(row.cells.start).local
    if begun is not None and (passed := stamp.local - begun) <= dt.timedelta(hours=1):
        ends.append(row.start + round(passed.total_seconds() * 1000))
    return min((at for at in ends if at > row.start), default=None)


def _lengths(rows: Sequence[_Row], how: How) -> None:
    """Say until when the prices of rows without an end hold; `rows` are by time.

    Until the next one, but for no longer than what came before: a price that is missing is
    not covered by the one before it.
    """
    starts = sorted({row.start for row in rows})
    steps = {a: b - a for a, b in pairwise(starts)}
    before = {b: b - a for a, b in pairwise(starts)}
    usual = next((step for step in steps.values() if step in _STEPS), None)
    for row in rows:
        if row.end is not None:
            continue
        # What begins at a quarter to is no price of an hour, by the clock of the file.
        minute = _MINUTE.search(row.cells.start)
        begun = int(minute[1]) * 60_000 if minute else row.start
        longest = QUARTER_MS if begun // QUARTER_MS % 2 else _HOUR_MS
        longest = min(longest, 2 * QUARTER_MS) if begun % _HOUR_MS else longest
        near = [one for one in (before.get(row.start), steps.get(row.start)) if one in _STEPS]
        if how.length_ms is not None:
            usual = min(how.length_ms, steps.get(row.start, how.length_ms))
        elif near:
            usual = min(*near, longest)
        elif usual is not None:
            usual = min(usual, longest)
        else:
            row.bad = (
                f"{row.cells.start!r}: how long does the price hold? Add --resolution 15m or 1h"
            )
            continue
        row.end = row.start + usual
