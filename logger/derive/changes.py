"""Facts about a meter, read with a slow job, become a point only when they change."""

from __future__ import annotations

from dataclasses import replace

from logger.derive.info import SavedState, values_by_meter
from logger.domain.datamodel import MEASUREMENT_OF
from logger.domain.quantity import Quantity
from logger.meter.reading import Reading
from logger.models.register import Job, Value


class MeterChanges:
    """Remembers each meter's facts (the active tariff, ...) and drops repetitions."""

    def __init__(self) -> None:
        self._known: dict[str, dict[Quantity, Value]] = {}

    def keep(self, reading: Reading) -> Reading:
        """Return `reading` without the facts that are known already.

        An identity reading stays whole: it is the regular report.
        """
        reported = {
            quantity: value
            for quantity, value in reading.values.items()
            if MEASUREMENT_OF.get(quantity.field) == "meter"
        }
        if not reported:
            return reading
        known = self._known.setdefault(reading.meter, {})
        stale = {one for one, value in reported.items() if known.get(one) == value}
        known.update(reported)
        if not stale or reading.job is Job.IDENTITY:
            return reading
        kept = {one: value for one, value in reading.values.items() if one not in stale}
        return replace(reading, values=kept)

    def state(self) -> SavedState:
        """Return what is known, as JSON can hold it."""
        return {
            meter: {str(one): value for one, value in known.items() if isinstance(value, int | str)}
            for meter, known in self._known.items()
        }

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made."""
        self._known = {
            meter: {Quantity.parse(text): value for text, value in known.items()}
            for meter, known in values_by_meter(state).items()
        }
