"""Panels of ten-minute voltages: to neutral, and between phases for meters without one. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from logger.domain.limits import NOMINAL_V, VOLTAGE_SHARES, voltage_bands
from logger.domain.times import winter_offset
from logger.domain.wiring import LINE_PHASES, NEUTRAL_PHASES, voltage_factor
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    PHASE_COLOURS,
    Json,
    by_pattern,
    curves,
    limits,
    override,
    stat,
    table,
    target,
)  # fmt: skip
from logger.grafana.query import LINES, METER, POWERS, RANGE, SITE, quoted, where
from logger.grafana.windows import NO_CLAIM, share, window

LINE_COLOURS = {"L1-L2": "orange", "L1-L3": "blue", "L2-L3": "green"}


@dataclass(frozen=True, slots=True)
class VoltageKind:
    """Voltages that are compared with one pair of limits; `factor` times those to neutral.
    `phases` is the condition for their phases, `names` what these are called."""

    name: str
    phases: str
    factor: float
    names: tuple[str, ...]

    @property
    def nominal(self) -> float:
        """The nominal voltage, V."""
        return NOMINAL_V * self.factor

    def bands(self) -> tuple[tuple[float, float], ...]:
        """Return the normal and the wide band, V."""
        return voltage_bands(self.factor)


# A meter of one phase calls its voltage L1, or total.
TO_NEUTRAL = VoltageKind("Voltage", POWERS, 1.0, (*NEUTRAL_PHASES, "total"))
BETWEEN = VoltageKind("Voltage between phases", LINES, voltage_factor(LINE_PHASES[0]), LINE_PHASES)
_WEEK = "Week"


def kinds(settings: DashboardOptions) -> list[VoltageKind]:
    """Return the kinds of voltages that the meters measure."""
    others = with_neutral(settings)
    to_neutral = replace(TO_NEUTRAL, phases=f"{POWERS} AND {others}" if others else POWERS)
    found = [to_neutral] if settings.phase_voltages() else []
    return [*found, BETWEEN] if settings.line_voltages() else found


def with_neutral(settings: DashboardOptions) -> str:
    """Return the condition for meters that have a neutral, empty where all have: voltages to
    one that is not there are numbers without a meaning."""
    names = (quoted(name) for name in settings.without_neutral)
    return " AND ".join(f'"meter" != {name}' for name in names)


def or_else(settings: DashboardOptions) -> str:
    """Return what an empty panel of voltages says first where meters have different ones."""
    return "a meter without such voltages, or " if len(kinds(settings)) > 1 else ""


def summary(kind: VoltageKind, width: int, settings: DashboardOptions) -> list[Json]:
    """Return the share within the normal band, and the extremes."""
    (low, high), _ = kind.bands()
    other = or_else(settings)
    rest = width - 2 * width // 3
    return [
        stat(
            f"{kind.name} within {low:.4g} to {high:.4g} V",
            f"Valid ten-minute windows within {kind.nominal:.4g} V +/- 10 % / all valid windows "
            f"of the range. {NO_CLAIM}",
            [target(share("quality_voltage", low, high, '"phase"', kind.phases), "$tag_phase")],
            unit="percentunit", decimals=2, height=4, empty=f"{other}no valid window", names=True,
            width=width - rest, thresholds=limits((0.95, "green"), base="red"),
        ),
        stat(
            f"{kind.name}, extremes",
            "The extreme single samples of all windows of the range: seen, not recorded dips. "
            f"{NO_CLAIM}",
            [
                target(f'SELECT max("max") FROM "quality_voltage" '
                       f"{where(RANGE, SITE, METER, kind.phases)}", "highest"),
                target(f'SELECT min("min") FROM "quality_voltage" '
                       f"{where(RANGE, SITE, METER, kind.phases)}", "lowest"),
            ],
            names=True, width=rest, unit="suffix:V", decimals=1, height=4,
            empty=f"{other}no window",
            thresholds=limits((0.85 * kind.nominal, "text"), (260 * kind.factor, "red"),
                              base="blue"),
        ),
    ]  # fmt: skip


def _week(zone: str) -> str:
    """Return the group of weeks from Monday on, by the winter time of `zone` all year.

    Told the zone, InfluxDB begins the week behind the end of summer time an hour early, on
    Sunday, and divides the one behind its begin.
    """
    # InfluxDB's weeks begin on Thursdays, at midnight UTC; four days on is Monday.
    return f"time(1w, {(timedelta(days=4) - winter_offset(zone)) // timedelta(minutes=1)}m)"


def _weeks(kind: VoltageKind, band: int, least: float, settings: DashboardOptions) -> Json:
    low, high = kind.bands()[band]
    limit = ("+/- 10 %", "+10/-15 %")[band]
    group = f'{_week(settings.zone)}, "phase"'
    query = share("quality_voltage", low, high, group, kind.phases, local=False, digits=3)
    return table(
        f"{kind.name} within {low:.4g} to {high:.4g} V by week",
        "Valid ten-minute windows with a mean within these limits / all valid windows, per week "
        "(from Monday 0:00 winter time on) and phase: the last 10 weeks, or the range that was "
        f"chosen by dragging. {kind.nominal:.4g} V {limit}. EN 50160 asks for {least:.0%} of the "
        f"week. A window is valid with 80 % of its samples and no clock step. {NO_CLAIM}",
        [target(query, "$tag_phase")],
        unit="percentunit", decimals=1, width=12, height=10, interval="1w", last="10w",
        thresholds=limits((least, "green"), base="red"),
        empty=f"{or_else(settings)}no valid window",
        before=[{"id": "joinByField", "options": {"mode": "outer"}}],
        columns={"Time": _WEEK, "time": _WEEK, **{name: name for name in kind.names}},
        sort=_WEEK, custom={"minWidth": 65},
        overrides=[
            override(_WEEK, unit="time:YYYY-MM-DD", custom__width=100),
            {
                "matcher": {"id": "byRegexp", "options": "/^(L|total)/"},
                "properties": [
                    {"id": "custom.displayMode", "value": "color-background"},
                    {"id": "color", "value": {"mode": "thresholds"}},
                ],
            },
        ],
    )  # fmt: skip


def voltages(kind: VoltageKind, settings: DashboardOptions) -> list[Json]:
    """Return curves of the means, and the weeks."""
    low, high = (
        kind.factor * settings.events.voltage_low, kind.factor * settings.events.voltage_high
    )  # fmt: skip
    axis = {"axisSoftMin": 0.98 * kind.nominal, "axisSoftMax": 1.04 * kind.nominal}
    common = {
        "unit": "suffix:V", "decimals": 1, "interval": "10m", "points": 720, "width": 12,
        "limit_lines": True, "axis": axis,
        "empty": f"{or_else(settings)}no ten-minute window in this range",
        "thresholds": limits((low, "transparent"), (high, "red"), base="blue"),
        "overrides": [
            by_pattern(f"^{phase}$", colour)
            for phase, colour in (PHASE_COLOURS | LINE_COLOURS).items()
        ],
    }  # fmt: skip

    def means(word: str, of: str) -> Json:
        query = window(f'{of}("mean")', "quality_voltage", kind.phases, by='"phase"')
        return curves(
            f"{kind.name}, {word} ten-minute means",
            "Root mean square of ten minutes per phase; where a pixel holds several windows, the "
            f"{word}. Dashed: {low:.4g} V and {high:.4g} V. {NO_CLAIM}",
            [target(f"{query} fill(null)", "$tag_phase")],
            legend=(of,), **common,
        )  # fmt: skip

    return [
        means("highest", "max"),
        means("lowest", "min"),
        *(_weeks(kind, band, least, settings) for band, least in enumerate(VOLTAGE_SHARES)),
    ]
