"""Power of three phases, as a meter sees it. Pure."""

from __future__ import annotations

# Active power of L1, L2, L3 in W, then reactive power of L1, L2, L3 in var.
# Positive active power is drawn, negative is fed back.
Flow = tuple[float, float, float, float, float, float]

NOTHING: Flow = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def added(one: Flow, other: Flow) -> Flow:
    """Return the sum of two flows."""
    return (
        one[0] + other[0],
        one[1] + other[1],
        one[2] + other[2],
        one[3] + other[3],
        one[4] + other[4],
        one[5] + other[5],
    )


def times(flow: Flow, factor: float) -> Flow:
    """Return `factor` times a flow."""
    return (
        flow[0] * factor,
        flow[1] * factor,
        flow[2] * factor,
        flow[3] * factor,
        flow[4] * factor,
        flow[5] * factor,
    )


def turned(flow: Flow, by: int) -> Flow:
    """Return the flow with its phases moved on by `by` places: 1 makes L1 into L2."""
    active, reactive = flow[:3], flow[3:]
    a1, a2, a3 = (active[(phase - by) % 3] for phase in (0, 1, 2))
    r1, r2, r3 = (reactive[(phase - by) % 3] for phase in (0, 1, 2))
    return (a1, a2, a3, r1, r2, r3)


def on_one_phase(flow: Flow) -> Flow:
    """Return the flow with all of it on L1."""
    return (sum(flow[:3]), 0.0, 0.0, sum(flow[3:]), 0.0, 0.0)


def without_phase(flow: Flow, phase: int) -> Flow:
    """Return the flow with nothing on `phase` (0..2)."""
    kept = [0.0 if index % 3 == phase else value for index, value in enumerate(flow)]
    return (kept[0], kept[1], kept[2], kept[3], kept[4], kept[5])
