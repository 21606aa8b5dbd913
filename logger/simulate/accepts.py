"""What a writable register accepts, read from the words of its table. Pure.

The tables say it as the manuals do: "1..247 (0 = broadcast)", "1 even, 2 none, 3 odd",
"10000, 2000, 0.1", "0 resets", "index: 1 300, 2 600".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from logger.decode import decode
from logger.meters import Encoding, Register

_RANGE = re.compile(r"\s*(\d+)\.\.(\d+)")
_ITEM = re.compile(r"\s*(\d+(?:\.\d+)?)(?:\s+(.*\S))?\s*")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A range from `low` to `high`, or the `values` with their labels; neither: anything."""

    low: int | None = None
    high: int | None = None
    values: Mapping[Decimal, str] | None = None

    def takes(self, value: Decimal) -> bool:
        """Tell whether `value` may be written."""
        if self.low is not None and self.high is not None:
            return self.low <= value <= self.high and value == value.to_integral_value()
        return self.values is None or value in self.values

    @property
    def first(self) -> Decimal | None:
        """The lowest or first value named."""
        if self.low is not None:
            return Decimal(self.low)
        return next(iter(self.values)) if self.values else None


@cache
def accepted(text: str) -> Accepted:
    """Return what the words `text` of a table allow."""
    if found := _RANGE.match(text):
        return Accepted(low=int(found[1]), high=int(found[2]))
    plain = re.sub(r"\([^)]*\)", "", text).split(";")[0].removeprefix("index:")
    values: dict[Decimal, str] = {}
    for item in plain.split(","):
        found = _ITEM.fullmatch(item)
        if found is None:
            return Accepted()
        values[Decimal(found[1])] = found[2] or ""
    return Accepted(values=values)


def written(register: Register, words: Sequence[int]) -> Decimal:
    """Return the number in `words`, as `register` takes it.

    Raises ValueError when the words hold no such number, or one that is not accepted.
    """
    value = decode(register.encoding, words)
    if isinstance(value, str):
        if not value.isdecimal():  # hexadecimal digits stand for decimal ones
            raise ValueError(f"{value} has digits beyond 9")
        value = Decimal(value)
    number = Decimal(value)
    rules = accepted(register.write.accepts if register.write else "")
    if register.encoding is Encoding.HEX and register.length > 1:
        return number  # two numbers side by side; what they may be is not a plain list
    if not rules.takes(number):
        raise ValueError(f"{number} is not accepted")
    return number
