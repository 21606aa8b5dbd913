"""The newest values in short, as JSON: what a view of the whole installation shows. Pure.

Values are by the text of their quantity ("active_power/L1"), in the data model's units. One
that is too old is left out: a view that shows none shows no wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from logger.domain.times import iso_utc
from logger.latest.latest import SITE, Latest, Newest

_FIELDS = frozenset(
    {
        "voltage",
        "current",
        "active_power",
        "reactive_power",
        "apparent_power",
        "power_factor",
        "frequency",
        "active_import",
        "active_export",
        "tariff",
    }
)

_COUNTERS = frozenset({"active_import", "active_export"})


def iso(at_ms: int | None) -> str | None:
    """Return a time as ISO 8601 in UTC, None for none."""
    return None if at_ms is None else iso_utc(at_ms)


def of_meter(latest: Latest, name: str) -> dict[str, Any]:
    """Return a meter in short. KeyError for one that is not configured."""
    role, found = latest.meters[name].role, latest.of(name)
    values = {
        str(quantity): one.value
        for quantity, one in found.items()
        if one.fresh
        and quantity.field in _FIELDS
        # Counters of single phases are many, and wanted seldom.
        and not (quantity.field in _COUNTERS and quantity.phase != "total")
    }
    return {"name": name, "role": role, **_seen(latest, name, found.values()), "values": values}


def of_site(latest: Latest) -> dict[str, Any]:
    """Return the flows of the site and its demand; without exactly one grid meter there
    are none."""
    found = latest.of(SITE)
    values = {quantity.field: one.value for quantity, one in found.items() if one.fresh}
    return {**_seen(latest, SITE, found.values()), "values": values}


def of_all(latest: Latest) -> dict[str, Any]:
    """Return the site and all meters in short."""
    return {"site": of_site(latest), "meters": [of_meter(latest, one) for one in latest.meters]}


def _seen(latest: Latest, name: str, found: Any) -> Mapping[str, Any]:
    """Return whether there are values at present, and when the newest came."""
    newest: Newest | None = max(found, key=lambda one: one.at_ms, default=None)
    return {
        "available": latest.available(name),
        "time": None if newest is None else iso(newest.at_ms),
        "age_s": None if newest is None else round(newest.age_s, 1),
    }
