"""Panels of peaks, load duration, reactive energy and power factor. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.grafana.frame import to_meter
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import LOAD, Json, limits, override, table, target
from logger.grafana.query import EACH, METER, RANGE, SITE, TOTAL, ZONE, Part, summed, where
from logger.grafana.ranking import lengths, ranked

_QUARTERS = "of a quarter hour, netted over the phases (`energy_15m`)"
# Of the load duration: how much of the time the load is above, and the percentile that this is.
_DURATIONS = (("1 %", 99), ("5 %", 95), ("10 %", 90), ("25 %", 75), ("50 %", 50), ("75 %", 25),
              ("95 %", 5))  # fmt: skip
_HIGHEST = 10


def reactive(settings: DashboardOptions) -> Json:
    """Return the table of reactive energy and power factors."""
    least = settings.alerts.power_factor_limit
    # What an inverter draws at night says nothing of the power factor that is paid for.
    of = (SITE, TOTAL, "\"role\" != 'pv'") if settings.has("pv") else (SITE, TOTAL)
    without = ", but those of PV" if settings.has("pv") else ""
    parts = [
        Part("active_import", of, {"p": ""}),
        Part("reactive_import", of, {"q": ""}),
        Part("reactive_export", of, {"c": ""}),
    ]
    inner = summed(parts, select='sum("p") AS "p", sum("q") AS "q", sum("c") AS "c"', by=EACH)
    query = (
        'SELECT "q" AS "inductive", "c" AS "capacitive", '
        '"p" / sqrt("p" * "p" + "q" * "q") AS "factor" '
        f'FROM ({inner}) WHERE "p" > 0 GROUP BY {EACH} {ZONE}'
    )
    return table(
        "Reactive energy and power factor",
        f"Reactive energy of each meter{without} in the range shown, forward and reverse; power "
        f"factor = active / root of (active squared + forward reactive squared). Red below "
        f"{least:g} ([alerts] power_factor in the configuration).",
        [target(query, table=True)],
        unit="suffix:kvarh", decimals=1, width=12,
        height=12 if settings.has("load") else settings.rows(5, 12),  # beside loads as high as they
        sort="Power factor", falling=False, hidden=("Time", "time"), empty="nothing drawn",
        columns={
            "meter": "Meter", "factor": "Power factor", "inductive": "Reactive, forward",
            "capacitive": "Reactive, reverse",
        },
        overrides=[
            to_meter(),
            override(
                "Power factor", unit="none", decimals=2, custom__displayMode="color-text",
                color={"mode": "thresholds"}, thresholds=limits((least, "green"), base="red"),
            ),
        ],
    )  # fmt: skip


def demands() -> list[Json]:
    """Return the highest quarter hours and the load duration of the meter chosen."""
    inside = where(RANGE, SITE, METER)
    peaks = f'SELECT top("demand", {_HIGHEST}) AS "kW" FROM "energy_15m" {inside} {ZONE}'
    duration = [
        target(f'SELECT percentile("demand", {rank}) AS "kW" FROM "energy_15m" {inside}', name)
        for name, rank in _DURATIONS
    ]
    return [
        table(
            "Highest quarter hours",
            f"The {_HIGHEST} highest means {_QUARTERS} of the meter chosen in the range shown, "
            "with the moment at which each began.",
            [target(peaks, table=True)],
            unit="suffix:kW", decimals=2, width=12, height=12, sort="Demand",
            columns={"kW": "Demand", "Time": "Began", "time": "Began"},
            overrides=[
                override("Began", unit="dateTimeAsLocal", custom__width=190),
                ranked("Demand", LOAD, custom__minWidth=110),
            ],
            empty="no quarter hour in this range",
        ),
        lengths(
            "Load duration",
            f"How high the mean {_QUARTERS} of the meter chosen was for at least 1 %, 5 % ... of "
            "the range shown: a steep fall means short peaks, the last bars the base load.",
            duration,
            unit="suffix:kW", decimals=2, width=12, height=12, thresholds=limits(base=LOAD),
            defaults={"color": {"mode": "thresholds"}, "min": 0},
            empty="no quarter hour in this range",
        ),
    ]  # fmt: skip
