"""What a field of the data model is: its type, its unit, its text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FieldType(StrEnum):
    """The type of a field in InfluxDB, for ever."""

    FLOAT = "float"
    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its type, its unit in InfluxDB, what it says; `units` a meter may send."""

    kind: FieldType
    unit: str
    text: str
    units: tuple[str, ...] = ()
