"""Which column of a table of prices is what: by the names that sites give them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from logger.prices.stamps import ZONES
from logger.prices.units import Unit, unit_in

_START = frozenset(
    {
        *(
            "start",
            "startdate",
            "starttime",
            "starttimestamp",
            "startsat",
            "timestart",
            "from",
            "fromtime",
        ),
        *("validfrom", "deliverystart", "periodstart", "timestamp", "time", "datetime"),
        *("unixseconds", "hourutc", "timeutc", "hourdk", "timedk", "readingdate", "mtu"),
        *("mtustart", "zeitstempel", "zeit", "datumvon", "datumzeit", "von", "beginn"),
        *("valuedatetimeutc", "timestamputc", "datetimeutc"),
    }
)
_DATE = frozenset({"date", "datum", "day", "tag"})
_CLOCK = frozenset({"anfang", "von", "from", "start", "starttime", "time", "zeit", "uhrzeit"})
_END = frozenset(
    {
        *(
            "end",
            "enddate",
            "endtime",
            "endtimestamp",
            "endsat",
            "timeend",
            "to",
            "until",
            "till",
            "totime",
        ),
        *("validto", "deliveryend", "periodend", "datumbis", "bis", "ende"),
    }
)
_PRICE = re.compile(
    r"price|preis|prijs|prix|precio|cena|tarif|spot|marketprice|value|amount|total|energy|"
    r"entryperarea|^p$"
)
_NOT_PRICE = re.compile(r"intraday|area|zone|level|currency|unit|exr|sequence|country|deprecated")


@dataclass(frozen=True, slots=True)
class Layout:
    """The names of the columns: when a price begins and ends, the price and its unit; `date`
    where the day stands in a column of its own."""

    start: str
    end: str | None
    price: str
    date: str | None
    unit: Unit | None
    zone: str | None


def plain(name: str) -> str:
    """Return a name without units, brackets and case."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"[\[(].*", "", name.lower()))


def zone_in(name: str) -> str | None:
    """Return the time zone that a column's name names, such as "MTU (CET/CEST)"."""
    found = re.search(r"[\[(]\s*([A-Za-z/]+)\s*[\])]", name)
    if found and (zone := ZONES.get(found[1].lower())):
        return zone
    return "UTC" if re.search(r"utc$", name.strip().lower()) else None


def last(name: str) -> str:
    """Return a name without those of the objects around it: "node.startsAt" is startsAt."""
    return name.rsplit(".", 1)[-1]


def is_start(name: str) -> bool:
    """Whether a column of this name may hold the times."""
    return plain(last(name)) in _START | _DATE


def layout(names: Sequence[str], wanted: str | None, currency: str) -> Layout:
    """Return which of the columns `names` is what; `wanted` names that of the price.

    Of several prices that of the currency is taken. Raises ValueError with what is there.
    """
    starts = [name for name in names if plain(last(name)) in _START]
    starts.sort(key=lambda name: zone_in(name) != "UTC")
    date = next((name for name in names if plain(name) in _DATE), None)
    clock = next((name for name in names if plain(name) in _CLOCK), None) if date else None
    if date and clock:
        starts = [clock]
    elif not starts and date:
        starts, date = [date], None
    else:
        date = None
    if not starts:
        raise ValueError(f"no column of times among {_listed(names)}")
    end = None if date else next((name for name in names if plain(last(name)) in _END), None)
    taken = {starts[0], end, date}
    price = _price([name for name in names if name not in taken], wanted, currency)
    return Layout(starts[0], end, price, date, unit_in(price), zone_in(starts[0]))


def _price(names: Sequence[str], wanted: str | None, currency: str) -> str:
    if wanted is not None:
        found = [name for name in names if wanted.lower() in _spellings(name)]
        if len(found) == 1:
            return found[0]
        raise ValueError(f"--column {wanted}: the columns are {_listed(names)}")
    found = [name for name in names if _may_be_price(name)]
    if len(found) > 1:
        units = {name: unit_in(name) for name in found}
        own = [name for name, unit in units.items() if unit and currency in unit.currencies]
        found = own if len(own) == 1 else found
    if len(found) == 1:
        return found[0]
    if len(names) == 1:
        return names[0]
    what = "several columns may be the price" if found else "no column is the price for sure"
    raise ValueError(f"{what}: name one with --column: {_listed(found or names)}")


def _may_be_price(name: str) -> bool:
    word = plain(name)
    if _NOT_PRICE.search(word.replace("entryperarea", "")):
        return False
    return bool(_PRICE.search(word)) or unit_in(name) is not None


def _spellings(name: str) -> set[str]:
    return {name.lower(), last(name).lower(), plain(name)}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:12])


def chosen(row: Mapping[str, str], only: Sequence[str]) -> bool:
    """Whether one of the values of a row is called so, for each of `only`: an area, such as
    "DE-LU" for "BZN|DE-LU", or a sequence."""
    held = {part for value in row.values() for part in (value.lower(), *value.lower().split("|"))}
    return all(one.lower() in held for one in only)
