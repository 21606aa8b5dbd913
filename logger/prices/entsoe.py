"""Prices in the XML of ENTSO-E's transparency platform: a Publication_MarketDocument, A44. Pure.

Its curve types, as programs that read the platform describe them: A01 tells every position; A03
tells those at which the value changes, and it holds until the next one, or the end of the period.
A document without a type is read as A01, which makes nothing up.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from logger.prices.columns import Layout, chosen
from logger.prices.stamps import parsed
from logger.prices.tables import Cells, Table
from logger.texts import one_line

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MINUTE_MS = 60_000
_STEPS_MS = {
    "PT15M": 15 * _MINUTE_MS, "PT30M": 30 * _MINUTE_MS, "PT60M": 60 * _MINUTE_MS,
    "PT1H": 60 * _MINUTE_MS,
}  # fmt: skip
_DAY_AHEAD = "A44"
_INTRADAY = "A07"  # of contract_MarketAgreement.type; A01 is day-ahead
_MOST_DAYS = 800
_SEQUENCE = "classificationSequence_AttributeInstanceComponent.position"
_LAYOUT = Layout("start", "end", "price.amount", None, None, None)


@dataclass(frozen=True, slots=True)
class _Series:
    """A TimeSeries: in which area, of which auction; `unit` as other files write it."""

    area: str
    sequence: str
    contract: str
    unit: str | None
    currency: str

    def words(self) -> dict[str, str]:
        """Return what `--only` may name."""
        return {"area": self.area, "sequence": self.sequence, "contract": self.contract}

    def __str__(self) -> str:
        parts = (self.sequence, self.contract and f"contract {self.contract}", self.area)
        return " ".join(part for part in parts if part) or "without a name"


def is_xml(text: str) -> bool:
    """Whether a text is meant to be XML."""
    return text.lstrip()[:1] == "<"


def document(text: str, column: str | None, only: Sequence[str]) -> Table:
    """Return the prices of a document, a row for each position. Raises ValueError."""
    root = _root(text)
    if column is not None:
        raise ValueError(f"--column {column}: XML of ENTSO-E has one price at each time")
    series = [(_series(one), one) for one in root if _name(one) == "TimeSeries"]
    wanted = [(own, one) for own, one in series if chosen(own.words(), only)]
    if _INTRADAY.lower() not in {one.lower() for one in only}:
        day_ahead = [(own, one) for own, one in wanted if own.contract != _INTRADAY]
        if wanted and not day_ahead:
            raise ValueError(
                f"it has only intraday prices (contract {_INTRADAY}): --only {_INTRADAY} takes them"
            )
        wanted = day_ahead
    if not wanted:
        there = f"; there is {_listed([own for own, _ in series])}" if series else ""
        raise ValueError(f"no prices in it{' of ' + ' and '.join(only) if only else ''}{there}")
    cells: list[Cells] = []
    known: dict[int, _Series] = {}
    number = 0
    for own, element in wanted:
        curve = _text(element, "curveType") or "A01"
        if curve not in {"A01", "A03"}:
            raise ValueError(f"curve type {curve}: expected A01 or A03, as day-ahead prices have")
        for period in element:
            if _name(period) != "Period":
                continue
            for start, end, price in _prices(period, holding=curve == "A03"):
                number += 1
                other = known.setdefault(start, own)
                if other != own:
                    raise ValueError(
                        f"several prices from {_stamp(start)} on: {_listed([other, own])}: "
                        'which? Such as --only "Sequence 1"'
                    )
                span = _stamp(start), _stamp(end)
                cells.append(Cells(number, *span, price, own.unit, own.currency))
    if not cells:
        raise ValueError("no prices in it")
    return Table(cells, _LAYOUT, "", None, "price")


def _root(text: str) -> Element:
    """Return the outermost element of a document of prices."""
    try:
        root: Element = fromstring(text, forbid_dtd=True)
    except ParseError as err:
        raise ValueError(f"not XML: {err}: is it whole, or a page of a website?") from None
    except DefusedXmlException:
        raise ValueError("XML with definitions of its own (DTD): no document of ENTSO-E") from None
    except (ValueError, LookupError) as err:  # an encoding that is none
        raise ValueError(f"not XML: {err}") from None
    name = _name(root)
    if name == "Acknowledgement_MarketDocument":
        raise ValueError(_refusal(root))
    if name != "Publication_MarketDocument":
        raise ValueError(
            f"XML with {name!r}: expected Publication_MarketDocument ({_DAY_AHEAD}) of ENTSO-E"
        )
    kind = _text(root, "type")
    if kind not in {"", _DAY_AHEAD}:
        raise ValueError(f"a document of type {kind}: expected {_DAY_AHEAD}, prices of energy")
    return root


def _refusal(root: Element) -> str:
    """Return what an acknowledgement says: ENTSO-E sends it in place of prices."""
    told = [
        " ".join(filter(None, (_text(one, "code"), one_line(_text(one, "text")))))
        for one in root
        if _name(one) == "Reason"
    ]
    reason = "; ".join(filter(None, told)) or "without a reason"
    if "no matching data" in reason.lower():
        return f"no data: ENTSO-E has no prices of this time and area yet: {reason}"
    return f"no prices but an acknowledgement of ENTSO-E: {reason}"


def _series(element: Element) -> _Series:
    currency = _text(element, "currency_Unit.name").upper()
    energy = _text(element, "price_Measure_Unit.name").upper().replace("WH", "Wh")
    areas = _text(element, "in_Domain.mRID"), _text(element, "out_Domain.mRID")
    sequence = _text(element, _SEQUENCE)
    return _Series(
        area="|".join(dict.fromkeys(filter(None, areas))),
        sequence=f"Sequence {sequence}" if sequence else "",
        contract=_text(element, "contract_MarketAgreement.type"),
        unit=f"{currency}/{energy}" if energy else None,
        currency=currency,
    )


def _prices(period: Element, *, holding: bool) -> Iterator[tuple[int, int, str | None]]:
    """Yield start and end (ms UTC) of each position with a point, and its price; `holding`: of
    the positions after it that have none, too."""
    start, end = _interval(period)
    resolution = _text(period, "resolution")
    step = _STEPS_MS.get(resolution)
    told = f"the period from {_stamp(start)} to {_stamp(end)}"
    if step is None:
        raise ValueError(f"{told}: resolution {resolution!r}: expected PT15M, PT30M or PT60M")
    if not 0 < end - start <= _MOST_DAYS * 1440 * _MINUTE_MS or (end - start) % step:
        raise ValueError(f"{told} is not of whole {resolution}")
    count = (end - start) // step
    points: dict[int, str | None] = {}
    for point in period:
        if _name(point) != "Point":
            continue
        position, price = _text(point, "position"), _text(point, "price.amount") or None
        place = int(position) if position.isascii() and position.isdigit() else 0
        if not 1 <= place <= count:
            raise ValueError(f"{told}: position {position!r}: expected 1 to {count}")
        if points.setdefault(place, price) != price:
            raise ValueError(f"{told}: two prices at position {place}")
    held: str | None = None
    for place in range(1, count + 1):
        if place in points:
            held = points[place]
        elif not holding or held is None:
            continue
        begin = start + (place - 1) * step
        yield begin, begin + step, held


def _interval(period: Element) -> tuple[int, int]:
    interval = next((one for one in period if _name(one) == "timeInterval"), None)
    if interval is None:
        raise ValueError("a Period without its timeInterval")
    found = [parsed(_text(interval, name)) for name in ("start", "end")]
    start, end = (one.moment_ms for one in found)
    if start is None or end is None:
        raise ValueError(f"{found[0].text!r} to {found[1].text!r}: expected times of UTC (...Z)")
    return start, end


def _stamp(at_ms: int) -> str:
    return f"{dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC):%Y-%m-%dT%H:%MZ}"


def _listed(series: Sequence[_Series]) -> str:
    return ", ".join(dict.fromkeys(one_line(str(one)) for one in series[:12]))


def _name(element: Element) -> str:
    """Return the name of an element without its namespace: that has the version in it."""
    return str(element.tag).rpartition("}")[2]


def _text(element: Element, name: str) -> str:
    found = next((one.text for one in element if _name(one) == name), None)
    return (found or "").strip()
