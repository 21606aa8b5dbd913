"""What each value is for Home Assistant: its name, its classes, whether it shows at once.
Pure.

Device classes, their units and state classes: Home Assistant developer documentation,
"Sensor entity". Reactive and apparent energy are left without a class: the versions that
know one are fewer than those that know devices described in one message (2024.12).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from logger.domain import balance
from logger.domain.datamodel import FIELDS, MEASUREMENTS
from logger.domain.netting import DEMAND_FIELDS
from logger.domain.quantity import Quantity
from logger.domain.wiring import LINE_PHASES, NEUTRAL_PHASES, Wiring, live_phases, watched_phases
from logger.latest import too_old_s
from logger.models.register import Job, Model


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    device_class: str = ""
    state_class: str = ""
    digits: int | None = None
    shown: bool = True  # enabled when it is found


# How much later than the logger calls a meter silent its sensors expire by themselves, seconds.
_LATER_S = 15
_MEASURED = "measurement"
_RISING = "total_increasing"

_METER: Mapping[str, _Kind] = {
    "voltage": _Kind("Voltage", "voltage", _MEASURED, 1),
    "current": _Kind("Current", "current", _MEASURED, 2),
    "active_power": _Kind("Power", "power", _MEASURED, 0),
    "reactive_power": _Kind("Reactive power", "reactive_power", _MEASURED, 0, shown=False),
    "apparent_power": _Kind("Apparent power", "apparent_power", _MEASURED, 0, shown=False),
    "power_factor": _Kind("Power factor", "power_factor", _MEASURED, 2, shown=False),
    "frequency": _Kind("Frequency", "frequency", _MEASURED, 2),
    "voltage_line": _Kind("Voltage between phases", "voltage", _MEASURED, 1, shown=False),
    "neutral_current": _Kind("Neutral current", "current", _MEASURED, 2, shown=False),
    "temperature": _Kind("Temperature", "temperature", _MEASURED, 1, shown=False),
    "voltage_thd": _Kind("Voltage distortion", "", _MEASURED, 1, shown=False),
    "current_thd": _Kind("Current distortion", "", _MEASURED, 1, shown=False),
    "active_import": _Kind("Energy imported", "energy", _RISING, 2),
    "active_export": _Kind("Energy exported", "energy", _RISING, 2),
    # The display's total may subtract: its meaning is set at the meter.
    "active": _Kind("Energy on the display", "energy", "total", 2, shown=False),
    "day_counter": _Kind("Day counter", "energy", _RISING, 2, shown=False),
    "session_energy": _Kind("Session energy", "energy", _RISING, 2, shown=False),
    "tariff": _Kind("Tariff", shown=False),
    "error_code": _Kind("Error code"),
    "error_word": _Kind("Error code"),
    "status_word": _Kind("Status word", shown=False),
    "power_down_count": _Kind("Power-downs", "", _RISING, shown=False),
    **{
        name: _Kind(f"{kind} energy{of}", "", state, 2, shown=False)
        for kind, field in (("Reactive", "reactive"), ("Apparent", "apparent"))
        for name, of, state in (
            (field, "", "total"),
            (f"{field}_import", " imported", _RISING),
            (f"{field}_export", " exported", _RISING),
            *((f"{field}_q{n}", f" quadrant {n}", _RISING) for n in (1, 2, 3, 4)),
        )
    },
}
_DIAGNOSTIC = frozenset(_METER) & frozenset(MEASUREMENTS["meter"].fields)

# Meters are read one after the other, so a difference of their counters can fall a little
# between two readings: "total", which may fall.
_SITE: Mapping[str, _Kind] = {
    "grid_power": _Kind("Grid power", "power", _MEASURED, 0),
    "pv_power": _Kind("PV power", "power", _MEASURED, 0),
    "battery_power": _Kind("Battery power", "power", _MEASURED, 0),
    "load_power": _Kind("Load power", "power", _MEASURED, 0),
    "self_consumption_power": _Kind("Self-consumption power", "power", _MEASURED, 0),
    "grid_import": _Kind("Energy from the grid", "energy", _RISING, 2),
    "grid_export": _Kind("Energy to the grid", "energy", _RISING, 2),
    "pv_energy": _Kind("PV energy", "energy", _RISING, 2),
    "battery_charge": _Kind("Energy into the battery", "energy", _RISING, 2),
    "battery_discharge": _Kind("Energy out of the battery", "energy", _RISING, 2),
    "self_consumed": _Kind("Self-consumed energy", "energy", "total", 2),
    "load_energy": _Kind("Load energy", "energy", "total", 2),
    "demand": _Kind("Demand", "power", _MEASURED, 2),
    "demand_forecast": _Kind("Demand forecast", "power", _MEASURED, 2),
}
# What the fields of the site begin with that only a meter of a role gives.
_OF_ROLE: Mapping[str, tuple[str, ...]] = {"pv": ("pv", "self_"), "battery": ("battery",)}


def of_meter(model: Model, wiring: Wiring) -> dict[Quantity, dict[str, Any]]:
    """Return the entities of a meter: those of its register table that mean something
    with its wiring, as Home Assistant describes them, but for topic and id."""
    found = {}
    for job in (Job.FAST, Job.SLOW, Job.IDENTITY):
        for register in model.of_job(job):
            kind = _METER.get(register.field)
            if kind is None or not _means(register.quantity, wiring):
                continue
            one = _entity(kind, register.quantity, FIELDS[register.field].unit)
            if register.field in _DIAGNOSTIC:
                one["entity_category"] = "diagnostic"
            found[register.quantity] = one
    return found


def of_site(roles: Sequence[str]) -> dict[Quantity, dict[str, Any]]:
    """Return the entities of a site with exactly one grid meter: its demand, and its flows
    as far as its meters, whose roles these are, tell them."""
    flows = balance.has_flows(roles)
    lacking = tuple(part for role, parts in _OF_ROLE.items() if role not in roles for part in parts)
    fields = MEASUREMENTS["site"].fields
    return {
        Quantity(name): _entity(kind, Quantity(name), fields[name].unit)
        for name, kind in _SITE.items()
        if name in DEMAND_FIELDS or (flows and not name.startswith(lacking))
    }


def classes(field: str) -> dict[str, str]:
    """Return `device_class` and `state_class` of a field of meters, where Home Assistant has
    one for it."""
    return _classes(_METER[field]) if field in _METER else {}


def _classes(kind: _Kind) -> dict[str, str]:
    named = {"device_class": kind.device_class, "state_class": kind.state_class}
    return {name: value for name, value in named.items() if value}


def expires_after_s(fast_s: float) -> int:
    """Return after how many seconds without a message a sensor of a meter that is read every
    `fast_s` is to be taken as unavailable by whoever shows it."""
    return round(too_old_s(fast_s)) + _LATER_S


def _means(quantity: Quantity, wiring: Wiring) -> bool:
    phase = quantity.phase
    if quantity.field == "voltage" and phase in NEUTRAL_PHASES:
        return phase in watched_phases(wiring)
    if phase in LINE_PHASES:
        return wiring != "1P2W"
    return phase not in NEUTRAL_PHASES or phase in live_phases(wiring)


def _entity(kind: _Kind, quantity: Quantity, unit: str) -> dict[str, Any]:
    parts = [part for part in (quantity.phase, quantity.tariff) if part not in ("", "total")]
    found: dict[str, Any] = {"platform": "sensor", "name": " ".join((kind.name, *parts))}
    found |= _classes(kind)
    if unit:
        found["unit_of_measurement"] = unit
    if kind.digits is not None:
        found["suggested_display_precision"] = kind.digits
    # A phase or a tariff alone is for those who look for it, but for what a phase carries.
    detail = quantity.tariff not in ("", "total") or (
        kind.device_class == "energy" and quantity.phase in NEUTRAL_PHASES
    )
    if not kind.shown or detail:
        found["enabled_by_default"] = False
    return found
