"""InfluxDB line protocol: points to lines and back. Pure.

Rules: InfluxDB OSS 2.7 documentation, "Line protocol", special characters and types.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite

from logger.domain.records import FieldValue

__all__ = ["FieldValue", "Point", "encode"]


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
_NAMES = 4096  # names of measurements, tags and fields come again with each reading
_KEY = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})
_STRING = str.maketrans({'"': '\\"', "\\": "\\\\"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def encode(point: Point) -> str:
    """Return `point` as a line. Raises ValueError for what line protocol cannot hold:
    no field, an empty tag, NaN, control characters or a final backslash in a name."""
    if not point.fields:
        raise ValueError(f"{point.measurement}: a point needs a field")
    tags = "".join([f",{_key(key)}={_key(value)}" for key, value in sorted(point.tags.items())])
    fields = ",".join(
        [
            f"{_key(key)}={value!r}"
            if type(value) is float and isfinite(value)  # as nearly always
            else f"{_key(key)}={_value(value)}"
            for key, value in point.fields.items()
        ]
    )
    return f"{_measurement(point.measurement)}{tags} {fields} {point.time_ms}"


@lru_cache(_NAMES)
def _measurement(text: str) -> str:
    return _name(text, _MEASUREMENT)


@lru_cache(_NAMES)
def _key(text: str) -> str:
    return _name(text, _KEY)


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
            if not isfinite(value):
                raise ValueError(f"not a number: {value}")
            return repr(value)
        case str():
            return f'"{value.translate(_STRING)}"'
