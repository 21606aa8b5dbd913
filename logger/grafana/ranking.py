"""Tables with bars: columns that rank rows, and months. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from logger.grafana.panels import Json, coloured, override, table


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
