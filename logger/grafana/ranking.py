"""What is ranked or divided: bars beside each other, rings of shares, columns of bars. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from logger.grafana.panels import Json, coloured, override, panel, table


def lengths(title: str, text: str, targets: Sequence[Json], **more: Any) -> Json:
    """Return horizontal bars, one a series, with its name and value."""
    options = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "minVizWidth": 0,
        "minVizHeight": 10,
    }
    return panel("bargauge", title, text, targets, options=options, **more)


def shares(title: str, text: str, targets: Sequence[Json], **more: Any) -> Json:
    """Return a ring of the shares of a whole, with a list of them. Values besides would leave no
    room for the shares on a phone; they are told where the ring is touched."""
    options = {
        "pieType": "donut",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayLabels": [],
        "tooltip": {"mode": "single", "sort": "none"},
        "legend": {
            "displayMode": "table",
            "placement": "right",
            "showLegend": True,
            "values": ["percent"],
            "calcs": [],
        },
    }
    return panel("piechart", title, text, targets, options=options, **more)


def ranked(heading: str, colour: str, **more: Any) -> Json:
    """Return the setting of a table that draws a column as bars."""
    return coloured(heading, colour, custom__displayMode="gradient-gauge", min=0, **more)


def monthly(title: str, text: str, targets: Sequence[Json], colour: str, **more: Any) -> Json:
    """Return a bar for each series in its own row, however few there are: a panel of bars alone
    would fill its whole height with one, and not name it."""
    reduce = {"id": "reduce", "options": {"reducers": ["lastNotNull"]}}
    return table(
        title, text, targets, unit="suffix:kWh", decimals=1, width=12, height=11,
        columns={"Field": "Month", "Last *": "Energy"}, before=[reduce],
        overrides=[
            override("Month", custom__width=90),
            ranked("Energy", colour),
        ],
        **more,
    )  # fmt: skip
