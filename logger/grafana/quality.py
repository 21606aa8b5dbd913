"""The dashboard "Voltage and frequency": windows, shares, events. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.domain.limits import FREQUENCY_BANDS, NOMINAL_V, voltage_bands
from logger.grafana.frame import QUALITY, dashboard, events, variables
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    LOAD,
    NOTHING,
    OWN,
    PHASE_COLOURS,
    Json,
    by_pattern,
    coloured,
    curves,
    limits,
    panel,
    row,
    stat,
    table,
    target,
)  # fmt: skip
from logger.grafana.query import METER, PHASES, RANGE, SITE, ZONE, where

NO_CLAIM = "Indication, not an EN 50160 measurement."
_VALID = '"valid" = true'
_WEEK = "time(1w, 4d)"  # InfluxDB's weeks begin on Thursdays; four days on is Monday
_TEN, _FIFTEEN = voltage_bands()
_NORMAL, _WIDE = FREQUENCY_BANDS


def _share(source: str, low: float, high: float, group: str = "", *more: str) -> str:
    """Return valid windows within [low, high] / all valid windows.

    Both counts are made floats (times 1.0): sums of integers from different subqueries
    do not meet in one row.
    """
    common = (RANGE, SITE, METER, _VALID, *more)
    inside = f'"mean" >= {low:g} AND "mean" <= {high:g}'
    tail = f" GROUP BY {group} fill(none)" if "time" in group else f" GROUP BY {group}"
    tail = tail if group else ""
    zone = f" {ZONE}" if "time" in group else ""
    good = f'SELECT 1.0 * count("mean") AS "a" FROM "{source}" {where(*common, inside)}{tail}{zone}'
    every = f'SELECT 1.0 * count("mean") AS "b" FROM "{source}" {where(*common)}{tail}{zone}'
    return f'SELECT sum("a") / sum("b") FROM ({good}), ({every}) WHERE {RANGE}{tail}{zone}'


def _window(select: str, source: str, *more: str, by: str = "") -> str:
    group = "time($__interval)" + (f", {by}" if by else "")
    return f'SELECT {select} FROM "{source}" {where(RANGE, SITE, METER, *more)} GROUP BY {group}'


def _colours() -> list[Json]:
    return [by_pattern(f"^{phase}$", colour) for phase, colour in PHASE_COLOURS.items()]


def _weeks(title: str, text: str, edges: tuple[float, float], least: float) -> Json:
    query = _share("quality_voltage", *edges, f'{_WEEK}, "phase"', PHASES)
    return panel(
        "status-history",
        f"{title}, last 10 weeks",
        "Valid ten-minute windows with a mean within these limits / all valid windows, per week "
        f"(from Monday on) and phase. {text} A window is valid with 80 % of its samples and no "
        f"clock step. {NO_CLAIM}",
        [target(query, "$tag_phase")],
        unit="percentunit", decimals=1, width=12, height=6, interval="1w", last="10w",
        thresholds=limits((least, "green"), base="red"), empty="no valid window",
        options={
            "showValue": "always", "rowHeight": 0.9, "colWidth": 0.95,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
            "tooltip": {"mode": "single", "sort": "none"},
        },
        custom={"lineWidth": 0, "fillOpacity": 70},
        defaults={"color": {"mode": "thresholds"}},
    )  # fmt: skip


def _voltage(settings: DashboardOptions) -> list[Json]:
    low, high = settings.events.voltage_low, settings.events.voltage_high
    edges = limits((low, "transparent"), (high, "red"), base="blue")
    axis = {"axisSoftMin": 225, "axisSoftMax": 240}
    common = {
        "unit": "volt", "decimals": 1, "interval": "10m", "points": 720, "width": 12,
        "limit_lines": True, "thresholds": edges, "axis": axis, "overrides": _colours(),
        "empty": "no ten-minute window in this range",
    }  # fmt: skip
    return [
        curves(
            "Highest ten-minute means",
            "Root mean square of ten minutes per phase; where a pixel holds several windows, the "
            f"highest. Dashed: {low:g}, {NOMINAL_V:g} +/- 10 % is 207 to 253 V. {NO_CLAIM}",
            [target(_window('max("mean")', "quality_voltage", PHASES, by='"phase"') + " fill(null)",
                    "$tag_phase")],
            legend=("max",), **common,
        ),
        curves(
            "Lowest ten-minute means",
            "Root mean square of ten minutes per phase; where a pixel holds several windows, the "
            f"lowest. Dashed: {low:g} V and {high:g} V. {NO_CLAIM}",
            [target(_window('min("mean")', "quality_voltage", PHASES, by='"phase"') + " fill(null)",
                    "$tag_phase")],
            legend=("min",), **common,
        ),
        _weeks(
            "Weeks within 207 to 253 V",
            "230 V +/- 10 %. EN 50160 asks for 95 % of the week.",
            _TEN,
            0.95,
        ),
        _weeks(
            "Weeks within 195.5 to 253 V",
            "230 V +10/-15 %. EN 50160 asks for 100 % of the week.",
            _FIFTEEN,
            1.0,
        ),
        curves(
            "Feed-in beside the voltage",
            "Mean active power of the meter, to be read with the voltages above: negative is "
            "export, which lifts the voltage.",
            [target(_window('mean("active_power")', "power_1m", "\"phase\" = 'total'")
                    + " fill(null)", "Active power")],
            unit="watt", interval="10m", points=720, height=6, fill=10, legend=("min", "max"),
            overrides=[by_pattern("Active", LOAD)],
        ),
    ]  # fmt: skip


def _summary() -> list[Json]:
    share = {"unit": "percentunit", "decimals": 2, "height": 4, "empty": "no valid window"}
    return [
        stat(
            "Voltage within 207 to 253 V",
            "Valid ten-minute windows within 230 V +/- 10 % / all valid windows of the range. "
            f"{NO_CLAIM}",
            [target(_share("quality_voltage", *_TEN, '"phase"', PHASES), "$tag_phase")],
            names=True, width=9, thresholds=limits((0.95, "green"), base="red"), **share,
        ),
        stat(
            "Highest and lowest sample",
            f"The extreme single samples of all windows of the range: seen, not recorded dips. "
            f"{NO_CLAIM}",
            [
                target(f'SELECT max("max") FROM "quality_voltage" '
                       f"{where(RANGE, SITE, METER, PHASES)}", "highest"),
                target(f'SELECT min("min") FROM "quality_voltage" '
                       f"{where(RANGE, SITE, METER, PHASES)}", "lowest"),
            ],
            names=True, width=6, unit="volt", decimals=1, height=4, empty="no window",
            thresholds=limits((195.5, "text"), (260, "red"), base="blue"),
        ),
        stat(
            "Frequency within limits",
            "Valid ten-second windows within 49.5 to 50.5 Hz, and within 47 to 52 Hz / all valid "
            f"windows of the range. EN 50160 asks for 99.5 % of the year and 100 %. {NO_CLAIM}",
            [
                target(_share("quality_frequency", *_NORMAL), "49.5 to 50.5 Hz"),
                target(_share("quality_frequency", *_WIDE), "47 to 52 Hz"),
            ],
            names=True, rows=True, width=9, thresholds=limits((0.995, "green"), base="red"),
            **share,
        ),
    ]  # fmt: skip


def _frequency(settings: DashboardOptions) -> list[Json]:
    low, high = settings.events.frequency_low, settings.events.frequency_high
    histogram = panel(
        "histogram",
        "Frequency histogram",
        "How often which frequency was met: ten-second means, and in long ranges one of them for "
        f"each of at most 3000 equal parts of the range. {NO_CLAIM}",
        [target(_window('first("mean")', "quality_frequency") + " fill(none)", "Frequency")],
        unit="hertz", decimals=2, width=12, interval="10s", points=3000,
        options={
            "bucketSize": 0.01, "bucketOffset": 0, "combine": True,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False,
                       "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        },
        custom={"lineWidth": 1, "fillOpacity": 80, "gradientMode": "none"},
        defaults={"color": {"mode": "fixed", "fixedColor": OWN}},
    )  # fmt: skip
    return [
        curves(
            "Frequency",
            f"Ten-second means: mean, lowest and highest of each pixel. Dashed: {low:g} Hz and "
            f"{high:g} Hz. {NO_CLAIM}",
            [target(_window('mean("mean") AS "mean", min("mean") AS "lowest", max("mean") AS '
                            '"highest"', "quality_frequency") + " fill(null)", "$col")],
            unit="hertz", decimals=2, width=12, interval="10s", points=720, limit_lines=True,
            legend=(), thresholds=limits((low, "transparent"), (high, "red"), base="red"),
            axis={"axisSoftMin": 49.9, "axisSoftMax": 50.1},
            overrides=[
                coloured("mean", BUY),
                coloured("lowest", "light-blue", custom__lineWidth=0),
                coloured("highest", "light-blue", custom__lineWidth=0,
                         custom__fillBelowTo="lowest", custom__fillOpacity=30),
            ],
        ),
        histogram,
    ]  # fmt: skip


def events_table(title: str, text: str, *conditions: str, height: int = 9) -> Json:
    """Return a table of events, newest first."""
    query = (
        'SELECT "kind", "meter", "phase", "state", "duration_s", "extreme", "text" FROM "event" '
        f"{where(RANGE, SITE, *conditions)} ORDER BY time DESC LIMIT 500"
    )
    return table(
        title,
        text,
        [target(query, table=True)],
        columns={
            "Time": "Time", "time": "Time", "kind": "Kind", "meter": "Meter", "phase": "Phase",
            "state": "State", "duration_s": "Duration", "extreme": "Extreme", "text": "What",
        },
        height=height,
        before=[_as_text("meter", "phase")],
        defaults={"mappings": [NOTHING, {"type": "value", "options": {"null": {"text": "–"}}}]},
        overrides=[
            _column("Time", 190), _column("Kind", 150), _column("Meter", 80), _column("Phase", 65),
            _column("State", 65), _column("Duration", 90, unit="s", decimals=0),
            _column("Extreme", 85, decimals=1), _column("What", None, minWidth=260),
        ],
    )  # fmt: skip


def _as_text(*names: str) -> Json:
    """Return the step that makes columns texts: one without any value has no type."""
    conversions = [{"targetField": name, "destinationType": "string"} for name in names]
    return {"id": "convertFieldType", "options": {"fields": {}, "conversions": conversions}}


def _column(name: str, width: int | None, **more: object) -> Json:
    properties: list[Json] = [] if width is None else [{"id": "custom.width", "value": width}]
    for key, value in more.items():
        properties.append({"id": "custom.minWidth" if key == "minWidth" else key, "value": value})
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def quality(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    panels = [
        row("The range shown"),
        *_summary(),
        row("Voltage"),
        *_voltage(settings),
        row("Frequency"),
        *_frequency(settings),
        row("Events"),
        events_table(
            "Events",
            "What the logger noticed: when it began and when it ended, for how long, and the "
            "worst value (V, Hz, kWh: the text says which).",
        ),
    ]
    return dashboard(
        QUALITY,
        f"Ten-minute and ten-second windows against the limits. {NO_CLAIM}",
        panels,
        settings,
        names=variables(settings, meter="one"),
        start="now-7d",
        refresh="1m",
        marks=events(shown=True),
    )
