"""The dashboard "Phases": every measured quantity of every phase. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from logger.grafana.frame import PHASES as UID
from logger.grafana.frame import column_width, dashboard, events, variables
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    EMPTY,
    LIVE,
    PHASE_COLOURS,
    PLAIN,
    SCALING,
    Json,
    by_pattern,
    curves,
    limits,
    row,
    table,
    target,
)  # fmt: skip
from logger.grafana.placing import spread
from logger.grafana.query import (
    ALL_PHASES,
    LATELY,
    LINES,
    METER,
    PHASES,
    POWERS,
    RANGE,
    SITE,
    where,
)
from logger.grafana.voltages import LINE_COLOURS, kinds, or_else, with_neutral

# Up to a day a point is at most two minutes wide (maxDataPoints 720), and every reading
# is looked at; beyond, the means of minutes. The condition is the same for all, so the
# engine reads one of the two measurements only.
_POINTS = 720
_READINGS, _MINUTES = "$__interval_ms <= 120000", "$__interval_ms > 120000"
_SOURCE = "Ranges up to a day show every reading, longer ones the means of minutes."
_COMMON: Json = {"interval": "5s", "points": _POINTS}
# What the panels of `_power` need.
_POWERS = ("active_power", "active_power", "reactive_power", "apparent_power")


def _targets(select: str, alias: str, *conditions: str, by: str = '"meter", "phase"') -> list[Json]:
    group = f"GROUP BY time($__interval), {by} fill(null)"
    common = (RANGE, SITE, METER, *conditions)
    return [
        target(
            f'SELECT {select} FROM "power" {where(*common, _READINGS)} {group}',
            alias,
            source=LIVE,
        ),
        target(f'SELECT {select} FROM "power_1m" {where(*common, _MINUTES)} {group}', alias),
    ]


def _apart(field: str, *conditions: str) -> list[Json]:
    """Return the difference between the highest and the lowest of the three phases."""
    spread = 'round(spread("p"))' if field == "active_power" else 'spread("p")'
    found = []
    for source, name, condition in ((LIVE, "power", _READINGS), (None, "power_1m", _MINUTES)):
        inner = (
            f'SELECT mean("{field}") AS "p" FROM "{name}" '
            f"{where(RANGE, SITE, METER, PHASES, *conditions, condition)} "
            'GROUP BY time($__interval), "meter", "phase" fill(none)'
        )
        query = (
            f"SELECT {spread} FROM ({inner}) WHERE {RANGE} "
            'GROUP BY time($__interval), "meter" fill(null)'
        )
        found.append(
            target(query, "$tag_meter", source=source) if source else target(query, "$tag_meter")
        )
    return found


def _colours() -> list[Json]:
    whole = {"total": PLAIN}  # else it has the next colour, which is that of a phase
    shown = PHASE_COLOURS | LINE_COLOURS | whole
    return [by_pattern(f" {phase}$", colour) for phase, colour in shown.items()]


_COLUMNS = {
    "voltage": ("V", "Voltage", "suffix:V", 1),
    "current": ("A", "Current", "suffix:A", 2),
    "active_power": ("W", "Active", "suffix:W", 0),
    "reactive_power": ("var", "Reactive", "suffix:var", 0),
    "apparent_power": ("VA", "Apparent", "suffix:VA", 0),
    "power_factor": ("PF", "Power factor", "none", 2),
}


def shows(settings: DashboardOptions) -> bool:
    """Return whether the meters measure anything of this dashboard."""
    return settings.measures(*_COLUMNS)


def _newest(settings: DashboardOptions, shown: Mapping[str, str]) -> str:
    """Return the newest value of each quantity of each phase, as columns; voltages only where
    they mean something."""
    inside = where(LATELY, SITE, METER)

    def newest(names: Mapping[str, str], condition: str = "") -> str:
        chosen = ", ".join(f'last("{name}") AS "{short}"' for name, short in names.items())
        both = f"{inside} AND {condition}" if condition else inside
        return f'SELECT {chosen} FROM "power" {both} GROUP BY "meter", "phase"'

    others = with_neutral(settings)
    if "voltage" not in shown or not others:
        return newest(shown)
    voltages = f"({LINES} OR {others})" if settings.phase_voltages() else LINES
    parts = [newest({"voltage": shown["voltage"]}, voltages)]
    if further := {name: short for name, short in shown.items() if name != "voltage"}:
        parts.append(newest(further))
    columns = ", ".join(f'last("{short}") AS "{short}"' for short in shown.values())
    return f'SELECT {columns} FROM ({"), (".join(parts)}) GROUP BY "meter", "phase"'


def _latest(settings: DashboardOptions) -> Json:
    shown = {name: column for name, column in _COLUMNS.items() if settings.measures(name)}
    if not kinds(settings):
        shown.pop("voltage", None)  # to a neutral that is not there
    query = _newest(settings, {name: short for name, (short, *_) in shown.items()})
    return table(
        "Latest readings",
        "The newest value of each quantity within the last 5 minutes. Power and current are "
        "negative while a phase exports; a total of phases has no voltage and current of its own, "
        "and a meter without a neutral has voltages between its phases only.",
        [target(query, source=LIVE, table=True)],
        height=settings.rows(6, 9, each=7 if settings.between_phases else 4), decimals=1, sort="",
        empty="no reading for 5 minutes: see the dashboard Logger and meters",
        columns={"meter": "Meter", "phase": "Phase"}
        | {short: heading for short, heading, *_ in shown.values()},
        hidden=("Time", "time"), custom={"minWidth": 80},
        overrides=[
            *(_unit(heading, unit, digits) for _, heading, unit, digits in shown.values()),
            column_width("Meter", 80), column_width("Phase", 60),
        ],
    )  # fmt: skip


def _voltages(settings: DashboardOptions) -> list[Json]:
    name, limit = "$tag_meter $tag_phase", settings.events
    found = []
    for kind in kinds(settings):
        low, high = limit.voltage_low * kind.factor, limit.voltage_high * kind.factor
        axis = {"axisSoftMin": 0.98 * kind.nominal, "axisSoftMax": 1.04 * kind.nominal}
        found.append(
            curves(
                kind.name,
                f"Voltage of each phase. {_SOURCE} Dashed: {low:.4g} V and {high:.4g} V. "
                "Indication, not an EN 50160 measurement.",
                _targets('mean("voltage")', name, kind.phases),
                unit="suffix:V", decimals=1, limit_lines=True, legend=(), overrides=_colours(),
                thresholds=limits((low, "transparent"), (high, "red"), base="blue"),
                axis=axis, empty=f"{or_else(settings)}{EMPTY}", **_COMMON,
            )
        )  # fmt: skip
    return found


def _quantity(field: str, title: str, text: str, unit: str, phases: str, **more: Any) -> Json:
    more = {"legend": (), "overrides": _colours(), **more}
    mean = f'round(mean("{field}"))' if unit in SCALING else f'mean("{field}")'
    asked = _targets(mean, "$tag_meter $tag_phase", phases)
    return curves(title, f"{text} {_SOURCE}", asked, unit=unit, **more, **_COMMON)


def _power() -> list[Json]:
    whole = _targets('round(mean("active_power"))', "$tag_meter", ALL_PHASES)
    return [
        _quantity(
            "active_power", "Active power",
            "Active power of each phase and the total; negative is export.", "watt", POWERS,
        ),
        curves(
            "Active power, all phases",
            f"The signed sum of the phases, as the meter sends it. {_SOURCE}",
            whole, unit="watt", legend=(), fill=10, **_COMMON,
        ),
        _quantity(
            "reactive_power", "Reactive power",
            "Reactive power of each phase and the total; positive is inductive while drawing.",
            "si:var", POWERS,
        ),
        _quantity(
            "apparent_power", "Apparent power", "Apparent power of each phase and the total.",
            "si:VA", POWERS,
        ),
    ]  # fmt: skip


def _balance(settings: DashboardOptions) -> list[Json]:
    found = []
    if settings.measures("power_factor"):
        found.append(
            _quantity(
                "power_factor", "Power factor",
                "Active over apparent power of each phase and the total, as the meter sends it: "
                "without a sign on some firmware.", "none", POWERS, decimals=2,
                axis={"axisSoftMin": 0, "axisSoftMax": 1},
            )
        )  # fmt: skip
    if "3P4W" not in settings.wirings or not settings.measures("voltage"):
        return found
    others = with_neutral(settings)
    return [
        *found,
        curves(
            "Active power apart",
            "The highest less the lowest active power of L1, L2 and L3: 0 W is perfect balance. "
            f"{_SOURCE}",
            _apart("active_power"), unit="watt", legend=(), **_COMMON,
        ),
        curves(
            "Voltage apart",
            "The highest less the lowest voltage of L1, L2 and L3. This is a spread, not the "
            f"unbalance of EN 50160, which needs phase angles. {_SOURCE}",
            _apart("voltage", *([others] if others else [])),
            unit="suffix:V", legend=(), empty=f"{or_else(settings)}{EMPTY}", **_COMMON,
        ),
    ]  # fmt: skip


def _further(settings: DashboardOptions) -> list[Json]:
    """Return what some models measure besides."""
    others = with_neutral(settings)
    neutral = f"{ALL_PHASES} AND {others}" if others else ALL_PHASES
    made = {
        "neutral_current": ("Neutral current", "Current in the neutral.", "suffix:A", neutral),
        "temperature": ("Temperature", "Temperature in the meter.", "celsius", ALL_PHASES),
        "voltage_thd": (
            "Distortion of the voltage",
            ("Total harmonic distortion of each phase's voltage, and its mean as total. EN 50160 "
            "has 8 % as the limit for ten-minute means; this is an indication."),
            "percent", POWERS,
        ),
        "current_thd": (
            "Distortion of the current",
            ("Total harmonic distortion of each phase's current, and its mean as total: high at "
            "small currents, where it means little."), "percent", POWERS,
        ),
    }  # fmt: skip
    if not settings.wirings & {"3P4W", "1P2W"}:
        made.pop("neutral_current")
    return [
        _quantity(field, title, text, unit, phases)
        for field, (title, text, unit, phases) in made.items()
        if settings.measures(field)
    ]


def phases(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    electric = _voltages(settings)
    if settings.measures("current"):
        current = "Current of each phase; negative while the phase exports."
        electric.append(_quantity("current", "Current", current, "suffix:A", POWERS))
    power = [one for one, field in zip(_power(), _POWERS, strict=True) if settings.measures(field)]
    groups = {
        "Voltage and current": electric,
        "Power": power,
        "Power factor and balance": _balance(settings),
        "Further quantities": _further(settings),
    }
    panels = [_latest(settings)]
    for title, own in groups.items():
        if own:
            heading = row(title, each="meter" if settings.apart else "")
            panels += [heading, *spread(own, 3 if len(own) == 3 else 2)]
    return dashboard(
        UID,
        "Voltage, current and power of each phase, from five minutes to years.",
        panels,
        settings,
        names=variables(settings, meter="some"),
        start="now-1h",
        refresh="10s",
        marks=events(shown=True),
    )


def _unit(column: str, unit: str, decimals: int) -> Json:
    return {
        "matcher": {"id": "byName", "options": column},
        "properties": [
            {"id": "unit", "value": unit},
            {"id": "decimals", "value": decimals},
        ],
    }
