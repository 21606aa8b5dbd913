"""The dashboard "Energy and tariffs": counters of one meter by tariff. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.grafana import costs, money
from logger.grafana.frame import TARIFFS as UID
from logger.grafana.frame import column_width, dashboard, variables
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    DAILY,
    HOURLY,
    NO_DAY,
    SELL,
    TARIFF_COLOURS,
    WIDTH,
    Json,
    bars,
    by_pattern,
    coloured,
    limits,
    row,
    stat,
    table,
    target,
)  # fmt: skip
from logger.grafana.pattern import MONTHS, heatmap
from logger.grafana.placing import spread
from logger.grafana.query import (
    BEFORE,
    METER,
    RANGE,
    SHOWN,
    SITE,
    TOTAL,
    ZONE,
    Part,
    Period,
    added,
    already,
    counted,
    month,
    steps,
    where,
)  # fmt: skip
from logger.grafana.ranking import monthly

_EACH = '"phase" = \'total\' AND "tariff" =~ /^T[1-4]$/'
_MISSED = "Energy counted during an outage stands in the first bar after it."


def _colours(whole: str) -> list[Json]:
    """Return the colours of the tariffs, and that of the total of a meter without any."""
    tariffs = [by_pattern(f"{name}$", colour) for name, colour in TARIFF_COLOURS.items()]
    return [*tariffs, coloured("total", whole)]


def _by_tariff(field: str, step: str, settings: DashboardOptions) -> Json:
    if not settings.by_tariff:
        return target(steps(field, step, SITE, METER, TOTAL), "total")
    return target(steps(field, step, SITE, METER, _EACH, by='"tariff"'), "$tag_tariff")


def _period(field: str, period: Period, alias: str) -> Json:
    return target(counted(field, SITE, METER, TOTAL, period=period), alias)


def _change(field: str) -> str:
    """Return the energy of the range less that of the range before, as its share; none where the
    meter was not read yet when that one began."""
    parts = [
        (Part(field, (SITE, METER, TOTAL), {name: ""}), period)
        for name, period in (("a", SHOWN), ("b", BEFORE))
    ]
    both = added(
        parts, SHOWN, select='sum("a") AS "x", sum("b") AS "y", sum("v") AS "z"',
        more=[already(field, BEFORE, SITE, METER, TOTAL)],
    )  # fmt: skip
    return f'SELECT "x" / "y" - 1 AS "change" FROM ({both}) WHERE "y" > 0 AND "z" >= 0 {ZONE}'


def _months(title: str, field: str, colour: str, text: str) -> Json:
    return monthly(
        title,
        f"{text} of the year that the range ends in, in local time.",
        [
            target(counted(field, SITE, METER, TOTAL, period=month(i)), name)
            for i, name in enumerate(MONTHS, 1)
        ],
        colour,
    )


def _counters(settings: DashboardOptions) -> list[Json]:
    columns = {
        "active_import": "Import kWh", "active_export": "Export kWh",
        "reactive_import": "Import kvarh", "reactive_export": "Export kvarh",
        "apparent_import": "Import kVAh", "apparent_export": "Export kVAh",
    }  # fmt: skip
    shown = {name: text for name, text in columns.items() if settings.measures(name)}
    chosen = ", ".join(f'last("{name}") AS "{name}"' for name in shown)
    query = (
        f'SELECT {chosen} FROM "energy" {where(RANGE, SITE, METER)} AND "phase" = \'total\' '
        'GROUP BY "tariff"'
    )
    found = [
        table(
            "Counters",
            "The newest reading of each counter, as on the display. `total` is the sum of tariffs.",
            [target(query, table=True)],
            columns={"tariff": "Tariff", **shown}, hidden=("Time", "time"), decimals=2, height=7,
            custom={"minWidth": 100}, overrides=[column_width("Tariff", 70)],
        )
    ]  # fmt: skip
    single = {
        "day_counter": (
            "Day counter",
            "The counter that can be set to zero at the meter; nothing here depends on it.",
        ),
        "active": (
            "Display total",
            (
                "The total of the display (register `active`): what it means is set by the meter's "
                "combination code. Bills rest on import and export."
            ),
        ),
    }
    for name, (title, text) in single.items():
        if settings.measures(name):
            asked = f'SELECT last("{name}") FROM "energy" {where(RANGE, SITE, METER, TOTAL)}'
            found.append(
                stat(
                    title, text, [target(asked, title)], unit="suffix:kWh", decimals=2,
                    width=5, height=7, thresholds=limits(base="text"),
                    empty="not counted in this range",
                )
            )  # fmt: skip
    found[0]["gridPos"]["w"] = WIDTH - 5 * (len(found) - 1)
    return found


def _further(settings: DashboardOptions) -> list[Json]:
    """Return reactive and apparent energy of the range shown, where the meters count it."""
    made = {
        "Reactive energy": ("reactive_import", "reactive_export", "suffix:kvarh"),
        "Apparent energy": ("apparent_import", "apparent_export", "suffix:kVAh"),
    }
    found = [
        stat(
            title,
            f"{title} in the range shown, while drawing and while feeding back.",
            [
                target(counted(drawn, SITE, METER, TOTAL), "Import"),
                target(counted(fed, SITE, METER, TOTAL), "Export"),
            ],
            unit=unit, decimals=1, names=True, rows=True, height=4, empty="nothing counted",
            thresholds=limits(base="text"),
        )
        for title, (drawn, fed, unit) in made.items()
        if settings.measures(drawn, fed)
    ]  # fmt: skip
    return spread(found, 2)


def _money(settings: DashboardOptions) -> list[Json]:
    cost = [
        target(money.cost(settings, SITE, METER), "Import"),
        target(money.revenue(settings, SITE, METER), "Feed-in"),
        target(money.net(settings, SITE, METER), "Net"),
    ]
    daily = [
        target(money.cost(settings, SITE, METER, step="1d"), "Import"),
        target(money.revenue(settings, SITE, METER, step="1d", sign=-1), "Feed-in"),
    ]
    prices = (
        costs.PRICES
        if settings.moving
        else (
            "All at the prices that held at the time ([prices] in the configuration), without "
            "standing charges."
        )
    )
    return [
        stat(
            "Cost in this range",
            "Import = energy of each tariff x its price; feed-in = exported energy x its price; "
            f"net = import - feed-in. {prices}",
            cost,
            unit=settings.money, decimals=2, names=True, rows=True, width=6, height=8,
            thresholds=limits(base="text"), empty="nothing counted since the first price",
            overrides=[coloured("Import", BUY), coloured("Feed-in", SELL)],
        ),
        bars(
            "Cost by day",
            f"Cost of each day; feed-in below the line. {prices}"
            + ("" if settings.moving else f" {_MISSED}"),
            daily,
            unit=settings.money, decimals=2, width=18, height=8, interval="1d", empty=NO_DAY,
            axis={"axisSoftMax": 1}, overrides=[coloured("Import", BUY), coloured("Feed-in", SELL)],
        ),
    ]  # fmt: skip


def tariffs(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    whose = ", by the tariff the meter counted it in" if settings.by_tariff else ""
    panels = [
        row("The range shown and the one before"),
        stat(
            "Import",
            "Energy drawn in the range shown, and in the range of the same length before it.",
            [
                _period("active_import", SHOWN, "this range"),
                _period("active_import", BEFORE, "the one before"),
            ],
            unit="suffix:kWh", decimals=1, names=True, rows=True, width=6, height=5,
            thresholds=limits(base=BUY), empty="nothing counted",
        ),
        stat(
            "Import, change",
            "Import of this range / import of the range before - 1; blank unless that was read "
            "from its beginning on.",
            [target(_change("active_import"), "change")],
            unit="percentunit", decimals=1, width=6, height=5, empty="no whole range before",
            thresholds=limits((0, "orange"), base="green"),
        ),
        stat(
            "Export",
            "Energy fed in during the range shown, and during the one before it.",
            [
                _period("active_export", SHOWN, "this range"),
                _period("active_export", BEFORE, "the one before"),
            ],
            unit="suffix:kWh", decimals=1, names=True, rows=True, width=6, height=5,
            thresholds=limits(base=SELL), empty="nothing counted",
        ),
        stat(
            "Export, change",
            "Export of this range / export of the range before - 1; blank unless that was read "
            "from its beginning on.",
            [target(_change("active_export"), "change")],
            unit="percentunit", decimals=1, width=6, height=5, empty="no whole range before",
            thresholds=limits((0, "green"), base="orange"),
        ),
        *_further(settings),
        row("By tariff" if settings.by_tariff else "By day and hour"),
        bars(
            "Import by day",
            f"Energy drawn each day{whose}. {_MISSED}",
            [_by_tariff("active_import", "1d", settings)],
            unit="suffix:kWh", **DAILY, width=12, interval="1d", empty=NO_DAY,
            overrides=_colours(BUY),
        ),
        bars(
            "Export by day",
            f"Energy fed in each day{whose}. {_MISSED}",
            [_by_tariff("active_export", "1d", settings)],
            unit="suffix:kWh", **DAILY, width=12, interval="1d", empty=NO_DAY,
            overrides=_colours(SELL),
        ),
        bars(
            "Import by hour",
            f"Energy drawn each hour{whose}. {_MISSED}",
            [_by_tariff("active_import", "1h", settings)],
            unit="suffix:kWh", **HOURLY, width=12, interval="1h", overrides=_colours(BUY),
        ),
        bars(
            "Export by hour",
            f"Energy fed in each hour{whose}. {_MISSED}",
            [_by_tariff("active_export", "1h", settings)],
            unit="suffix:kWh", **HOURLY, width=12, interval="1h", overrides=_colours(SELL),
        ),
        row("Patterns and months"),
        heatmap(settings.zone),
        _months(
            "Import by month", "active_import", BUY, "Energy drawn in each month"
        ),
        _months(
            "Export by month", "active_export", SELL, "Energy fed in during each month"
        ),
        *([row("Money"), *_money(settings)] if settings.priced else []),
        *([costs.with_price(), costs.market()] if settings.moving else []),
        row("The meter's own counters"),
        *_counters(settings),
    ]  # fmt: skip
    return dashboard(
        UID,
        "Import and export by tariff, hour, day and month; comparison and cost.",
        panels,
        settings,
        names=variables(settings, meter="one"),
        start="now-14d/d",
        refresh="5m",
    )
