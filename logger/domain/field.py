"""What a field of the data model is: its type, its unit, its text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from logger.domain.limits import LAST_DIGITS_KWH, QUARTER_WINDOWS


class FieldType(StrEnum):
    """The type of a field in InfluxDB, for ever."""

    FLOAT = "float"
    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its type, its unit in InfluxDB, what it says; `units` a meter may send.

    No value is below `least` or above `most`, for any meter, where these are given.
    """

    kind: FieldType
    unit: str
    text: str
    units: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None

    def holds(self, value: float) -> bool:
        """Return whether a number is within the range of the field."""
        return not (
            (self.least is not None and value < self.least)
            or (self.most is not None and value > self.most)
        )

    @property
    def range(self) -> str:
        """The range for people."""
        low = [] if self.least is None else [f"not below {self.least:g}"]
        high = [] if self.most is None else [f"not above {self.most:g}"]
        return " and ".join([*low, *high])


def real(unit: str, text: str, *units: str) -> Field:
    """Return a float; `units` are those that a meter may send."""
    return Field(FieldType.FLOAT, unit, text, units or (unit,))


def kwh(text: str) -> Field:
    """Return active energy."""
    return real("kWh", text, "kWh", "Wh")


def kvarh(text: str) -> Field:
    """Return reactive energy."""
    return real("kvarh", text, "kvarh", "varh")


def kvah(text: str) -> Field:
    """Return apparent energy."""
    return real("kVAh", text, "kVAh", "VAh")


def integer(unit: str, text: str) -> Field:
    """Return an integer."""
    return Field(FieldType.INTEGER, unit, text)


def bounded(field: Field, least: float, most: float | None = None) -> Field:
    """Return `field` with the range of its values."""
    return replace(field, least=least, most=most)


def positive(unit: str, text: str, *units: str) -> Field:
    """Return a float that is never below 0."""
    return bounded(real(unit, text, *units), 0)


def count(text: str) -> Field:
    """Return an integer that is never below 0."""
    return bounded(integer("", text), 0)


def frequency_windows(text: str) -> Field:
    """Return how many windows of the frequency, of those of a quarter hour."""
    return bounded(integer("", text), 0, QUARTER_WINDOWS)


def counted_kwh(text: str) -> Field:
    """Return what a counter counted, which may fall by its last digits."""
    return bounded(real("kWh", text), -LAST_DIGITS_KWH)


def textual(text: str) -> Field:
    """Return a text."""
    return Field(FieldType.TEXT, "", text)
