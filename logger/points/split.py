"""Takes lines apart that this logger wrote, in a tenth of the time of `parse`. Pure.

Nearly all of them have neither text nor escapes; the others, and what somebody else wrote,
go through `parse.decode`, which checks everything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache

from logger.points.line import FieldValue, Point
from logger.points.parse import FALSE, TRUE, decode


def series(line: str) -> str:
    """Return the measurement and tags of a line: all before the first bare space."""
    end = line.find(" ")
    while end > 0 and line[end - 1] == "\\":
        end = line.find(" ", end + 1)
    return line[:end]


def stamp_of(line: str) -> int:
    """Return the timestamp at the end of a line; ValueError where there is none."""
    return int(line[line.rindex(" ") + 1 :])


def point_of(line: str) -> Point:
    """Return the point of a line that this logger wrote. Raises ValueError."""
    if special(line):
        return decode(line)
    head, body, stamp = line.split(" ")
    measurement, *tags = head.split(",")
    return Point(measurement, dict(part.split("=", 1) for part in tags), _fields(body), int(stamp))


def tags_of(series: str) -> Mapping[str, str]:
    """Return the tags of a measurement with tags, as `series` gives it."""
    return point_of(f"{series} x=0 0").tags


class LineParser:
    """Does what `point_of` does for many lines: tags are taken apart once for a series."""

    def __init__(self) -> None:
        self._heads: dict[str, tuple[str, Mapping[str, str]]] = {}

    def point(self, line: str, wanted: Collection[str] = ()) -> Point:
        """Return the point of a line that this logger wrote; without the fields that are not
        `wanted`, if any are. Raises ValueError."""
        if special(line):
            return decode(line)
        head, body, stamp = line.split(" ")
        known = self._heads.get(head)
        if known is None:
            point = point_of(line)
            self._heads[head] = (point.measurement, point.tags)
            return point
        fields: dict[str, FieldValue] = {}
        for part in body.split(","):
            name, _, text = part.partition("=")
            if not wanted or name in wanted:
                fields[name] = _value(text)
        return Point(*known, fields, int(stamp))


# The fields of one series: a column for each, with None where a line lacks it.
Columns = Mapping[str, Sequence[FieldValue | None]]
_Texts = Sequence[str]
_KINDS: tuple[tuple[str, Callable[[_Texts], Sequence[FieldValue]]], ...] = (
    ("(true|false)", lambda texts: [text == "true" for text in texts]),
    ("(-?[0-9]{1,18})i", lambda texts: list(map(int, texts))),
    (r"(-?[0-9.]+(?:e[-+]?[0-9]{1,2})?)", lambda texts: list(map(float, texts))),
)


def split_text(text: str, measurement: str) -> list[tuple[str, str, str]] | None:
    """Return (series, fields, timestamp) of each line of `measurement` in a text of many
    lines, in its order; None if one of them has a text or an escape."""
    if special(text):
        return None
    head = f"{measurement},"
    found = _lines(head).findall(text)
    return found if len(found) == text.count(f"\n{head}") + text.startswith(head) else None


@lru_cache(64)
def _lines(head: str) -> re.Pattern[str]:
    return re.compile(f"^({re.escape(head)}[^ \n]*) ([^ \n]*) (-?[0-9]+)$", re.MULTILINE)


def columns(bodies: Sequence[str], wanted: Collection[str] = ()) -> Columns:
    """Return the fields of many lines of one series, without text and escapes; of each those
    `wanted`, or all. Raises ValueError."""
    names, pattern, kinds = _layout(bodies[0], frozenset(wanted))
    rows = pattern.findall("\n".join(bodies)) if names else []
    if len(rows) == len(bodies):  # each is like the first, as nearly always
        texts = zip(*rows, strict=True) if len(names) > 1 else iter([rows])
        return {
            name: _KINDS[kind][1](own) for name, kind, own in zip(names, kinds, texts, strict=True)
        }
    found = [_fields(body) for body in bodies]
    every = dict.fromkeys(name for one in found for name in one if not wanted or name in wanted)
    return {name: [one.get(name) for one in found] for name in every}


def _layout(
    body: str, wanted: frozenset[str]
) -> tuple[Sequence[str], re.Pattern[str], Sequence[int]]:
    """Return the fields wanted of lines that are like `body`, the pattern of these lines, and
    of which kind each field is."""
    names, kinds, parts = [], [], []
    for part in body.split(","):
        name, _, value = part.partition("=")
        if wanted and name not in wanted:
            parts.append(f"{re.escape(name)}=[^,\n]*")
            continue
        kind = next((n for n, (form, _) in enumerate(_KINDS) if re.fullmatch(form, value)), None)
        if kind is None:
            return (), re.compile(""), ()
        names.append(name)
        kinds.append(kind)
        parts.append(f"{re.escape(name)}={_KINDS[kind][0]}")
    return names, re.compile(f"^{','.join(parts)}$", re.MULTILINE), kinds


def chunks(texts: Iterator[str], size: int) -> Iterator[str]:
    """Yield the same lines in longer texts, of about `size` characters."""
    found: list[str] = []
    length = 0
    for text in texts:
        found.append(text)
        length += len(text)
        if length >= size:
            yield "\n".join(found)
            found, length = [], 0
    if found:
        yield "\n".join(found)


def special(line: str) -> bool:
    """Return whether a line has a text or an escape."""
    return "\\" in line or '"' in line


def _fields(body: str) -> dict[str, FieldValue]:
    pairs = (part.split("=", 1) for part in body.split(","))
    return {name: _value(text) for name, text in pairs}


def _value(text: str) -> FieldValue:
    if not text[-1:].isdigit():  # a number of this logger ends with a digit
        if text.endswith("i"):
            return int(text[:-1])
        if text in TRUE or text in FALSE:
            return text in TRUE
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"not a number: {text!r}")
    return number
