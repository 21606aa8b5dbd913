"""The dashboard "Logger and meters": is everything read, and delivered? Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.bus import busload
from logger.grafana.frame import HEALTH, column_width, dashboard, events, variables
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    MISSING,
    Json,
    curves,
    limits,
    override,
    row,
    stat,
    table,
    target,
)  # fmt: skip
from logger.grafana.quality import events_table
from logger.grafana.query import METER, RANGE, REPORTED, SITE, TOTAL, where

_OF_METER = "\"meter\" != ''"
_OF_BUS = "\"bus\" != '' AND \"meter\" = ''"
_OF_BUFFER = "\"bus\" = '' AND \"meter\" = ''"


_DAYS = "time > now() - 2d"
_SAID = "silent for 15 minutes: inepro-logger status"


def _latest(field: str) -> str:
    return f'SELECT last("{field}") AS "v" FROM "logger" {where(REPORTED, SITE, _OF_BUFFER)}'


def _buffer(settings: DashboardOptions) -> list[Json]:
    common = {"width": 4, "height": 4, "empty": _SAID, "missing": MISSING}
    late = settings.alerts.buffer_age
    return [
        stat(
            "Waiting",
            "Points in the buffer that InfluxDB has not acknowledged yet.",
            [target(_latest("buffer_points"), "waiting")],
            unit="locale", thresholds=limits((10_000, "orange")), **common,
        ),
        stat(
            "Oldest waiting",
            "Delivery lag: the age of the oldest point that waits in the buffer. "
            f"An alert fires above {late:g} s.",
            [target(f'SELECT floor("v") FROM ({_latest("buffer_oldest_s")})', "age")],
            unit="dtdurations", decimals=1, thresholds=limits((60, "orange"), (late, "red")),
            **common,
        ),
        stat(
            "Delivered",
            "Points acknowledged by InfluxDB, since the buffer exists.",
            [target(_latest("delivered"), "delivered")],
            unit="locale", thresholds=limits(base="text"), **common,
        ),
        stat(
            "Set aside",
            "Points that InfluxDB refused. They are kept: inepro-logger buffer set-aside list.",
            [target(_latest("set_aside"), "set aside")],
            unit="locale", thresholds=limits((1, "red")), **common,
        ),
        stat(
            "Dropped",
            "Points given up because the buffer had reached its size limit.",
            [target(_latest("dropped"), "dropped")],
            unit="locale", thresholds=limits((1, "red")), **common,
        ),
        stat(
            "Bus load",
            "Share of its time that each line is in use. Above 80 % little is left for other "
            f"masters; above {busload.FULL:.0%} nothing for a question that is asked again.",
            [
                target(
                    f'SELECT last("bus_load") FROM "logger" {where(REPORTED, SITE, _OF_BUS)} '
                    'GROUP BY "bus"',
                    "$tag_bus",
                )
            ],
            unit="percentunit", decimals=0,
            thresholds=limits((0.8, "orange"), (busload.FULL, "red")),
            **common,
        ),
    ]  # fmt: skip


def _meters(settings: DashboardOptions) -> list[Json]:
    # Every meter has counters, and some have nothing else.
    seen = (
        f'SELECT last("active_import") AS "kWh" FROM "energy" '
        f'{where(_DAYS, SITE, METER, TOTAL)} GROUP BY "meter", "role"'
    )
    names = {
        "serial": "Serial number", "model": "Model", "software_version": "Firmware",
        "ct_ratio": "CT ratio", "combination_code": "Code", "direction_l1": "L1",
        "direction_l2": "L2", "direction_l3": "L3", "quadrant": "Quadrant",
        "power_down_count": "Power-downs", "error_code": "Error", "status_word": "Status",
    }  # fmt: skip
    columns = ", ".join(f'last("{name}") AS "{name}"' for name in names)
    height = settings.rows(5, 12)
    unread = "nothing was read for two days: inepro-logger status"
    facts = f'SELECT {columns} FROM "meter" {where(_DAYS, SITE, METER)} GROUP BY "meter"'
    return [
        table(
            "Last seen",
            "The newest counter of each meter within two days, and how long ago it was read.",
            [target(seen, table=True)],
            height=height, unit="string", empty=unread,
            columns={
                "meter": "Meter", "Time": "Last reading", "time": "Last reading",
                "kWh": "Import counter", "role": "Role",
            },
            overrides=[
                column_width("Meter", 130),
                {
                    "matcher": {"id": "byName", "options": "Last reading"},
                    "properties": [
                        {"id": "unit", "value": "dateTimeFromNow"},
                        {"id": "custom.width", "value": 150},
                    ],
                },
                override("Import counter", unit="suffix:kWh", decimals=1, custom__width=150),
            ],
        ),
        table(
            "Meters",
            "What each meter says of itself, within two days. L1 to L3 are current directions "
            "(F forward, R reverse); power-downs counts how often the meter lost its supply; the "
            "code sets the meaning of the display's total.",
            [target(facts, table=True)],
            height=height, columns={"meter": "Meter", **names},
            hidden=("Time", "time"), unit="string", empty=unread,
            overrides=[
                column_width(column, width)
                for column, width in {
                    "Meter": 130, "Serial number": 115, "Model": 130, "Firmware": 80,
                    "CT ratio": 75, "Code": 60, "L1": 45, "L2": 45, "L3": 45, "Quadrant": 80,
                    "Power-downs": 115, "Error": 60, "Status": 110
                }.items()
            ],
        ),
    ]  # fmt: skip


def _rate(field: str, name: str) -> Json:
    """Return how much a count rose in each interval, for each meter.

    The count starts again at 0 with the logger; the difference is taken over a subquery,
    which every engine answers.
    """
    inner = (
        f'SELECT last("{field}") AS "v" FROM "logger" {where(RANGE, SITE, METER, _OF_METER)} '
        'GROUP BY time($__interval), "meter" fill(none)'
    )
    query = (
        f'SELECT non_negative_difference("v") AS "rise" FROM ({inner}) {where(RANGE)} '
        'GROUP BY "meter"'
    )
    return target(query, name)


def health(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    # No decimals given: with 0 Grafana 9 writes `noValue` at each tick that is no whole number.
    common = {"interval": "5m", "points": 300, "width": 12, "height": 7}
    few = {"axis": {"axisSoftMax": 5}}
    panels = [
        row("Delivery"),
        *_buffer(settings),
        row("Meters"),
        *_meters(settings),
        row("Reading"),
        curves(
            "Read time",
            "How long a fast job takes on the line, per meter: the mean of each interval.",
            [
                target(
                    f'SELECT mean("read_ms") FROM "logger" {where(RANGE, SITE, METER, _OF_METER)} '
                    'GROUP BY time($__interval), "meter" fill(null)',
                    "$tag_meter",
                )
            ],
            unit="suffix:ms", legend=("mean", "max"), defaults={"min": 0}, **common,
        ),
        curves(
            "Read errors",
            "Requests that failed, per meter and interval: no answer, a garbled one, a refusal.",
            [_rate("read_errors", "$tag_meter")],
            unit="locale", legend=("sum",), fill=20, defaults={"min": 0},
            thresholds=limits((1, "orange")), **few, **common,
        ),
        curves(
            "Answered requests",
            "Requests answered, per meter and interval: a fall means a slower or a silent meter.",
            [_rate("reads", "$tag_meter")],
            unit="locale", legend=("sum",), defaults={"min": 0}, **common,
        ),
        curves(
            "Missed jobs and refused values",
            "Jobs skipped because the line was busy, and values outside what the meter can "
            "measure, per meter and interval.",
            [
                _rate("missed", "$tag_meter missed"),
                _rate("rejected_values", "$tag_meter refused"),
            ],
            unit="locale", legend=("sum",), fill=20, defaults={"min": 0},
            thresholds=limits((1, "orange")), **few, **common,
        ),
        curves(
            "Bus load",
            "Share of its time that each line is in use.",
            [
                target(
                    f'SELECT mean("bus_load") FROM "logger" {where(RANGE, SITE, _OF_BUS)} '
                    'GROUP BY time($__interval), "bus" fill(null)',
                    "$tag_bus",
                )
            ],
            unit="percentunit", legend=("mean", "max"), limit_lines=True,
            thresholds=limits((0.8, "red")), defaults={"min": 0}, axis={"axisSoftMax": 1},
            **common,
        ),
        curves(
            "Points waiting",
            "Points in the buffer: a hill is an outage of InfluxDB or of the network, its far "
            "slope the backlog being delivered.",
            [
                target(
                    f'SELECT max("buffer_points") FROM "logger" {where(RANGE, SITE, _OF_BUFFER)} '
                    "GROUP BY time($__interval) fill(null)",
                    "waiting",
                )
            ],
            unit="locale", legend=("max",), fill=20, defaults={"min": 0}, **common,
        ),
        row("Events"),
        events_table(
            "Events of logger and meters",
            "Silence, outages, resets, changed settings and clock steps in the range shown.",
            '"kind" !~ /^voltage/ AND "kind" !~ /^frequency/',
            height=8,
        ),
    ]  # fmt: skip
    if settings.crowded:  # a list of all meters would leave no room for the chart
        for one in panels:
            if any("$tag_meter" in asked.get("alias", "") for asked in one.get("targets", ())):
                one["options"].get("legend", {})["showLegend"] = False
    return dashboard(
        HEALTH,
        "Is every meter read, and every point delivered?",
        panels,
        settings,
        names=variables(settings, meter="many"),
        start="now-6h",
        refresh="30s",
        marks=events(shown=False),
    )
