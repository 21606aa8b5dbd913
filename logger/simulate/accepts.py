"""What a writable register takes, by its table: choices, a list or a range. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from logger.models import Encoding, Register
from logger.models.decode import decode


def acceptable(register: Register) -> tuple[Decimal, ...] | None:
    """Return every value that `register` takes, None when its table only tells in words."""
    rules = register.write
    if register.choices:
        return tuple(Decimal(code) for code in register.choices)
    if rules is not None and rules.one_of:
        return rules.one_of
    if rules is not None and rules.low is not None and rules.high is not None:
        return tuple(Decimal(value) for value in range(rules.low, rules.high + 1))
    return None


def written(register: Register, words: Sequence[int]) -> Decimal:
    """Return the number in `words`, as `register` takes it.

    Of two numbers side by side (a CT ratio of 9995 to 5) the first one counts. Raises
    ValueError when the words hold no such number, or one that is not accepted.
    """
    first = words[:1] if register.encoding is Encoding.HEX else words
    value = decode(register.encoding, first)
    if isinstance(value, str):
        if any(digit > "9" for word in words for digit in f"{word:04X}"):
            raise ValueError(f"{value} has digits beyond 9")  # they stand for decimal ones
        value = Decimal(value)
    number = Decimal(value)
    allowed = acceptable(register)
    if allowed is not None and number not in allowed:
        raise ValueError(f"{number} is not accepted")
    return number
