"""What the values of one meter say about its installation. Pure.

Values are by quantity, in the meter's own units (V, A, kW), as it sends them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from logger.config import Bus as BusConfig
from logger.config import Meter as MeterConfig
from logger.domain.limits import NO_MAINS_V, NOMINAL_V, VOLTAGE_HIGH, VOLTAGE_LOW, VOLTAGE_TEXTS
from logger.domain.quantity import CT_RATIO, TARIFF, Quantity
from logger.domain.wiring import NEUTRAL_PHASES, live_phases
from logger.meter.identify import ratio_text
from logger.meter.transformers import ct_problem
from logger.models import Model, Value
from logger.survey.condition import health
from logger.survey.finding import Finding, fail, note, ok, warn

_PARITY, _BAUD_RATE = Quantity("parity"), Quantity("baud_rate")
_COMBINATION_CODE = Quantity("combination_code")
# These name the phase in their field: direction_l1, quadrant_l1.
_DIRECTION = {phase: Quantity(f"direction_{phase.lower()}") for phase in NEUTRAL_PHASES}
_QUADRANT = {phase: Quantity(f"quadrant_{phase.lower()}") for phase in NEUTRAL_PHASES}
# Below this power (kW) the direction of a current means nothing.
_CLEAR_KW = Decimal("0.05")
# Loads have a power factor above this; transformers on each other's phases do not.
_ODD_FACTOR = Decimal("0.6")


def judge(
    bus: BusConfig,
    meter: MeterConfig,
    model: Model,
    values: Mapping[Quantity, Value],
    pv_on_site: bool,
) -> Iterator[Finding]:
    """Yield what the values of `meter` say, in the order an installer looks at things."""
    yield from line_settings(bus, meter, model, values)
    yield from transformers(meter, model, values)
    yield from phases(meter, values)
    yield from directions(meter, values, pv_on_site)
    yield from registers(meter, model, values)
    yield from health(meter, model, values)


def line_settings(
    bus: BusConfig, meter: MeterConfig, model: Model, values: Mapping[Quantity, Value]
) -> Iterator[Finding]:
    """Compare the meter's own idea of its line with the configuration."""
    parity, speed = values.get(_PARITY), values.get(_BAUD_RATE)
    differing = []
    if isinstance(parity, int):
        name = model.by_quantity[_PARITY].choices.get(parity, str(parity))
        if name != bus.parity:
            differing.append(f"parity {name}, not {bus.parity}")
    if isinstance(speed, int):
        rate = model.by_quantity[_BAUD_RATE].choices.get(speed, str(speed))
        if rate != str(bus.baudrate):
            differing.append(f"{rate} baud, not {bus.baudrate}")
    if differing:
        yield note(
            meter.name,
            "line settings",
            f"the meter says {' and '.join(differing)}",
            "fine behind a gateway with a line of its own; else look at both",
        )
    elif parity is not None:
        yield ok(meter.name, "line settings", f"{bus.baudrate} baud, parity {bus.parity}")


def transformers(
    meter: MeterConfig, model: Model, values: Mapping[Quantity, Value]
) -> Iterator[Finding]:
    """Judge the ratio of the current transformers."""
    problem, ratio = ct_problem(model, values), ratio_text(model, values)
    if problem:
        register = model.by_quantity[CT_RATIO]
        way = (
            f"inepro-logger settings set {meter.name!r} ct_ratio PRIMARY/5"
            if register.write
            else "set it at the meter, with its buttons; on a MID meter this works once"
        )
        yield fail(meter.name, "CT ratio", problem, way)
    elif ratio:
        yield ok(meter.name, "CT ratio", f"{ratio}: compare with the plate of the transformers")


def phases(meter: MeterConfig, values: Mapping[Quantity, Value]) -> Iterator[Finding]:
    """Judge the voltages."""
    voltages = {phase: _number(values, Quantity("voltage", phase)) for phase in NEUTRAL_PHASES}
    if all(value is None for value in voltages.values()):
        return
    wanted = live_phases(meter.wiring)
    dead = [p for p in wanted if (v := voltages[p]) is not None and v < NO_MAINS_V]
    shown = ", ".join(f"{p} {v:.1f} V" for p, v in voltages.items() if v is not None)
    if dead:
        yield fail(
            meter.name,
            "phases",
            f"no voltage on {', '.join(dead)} ({shown})",
            "check fuse and voltage wire of that phase; for a meter without it set "
            'wiring = "1P2W" or "3P3W"',
        )
        return
    odd = [
        p
        for p in wanted
        if (v := voltages[p]) is not None
        and not VOLTAGE_LOW <= v <= VOLTAGE_HIGH
        and meter.wiring != "3P3W"
    ]
    if odd:
        yield warn(
            meter.name,
            "phases",
            f"{', '.join(odd)} outside {NOMINAL_V:g} V {VOLTAGE_TEXTS[0]} ({shown})",
            "look at the supply, and at the neutral wire of the meter",
        )
    else:
        yield ok(meter.name, "phases", shown)


def directions(
    meter: MeterConfig, values: Mapping[Quantity, Value], pv_on_site: bool
) -> Iterator[Finding]:
    """Judge which way the currents flow, by what the meter measures."""
    if not any(one.field == "active_power" for one in values):
        return  # a meter that measures no power
    # A meter of one phase has its power as a total only.
    one_phase = not any(Quantity("active_power", phase) in values for phase in ("L1", "L2"))
    powers = {
        phase: power
        for phase in (("total",) if one_phase else NEUTRAL_PHASES)
        if (power := _number(values, Quantity("active_power", phase))) is not None
        and abs(power) >= _CLEAR_KW
    }
    letters = {
        phase: str(values.get(_DIRECTION[phase], ""))[-1:] if phase in _DIRECTION else ""
        for phase in powers
    }
    quadrants = ", ".join(
        f"{phase} Q{values[quantity]}"
        for phase, quantity in _QUADRANT.items()
        if quantity in values
    )
    shown = ", ".join(
        f"{'forward' if power > 0 else 'reverse'} {abs(power):.2f} kW"
        if one_phase
        else f"{phase} {'forward' if power > 0 else 'reverse'} {abs(power):.2f} kW"
        for phase, power in powers.items()
    )
    shown = f"{shown} ({quadrants})" if quadrants else shown
    about = "current direction"
    if not powers:
        yield note(meter.name, about, "no load to tell by", "check again under load")
        return
    disagreeing = [
        phase
        for phase, power in powers.items()
        if letters[phase] in ("F", "R") and (letters[phase] == "F") != (power > 0)
    ]
    reverse = [phase for phase, power in powers.items() if power < 0]
    swap = "swap S1 and S2 of that transformer (or in and out of a direct meter)"
    if disagreeing:
        yield note(
            meter.name,
            about,
            f"changing just now on {', '.join(disagreeing)}: {shown}",
            "check again",
        )
    elif meter.role == "load" and 0 < len(reverse) < len(powers):
        yield fail(
            meter.name,
            about,
            f"a load that feeds in on {', '.join(reverse)}: {shown}",
            f'role = "grid" if the grid is behind it; else {swap}',
        )
    elif meter.role == "load" and reverse and not meter.invert:
        yield warn(
            meter.name,
            about,
            f"feeds in on every phase that carries current, but its role is load: {shown}",
            'role = "pv" or "grid" if that is what it measures; '
            "a load wired the other way round: invert = true",
        )
    elif meter.role in ("pv", "battery") and 0 < len(reverse) < len(powers):
        yield fail(meter.name, about, f"phases against each other: {shown}", swap)
    elif meter.role == "pv" and (not reverse) != meter.invert:
        yield warn(
            meter.name,
            about,
            f"production counts as consumption: {shown}",
            f"set invert = {'false' if meter.invert else 'true'} for this meter",
        )
    elif meter.role == "grid" and reverse and not pv_on_site:
        yield warn(
            meter.name,
            about,
            f"feeds in on {', '.join(reverse)} without a PV meter: {shown}",
            f"{swap}, unless something produces there",
        )
    else:
        yield ok(meter.name, about, shown)
    yield from _factors(meter, values, tuple(powers))


def _factors(
    meter: MeterConfig, values: Mapping[Quantity, Value], loaded: tuple[str, ...]
) -> Iterator[Finding]:
    odd = [
        phase
        for phase in loaded
        if (factor := _number(values, Quantity("power_factor", phase))) is not None
        and abs(factor) < _ODD_FACTOR
    ]
    if len(odd) > 1:
        yield warn(
            meter.name,
            "power factor",
            f"below {_ODD_FACTOR} on {', '.join(odd)}",
            "are the transformers on the phases of their voltage wires? Two swapped look like this",
        )


def registers(
    meter: MeterConfig, model: Model, values: Mapping[Quantity, Value]
) -> Iterator[Finding]:
    """Report tariff and combination code."""
    tariff = values.get(TARIFF)
    if isinstance(tariff, int):
        known = model.by_quantity[TARIFF].choices
        if not known or tariff in known:
            yield ok(meter.name, "tariff", known.get(tariff, f"T{tariff}"))
        else:
            yield warn(
                meter.name, "tariff", f"the meter says {tariff}", "no tariff has that number"
            )
    code = values.get(_COMBINATION_CODE)
    if isinstance(code, int):
        name = model.by_quantity[_COMBINATION_CODE].choices.get(code, "unknown")
        yield note(
            meter.name,
            "combination code",
            f"{code}: the display's total is {name}; import and export are read on their own",
        )


def _number(values: Mapping[Quantity, Value], quantity: Quantity) -> Decimal | None:
    value = values.get(quantity)
    return value if isinstance(value, Decimal) else None
