"""The dashboard "Cost centres": whose energy the meters measure, as configured. Pure.

The engine knows no cost centres. Each is the sum over its meters, a row that begins with the
number of the centre; the panel writes the name in its place. Each month of each centre is a sum
of its own, so the dashboard asks once an hour.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Sequence

from logger.grafana import balance, costs, money
from logger.grafana.frame import CENTRES, dashboard, variables
from logger.grafana.options import DashboardOptions, table_height
from logger.grafana.panels import Json, override, row, table, target
from logger.grafana.pattern import MONTHS
from logger.grafana.query import (
    MONTH,
    SHOWN,
    SITE,
    TOTAL,
    YEAR,
    ZONE,
    Part,
    Period,
    added,
    month,
    quoted,
    summed,
)  # fmt: skip
from logger.grafana.ranking import shares

_COUNTED = (
    "from the counters, as `report statement --cost-centre` has it. Its meters: `cost_centre` in "
    "the configuration."
)
_NOTHING = "no meter of a cost centre counted anything in this year"
_FEW = 12  # so many names have room beside a ring
# So many parts a query may have: beyond, costs of the year and of its months are left out.
_MOST = 400
_LEAST, _HIGHEST = 10, 16  # heights of the tables, in units of the grid
Pieces = list[tuple[Part, Period]]


def _of(meters: Sequence[str]) -> str:
    """Return the condition for meters by name."""
    return "(" + " OR ".join(f'"meter" = {quoted(name)}' for name in meters) + ")"


def _row(number: int, pieces: Pieces, columns: dict[str, str], within: Period) -> str:
    """Return the sums of one centre, with its number first."""
    first = next(iter(columns))
    every = ", ".join(f'sum("{short}") AS "{name}"' for short, name in columns.items())
    select = f'0 * sum("{first}") + {number} AS "centre", {every}'
    return f"({added(pieces, within, select=select)})"


def _height(settings: DashboardOptions) -> int:
    """Return the height of a table of all cost centres."""
    return table_height(len(settings.centres), _LEAST, _HIGHEST)


def _rows(rows: Sequence[str], columns: Sequence[str]) -> Json:
    chosen = ", ".join(f'"{name}"' for name in ("centre", *columns))
    return target(f"SELECT {chosen} FROM {', '.join(rows)} {ZONE}", table=True)


def _named(settings: DashboardOptions) -> Json:
    """Return the setting that writes names of cost centres in place of their numbers."""
    names = {
        str(number): {"text": name, "index": number} for number, name in enumerate(settings.centres)
    }
    texts = [{"type": "value", "options": names}]
    return override("Cost centre", unit="none", mappings=texts, custom__align="left")


def _priced(settings: DashboardOptions) -> int:
    """Return how many parts the cost of one period of all cost centres has."""
    return len(settings.centres) * len(money.parts_of_cost(settings, "c", SITE, period=MONTH))


def _sums(settings: DashboardOptions) -> Json:
    """Return the table of energy and cost of the month and the year."""
    columns = {"m": "month", "e": "fed", "y": "year"}
    headings = {"month": "Drawn in the month", "fed": "Fed back in the month",
                "year": "Drawn in the year"}  # fmt: skip
    priced = ""
    counted = settings.priced and not settings.moving
    yearly = counted and 2 * _priced(settings) <= _MOST
    if counted:
        columns["c"], headings["cost"] = "cost", "Cost in the month"
        if yearly:
            columns["k"], headings["costs"] = "costs", "Cost in the year"
        priced = " Cost = energy of each tariff x its price at the time, without standing charges."
    rows = []
    for number, meters in enumerate(settings.centres.values()):
        own = (SITE, _of(meters))
        pieces: Pieces = [
            (Part("active_import", (*own, TOTAL), {"m": ""}), MONTH),
            (Part("active_export", (*own, TOTAL), {"e": ""}), MONTH),
            (Part("active_import", (*own, TOTAL), {"y": ""}), YEAR),
        ]
        if counted:
            pieces += money.parts_of_cost(settings, "c", *own, period=MONTH)
        if yearly:
            pieces += money.parts_of_cost(settings, "k", *own, period=YEAR)
        rows.append(_row(number, pieces, columns, YEAR))
    return table(
        "Cost centres",
        "Month and year in which the range shown ends, until the end of that day, "
        f"{_COUNTED}{priced}",
        [_rows(rows, list(headings))],
        unit="suffix:kWh", decimals=1, width=16, height=_height(settings), empty=_NOTHING,
        columns={"centre": "Cost centre", **headings}, hidden=("Time", "time"),
        sort="Drawn in the month",
        overrides=[
            _named(settings),
            *(override(headings[name], unit=settings.money, decimals=2)
              for name in ("cost", "costs") if name in headings),
        ],
    )  # fmt: skip


def _shares(settings: DashboardOptions) -> Json:
    parts = {
        name: [Part("active_import", (SITE, _of(meters), TOTAL))]
        for name, meters in settings.centres.items()
    }
    asked = [
        target(summed(part, MONTH, having=balance.DRAWN), name) for name, part in parts.items()
    ]
    made = shares(
        "Shares of the cost centres",
        "What each cost centre drew of what all of them drew, in the month in which the range "
        "shown ends, until the end of that day.",
        asked,
        unit="suffix:kWh", decimals=1, width=8, height=_height(settings), empty=_NOTHING,
    )  # fmt: skip
    made["options"]["legend"]["showLegend"] = len(asked) <= _FEW
    return made


def _months(settings: DashboardOptions, title: str, unit: str, decimals: int) -> Json:
    """Return the table of energy, or of its cost, in each month of the year."""
    money_of = unit == settings.money
    columns = {f"m{number}": name for number, name in enumerate(MONTHS, start=1)}
    rows = []
    for place, meters in enumerate(settings.centres.values()):
        own = (SITE, _of(meters))
        pieces: Pieces = []
        for number in range(1, 13):
            column = f"m{number}"
            if money_of:
                pieces += money.parts_of_cost(settings, column, *own, period=month(number))
            else:
                part = Part("active_import", (*own, TOTAL), {column: ""})
                pieces.append((part, month(number)))
        # The number comes from a month that has something; each may be the first that has.
        pieces.append((Part("active_import", (*own, TOTAL), {"any": ""}), YEAR))
        rows.append(_row(place, pieces, {"any": "year", **columns}, SHOWN))
    what = "Cost of the energy" if money_of else "Energy"
    return table(
        title,
        f"{what} that each cost centre drew in each month of the year in which the range shown "
        f"ends, {_COUNTED}",
        [_rows(rows, MONTHS)],
        unit=unit, decimals=decimals, height=_height(settings), empty=_NOTHING,
        columns={"centre": "Cost centre", **{name: name for name in MONTHS}},
        hidden=("Time", "time"), sort="Cost centre", falling=False,
        custom={"minWidth": 60, "align": "right"},  # a month without any would stand left
        overrides=[_named(settings), override("Cost centre", custom__width=150)],
    )  # fmt: skip


def _costs(settings: DashboardOptions) -> list[Json]:
    """Return the tables of cost by cost centre, where prices are imported ones."""

    def made(title: str, text: str, columns: list[costs.Column], headings: dict[str, str]) -> Json:
        wanted: list[costs.Column] = [*columns, ("any", "cost", YEAR)]
        rows = []
        for number, meters in enumerate(settings.centres.values()):
            before = f'0 * sum("any") + {number} AS "centre", '
            rows.append(f"({costs.sums(wanted, [SITE, _of(meters)], before)} {ZONE})")
        return table(
            title,
            f"{text} {costs.PRICES}",
            [_rows(rows, [name for name, _, _ in columns])],
            unit=settings.money, decimals=2, height=_height(settings), empty=_NOTHING,
            columns={"centre": "Cost centre", **headings}, hidden=("Time", "time"),
            sort="Cost centre", falling=False, custom={"align": "right"},
            overrides=[_named(settings)],
        )  # fmt: skip

    return [
        made(
            "Cost of the cost centres",
            "Month and year in which the range shown ends, until the end of that day.",
            [("cost", "cost", MONTH), ("costs", "cost", YEAR)],
            {"cost": "Cost in the month", "costs": "Cost in the year"},
        ),
        made(
            "Cost by cost centre and month",
            "Each month of the year in which the range shown ends.",
            [(name, "cost", month(number)) for number, name in enumerate(MONTHS, start=1)],
            {name: name for name in MONTHS},
        ),
    ]


def centres(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    found = [
        row("Month and year"),
        _sums(settings),
        _shares(settings),
        row("By month"),
        _months(settings, "Drawn by cost centre and month", "suffix:kWh", 1),
    ]
    if settings.moving:
        found += _costs(settings)
    elif settings.priced and 12 * _priced(settings) <= _MOST:
        found.append(_months(settings, "Cost by cost centre and month", settings.money, 2))
    return dashboard(
        CENTRES,
        "Energy, cost and share of each cost centre, by month.",
        found,
        settings,
        names=variables(settings),
        start="now/M",
        refresh="1h",
    )
