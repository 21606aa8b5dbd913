"""The dashboard "Energy and tariffs": counters of one meter by tariff. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.grafana.frame import TARIFFS as UID
from logger.grafana.frame import dashboard, variables
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    SELL,
    TARIFF_COLOURS,
    Json,
    bars,
    by_pattern,
    coloured,
    lengths,
    limits,
    row,
    stat,
    table,
    target,
)  # fmt: skip
from logger.grafana.pattern import MONTHS, heatmap, month
from logger.grafana.query import (
    METER,
    RANGE,
    SITE,
    SUM,
    TOTAL,
    counted,
    priced,
    risen,
    steps,
    where,
)  # fmt: skip

_EACH = '"phase" = \'total\' AND "tariff" =~ /^T[1-4]$/'
# The range of the same length just before the one shown.
_BEFORE = "time >= ${__from}ms - ${__to}ms + ${__from}ms AND time < ${__from}ms"
_MISSED = "Energy counted during an outage stands in the first bar after it."


def _colours() -> list[Json]:
    return [by_pattern(f"{name}$", colour) for name, colour in TARIFF_COLOURS.items()]


def _by_tariff(field: str, step: str) -> Json:
    return target(steps(field, step, SITE, METER, _EACH, by='"tariff"'), "$tag_tariff")


def _period(field: str, span: str, alias: str) -> Json:
    return target(counted(field, SITE, METER, TOTAL, span=span), alias)


def _change(field: str) -> str:
    """Return the energy of the range less that of the range before, as its share."""
    parts = [
        f'SELECT sum("d") AS "{name}" FROM ({risen(field, span, SITE, METER, TOTAL)})'
        for name, span in (("a", RANGE), ("b", _BEFORE))
    ]
    return (
        'SELECT "x" / "y" - 1 FROM (SELECT sum("a") AS "x", sum("b") AS "y" FROM '
        f'({parts[0]}), ({parts[1]})) WHERE "y" > 0'
    )


def _counters() -> Json:
    query = (
        'SELECT last("active_import") AS "import", last("active_export") AS "export", '
        'last("reactive_import") AS "rimport", last("reactive_export") AS "rexport" '
        f'FROM "energy" {where(RANGE, SITE, METER)} AND "phase" = \'total\' '
        'GROUP BY "tariff"'
    )
    return table(
        "Counters",
        "The newest reading of each counter, as on the meter's display, in kWh and kvarh. "
        "`total` is the sum over the tariffs.",
        [target(query, table=True)],
        columns={
            "tariff": "Tariff", "import": "Import kWh", "export": "Export kWh",
            "rimport": "Reactive import kvarh", "rexport": "Reactive export kvarh",
        },
        hidden=("Time", "time"), decimals=2, height=7, width=14,
    )  # fmt: skip


def _money(settings: DashboardOptions) -> list[Json]:
    cost = [
        target(priced(SITE, METER, signs="buy"), "Import"),
        target(priced(SITE, METER, signs="sell"), "Feed-in"),
        target(priced(SITE, METER), "Net"),
    ]
    daily = []
    for number in (1, 2, 3, 4):
        tariff = f"\"phase\" = 'total' AND \"tariff\" = 'T{number}'"
        price = f"${{price_t{number}:raw}}"
        query = steps("active_import", "1d", SITE, METER, tariff, factor=price)
        daily.append(target(query, f"T{number}"))
    query = steps("active_export", "1d", SITE, METER, TOTAL, factor="-1 * ${price_feed_in:raw}")
    daily.append(target(query, "Feed-in"))
    return [
        stat(
            "Cost in this range",
            "Import = energy of each tariff x its price; feed-in = exported energy x feed-in "
            "price; net = import - feed-in. Prices are the fields above, without standing charges.",
            cost,
            unit=settings.money, decimals=2, names=True, rows=True, width=6, height=8, **SUM,
            thresholds=limits(base="text"), empty="nothing counted",
            overrides=[coloured("Import", BUY), coloured("Feed-in", SELL)],
        ),
        bars(
            "Cost by day",
            f"Cost of each day by tariff; feed-in below the line. {_MISSED}",
            daily,
            unit=settings.money, decimals=2, width=18, height=8, interval="1d",
            overrides=[*_colours(), coloured("Feed-in", SELL)],
        ),
    ]  # fmt: skip


def tariffs(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    panels = [
        row("The range shown and the one before"),
        stat(
            "Import",
            "Energy drawn in the range shown, and in the range of the same length before it.",
            [
                _period("active_import", RANGE, "this range"),
                _period("active_import", _BEFORE, "the one before"),
            ],
            unit="kwatth", decimals=1, names=True, rows=True, width=6, height=5, **SUM,
            thresholds=limits(base=BUY), empty="nothing counted",
        ),
        stat(
            "Import, change",
            "Import of this range / import of the range before - 1; blank without an earlier one.",
            [target(_change("active_import"), "change")],
            unit="percentunit", decimals=1, width=6, height=5, **SUM, empty="no earlier range",
            thresholds=limits((0, "orange"), base="green"),
        ),
        stat(
            "Export",
            "Energy fed in during the range shown, and during the one before it.",
            [
                _period("active_export", RANGE, "this range"),
                _period("active_export", _BEFORE, "the one before"),
            ],
            unit="kwatth", decimals=1, names=True, rows=True, width=6, height=5, **SUM,
            thresholds=limits(base=SELL), empty="nothing counted",
        ),
        stat(
            "Export, change",
            "Export of this range / export of the range before - 1; blank without an earlier one.",
            [target(_change("active_export"), "change")],
            unit="percentunit", decimals=1, width=6, height=5, **SUM, empty="no earlier range",
            thresholds=limits((0, "green"), base="orange"),
        ),
        row("By tariff"),
        bars(
            "Import by day",
            f"Energy drawn each day, by the tariff the meter counted it in. {_MISSED}",
            [_by_tariff("active_import", "1d")],
            unit="kwatth", decimals=1, width=12, interval="1d", overrides=_colours(),
        ),
        bars(
            "Export by day",
            f"Energy fed in each day, by tariff. {_MISSED}",
            [_by_tariff("active_export", "1d")],
            unit="kwatth", decimals=1, width=12, interval="1d", overrides=_colours(),
        ),
        bars(
            "Import by hour",
            f"Energy drawn each hour, by tariff. {_MISSED}",
            [_by_tariff("active_import", "1h")],
            unit="kwatth", decimals=2, width=12, interval="1h", overrides=_colours(),
        ),
        bars(
            "Export by hour",
            f"Energy fed in each hour, by tariff. {_MISSED}",
            [_by_tariff("active_export", "1h")],
            unit="kwatth", decimals=2, width=12, interval="1h", overrides=_colours(),
        ),
        row("Patterns and months"),
        heatmap(),
        lengths(
            "Import by month",
            "Energy drawn in each month of the year that the range ends in, in local time.",
            [target(month("active_import", i), name) for i, name in enumerate(MONTHS, 1)],
            unit="kwatth", decimals=1, width=12, height=11, thresholds=limits(base=BUY),
            empty="", defaults={"color": {"mode": "thresholds"}, "min": 0},
        ),
        lengths(
            "Export by month",
            "Energy fed in during each month of the year that the range ends in, in local time.",
            [target(month("active_export", i), name) for i, name in enumerate(MONTHS, 1)],
            unit="kwatth", decimals=1, width=12, height=11, thresholds=limits(base=SELL),
            empty="", defaults={"color": {"mode": "thresholds"}, "min": 0},
        ),
        *([row("Money"), *_money(settings)] if settings.buy is not None else []),
        row("The meter's own counters"),
        _counters(),
        stat(
            "Day counter",
            "The counter that can be set to zero at the meter; nothing here depends on it.",
            [
                target(
                    f'SELECT last("day_counter") FROM "energy" {where(RANGE, SITE, METER, TOTAL)}',
                    "Day counter",
                )
            ],
            unit="suffix: kWh", decimals=2, width=5, height=7, thresholds=limits(base="text"),
        ),
        stat(
            "Display total",
            "The total of the display (register `active`): what it means is set by the meter's "
            "combination code. Bills rest on import and export.",
            [
                target(
                    f'SELECT last("active") FROM "energy" {where(RANGE, SITE, METER, TOTAL)}',
                    "Total",
                )
            ],
            unit="suffix: kWh", decimals=2, width=5, height=7, thresholds=limits(base="text"),
        ),
    ]  # fmt: skip
    return dashboard(
        UID,
        "Import and export by tariff, hour, day and month; comparison and cost.",
        panels,
        settings,
        names=variables(settings, meter="one", prices="shown"),
        start="now-14d/d",
        refresh="5m",
    )
