"""Reads line protocol: the way back from a line to a point. Pure.

Rules: InfluxDB OSS 2.7 documentation, "Line protocol". Comments and lines without a
timestamp are not points here: a point without a time cannot be sent twice.
"""

from __future__ import annotations

import math
import re

from logger.points.line import FieldValue, Point

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INTEGER = re.compile(r"([+-]?\d+)i")
TRUE, FALSE = ("t", "T", "true", "True", "TRUE"), ("f", "F", "false", "False", "FALSE")
_BOOLEANS = {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}
_INT64 = 2**63


def decode(line: str) -> Point:
    """Return the point of a line; its time is the number in the line, whatever its unit.

    Raises ValueError with what is wrong.
    """
    measurement, at = _name(line, 0, ", ", escaped=", ")
    if not measurement:
        raise ValueError("no measurement")
    tags: dict[str, str] = {}
    while at < len(line) and line[at] == ",":
        key, at = _name(line, at + 1, "=, ")
        if at >= len(line) or line[at] != "=":
            raise ValueError(f"tag {key!r} has no value")
        value, at = _name(line, at + 1, "=, ")
        if not key or not value or line[at : at + 1] == "=":
            raise ValueError(f"not a tag: {key!r} = {value!r}")
        if key in tags:
            raise ValueError(f"tag {key!r} comes twice")
        tags[key] = value
    if at >= len(line):
        raise ValueError("no fields")
    fields, at = _fields(line, at + 1)
    stamp = line[at:].strip()
    if not stamp:
        raise ValueError("no timestamp")
    if not re.fullmatch(r"-?\d+", stamp):
        raise ValueError(f"not a timestamp: {stamp!r}")
    if not -_INT64 <= int(stamp) < _INT64:
        raise ValueError(f"timestamp out of range: {stamp}")
    return Point(measurement, tags, fields, int(stamp))


def _fields(line: str, at: int) -> tuple[dict[str, FieldValue], int]:
    fields: dict[str, FieldValue] = {}
    while True:
        key, at = _name(line, at, "=, ")
        if not key or at >= len(line) or line[at] != "=":
            raise ValueError(f"field {key!r} has no value")
        value: FieldValue
        if line[at + 1 : at + 2] == '"':
            value, at = _string(line, at + 2)
        else:
            start = at + 1
            at = start
            while at < len(line) and line[at] not in ", ":
                at += 1
            value = _value(key, line[start:at])
        if key in fields:
            raise ValueError(f"field {key!r} comes twice")
        fields[key] = value
        if line[at : at + 1] != ",":
            return fields, at
        at += 1


def _name(line: str, at: int, ends: str, escaped: str = ",= ") -> tuple[str, int]:
    """Return an unescaped name that starts at `at`, and where it ended.

    A measurement has no escape for `=`: a backslash before it is one of its characters.
    """
    found = []
    while at < len(line) and line[at] not in ends:
        if line[at] == "\\" and line[at + 1 : at + 2] and line[at + 1] in escaped:
            at += 1
        found.append(line[at])
        at += 1
    return "".join(found), at


def _string(line: str, at: int) -> tuple[str, int]:
    found = []
    while at < len(line) and line[at] != '"':
        if line[at] == "\\" and line[at + 1 : at + 2] in {'"', "\\"}:
            at += 1
        found.append(line[at])
        at += 1
    if at >= len(line):
        raise ValueError("a text without its closing quote")
    if line[at + 1 : at + 2] not in {",", " ", ""}:
        raise ValueError("something follows the closing quote of a text")
    return "".join(found), at + 1


def _value(key: str, text: str) -> FieldValue:
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if match := _INTEGER.fullmatch(text):
        number = int(match[1])
        if not -_INT64 <= number < _INT64:
            raise ValueError(f"field {key!r}: {text} does not fit into 64 bits")
        return number
    if _NUMBER.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise ValueError(f"field {key!r}: {text} is too large")
        return value
    raise ValueError(f"field {key!r}: not a value: {text!r}")
