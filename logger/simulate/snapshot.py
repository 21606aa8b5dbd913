"""What a meter measures at one moment, derived from the flow through it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from logger.simulate.flow import Flow

Three = tuple[float, float, float]


@dataclass(frozen=True)
class Snapshot:
    """Voltages in V, frequency in Hz and the flow in W and var; the rest follows.

    As seen on a real unit: the current of an exporting phase is negative like its active
    power, a power factor is positive all the same, total active power is the signed sum
    of the phases, total power factor is total active over total apparent power.
    """

    voltage: Three
    frequency: float
    flow: Flow

    @cached_property
    def apparent(self) -> Three:
        """Apparent power of each phase, VA."""
        p1, p2, p3, q1, q2, q3 = self.flow
        return (math.hypot(p1, q1), math.hypot(p2, q2), math.hypot(p3, q3))

    def active_power(self, phase: int | None) -> float:
        """Return W of `phase` 1..3, or the signed sum."""
        return self.flow[0] + self.flow[1] + self.flow[2] if phase is None else self.flow[phase - 1]

    def reactive_power(self, phase: int | None) -> float:
        """Return var of `phase` 1..3, or the signed sum."""
        return self.flow[3] + self.flow[4] + self.flow[5] if phase is None else self.flow[phase + 2]

    def apparent_power(self, phase: int | None) -> float:
        """Return VA of `phase` 1..3, or the sum."""
        return sum(self.apparent) if phase is None else self.apparent[phase - 1]

    def power_factor(self, phase: int | None) -> float:
        """Return the power factor, 0..1; 0 where nothing flows."""
        apparent = self.apparent_power(phase)
        return abs(self.active_power(phase)) / apparent if apparent else 0.0

    def current(self, phase: int | None) -> float:
        """Return A of `phase`; a meter of three phases answers 0 for "the" current."""
        if phase is None or not self.voltage[phase - 1]:
            return 0.0
        amps = self.apparent[phase - 1] / self.voltage[phase - 1]
        return -amps if self.flow[phase - 1] < 0 else amps

    def neutral_current(self) -> float:
        """Return A in the neutral, of currents 120 degrees apart."""
        a, b, c = (self.current(phase) for phase in (1, 2, 3))
        return math.sqrt(max(a * a + b * b + c * c - a * b - b * c - a * c, 0.0))

    def quadrant(self, phase: int | None) -> int:
        """Return 1 to 4: the signs of active and reactive power, counterclockwise."""
        if self.active_power(phase) >= 0:
            return 1 if self.reactive_power(phase) >= 0 else 4
        return 2 if self.reactive_power(phase) >= 0 else 3

    def voltage_between(self, one: int, other: int) -> float:
        """Return V between two phases, which are 120 degrees apart."""
        a, b = self.voltage[one - 1], self.voltage[other - 1]
        return math.sqrt(a * a + b * b + a * b)
