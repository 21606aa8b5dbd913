"""The dashboard "Meters and loads": all meters beside each other, then one of them. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.grafana import balance, costs, money
from logger.grafana.frame import METERS, dashboard, to_meter, variables
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    GREY,
    LIVE,
    LOAD,
    PLAIN,
    Json,
    bars,
    by_pattern,
    limits,
    override,
    row,
    shares,
    stat,
    table,
    target,
)  # fmt: skip
from logger.grafana.pattern import MONTHS
from logger.grafana.peaks import demands, reactive
from logger.grafana.placing import spread
from logger.grafana.query import (
    DAY,
    EACH,
    MONTH,
    SHOWN,
    SITE,
    TOTAL,
    Part,
    Period,
    added,
    month,
    role,
    steps,
    summed,
    where,
)  # fmt: skip
from logger.grafana.ranking import ranked

_TOTAL = "\"phase\" = 'total'"
_REST, _TOGETHER = "without a meter", "load meters"
_LOADS = (SITE, role("load"), TOTAL)
_HEAVIEST = 10


def _overview(settings: DashboardOptions) -> Json:
    """Return the table of all meters: one query, so that a row is one meter."""
    parts: list[tuple[Part, Period]] = [
        (Part("active_import", (SITE, TOTAL), {"t": ""}), DAY),
        (Part("active_import", (SITE, TOTAL), {"m": ""}), MONTH),
        (Part("active_export", (SITE, TOTAL), {"e": ""}), MONTH),
    ]
    sums = {
        "t": ("today", "Drawn on the day", "suffix:kWh", 1),
        "m": ("month", "Drawn in the month", "suffix:kWh", 1),
        "e": ("fed", "Fed back in the month", "suffix:kWh", 1),
    }
    priced = ""
    if settings.priced and not settings.moving:
        priced = " Cost = energy of each tariff x its price at the time."
        parts += money.parts_of_cost(settings, "c", SITE, period=MONTH)
        sums["c"] = ("cost", "Cost in the month", settings.money, 2)
    select = ", ".join(f'sum("{short}") AS "{name}"' for short, (name, *_) in sums.items())
    columns = {name: heading for name, heading, *_ in sums.values()}
    return table(
        "All meters",
        "Day and month in which the range shown ends, until the end of that day, from the "
        "counters. The heaviest of the month stands first; a click on a heading sorts, a click on "
        f"a name leads to that meter.{priced}",
        [target(added(parts, MONTH, select=select, by=EACH), table=True)],
        unit="suffix:kWh", decimals=1, height=11, columns={"meter": "Meter", **columns},
        hidden=("Time", "time"), sort="Drawn in the month", empty="nothing counted yet",
        overrides=[
            to_meter(),
            ranked("Drawn in the month", BUY),
            *(override(heading, unit=unit, decimals=digits)
              for _, heading, unit, digits in sums.values()),
        ],
    )  # fmt: skip


def _live() -> list[Json]:
    seen = (
        f'SELECT last("active_power") AS "W" FROM "power" '
        f'{where("time > now() - 2d", SITE, _TOTAL)} GROUP BY "meter", "role"'
    )
    return [
        table(
            "Power now",
            "The newest reading of each meter within two days and how long ago it was; negative "
            "is fed back. The one that was silent for longest stands first.",
            [target(seen, source=LIVE, table=True)],
            unit="string", width=12, height=10, sort="Last seen", falling=False,
            custom={"minWidth": 80},
            columns={
                "meter": "Meter", "W": "Power", "Time": "Last seen", "time": "Last seen",
                "role": "Role",
            },
            empty="no reading for two days: see the dashboard Logger and meters",
            overrides=[
                to_meter(),
                override("Power", unit="suffix:W", decimals=0),
                override("Last seen", unit="dateTimeFromNow"),
            ],
        )
    ]  # fmt: skip


def _top() -> Json:
    query = summed([Part("active_import", _LOADS)], by=EACH)
    return table(
        "Top loads",
        f"Energy of the {_HEAVIEST} heaviest load meters in the range shown.",
        [target(query, table=True)],
        unit="suffix:kWh", decimals=1, width=12, height=10, sort="Energy",
        columns={"meter": "Meter", "kWh": "Energy"}, hidden=("Time", "time"),
        before=[
            {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": "kWh", "desc": True}]}},
            {"id": "limit", "options": {"limitField": _HEAVIEST}},
        ],
        overrides=[to_meter(), ranked("Energy", LOAD)], empty="no load meter counted anything",
    )  # fmt: skip


def _loads(settings: DashboardOptions) -> list[Json]:
    if not settings.has("load"):
        return []
    whole = settings.has("grid")
    if settings.crowded:  # nobody can tell so many colours apart, and Top loads names them
        whose = "all load meters together"
        parts = [target(balance.counter(balance.LOADS), _TOGETHER)]
        daily = [target(balance.counter(balance.LOADS, step="1d"), _TOGETHER)]
    else:
        whose = "each load meter"
        parts = [target(summed([Part("active_import", _LOADS)], by=EACH), "$tag_meter")]
        daily = [target(steps("active_import", "1d", *_LOADS, by=EACH), "$tag_meter")]
    grey = [by_pattern(f"^{_REST}$", GREY), by_pattern(f"^{_TOGETHER}$", LOAD)]
    if whole:
        parts.append(target(balance.unmetered(), _REST))
        daily.append(target(balance.unmetered(step="1d"), _REST))
    ring = shares(
        "Shares of the loads",
        f"Energy of {whose} in the range shown"
        + (", and what the site consumed besides: a rest without a meter." if whole else "."),
        parts,
        unit="suffix:kWh", decimals=1, width=12, height=10, overrides=grey,
        empty="nothing counted",
    )  # fmt: skip
    days = bars(
        "Loads by day",
        f"Energy of {whose} by day"
        + (", and the rest that has none." if whole else "."),
        daily,
        unit="suffix:kWh", decimals=1, width=12, height=10, interval="1d", legend=(),
        overrides=grey,
    )  # fmt: skip
    found = [ring, days]
    if whole:
        found += _unmetered()
    return found


def _unmetered() -> list[Json]:
    return [
        stat(
            f"Rest without a meter, {text}",
            "Consumed = imported - exported + produced + discharged - charged, less what all load "
            "meters counted. Below zero: a load meter is counted twice, or belongs elsewhere.",
            [target(balance.unmetered(period), "Rest")],
            unit="suffix:kWh",
            decimals=1,
            width=8,
            height=4,
            empty="nothing counted",
            thresholds=limits((0, PLAIN), base="red"),
        )
        for text, period in (("range shown", SHOWN), ("day", DAY), ("month", MONTH))
    ]


def _months() -> Json:
    parts = [
        (Part("active_import", (SITE, TOTAL), {f"m{number}": ""}), month(number))
        for number in range(1, 13)
    ]
    select = ", ".join(
        f'sum("m{number}") AS "{name}"' for number, name in enumerate(MONTHS, start=1)
    )
    return table(
        "Drawn by month",
        "Energy that each meter drew in each month of the year in which the range shown ends.",
        [target(added(parts, SHOWN, select=select, by=EACH), table=True)],
        unit="suffix:kWh", decimals=0, height=11, empty="nothing counted yet",
        columns={"meter": "Meter", **{name: name for name in MONTHS}}, hidden=("Time", "time"),
        custom={"minWidth": 60}, overrides=[to_meter(), override("Meter", custom__width=130)],
    )  # fmt: skip


def meters(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    loads = _loads(settings)
    second = [
        *(_live() if settings.measures("active_power") else []),
        *([_top()] if settings.has("load") else []),
    ]
    second += [reactive(settings)] if settings.measures("reactive_import") else []
    return dashboard(
        METERS,
        "All meters in one table, what has no meter, peaks, load duration and power factor.",
        [
            row("All meters"),
            _overview(settings),
            *spread([*second, *loads[:2]], 2),
            *loads[2:],
            *([costs.by_meter(settings)] if settings.moving else []),
            row("By month"),
            _months(),
            row("Peaks of one meter: choose it above"),
            *demands(),
        ],
        settings,
        names=variables(settings, meter="one"),
        start="now-7d/d",
        refresh="5m",
    )
