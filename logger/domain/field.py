"""What a field of the data model is: its type, its unit, its text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from logger.domain.limits import HIGHEST_KWH, MOST_NOISE_KWH, QUARTER_WINDOWS


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
        low = [] if self.least is None else [f"not below {self.least:.10g}"]
        high = [] if self.most is None else [f"not above {self.most:.10g}"]
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


def signed(most: float, unit: str, text: str, *units: str) -> Field:
    """Return a float from -`most` to `most`."""
    return bounded(real(unit, text, *units), -most, most)


def amps(text: str) -> Field:
    """Return a current: the largest transformers have 9995 A, and a fifth more is measured."""
    return signed(12_000, "A", text)


def watts(unit: str, text: str, *units: str) -> Field:
    """Return a power in the basic unit: of those transformers, at 277 V and three phases."""
    return signed(10_000_000, unit, text, *units)


def site_power(text: str) -> Field:
    """Return a power that is made of those of all meters: as of a hundred of the largest."""
    return signed(1e9, "W", text)


def site_energy(text: str) -> Field:
    """Return an energy that is made of the counters of all meters: as of a hundred."""
    return signed(100 * HIGHEST_KWH, "kWh", text)


def money(text: str) -> Field:
    """Return the money for a quarter hour: 2500 kWh of the largest meter, at the highest
    price that a formula can make of the highest one that is imported, are 5e12."""
    return signed(1e13, "", text)


def counter(field: Field) -> Field:
    """Return a counter as meters show it, which may count backwards."""
    return bounded(field, -HIGHEST_KWH, HIGHEST_KWH)


def register(text: str) -> Field:
    """Return an integer that a meter has in one register, with a sign or without."""
    return bounded(integer("", text), -(2**15), 2**16 - 1)


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
    """Return what a counter counted, which may fall by its last digits; the point does not
    say how large the counter is, so what passes for the largest ones passes for all."""
    return bounded(real("kWh", text), -MOST_NOISE_KWH)


def textual(text: str) -> Field:
    """Return a text."""
    return Field(FieldType.TEXT, "", text)
