"""The dashboard "Phases": every measured quantity of every phase. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.grafana.frame import PHASES as UID
from logger.grafana.frame import dashboard, events, variables
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    LIVE,
    PHASE_COLOURS,
    Json,
    by_pattern,
    curves,
    limits,
    row,
    table,
    target,
)  # fmt: skip
from logger.grafana.query import METER, PHASES, POWERS, RANGE, SITE, where

# Up to a day a point is at most two minutes wide (maxDataPoints 720), and every reading
# is looked at; beyond, the means of minutes. The condition is the same for all, so the
# engine reads one of the two measurements only.
_POINTS = 720
_READINGS, _MINUTES = "$__interval_ms <= 120000", "$__interval_ms > 120000"
_SOURCE = "Ranges up to a day show every reading, longer ones the means of minutes."
_TOTAL = "\"phase\" = 'total'"


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


def _apart(field: str) -> list[Json]:
    """Return the difference between the highest and the lowest of the three phases."""
    found = []
    for source, name, condition in ((LIVE, "power", _READINGS), (None, "power_1m", _MINUTES)):
        inner = (
            f'SELECT mean("{field}") AS "p" FROM "{name}" '
            f"{where(RANGE, SITE, METER, PHASES, condition)} "
            'GROUP BY time($__interval), "meter", "phase" fill(none)'
        )
        query = (
            f'SELECT spread("p") FROM ({inner}) WHERE {RANGE} '
            'GROUP BY time($__interval), "meter" fill(null)'
        )
        found.append(
            target(query, "$tag_meter", source=source) if source else target(query, "$tag_meter")
        )
    return found


def _colours() -> list[Json]:
    return [by_pattern(f" {phase}$", colour) for phase, colour in PHASE_COLOURS.items()]


def phases(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    low, high = settings.events.voltage_low, settings.events.voltage_high
    name = "$tag_meter $tag_phase"
    common = {"interval": "5s", "points": _POINTS, "width": 12, "overrides": _colours()}
    third = {**common, "width": 8}
    now = (
        'SELECT last("voltage") AS "V", last("current") AS "A", last("active_power") AS "W", '
        'last("reactive_power") AS "var", last("apparent_power") AS "VA", '
        'last("power_factor") AS "PF" FROM "power" '
        f'{where(RANGE, SITE, METER)} GROUP BY "meter", "phase"'
    )
    panels = [
        table(
            "Latest readings",
            "The newest value of each quantity within the last five minutes. Power and current "
            "are negative while a phase exports; the total has no voltage and current of its own.",
            [target(now, source=LIVE, table=True)],
            last="5m", height=9, decimals=1, sort="",
            columns={
                "meter": "Meter", "phase": "Phase", "V": "Voltage", "A": "Current",
                "W": "Active", "var": "Reactive", "VA": "Apparent", "PF": "Power factor",
            },
            hidden=("Time", "time"),
            overrides=[
                _unit("Voltage", "volt", 1), _unit("Current", "amp", 2), _unit("Active", "watt", 2),
                _unit("Reactive", "voltampreact", 2), _unit("Apparent", "voltamp", 2),
                _unit("Power factor", "none", 2),
                _narrow("Meter", 90), _narrow("Phase", 65),
            ],
        ),
        row("Voltage and current"),
        curves(
            "Voltage",
            f"Voltage of each phase to neutral. {_SOURCE} Dashed: {low:g} V and {high:g} V. "
            "Indication, not an EN 50160 measurement.",
            _targets('mean("voltage")', name, PHASES),
            unit="volt", decimals=1, limit_lines=True, legend=(),
            thresholds=limits((low, "transparent"), (high, "red"), base="blue"),
            axis={"axisSoftMin": 225, "axisSoftMax": 240}, **common,
        ),
        curves(
            "Current",
            f"Current of each phase; negative while the phase exports. {_SOURCE}",
            _targets('mean("current")', name, PHASES),
            unit="amp", decimals=2, legend=(), **common,
        ),
        row("Power"),
        curves(
            "Active power",
            f"Active power of each phase and the total; negative is export. {_SOURCE}",
            _targets('mean("active_power")', name, POWERS),
            unit="watt", legend=(), **common,
        ),
        curves(
            "Active power, all phases",
            f"The signed sum of the phases, as the meter sends it. {_SOURCE}",
            _targets('mean("active_power")', "$tag_meter", _TOTAL),
            unit="watt", legend=(), fill=10,
            **{key: value for key, value in common.items() if key != "overrides"},
        ),
        curves(
            "Reactive power",
            "Reactive power of each phase and the total; positive is inductive while drawing. "
            f"{_SOURCE}",
            _targets('mean("reactive_power")', name, POWERS),
            unit="voltampreact", legend=(), **common,
        ),
        curves(
            "Apparent power",
            f"Apparent power of each phase and the total. {_SOURCE}",
            _targets('mean("apparent_power")', name, POWERS),
            unit="voltamp", legend=(), **common,
        ),
        row("Power factor and balance"),
        curves(
            "Power factor",
            "Active over apparent power of each phase and the total, as the meter sends it: "
            f"without a sign on some firmware. {_SOURCE}",
            _targets('mean("power_factor")', name, POWERS),
            decimals=2, legend=(), axis={"axisSoftMin": 0, "axisSoftMax": 1}, **third,
        ),
        curves(
            "Active power apart",
            "The highest less the lowest active power of L1, L2 and L3: 0 W is perfect balance. "
            f"{_SOURCE}",
            _apart("active_power"),
            unit="watt", legend=(),
            **{key: value for key, value in third.items() if key != "overrides"},
        ),
        curves(
            "Voltage apart",
            "The highest less the lowest voltage of L1, L2 and L3. This is a spread, not the "
            f"unbalance of EN 50160, which needs phase angles. {_SOURCE}",
            _apart("voltage"),
            unit="volt", decimals=1, legend=(),
            **{key: value for key, value in third.items() if key != "overrides"},
        ),
    ]  # fmt: skip
    return dashboard(
        UID,
        "Voltage, current and power of each phase, from five minutes to years.",
        panels,
        settings,
        names=variables(settings, meter="many"),
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


def _narrow(column: str, width: int) -> Json:
    return {
        "matcher": {"id": "byName", "options": column},
        "properties": [{"id": "custom.width", "value": width}],
    }
