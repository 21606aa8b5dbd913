"""What the stages know of a meter beforehand, and small functions they share. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from logger.domain.wiring import Wiring, watched_phases
from logger.models.register import Model, Value

SavedState = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterInfo:
    """A meter: its place, its role, its table, its planned intervals in ms, its wiring."""

    name: str
    role: str
    model: Model
    fast_ms: int
    slow_ms: int
    wiring: Wiring = "3P4W"

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases whose voltage means something."""
        return watched_phases(self.wiring)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of every point about this meter, without the site."""
        return {"meter": self.name, "role": self.role}


def planned(start_ms: int, end_ms: int, interval_ms: int) -> int:
    """Return how many jobs are due in [start, end): they fire on multiples of interval."""
    return -(-end_ms // interval_ms) + start_ms // -interval_ms


def whole(value: object) -> int:
    """Return an integer out of a state file; ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1 << 62:
        raise ValueError(f"not a whole number: {value!r}")
    return value


def finite(value: object) -> float:
    """Return a number out of a state file; ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"not a number: {value!r}")
    return float(value)


def exact(value: object) -> Decimal:
    """Return a decimal out of a state file; ValueError for anything else."""
    number = Decimal(value) if isinstance(value, str) else None
    if number is None or not number.is_finite() or abs(number.adjusted()) > 60:
        raise ValueError(f"not a decimal number: {value!r}")
    return number


def values_by_meter(state: object) -> dict[str, dict[str, Value]]:
    """Return names and values by meter out of a state file; ValueError for anything else."""
    if not isinstance(state, dict):
        raise ValueError(f"not a table: {state!r}")
    for known in state.values():
        if not isinstance(known, dict) or not all(
            isinstance(value, int | str) for value in known.values()
        ):
            raise ValueError(f"not facts of a meter: {known!r}")
    return {meter: dict(known) for meter, known in state.items()}
