"""InfluxDB line protocol: points to lines and back. Pure.

Rules: InfluxDB OSS 2.7 documentation, "Line protocol", special characters and types.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

FieldValue = float | int | str | bool


@dataclass(frozen=True, slots=True)
class Point:
    """One point: tags and fields by name, time in milliseconds UTC."""

    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, FieldValue]
    time_ms: int

    def line(self) -> str:
        """Return the point as one line, without the line end. Tags come sorted."""
        return encode(self)


_MEASUREMENT = str.maketrans({",": "\\,", " ": "\\ "})
_KEY = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})
_STRING = str.maketrans({'"': '\\"', "\\": "\\\\"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def encode(point: Point) -> str:
    """Return `point` as a line. Raises ValueError for what line protocol cannot hold:
    no field, an empty tag, NaN, control characters or a final backslash in a name."""
    if not point.fields:
        raise ValueError(f"{point.measurement}: a point needs a field")
    head = _name(point.measurement, _MEASUREMENT)
    tags = "".join(
        f",{_name(key, _KEY)}={_name(value, _KEY)}" for key, value in sorted(point.tags.items())
    )
    fields = ",".join(f"{_name(key, _KEY)}={_value(value)}" for key, value in point.fields.items())
    return f"{head}{tags} {fields} {point.time_ms}"


def _name(text: str, escapes: dict[int, str]) -> str:
    if not text or _CONTROL.search(text) or text.endswith("\\"):
        raise ValueError(f"not a name that line protocol can hold: {text!r}")
    return text.translate(escapes)


def _value(value: FieldValue) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value}i"
        case float():
            if not math.isfinite(value):
                raise ValueError(f"not a number: {value}")
            return repr(value)
        case str():
            return f'"{value.translate(_STRING)}"'


_SPLIT_SPACE = re.compile(r"(?<!\\) ")
_SPLIT_COMMA = re.compile(r"(?<!\\),")
_SPLIT_EQUALS = re.compile(r"(?<!\\)=")
_ESCAPED = re.compile(r"\\([,= ])")
_FIELD = re.compile(r'((?:\\[,= ]|[^,= ])+)=("(?:\\.|[^"\\])*"|[^", ]+)(?:,|(?= )|$)')
_INTEGER = re.compile(r"[+-]?\d+i")
_TRUE, _FALSE = {"t", "T", "true", "True", "TRUE"}, {"f", "F", "false", "False", "FALSE"}


def parse(line: str) -> Point:
    """Return the point that `line` holds; its time is in milliseconds.

    The inverse of `encode`. Raises ValueError for what is not a line with a time.
    """
    if "\\" not in line and '"' not in line:  # nearly every line of a logger
        head, _, rest = line.partition(" ")
        body, _, stamp = rest.partition(" ")
        measurement, *parts = head.split(",")
        tags = dict(part.split("=", 1) for part in parts)
        pairs = (part.split("=", 1) for part in body.split(","))
        return Point(measurement, tags, {k: _parsed(v) for k, v in pairs}, int(stamp))
    head, *rest_of_head = _SPLIT_SPACE.split(line, maxsplit=1)
    if not rest_of_head:
        raise ValueError(f"no fields: {line!r}")
    measurement, *parts = _SPLIT_COMMA.split(head)
    tags = {}
    for part in parts:
        key, *value = _SPLIT_EQUALS.split(part, maxsplit=1)
        if not value:
            raise ValueError(f"not a tag: {part!r}")
        tags[_plain(key)] = _plain(value[0])
    rest = rest_of_head[0]
    fields: dict[str, FieldValue] = {}
    at = 0
    while match := _FIELD.match(rest, at):
        fields[_plain(match[1])] = _parsed(match[2])
        at = match.end()
        if rest[at - 1] != ",":
            break
    if not fields:
        raise ValueError(f"no fields: {line!r}")
    return Point(_plain(measurement), tags, fields, int(rest[at:]))


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def _parsed(text: str) -> FieldValue:
    if text[:1] == '"':
        return re.sub(r'\\(["\\])', r"\1", text[1:-1])
    if text[-1:] == "i" and _INTEGER.fullmatch(text):
        return int(text[:-1])
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"not a number: {text!r}")
    return number
