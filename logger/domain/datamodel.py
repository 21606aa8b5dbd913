"""The data model: every measurement, tag and field that ever reaches InfluxDB.

This is the contract with dashboards, alerts and anyone's own queries. A field never
changes its type; a name that is not here never becomes a point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Literal, get_args

from logger.domain.field import (
    Field,
    FieldType,
    amps,
    bounded,
    count,
    counted_kwh,
    counter,
    frequency_windows,
    integer,
    kvah,
    kvarh,
    kwh,
    money,
    positive,
    real,
    register,
    signed,
    site_energy,
    site_power,
    textual,
    watts,
)
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


_POWER = {
    "voltage": positive("V", "voltage to neutral, or between two phases"),
    "current": amps("current; negative while the phase exports"),
    "active_power": watts("W", "active power; negative is export", "W", "kW"),
    "reactive_power": watts("var", "reactive power", "var", "kvar"),
    "apparent_power": watts("VA", "apparent power", "VA", "kVA"),
    "power_factor": signed(1.01, "", "active over apparent power, as the meter sends it"),
    "frequency": positive("Hz", "grid frequency (phase total)"),
    "voltage_line": positive("V", "mean of the voltages between two phases (phase total)"),
    "neutral_current": amps("current in the neutral (phase total)"),
    "temperature": bounded(real("°C", "temperature in the meter (phase total)"), -60, 150),
    "voltage_thd": positive("%", "total harmonic distortion of the voltage; mean in phase total"),
    "current_thd": positive("%", "total harmonic distortion of the current; mean in phase total"),
}

_ENERGY = {
    "active": counter(kwh("the display's total; its meaning is set by the combination code")),
    "active_import": bounded(kwh("active energy drawn (forward)"), 0),
    "active_export": bounded(kwh("active energy fed back (reverse)"), 0),
    "reactive": counter(kvarh("the display's total of reactive energy")),
    "reactive_import": bounded(kvarh("reactive energy, forward"), 0),
    "reactive_export": bounded(kvarh("reactive energy, reverse"), 0),
    "reactive_q1": counter(kvarh("reactive energy in quadrant 1")),
    "reactive_q2": counter(kvarh("reactive energy in quadrant 2")),
    "reactive_q3": counter(kvarh("reactive energy in quadrant 3")),
    "reactive_q4": counter(kvarh("reactive energy in quadrant 4")),
    "apparent": counter(kvah("total of apparent energy, as the meter has it")),
    "apparent_import": bounded(kvah("apparent energy while drawing"), 0),
    "apparent_export": bounded(kvah("apparent energy while feeding back"), 0),
    "day_counter": counter(kwh("the counter that can be reset at the meter")),
    "session_start": counter(kwh("counter at the start of the billing session")),
    "session_energy": counter(kwh("energy of the billing session so far")),
}

_METER = {
    "serial": textual("serial number as printed"),
    "model": textual("model of the register table"),
    "software_version": textual("firmware of the meter"),
    "tariff": register("active tariff, 1 to 4"),
    "meter_amps": bounded(integer("A", "rated current as the meter has it; 5 or 6 with CTs"), 0),
    "ct_ratio": textual("current transformer ratio as the meter has it"),
    "combination_code": register("what the display's total means"),
    **{f"direction_l{n}": textual(f"current direction of L{n}: F or R") for n in (1, 2, 3)},
    "quadrant": register("present quadrant, 1 to 4"),
    **{f"quadrant_l{n}": register(f"quadrant of L{n}") for n in (1, 2, 3)},
    "power_down_count": count("how often the meter lost its supply"),
    "error_code": register("error code of the meter"),
    "error_word": textual("error code of the meter, hexadecimal (GROW)"),
    "product_code": textual("product code: what a GROW is"),
    "session_status": register("state of the billing session, as the meter sends it"),
    "status_word": textual("active status word, hexadecimal"),
}

_POWER_1M = {
    **_POWER,
    **{
        f"{name}_{kind}": replace(
            _POWER[name], text=f"{kind}imum of {name} in the minute", units=(_POWER[name].unit,)
        )
        for name in ("active_power", "voltage", "current")
        for kind in ("min", "max")
    },
    "samples": count("readings in the minute"),
}

_PRICE = {
    "spot": signed(1e6, "", "imported price of a kWh"),
    "price": signed(2.1e9, "", "what a kWh costs (buy) or earns (sell) by the formula"),
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
            "grid_power": site_power("power at the grid meter; negative is export"),
            "pv_power": site_power("power of all PV meters"),
            "battery_power": site_power("power into all batteries; negative is discharge"),
            "load_power": site_power("what the site consumes"),
            "self_consumption_power": site_power(
                "PV power less export; below zero: a battery feeds in"
            ),
            "grid_import": site_energy("energy drawn from the grid"),
            "grid_export": site_energy("energy fed into the grid"),
            "pv_energy": site_energy("energy produced by all PV meters"),
            "battery_charge": site_energy("energy that went into all batteries"),
            "battery_discharge": site_energy("energy that came out of all batteries"),
            "self_consumed": site_energy("PV energy less export; a battery may lower it"),
            "load_energy": site_energy("energy the site consumed"),
            "demand": signed(
                1e6, "kW", "netted import of the running quarter hour so far, / 0.25 h"
            ),
            "demand_forecast": signed(1e6, "kW", "what it comes to if the power stays as of late"),
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
            "mean": positive("V", "root mean square of the samples of ten minutes"),
            "min": positive("V", "lowest sample"),
            "max": positive("V", "highest sample"),
            "samples": count("readings in the window"),
            "valid": Field(FieldType.BOOLEAN, "", _VALID),
        },
        "ten-minute voltage windows; an indication, not an EN 50160 measurement",
    ),
    "quality_frequency": Measurement(
        Lane.MAIN,
        ("meter", "role"),
        {
            "mean": positive("Hz", "mean of the samples of ten seconds"),
            "samples": count("readings in the window"),
            "valid": Field(FieldType.BOOLEAN, "", _VALID),
        },
        "ten-second frequency windows; an indication, not an EN 50160 measurement",
    ),
    "quality_frequency_15m": Measurement(
        Lane.MAIN,
        ("meter", "role"),
        {
            "windows": frequency_windows("ten-second windows in the quarter hour"),
            "valid": frequency_windows("how many of them are valid"),
            "normal": frequency_windows(f"valid ones with a mean within {FREQUENCY_TEXTS[0]}"),
            "wide": frequency_windows(f"valid ones with a mean within {FREQUENCY_TEXTS[1]}"),
            "min": positive("Hz", "lowest mean"),
            "max": positive("Hz", "highest mean"),
            "whole": Field(FieldType.BOOLEAN, "", "false: not counted here, look at the windows"),
        },
        "frequency windows added up, aligned to quarter hours; for long reports",
    ),
    "energy_15m": Measurement(
        Lane.MAIN,
        ("meter", "role"),
        {
            "import": counted_kwh("energy drawn, each phase for itself"),
            "export": counted_kwh("energy fed back, each phase for itself"),
            **{f"import_t{n}": counted_kwh(f"energy drawn in tariff {n}") for n in (1, 2, 3, 4)},
            "import_netted": positive("kWh", "energy drawn, netted over the phases: an estimate"),
            "export_netted": positive("kWh", "energy fed back, netted over the phases"),
            "netted_low": positive("kWh", "the least that import_netted can be"),
            "netted_high": positive("kWh", "the most that import_netted can be"),
            "demand": positive("kW", "mean netted import"),
            "coverage": bounded(real("", "share of the time in which power was read, 0..1"), 0, 1),
            "sure": Field(FieldType.BOOLEAN, "", "no gap, reset, swap or clock step touches it"),
        },
        "what a meter counted in each fixed quarter hour of UTC",
    ),
    "cost_15m": Measurement(
        Lane.MAIN,
        ("meter", "role"),
        {
            "cost": money("what import cost; none without a price"),
            "revenue": money("what export earned; none without a price"),
            "worth": money("what export would have cost to buy"),
            "priced_import": counted_kwh("energy drawn that has a price"),
            "priced_export": counted_kwh("energy fed back that has a price"),
        },
        "what `energy_15m` cost, where prices are imported ones; in the currency configured",
    ),
    "day_digest": Measurement(
        Lane.MAIN,
        ("meter", "role"),
        {
            "day": textual("the day, by the clock of the site"),
            "began": bounded(integer("ms", "first quarter hour of the chain"), 0),
            "number": bounded(integer("", "place in the chain, from 1 on"), 1),
            "covers": textual("quarter hours that it covers: beginning (ms) * how many"),
            "read": bounded(integer("ms", "time of the first reading after the day; 0: none"), 0),
            "serial": textual("serial number of the meter"),
            **{name: positive("kWh", "counter at that reading") for name in ("import", "export")},
            **{f"import_t{n}": positive("kWh", f"counter of tariff {n}") for n in (1, 2, 3, 4)},
            "previous": textual("digest of the day before; empty at the beginning"),
            "digest": textual("SHA-256 over all of it, hexadecimal"),
        },
        "what a meter counted each day, chained by a digest",
    ),
    "price": Measurement(Lane.MAIN, ("kind",), _PRICE, "imported prices, each quarter hour of UTC"),
    "event": Measurement(
        Lane.MAIN,
        ("meter", "role", "kind", "phase"),
        {
            "state": textual("begin or end"),
            "duration_s": positive("s", "how long it lasted"),
            "extreme": signed(1e10, "", "the worst value"),
            "text": textual("what happened, for a person"),
        },
        "what changed, when it begins and when it ends",
    ),
    "logger": Measurement(
        Lane.MAIN,
        ("bus", "meter", "role"),
        {
            "reads": count("requests answered since the start"),
            "read_errors": count("requests that failed since the start"),
            "read_ms": positive("ms", "time of the last job's reading"),
            "missed": count("jobs skipped since the start"),
            "rejected_values": count("values refused since the start"),
            "bus_load": positive("", "share of the line's time in use"),
            "buffer_points": count("points waiting for delivery"),
            "buffer_oldest_s": positive("s", "age of the oldest waiting point"),
            "delivered": count("points acknowledged by InfluxDB"),
            "set_aside": count("points refused by InfluxDB"),
            "dropped": count("points dropped at the buffer's limit"),
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
