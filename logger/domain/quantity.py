"""Quantity: which value of a meter, by the names of the data model. Pure.

Files and JSON write a quantity as text, its parts joined by "/":

    serial                        a field of its own
    voltage/L1                    a field of a phase
    active_import/total/T1        a field of a phase in a tariff
"""

from __future__ import annotations

from typing import NamedTuple

_MAX_PARTS = 3

TARIFFS = ("T1", "T2", "T3", "T4")
# Which field of a quarter hour has what was drawn in a tariff.
DRAWN_IN = {tariff: f"import_{tariff.lower()}" for tariff in TARIFFS}


class Quantity(NamedTuple):
    """Field, phase and tariff of one value; phase and tariff are empty where it has none."""

    field: str
    phase: str = ""
    tariff: str = ""

    def __str__(self) -> str:
        """Return the quantity as files and JSON write it."""
        return "/".join(part for part in self if part)

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Return the quantity that is written as `text`; ValueError if it is none."""
        parts = text.split("/")
        if len(parts) > _MAX_PARTS or not all(parts):
            raise ValueError(f"not a quantity (field/phase/tariff): {text!r}")
        return cls(*parts)


IMPORT_TOTAL = Quantity("active_import", "total", "total")
EXPORT_TOTAL = Quantity("active_export", "total", "total")
POWER_TOTAL = Quantity("active_power", "total")

SERIAL = Quantity("serial")
METER_CODE = Quantity("meter_code")
SOFTWARE_VERSION = Quantity("software_version")
TARIFF = Quantity("tariff")
CT_RATIO = Quantity("ct_ratio")
