"""Cost and revenue where prices are imported ones: sums over `cost_15m`, in InfluxQL. Pure.

The logger writes what each quarter hour of a meter cost by the price that held (`derive.costs`),
so that all that is left is to add up. InfluxQL joins no measurements: no query has energy of
the counters and costs at once.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Sequence

from logger.grafana.frame import to_meter
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    SELL,
    Json,
    coloured,
    curves,
    limits,
    stat,
    table,
    target,
)  # fmt: skip
from logger.grafana.query import (
    EACH,
    GRID,
    METER,
    MONTH,
    RANGE,
    SHOWN,
    SITE,
    YEAR,
    ZONE,
    Period,
    drawable,
    role,
    where,
)  # fmt: skip

# A column of a sum: its name, the field, and over which period.
Column = tuple[str, str, Period]
PRICES = (
    "At the price of each quarter hour ([prices] in the configuration and the imported ones), "
    "until the last full one, without standing charges; what has no price yet is in no sum."
)


def added(
    select: str, *conditions: str, period: Period = SHOWN, step: str = "", by: str = ""
) -> str:
    """Return sums of fields of `cost_15m`: one for the period, or one for each `step` and
    each value of the tag `by`."""
    groups = [*([f"time({step})"] if step else []), *([by] if by else [])]
    grouped = f" GROUP BY {', '.join(groups)}" + (" fill(none)" if step else "") if groups else ""
    within = where(*_within(period), *conditions, *drawable(period, step))
    return f'SELECT {select} FROM "cost_15m" {within}{grouped} {ZONE}'


def saved(period: Period) -> str:
    """Return what the self-consumed energy would have cost in the quarter hours in which it
    was produced: PV less export, each at the price of an import."""
    parts = (
        f'(SELECT {sign}"worth" AS "w" FROM "cost_15m" {where(*_within(period), SITE, of)} {ZONE})'
        for sign, of in (("", role("pv")), ("-1 * ", GRID))
    )
    return f'SELECT sum("w") AS "money" FROM {", ".join(parts)} {ZONE}'


def sums(columns: Sequence[Column], conditions: Sequence[str], before: str = "") -> str:
    """Return one row of sums, each over its own period, with `before` as first columns."""
    parts = (
        f'(SELECT "{field}" AS "{name}" FROM "cost_15m" '
        f"{where(*_within(period), *conditions)} {ZONE})"
        for name, field, period in columns
    )
    every = ", ".join(f'sum("{name}") AS "{name}"' for name, _, _ in columns)
    return f"SELECT {before}{every} FROM {', '.join(parts)}"


def _within(period: Period) -> list[str]:
    return [f"time >= {period.start}", *(f"time < {end}" for end in period.ends)]


def by_meter(settings: DashboardOptions) -> Json:
    """Return the table of what the energy of each meter cost."""
    columns = [("cost", "cost", MONTH), ("costs", "cost", YEAR)]
    asked = f"{sums(columns, [SITE])} GROUP BY {EACH} {ZONE}"
    return table(
        "Cost of the meters",
        "What the energy that each meter drew cost, in the month and in the year in which the "
        f"range shown ends, until the end of that day. {PRICES}",
        [target(asked, table=True)],
        unit=settings.money, decimals=2, height=8, hidden=("Time", "time"),
        columns={"meter": "Meter", "cost": "Cost in the month", "costs": "Cost in the year"},
        sort="Cost in the month", empty="no quarter hour with a price yet",
        overrides=[to_meter()],
    )  # fmt: skip


def with_price() -> Json:
    """Return the panel that tells how much of the energy has a price."""
    shown = where(*_within(SHOWN), SITE, METER)
    return stat(
        "Energy with a price",
        "Energy drawn in the range shown, by the quarter hour, and how much of it has a price: "
        "only that is in the cost. Where it is less, prices are missing (prices show), or have "
        "not met what was logged before them (prices recompute).",
        [
            target(f'SELECT sum("import") AS "kWh" FROM "energy_15m" {shown} {ZONE}', "drawn"),
            target(added('sum("priced_import") AS "kWh"', SITE, METER), "with a price"),
        ],
        unit="suffix:kWh", decimals=1, names=True, rows=True, width=6, height=8,
        thresholds=limits(base="text"), empty="no quarter hour yet",
    )  # fmt: skip


def market() -> Json:
    """Return the panel of imported prices."""
    asked = (
        f'SELECT mean("spot") FROM "price" {where(RANGE, SITE)} '
        'GROUP BY time($__interval), "kind" fill(none)'
    )
    return curves(
        "Imported prices",
        "Prices of a kWh as imported, before factor, markup, levies and VAT.",
        [target(asked, "$tag_kind")],
        decimals=4, interval="15m", width=18, height=8, empty="no imported price in this range",
        axis={"axisSoftMin": 0, "axisSoftMax": 0.1},
        overrides=[coloured("buy", BUY), coloured("sell", SELL)],
    )  # fmt: skip
