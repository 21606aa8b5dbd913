"""Facts about a meter that came with a slow job become a point only when they change."""

from __future__ import annotations

from dataclasses import replace

from logger.derive.info import SavedState, values_by_meter
from logger.domain.datamodel import MEASUREMENT_OF
from logger.meter.reading import Reading
from logger.models.register import Job, Value


class MeterChanges:
    """Remembers each meter's facts (the active tariff, ...) and drops repetitions."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Value]] = {}

    def keep(self, reading: Reading) -> Reading:
        """Return `reading` without the facts that the identity job has told already.

        An identity reading stays whole: it is the regular report.
        """
        reported = {
            key: value
            for key, value in reading.values.items()
            if MEASUREMENT_OF.get(key.partition("/")[0]) == "meter"
        }
        if not reported:
            return reading
        known = self._known.setdefault(reading.meter, {})
        stale = {key for key, value in reported.items() if known.get(key) == value}
        known.update(reported)
        if not stale or reading.job is Job.IDENTITY:
            return reading
        kept = {key: value for key, value in reading.values.items() if key not in stale}
        return replace(reading, values=kept)

    def state(self) -> SavedState:
        """Return what is known, as JSON can hold it."""
        return {
            meter: {key: value for key, value in known.items() if isinstance(value, int | str)}
            for meter, known in self._known.items()
        }

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made."""
        self._known = values_by_meter(state)
