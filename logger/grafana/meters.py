"""The dashboard "Meters and loads": all meters beside each other, then one of them. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Sequence

from logger.grafana import balance, costs, money
from logger.grafana.frame import METERS, dashboard, to_meter, variables
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    GREY,
    LIVE,
    LOAD,
    NO_DAY,
    PLAIN,
    Json,
    bars,
    by_pattern,
    limits,
    override,
    row,
    stat,
    table,
    target,
)  # fmt: skip
from logger.grafana.pattern import MONTHS
from logger.grafana.peaks import demands, reactive
from logger.grafana.placing import spread
from logger.grafana.query import (
    ALL_PHASES,
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
from logger.grafana.ranking import ranked, shares

_REST, _TOGETHER = "without a meter", "load meters"
_LOADS = (SITE, role("load"), TOTAL)
_HEAVIEST = 10
_SHARE, _WHOLE = "Share", "kWh"
_POWER_NOW = (
    f'SELECT last("active_power") AS "W" FROM "power" '
    f'{where("time > now() - 2d", SITE, ALL_PHASES)} GROUP BY "meter", "role"'
)
# What two meters may count apart because one is read up to half a minute later: 6 kW for 30 s.
_SLACK = 0.05
# A meter without a reading has the time of its sums, which is that of the epoch.
_LONG_AGO = {
    "type": "range",
    "options": {"from": 0, "to": 86_400_000, "result": {"text": "not for 2 days"}},
}


def _overview(settings: DashboardOptions) -> Json:
    """Return the table of all meters, a row for each: sums from the counters, the newest reading,
    and the share of what was consumed.

    Grafana puts three answers together. `merge` joins on the columns that all of them have, which
    is the time: the sums and the whole have the same one, so the whole stands in each row. The
    newest readings have their own, and meet the sums where rows are grouped by meter.
    """
    parts: list[tuple[Part, Period]] = [
        (Part("active_import", (SITE, TOTAL), {"t": ""}), DAY),
        (Part("active_import", (SITE, TOTAL), {"m": ""}), MONTH),
        (Part("active_export", (SITE, TOTAL), {"e": ""}), MONTH),
    ]
    sums = {
        "m": ("month", "Month", "suffix:kWh", 1),
        "t": ("today", "Day", "suffix:kWh", 1),
        "e": ("fed", "Fed back", "suffix:kWh", 1),
    }
    priced = ""
    if settings.priced and not settings.moving:
        priced = " Cost = energy of each tariff x its price at the time."
        parts += money.parts_of_cost(settings, "c", SITE, period=MONTH)
        sums["c"] = ("cost", "Cost", settings.money, 2)
    select = ", ".join(f'sum("{short}") AS "{name}"' for short, (name, *_) in sums.items())
    headings = {name: heading for name, heading, *_ in sums.values()}
    asked = [target(added(parts, MONTH, select=select, by=EACH), table=True)]
    shared: list[Json] = []
    grouped, live, compared = list(headings), "", ""
    columns = {"meter": "Meter"}
    if settings.measures("active_power"):
        live = " Power: the newest reading within two days; negative is fed back."
        columns |= {_newest("W"): "Power"}
        grouped += ["W", "role", "Time", "time"]
    columns |= {_newest(name): heading for name, heading in headings.items() if name != "fed"}
    if whole := _whole(settings):
        compared = f" {_SHARE} = Month / {whole[1]} in it."
        asked.append(target(whole[0], table=True))
        grouped.append(_WHOLE)
        shared.append(_ratio(_newest("month"), _newest(_WHOLE)))
        columns["share"] = _SHARE
    columns[_newest("fed")] = headings["fed"]
    if live:
        asked.append(target(_POWER_NOW, source=LIVE, table=True))
        columns |= {_newest(one): "Last seen" for one in ("Time", "time")}
        columns[_newest("role")] = "Role"
    hidden = [_newest(_WHOLE)] if live else [_newest(_WHOLE), "Time", "time"]
    return table(
        "All meters",
        "Energy drawn on the day and in the month in which the range shown ends, until the end of "
        "that day, from the counters; cost, share and what was fed back are of the month. The "
        "heaviest stands first; a click on a heading sorts, a click on a name leads to that "
        f"meter.{live}{compared}{priced}",
        asked,
        unit="suffix:kWh", decimals=1, height=settings.rows(5, 12), columns=columns, hidden=hidden,
        sort=headings["month"], empty="nothing counted yet", custom={"minWidth": 95},
        before=[{"id": "merge", "options": {}}, _by_meter(grouped), *shared],
        overrides=[
            to_meter(),
            override("Meter", custom__minWidth=95),
            override("Power", unit="suffix:W", decimals=0, custom__minWidth=75),
            override("Last seen", unit="dateTimeFromNow", mappings=[_LONG_AGO]),
            override(_SHARE, unit="percentunit", decimals=1),
            override(headings["month"], custom__minWidth=95),
            *(override(heading, unit=unit, decimals=digits)
              for _, heading, unit, digits in sums.values()),
        ],
    )  # fmt: skip


def _whole(settings: DashboardOptions) -> tuple[str, str] | None:
    """Return the query of what a share is of, and its name; none where nothing is consumed."""
    if settings.has("grid"):
        return balance.consumed(MONTH), "what the site consumed"
    if settings.has("load"):
        return balance.counter(balance.LOADS, MONTH), "what all load meters counted"
    return None


def _newest(name: str) -> str:
    """Return the name that Grafana gives the last value of a column, where rows are grouped."""
    return f"{name} (lastNotNull)"


def _by_meter(names: Sequence[str]) -> Json:
    """Return the step that leaves one row for each meter."""
    last = {"aggregations": ["lastNotNull"], "operation": "aggregate"}
    fields: Json = {"meter": {"aggregations": [], "operation": "groupby"}}
    return {"id": "groupBy", "options": {"fields": fields | dict.fromkeys(names, last)}}


def _ratio(left: str, right: str) -> Json:
    """Return the step that adds the column `share`."""
    return {
        "id": "calculateField",
        "options": {
            "mode": "binary", "alias": "share", "timeSeries": False, "replaceFields": False,
            "binary": {"left": left, "operator": "/", "right": right},
        },
    }  # fmt: skip


def _top() -> Json:
    query = summed([Part("active_import", _LOADS)], by=EACH)
    return table(
        "Top loads",
        f"Energy of the {_HEAVIEST} heaviest load meters in the range shown.",
        [target(query, table=True)],
        unit="suffix:kWh", decimals=1, width=12, height=12, sort="Energy",
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
        parts = [target(balance.counter(balance.LOADS, drawn=True), _TOGETHER)]
        daily = [target(balance.counter(balance.LOADS, step="1d"), _TOGETHER)]
    else:
        whose = "each load meter"
        each = summed([Part("active_import", _LOADS)], by=EACH, having=balance.DRAWN)
        parts = [target(each, "$tag_meter")]
        daily = [target(steps("active_import", "1d", *_LOADS, by=EACH), "$tag_meter")]
    grey = [by_pattern(f"^{_REST}$", GREY), by_pattern(f"^{_TOGETHER}$", LOAD)]
    if whole:
        parts.append(target(balance.unmetered(drawn=True), _REST))
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
        + (", and the rest that has none; slightly below zero where load meters were read later "
           "at midnight than the grid meter, which the next day makes good." if whole else "."),
        daily,
        unit="suffix:kWh", width=12, height=10, interval="1d", legend=(), empty=NO_DAY,
        overrides=grey,
    )  # fmt: skip
    found = [ring, days]
    if whole:
        found += _unmetered(settings)
    return found


def _nothing_left(settings: DashboardOptions) -> Json:
    """Return the mapping that shows a rest slightly below zero as none."""
    none = {"text": "0.0 kWh", "color": PLAIN}
    return {
        "type": "range",
        "options": {"from": -_SLACK * settings.meters, "to": 0, "result": none},
    }


def _unmetered(settings: DashboardOptions) -> list[Json]:
    return [
        stat(
            f"Rest without a meter, {text}",
            "Consumed = imported - exported + produced + discharged - charged, less what all load "
            "meters counted. Below zero: a load meter is counted twice, or belongs elsewhere. "
            f"Until -{_SLACK * settings.meters:g} kWh it is nothing: meters are not read in the "
            "same second.",
            [target(balance.unmetered(period), "Rest")],
            unit="suffix:kWh",
            decimals=1,
            width=8,
            height=4,
            empty="nothing counted",
            thresholds=limits((0, PLAIN), base="red"),
            defaults={"mappings": [_nothing_left(settings)]},
        )
        for text, period in (("range shown", SHOWN), ("day", DAY), ("month", MONTH))
    ]


def _months(settings: DashboardOptions) -> Json:
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
        unit="suffix:kWh", decimals=0, height=settings.rows(5, 12), empty="nothing counted yet",
        columns={"meter": "Meter", **{name: name for name in MONTHS}}, hidden=("Time", "time"),
        custom={"minWidth": 60, "align": "right"},  # a month without any would stand left
        overrides=[to_meter(), override("Meter", custom__width=130, custom__align="left")],
    )  # fmt: skip


def meters(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    loads = _loads(settings)
    second = [_top()] if settings.has("load") else []
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
            _months(settings),
            row("Peaks of one meter: choose it above"),
            *demands(),
        ],
        settings,
        names=variables(settings, meter="one"),
        start="now-7d/d",
        refresh="5m",
    )
