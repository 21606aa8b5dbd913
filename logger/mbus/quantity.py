"""What the standard says that a record measures (EN 13757-3, tables 10 to 14). Pure.

Only what electricity meters send. A meter may use the standard's words in its own way:
the tables of the models say what each record of a known meter really is.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from logger.mbus.records import Record

_EXTENSION_FD = 0xFD


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity by the standard: its name, and one count in `unit`."""

    name: str
    unit: str
    count: Decimal


def standard(record: Record) -> Quantity | None:
    """Return what `record` measures by its VIF, None for what is not known here.

    A VIF with further extensions has another meaning, which is not guessed.
    """
    vif = record.vif
    if len(vif) == 1:
        code = vif[0]
        if code < 0x08:
            return Quantity("energy", "Wh", _ten(code - 3))
        if 0x28 <= code < 0x30:
            return Quantity("power", "W", _ten(code - 0x28 - 3))
    if len(vif) == 2 and vif[0] == _EXTENSION_FD:
        code = vif[1]
        if 0x40 <= code < 0x50:
            return Quantity("voltage", "V", _ten(code - 0x40 - 9))
        if 0x50 <= code < 0x60:
            return Quantity("current", "A", _ten(code - 0x50 - 12))
    return None


def _ten(exponent: int) -> Decimal:
    return Decimal(1).scaleb(exponent)
