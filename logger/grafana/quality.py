"""The dashboard "Voltage and frequency": windows, shares, events. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.domain.limits import FREQUENCY_BANDS, FREQUENCY_SHARES, FREQUENCY_TEXTS
from logger.grafana.frame import QUALITY, dashboard, events, variables
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    LOAD,
    NOTHING,
    OWN,
    WIDTH,
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
from logger.grafana.query import RANGE, SITE, where
from logger.grafana.voltages import kinds, summary, voltages
from logger.grafana.windows import NO_CLAIM, share, window

_NORMAL, _WIDE = FREQUENCY_BANDS
_BANDS = [text.replace("..", " to ") for text in FREQUENCY_TEXTS]


def _summary(settings: DashboardOptions) -> list[Json]:
    shown = kinds(settings)
    frequency = settings.measures("frequency")
    width = WIDTH - 9 if frequency else WIDTH
    found = [one for kind in shown[:1] for one in summary(kind, width, settings)]
    if frequency:
        found.append(_within(WIDTH - width if found else WIDTH))
    return [*found, *(one for kind in shown[1:] for one in summary(kind, WIDTH, settings))]


def _within(width: int) -> Json:
    return stat(
        "Frequency within limits",
        f"Valid ten-second windows within {_BANDS[0]}, and within {_BANDS[1]} / all valid "
        f"windows of the range. EN 50160 asks for 99.5 % of the year and 100 %. {NO_CLAIM}",
        [
            target(share("quality_frequency", *_NORMAL), _BANDS[0]),
            target(share("quality_frequency", *_WIDE), _BANDS[1]),
        ],
        names=True, rows=True, width=width,
        thresholds=limits((FREQUENCY_SHARES[0], "green"), base="red"),
        unit="percentunit", decimals=2, height=4,
        empty="no valid window",
    )  # fmt: skip


def _beside(settings: DashboardOptions) -> Json:
    feeds = settings.has("pv") or settings.has("battery")
    return curves(
        f"{'Feed-in' if feeds else 'Power'} beside the voltage",
        "Mean active power of the meter, to be read with the voltages above: what is drawn lowers "
        "the voltage, export, which is negative, lifts it.",
        [
            target(
                window('round(mean("active_power"))', "power_1m", "\"phase\" = 'total'")
                + " fill(null)",
                "Active power",
            )
        ],
        unit="watt",
        interval="10m",
        points=720,
        height=6,
        fill=10,
        legend=("min", "max"),
        overrides=[by_pattern("Active", LOAD)],
    )


def _frequency(settings: DashboardOptions) -> list[Json]:
    low, high = settings.events.frequency_low, settings.events.frequency_high
    histogram = panel(
        "histogram",
        "Frequency histogram",
        "How often which frequency was met: ten-second means, and in long ranges one of them for "
        f"each of at most 3000 equal parts of the range. {NO_CLAIM}",
        [target(window('first("mean")', "quality_frequency") + " fill(none)", "Frequency")],
        unit="hertz", width=12, interval="10s", points=3000,
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
            [target(window('mean("mean") AS "mean", min("mean") AS "lowest", max("mean") AS '
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


# What a text is that _as_text made: Grafana 9 writes null for nothing, later ones quote the text.
_OF_TEXTS: tuple[Json, ...] = (
    {"type": "value", "options": {"null": {"text": "–"}}},
    {"type": "regex", "options": {"pattern": '/^"(.*)"$/', "result": {"text": "$1"}}},
)


def events_table(title: str, text: str, *conditions: str, height: int = 9) -> Json:
    """Return a table of events, newest first, without the two of each day and meter that say
    nothing new: changes of tariff. What happened stands first, where a phone shows it."""
    conditions = (*conditions, "\"kind\" != 'tariff_switched'")
    query = (
        'SELECT "kind", "meter", "phase", "state", "duration_s", "extreme", "text" FROM "event" '
        f"{where(RANGE, SITE, *conditions)} ORDER BY time DESC LIMIT 500"
    )
    return table(
        title,
        text,
        [target(query, table=True)],
        columns={
            "text": "What", "Time": "Time", "time": "Time", "duration_s": "Duration",
            "extreme": "Extreme", "state": "State", "kind": "Kind", "meter": "Meter",
            "phase": "Phase",
        },
        height=height,
        empty="nothing happened in this range",
        before=[_as_text("meter", "phase")],
        defaults={"mappings": [NOTHING, *_OF_TEXTS]},
        overrides=[
            # Later versions go on in a second line; Grafana 9 shows the rest where it is touched.
            _column("What", None, minWidth=290, wrapText=True),
            _column("Time", 190, unit="dateTimeAsLocal"),
            _column("Duration", 110, unit="dtdhms"), _column("Extreme", 85, decimals=1),
            _column("State", 65), _column("Kind", 150), _column("Meter", 80),
            _column("Phase", 65),
        ],
    )  # fmt: skip


def _as_text(*names: str) -> Json:
    """Return the step that makes columns texts: one without any value has no type."""
    conversions = [{"targetField": name, "destinationType": "string"} for name in names]
    return {"id": "convertFieldType", "options": {"fields": {}, "conversions": conversions}}


def _column(name: str, width: int | None, **more: object) -> Json:
    properties: list[Json] = [] if width is None else [{"id": "custom.width", "value": width}]
    for key, value in more.items():
        own = key in ("minWidth", "wrapText")
        properties.append({"id": f"custom.{key}" if own else key, "value": value})
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def quality(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    panels = [row("The range shown"), *found] if (found := _summary(settings)) else []
    for kind in kinds(settings):
        panels += [row(kind.name), *voltages(kind, settings)]
    if kinds(settings) and settings.measures("active_power"):
        panels.append(_beside(settings))
    if settings.measures("frequency"):
        panels += [row("Frequency"), *_frequency(settings)]
    panels += [
        row("Events"),
        events_table(
            "Events",
            "What the logger noticed, but changes of tariff: when it began and when it ended, for "
            "how long, and the worst value (V, Hz, kWh: the text says which).",
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
