"""The data model: every measurement, tag and field that ever reaches InfluxDB.

This is the contract with dashboards, alerts and anyone's own queries. A field never
changes its type; a name that is not here never becomes a point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal, get_args

from logger.domain.field import Field, FieldType
from logger.domain.limits import FREQUENCY_TEXTS, VALID_SHARE
from logger.domain.quantity import TARIFFS


class Lane(StrEnum):
    """Which bucket a measurement goes to."""

    FAST = "fast"  # `fast_bucket`: much data, kept for a while
    MAIN = "main"  # `bucket`: kept for ever


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement: its bucket, its tags besides `site`, its fields."""

    lane: Lane
    tags: tuple[str, ...]
    fields: Mapping[str, Field]
    text: str


PHASES = ("total", "L1", "L2", "L3", "L1-L2", "L1-L3", "L2-L3")
TARIFFS_AND_TOTAL = ("total", *TARIFFS)
Role = Literal["grid", "pv", "battery", "load"]
ROLES: tuple[Role, ...] = get_args(Role)

# What one unit of the meter is in the unit of the data model; always a multiplication.
SCALE: Mapping[str, Decimal] = dict.fromkeys(("kW", "kvar", "kVA"), Decimal(1000))


def _float(unit: str, text: str, *units: str) -> Field:
    return Field(FieldType.FLOAT, unit, text, units or (unit,))


def _kwh(text: str) -> Field:
    return _float("kWh", text, "kWh", "Wh")


def _kvarh(text: str) -> Field:
    return _float("kvarh", text, "kvarh", "varh")


def _kvah(text: str) -> Field:
    return _float("kVAh", text, "kVAh", "VAh")


def _integer(unit: str, text: str) -> Field:
    return Field(FieldType.INTEGER, unit, text)


def _text(text: str) -> Field:
    return Field(FieldType.TEXT, "", text)


_POWER = {
    "voltage": _float("V", "voltage to neutral, or between two phases"),
    "current": _float("A", "current; negative while the phase exports"),
    "active_power": _float("W", "active power; negative is export", "W", "kW"),
    "reactive_power": _float("var", "reactive power", "var", "kvar"),
    "apparent_power": _float("VA", "apparent power", "VA", "kVA"),
    "power_factor": _float("", "active over apparent power, as the meter sends it"),
    "frequency": _float("Hz", "grid frequency (phase total)"),
    "voltage_line": _float("V", "mean of the voltages between two phases (phase total)"),
    "neutral_current": _float("A", "current in the neutral (phase total)"),
    "temperature": _float("°C", "temperature in the meter (phase total)"),
    "voltage_thd": _float("%", "total harmonic distortion of the voltage; mean in phase total"),
    "current_thd": _float("%", "total harmonic distortion of the current; mean in phase total"),
}

_ENERGY = {
    "active": _kwh("the display's total; its meaning is set by the combination code"),
    "active_import": _kwh("active energy drawn (forward)"),
    "active_export": _kwh("active energy fed back (reverse)"),
    "reactive": _kvarh("the display's total of reactive energy"),
    "reactive_import": _kvarh("reactive energy, forward"),
    "reactive_export": _kvarh("reactive energy, reverse"),
    "reactive_q1": _kvarh("reactive energy in quadrant 1"),
    "reactive_q2": _kvarh("reactive energy in quadrant 2"),
    "reactive_q3": _kvarh("reactive energy in quadrant 3"),
    "reactive_q4": _kvarh("reactive energy in quadrant 4"),
    "apparent": _kvah("total of apparent energy, as the meter has it"),
    "apparent_import": _kvah("apparent energy while drawing"),
    "apparent_export": _kvah("apparent energy while feeding back"),
    "day_counter": _kwh("the counter that can be reset at the meter"),
    "session_start": _kwh("counter at the start of the billing session"),
    "session_energy": _kwh("energy of the billing session so far"),
}

_METER = {
    "serial": _text("serial number as printed"),
    "model": _text("model of the register table"),
    "software_version": _text("firmware of the meter"),
    "tariff": _integer("", "active tariff, 1 to 4"),
    "meter_amps": _integer("A", "rated current as the meter has it; 5 or 6 with transformers"),
    "ct_ratio": _text("current transformer ratio as the meter has it"),
    "combination_code": _integer("", "what the display's total means"),
    **{f"direction_l{n}": _text(f"current direction of L{n}: F or R") for n in (1, 2, 3)},
    "quadrant": _integer("", "present quadrant, 1 to 4"),
    **{f"quadrant_l{n}": _integer("", f"quadrant of L{n}") for n in (1, 2, 3)},
    "power_down_count": _integer("", "how often the meter lost its supply"),
    "error_code": _integer("", "error code of the meter"),
    "error_word": _text("error code of the meter, hexadecimal (GROW)"),
    "product_code": _text("product code: what a GROW is"),
    "session_status": _integer("", "state of the billing session, as the meter sends it"),
    "status_word": _text("active status word, hexadecimal"),
}

_POWER_1M = {
    **_POWER,
    **{
        f"{name}_{kind}": _float(_POWER[name].unit, f"{kind}imum of {name} in the minute")
        for name in ("active_power", "voltage", "current")
        for kind in ("min", "max")
    },
    "samples": _integer("", "readings in the minute"),
}

_PRICE = {
    "spot": _float("", "imported price of a kWh"),
    "price": _float("", "what a kWh costs (buy) or earns (sell) by the formula"),
}
_VALID = f"at least {100 * VALID_SHARE:g} % of the samples, no clock step"

MEASUREMENTS: Mapping[str, Measurement] = {
    "power": Measurement(
        Lane.FAST, ("meter", "role", "phase"), _POWER, "instantaneous values, every fast job"
    ),
    "energy": Measurement(
        Lane.MAIN, ("meter", "role", "phase", "tariff"), _ENERGY, "counters, every slow job"
    ),
    "meter": Measurement(
        Lane.MAIN, ("meter", "role"), _METER, "identity and health, every identity job"
    ),
    "site": Measurement(
        Lane.MAIN,
        (),
        {
            "grid_power": _float("W", "power at the grid meter; negative is export"),
            "pv_power": _float("W", "power of all PV meters"),
            "battery_power": _float("W", "power into all batteries; negative is discharge"),
            "load_power": _float("W", "what the site consumes"),
            "self_consumption_power": _float(
                "W", "PV power less export; below zero: a battery feeds in"
            ),
            "grid_import": _float("kWh", "energy drawn from the grid"),
            "grid_export": _float("kWh", "energy fed into the grid"),
            "pv_energy": _float("kWh", "energy produced by all PV meters"),
            "battery_charge": _float("kWh", "energy that went into all batteries"),
            "battery_discharge": _float("kWh", "energy that came out of all batteries"),
            "self_consumed": _float("kWh", "PV energy less export; a battery may lower it"),
            "load_energy": _float("kWh", "energy the site consumed"),
            "demand": _float("kW", "netted import of the running quarter hour so far, / 0.25 h"),
            "demand_forecast": _float("kW", "what it comes to if the power stays as of late"),
        },
        "flows between grid, PV, battery and load",
    ),
    "power_1m": Measurement(
        Lane.MAIN, ("meter", "role", "phase"), _POWER_1M, "means of a minute, aligned"
    ),
    "quality_voltage": Measurement(
        Lane.MAIN,
        ("meter", "role", "phase"),
        {
            "mean": _float("V", "root mean square of the samples of ten minutes"),
            "min": _float("V", "lowest sample"),
            "max": _float("V", "highest sample"),
            "samples": _integer("", "readings in the window"),
            "valid": Field(FieldType.BOOLEAN, "", _VALID),
        },
        "ten-minute voltage windows; an indication, not an EN 50160 measurement",
    ),
    "quality_frequency": Measurement(
        Lane.MAIN,
        ("meter", "role"),
        {
            "mean": _float("Hz", "mean of the samples of ten seconds"),
            "samples": _integer("", "readings in the window"),
            "valid": Field(FieldType.BOOLEAN, "", _VALID),
        },
        "ten-second frequency windows; an indication, not an EN 50160 measurement",
    ),
    "quality_frequency_15m": Measurement(
        Lane.MAIN,
        ("meter", "role"),
        {
            "windows": _integer("", "ten-second windows in the quarter hour"),
            "valid": _integer("", "how many of them are valid"),
            "normal": _integer("", f"valid ones with a mean within {FREQUENCY_TEXTS[0]}"),
            "wide": _integer("", f"valid ones with a mean within {FREQUENCY_TEXTS[1]}"),
            "min": _float("Hz", "lowest mean"),
            "max": _float("Hz", "highest mean"),
            "whole": Field(FieldType.BOOLEAN, "", "false: not counted here, look at the windows"),
        },
        "frequency windows added up, aligned to quarter hours; for long reports",
    ),
    "energy_15m": Measurement(
        Lane.MAIN,
        ("meter", "role"),
        {
            "import": _float("kWh", "energy drawn, each phase for itself"),
            "export": _float("kWh", "energy fed back, each phase for itself"),
            **{f"import_t{n}": _float("kWh", f"energy drawn in tariff {n}") for n in (1, 2, 3, 4)},
            "import_netted": _float("kWh", "energy drawn, netted over the phases: an estimate"),
            "export_netted": _float("kWh", "energy fed back, netted over the phases"),
            "netted_low": _float("kWh", "the least that import_netted can be"),
            "netted_high": _float("kWh", "the most that import_netted can be"),
            "demand": _float("kW", "mean netted import"),
            "coverage": _float("", "share of the time in which the power was read, 0..1"),
            "sure": Field(FieldType.BOOLEAN, "", "no gap, reset, swap or clock step touches it"),
        },
        "what a meter counted in each fixed quarter hour of UTC",
    ),
    "cost_15m": Measurement(
        Lane.MAIN,
        ("meter", "role"),
        {
            "cost": _float("", "what import cost; none without a price"),
            "revenue": _float("", "what export earned; none without a price"),
            "worth": _float("", "what export would have cost to buy"),
            "priced_import": _float("kWh", "energy drawn that has a price"),
            "priced_export": _float("kWh", "energy fed back that has a price"),
        },
        "what `energy_15m` cost, where prices are imported ones; in the currency configured",
    ),
    "day_digest": Measurement(
        Lane.MAIN,
        ("meter", "role"),
        {
            "day": _text("the day, by the clock of the site"),
            "began": _integer("ms", "first quarter hour of the chain"),
            "number": _integer("", "place in the chain, from 1 on"),
            "covers": _text("quarter hours that it covers: beginning (ms) * how many"),
            "read": _integer("ms", "time of the first reading after the day; 0: none"),
            "serial": _text("serial number of the meter"),
            **{name: _float("kWh", "counter at that reading") for name in ("import", "export")},
            **{f"import_t{n}": _float("kWh", f"counter of tariff {n}") for n in (1, 2, 3, 4)},
            "previous": _text("digest of the day before; empty at the beginning"),
            "digest": _text("SHA-256 over all of it, hexadecimal"),
        },
        "what a meter counted each day, chained by a digest",
    ),
    "price": Measurement(Lane.MAIN, ("kind",), _PRICE, "imported prices, each quarter hour of UTC"),
    "event": Measurement(
        Lane.MAIN,
        ("meter", "role", "kind", "phase"),
        {
            "state": _text("begin or end"),
            "duration_s": _float("s", "how long it lasted"),
            "extreme": _float("", "the worst value"),
            "text": _text("what happened, for a person"),
        },
        "what changed, when it begins and when it ends",
    ),
    "logger": Measurement(
        Lane.MAIN,
        ("bus", "meter", "role"),
        {
            "reads": _integer("", "requests answered since the start"),
            "read_errors": _integer("", "requests that failed since the start"),
            "read_ms": _float("ms", "time of the last job's reading"),
            "missed": _integer("", "jobs skipped since the start"),
            "rejected_values": _integer("", "values refused since the start"),
            "bus_load": _float("", "share of the line's time in use"),
            "buffer_points": _integer("", "points waiting for delivery"),
            "buffer_oldest_s": _float("s", "age of the oldest waiting point"),
            "delivered": _integer("", "points acknowledged by InfluxDB"),
            "set_aside": _integer("", "points refused by InfluxDB"),
            "dropped": _integer("", "points dropped at the buffer's limit"),
        },
        "the logger's own health, every slow job",
    ),
}

# The fields that a register table can name. A table may name others, which are read
# and shown but never become points.
FIELDS: Mapping[str, Field] = {**_POWER, **_ENERGY, **_METER}

# Which measurement the value of a register belongs to.
MEASUREMENT_OF: Mapping[str, str] = {
    **dict.fromkeys(_POWER, "power"),
    **dict.fromkeys(_ENERGY, "energy"),
    **dict.fromkeys(_METER, "meter"),
}
