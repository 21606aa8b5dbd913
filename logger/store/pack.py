"""Packs the lines of many readings into few bytes, and gives back the very same text. Pure.

    byte 0   method
    1 on     a zlib stream

Method 1: the stream is the text, UTF-8. Quick both ways.

Method 2: the numbers of the text stand in columns, beside a few patterns. All integers are
little-endian:

    u32      how many patterns; for each: u32 length, UTF-8 text with a byte 0x01 for each number
    u32      how many lines
    u16 ...  for each line its pattern: first all low bytes, then all high bytes
    for each pattern that has lines, for each of its numbers, a column:
      u8       d, the most digits behind the point in this column
      u8 ...   for each line the digits behind its point; 0 means that there is no point
      u8       w, 1 to 8
      w times: u8 for each line, the bytes of the differences, lowest first

A number is a whole number of units of 10**-d; the first one of a column is the difference
to 0, each other one to the number in the line before. A difference v >= 0 is written as 2v,
one below as -2v - 1. The lines are joined by line feeds.

Readings of one meter repeat all but the last digits, so the second method takes about half
the room of the first, and ten times its time.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence

TEXT, COLUMNS = 1, 2
_NUMBER = re.compile(r"(?<=[= ])-?\d+(?:\.\d+)?(?![^ ,i])")
_MARK = "\x01"
_QUICK = 3  # of zlib: two thirds of the time of 4, a few in a hundred larger
_WIDEST = 2**62
_PATTERNS = 1000
_LARGEST = 64 * 1024**2  # bytes of text; nothing that was packed here is larger


def pack(text: str, *, columns: bool = False) -> bytes:
    """Return the packed text, in columns if that is wanted and possible."""
    if columns and (body := _to_columns(text)) is not None and _from_columns(body) == text:
        return bytes((COLUMNS,)) + zlib.compress(body, 6)
    return bytes((TEXT,)) + zlib.compress(text.encode("utf-8", "surrogateescape"), _QUICK)


def unpack(data: bytes) -> str:
    """Return the text of `data`. Raises ValueError for what is not packed."""
    try:
        stream = zlib.decompressobj()
        body = stream.decompress(data[1:], _LARGEST)
        if not stream.eof:
            raise ValueError("the packed text does not end")
        if data[0] == TEXT:
            return body.decode("utf-8", "surrogateescape")
        if data[0] == COLUMNS:
            return _from_columns(body)
    except (zlib.error, struct.error, IndexError, OverflowError, TypeError, RuntimeError) as err:
        raise ValueError(f"not packed text: {err}") from err
    raise ValueError(f"packed by an unknown method {data[0]}")


def _to_columns(text: str) -> bytes | None:
    if _MARK in text:
        return None
    patterns: dict[str, int] = {}
    values: list[list[list[str]]] = []
    order: list[int] = []
    for line in text.split("\n"):
        pattern = _NUMBER.sub(_MARK, line)
        number = patterns.setdefault(pattern, len(patterns))
        if number == len(values):
            if number == _PATTERNS:
                return None
            values.append([])
        order.append(number)
        values[number].append(_NUMBER.findall(line))
    parts = [struct.pack("<I", len(patterns))]
    for pattern in patterns:
        data = pattern.encode("utf-8", "surrogateescape")
        parts += [struct.pack("<I", len(data)), data]
    indexes = struct.pack(f"<{len(order)}H", *order)
    parts += [struct.pack("<I", len(order)), indexes[::2], indexes[1::2]]
    for lines in values:
        for column in zip(*lines, strict=True):
            if (numbers := _column(column)) is None:
                return None
            parts.append(numbers)
    return b"".join(parts)


def _column(texts: Sequence[str]) -> bytes | None:
    parts = [text.partition(".") for text in texts]
    digits = [len(behind) for _, _, behind in parts]
    most = max(digits)
    if most > 40:
        return None
    before, differences = 0, []
    for (whole, _, behind), count in zip(parts, digits, strict=True):
        value = int(whole + behind) * 10 ** (most - count)
        step = value - before
        before = value
        differences.append(2 * step if step >= 0 else -2 * step - 1)
    largest = max(differences)
    if largest >= _WIDEST:
        return None
    width = (largest.bit_length() + 7) // 8 or 1
    data = struct.pack(f"<{len(differences)}Q", *differences)
    planes = (data[place::8] for place in range(width))
    return b"".join((bytes((most,)), bytes(digits), bytes((width,)), *planes))


def _from_columns(body: bytes) -> str:
    at = 0

    def take(size: int) -> bytes:
        nonlocal at
        found = body[at : at + size]
        if len(found) != size:
            raise ValueError("the columns end early")
        at += size
        return found

    def count() -> int:
        return int.from_bytes(take(4), "little")

    patterns = [take(count()).decode("utf-8", "surrogateescape") for _ in range(count())]
    lines = count()
    order = [low | high << 8 for low, high in zip(take(lines), take(lines), strict=True)]
    found: list[Iterator[str]] = []
    for number, pattern in enumerate(patterns):
        of_it = order.count(number)
        form = pattern.replace("%", "%%").replace(_MARK, "%s")
        columns = []
        for _ in range(pattern.count(_MARK)):
            most = take(1)[0]
            digits = take(of_it)
            wide = bytearray(8 * of_it)
            for place in range(take(1)[0]):
                wide[place::8] = take(of_it)
            columns.append(_texts(most, digits, struct.unpack(f"<{of_it}Q", wide)))
        rows = zip(*columns, strict=True) if columns else iter([()] * of_it)
        found.append(map(form.__mod__, rows))
    return "\n".join(next(found[number]) for number in order)


def _texts(most: int, digits: bytes, differences: Sequence[int]) -> list[str]:
    texts = []
    value = 0
    for count, step in zip(digits, differences, strict=True):
        value += -(step >> 1) - 1 if step & 1 else step >> 1
        scaled = value // 10 ** (most - count) if most > count else value
        if not count:
            texts.append(str(scaled))
            continue
        figures = str(abs(scaled)).rjust(count + 1, "0")
        sign = "-" if scaled < 0 else ""
        texts.append(f"{sign}{figures[:-count]}.{figures[-count:]}")
    return texts
