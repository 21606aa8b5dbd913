"""What a test or a demonstration may do to a virtual site, by the clock."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from logger.domain.errors import SimulationError


class Trouble(StrEnum):
    """The kinds of incident."""

    VOLTAGE = "voltage"  # `value` V on `phase` (on all without one)
    FREQUENCY = "frequency"  # `value` Hz
    LOAD = "load"  # `value` W more on `phase`
    PV = "pv"  # production is `value` W, whatever the sky
    PHASE_LOST = "phase-lost"  # `phase` reads 0 V and carries nothing; the inverter stops
    MAINS_OFF = "mains-off"  # the meters are dead; each one counts a power-down
    METER_SILENT = "meter-silent"  # `meter` (its address) does not answer, but counts


_NEEDS_VALUE = (Trouble.VOLTAGE, Trouble.FREQUENCY, Trouble.LOAD, Trouble.PV)
_NEEDS_PHASE = (Trouble.LOAD, Trouble.PHASE_LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that happens from `start` until just before `end` (epoch seconds).

    Raises SimulationError when a part that its kind needs is missing or impossible.
    """

    kind: Trouble
    start: float
    end: float = math.inf
    phase: int | None = None  # 1, 2 or 3
    value: float | None = None
    meter: int | None = None

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise SimulationError(f"incident {self.kind}: ends before it starts")
        if self.kind in _NEEDS_VALUE and self.value is None:
            raise SimulationError(f"incident {self.kind}: needs a value")
        if self.kind in _NEEDS_PHASE and self.phase is None:
            raise SimulationError(f"incident {self.kind}: needs a phase")
        if self.phase is not None and self.phase not in (1, 2, 3):
            raise SimulationError(f"incident {self.kind}: phase {self.phase} is not 1, 2 or 3")
        if self.kind is Trouble.METER_SILENT and self.meter is None:
            raise SimulationError(f"incident {self.kind}: needs the address of a meter")

    def covers(self, at: float) -> bool:
        """Return whether it lasts at `at`."""
        return self.start <= at < self.end


def power_downs(incidents: Iterable[Incident], since: float, until: float) -> int:
    """Return how many failures of the mains began after `since`, up to `until`."""
    return sum(
        incident.kind is Trouble.MAINS_OFF and since < incident.start <= until
        for incident in incidents
    )
