"""Whether the counters of a meter go on from where they were. Pure: time is an argument.

Between two looks a meter may have been exchanged for another, perhaps of another model,
without one question that stayed unanswered. Its counters show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from logger.domain.quantity import Quantity
from logger.models import Model, Value

_COUNTERS = tuple(Quantity(field, "total", "total") for field in ("active_import", "active_export"))
# What a counter may go on by at once, kWh, and the most that any load takes, kW.
_AT_ONCE_KWH, _MOST_KW = Decimal(1), Decimal(5000)


class CounterSteps:
    """The total energy counters of one meter, as they were last."""

    def __init__(self, model: Model) -> None:
        limits = model.limits.get("active_power")
        self._most_kw = Decimal(limits[1]) if limits is not None else _MOST_KW
        self._last: dict[Quantity, tuple[Decimal, float]] = {}

    def odd(self, values: Mapping[Quantity, Value], now: float) -> bool:
        """Take note of `values`, kWh; return whether a counter went back, or went on by more
        than a meter can measure in that time. `now` is monotonic, in seconds."""
        found = False
        for counter in _COUNTERS:
            value = values.get(counter)
            if not isinstance(value, Decimal):
                continue
            before, at = self._last.get(counter, (value, now))
            hours = Decimal(max(now - at, 0.0)) / 3600
            found |= not 0 <= value - before <= _AT_ONCE_KWH + self._most_kw * hours
            self._last[counter] = (value, now)
        return found
