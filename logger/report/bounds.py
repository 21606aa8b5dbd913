"""What the counters of each meter can count at most: from its model, and from its amps."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from logger.derive.registers import MAX_AMPS, ceiling, largest_amps
from logger.domain.quantity import Quantity
from logger.domain.timespan import TimeSpan, merged
from logger.models.register import Model
from logger.report.counted import Bounds
from logger.report.source import Source

_IMPORT, _HOUR_MS = Quantity("active_import", "total", "total"), 3_600_000
# The amps are read anew every hour or so; the first and last days tell them.
_LOOK_MS = 2 * 86_400_000
_FIELDS = ("meter_amps", "ct_ratio")


def bounds(
    source: Source, span: TimeSpan, models: Mapping[str, Model], margin: float
) -> dict[str, Bounds]:
    """Return the bounds of meters whose models are known, for a report over `span`.

    Where no stored point tells the amps of a meter, they are the most that its model
    believes. `margin` is that of `[counters]`.
    """
    if not models:
        return {}
    start, end = span
    looks = merged([(start, min(end, start + _LOOK_MS)), (max(start, end - _LOOK_MS), end)])
    told: dict[str, float] = {}
    for point in source.read("meter", looks, {"meter": tuple(models)}, _FIELDS):
        amps = largest_amps(point.fields.get("meter_amps"), point.fields.get("ct_ratio"))
        if amps is not None:
            meter = point.tags["meter"]
            told[meter] = max(amps, told.get(meter, 0.0))
    found = {}
    for meter, model in models.items():
        _, most = model.limits.get("current", (Decimal(0), Decimal(MAX_AMPS)))
        amps = told.get(meter, min(float(most), MAX_AMPS))
        found[meter] = Bounds(ceiling(_IMPORT, amps, margin, _HOUR_MS), model.counter_max)
    return found
