"""Kinds of events, and how one is written. Pure.

What each kind means, and what its field `extreme` holds, is the table of docs/events.md.
"""

from __future__ import annotations

from enum import StrEnum

from logger.derive.info import MeterInfo
from logger.domain.records import Event


class EventKind(StrEnum):
    """The tag `kind` of an event, for ever."""

    VOLTAGE_HIGH = "voltage_high"
    VOLTAGE_LOW = "voltage_low"
    VOLTAGE_HIGH_SAMPLE = "voltage_high_sample"
    VOLTAGE_LOW_SAMPLE = "voltage_low_sample"
    PHASE_LOST = "phase_lost"
    FREQUENCY_HIGH = "frequency_high"
    FREQUENCY_LOW = "frequency_low"
    METER_SILENT = "meter_silent"
    COUNTER_RESET = "counter_reset"
    METER_SWAPPED = "meter_swapped"
    CLOCK_STEP = "clock_step"
    MAINS_OUTAGE = "mains_outage"
    LOGGER_OUTAGE = "logger_outage"
    TARIFF_SWITCHED = "tariff_switched"
    COMBINATION_CODE_CHANGED = "combination_code_changed"
    CT_RATIO_CHANGED = "ct_ratio_changed"
    DEMAND_HIGH = "demand_high"
    BUFFER_NEAR_LIMIT = "buffer_near_limit"
    BUFFER_DAMAGED = "buffer_damaged"


def event(
    kind: EventKind,
    state: str,
    at_ms: int,
    text: str,
    *,
    info: MeterInfo | None = None,
    phase: str = "",
    duration_s: float | None = None,
    extreme: float | None = None,
) -> Event:
    """Return an event; `state` is begin or end. What only happens at one
    moment has an end alone, with a duration of 0."""
    return Event(
        kind=str(kind),
        state=state,
        at_ms=at_ms,
        text=text,
        meter=info.name if info is not None else "",
        role=info.role if info is not None else "",
        phase=phase,
        duration_s=duration_s,
        extreme=extreme,
    )


def span(seconds: float) -> str:
    """Return a duration for people: "48 s", "2 min 30 s", "12 min", "3 h 5 min", "2 d 4 h"."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 600:
        minutes, whole = divmod(whole, 60)
        return f"{minutes} min {whole} s" if whole else f"{minutes} min"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
