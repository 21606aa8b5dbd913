"""How a meter is connected, and which of its phases mean anything. Pure."""

from __future__ import annotations

from typing import Literal

# Four wires, three without a neutral, one phase.
Wiring = Literal["3P4W", "3P3W", "1P2W"]

NEUTRAL_PHASES = ("L1", "L2", "L3")
LINE_PHASES = ("L1-L2", "L1-L3", "L2-L3")
SQRT3 = 3**0.5

_WATCHED: dict[Wiring, tuple[str, ...]] = {
    "3P4W": NEUTRAL_PHASES,
    "3P3W": LINE_PHASES,  # without a neutral L1..L3 mean nothing
    "1P2W": ("L1", "total"),
}
# On three wires L2 is the reference of the other two, and reads 0 V by design.
_LIVE: dict[Wiring, tuple[str, ...]] = {
    "3P4W": NEUTRAL_PHASES,
    "3P3W": ("L1", "L3"),
    "1P2W": ("L1",),
}


def watched_phases(wiring: Wiring) -> tuple[str, ...]:
    """Return the phases whose voltage is compared with limits."""
    return _WATCHED[wiring]


def live_phases(wiring: Wiring) -> tuple[str, ...]:
    """Return the phases L1..L3 that have a voltage; the others read 0 V by design."""
    return _LIVE[wiring]


def voltage_factor(phase: str) -> float:
    """Return what a limit for a voltage to neutral is multiplied with for `phase`."""
    return SQRT3 if phase in LINE_PHASES else 1.0
