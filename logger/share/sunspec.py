"""A unit with SunSpec models: 1 (common) and a meter, as integers (20x) or floats (21x). Pure.

The layout is that of the SunSpec information models 1, 201 to 204 and 211 to 214: the last
digit says one phase (1), three wires (4) or four (3). Power and current are positive for what is
drawn, counters in Wh. What the source does not have, or has not sent lately, has the value that
stands for "not implemented". For a 32-bit counter that is 0, which says "begun afresh", too: a
request for one that is too old fails instead.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from logger import __version__
from logger.domain.datamodel import FIELDS
from logger.domain.quantity import Quantity
from logger.domain.wiring import NEUTRAL_PHASES, Wiring
from logger.models import Value
from logger.models.plan import Block
from logger.share.demand import Outcome
from logger.share.pdu import Code, words_of
from logger.share.source import Source

BASE = 40000
_MARK = words_of(b"SunS")
_END = (0xFFFF, 0)
_COMMON, _COMMON_LENGTH = 1, 66
_KIND: Mapping[Wiring, int] = {"1P2W": 1, "3P4W": 3, "3P3W": 4}
_NO_INT, _NO_SCALE = 0x8000, 0x8000
_NO_FLOAT = (0x7FC0, 0x0000)
_LARGEST, _LARGEST_COUNTER = 32767, 2**32 - 1

# A point: its quantity in the data model; None is one that no source has.
Point = Quantity | None


@dataclass(frozen=True, slots=True)
class _Group:
    """Points that share a scale factor, the finest of which is 10 to the power of `finest`.

    `factor` leads from the unit of the data model to that of the model.
    """

    points: tuple[Point, ...]
    finest: int = 0
    counter: bool = False
    factor: Decimal = Decimal(1)


def _phased(field: str, tariff: str = "") -> tuple[Point, ...]:
    return tuple(Quantity(field, phase, tariff) for phase in ("total", *NEUTRAL_PHASES))


def _counters(*fields: str) -> tuple[Point, ...]:
    return tuple(point for field in fields for point in _phased(field, "total"))


_LINE = "line"
_AMPS, _HERTZ = _phased("current"), (Quantity("frequency", "total"),)
_VOLTS: tuple[Point, ...] = (
    *_phased("voltage"),
    Quantity("voltage_line", _LINE),
    Quantity("voltage", "L1-L2"),
    Quantity("voltage", "L2-L3"),
    Quantity("voltage", "L1-L3"),
)
_WH = Decimal(1000)
_GROUPS = (
    _Group(_AMPS, finest=-2),
    _Group(_VOLTS, finest=-1),
    _Group(_HERTZ, finest=-2),
    _Group(_phased("active_power")),
    _Group(_phased("apparent_power")),
    _Group(_phased("reactive_power")),
    _Group(_phased("power_factor"), finest=-2, factor=Decimal(100)),
    _Group(_counters("active_export", "active_import"), counter=True, factor=_WH),
    _Group(_counters("apparent_export", "apparent_import"), counter=True, factor=_WH),
    _Group(
        _counters("reactive_q1", "reactive_q2", "reactive_q3", "reactive_q4"),
        counter=True,
        factor=_WH,
    ),
)
_EVENTS = (0, 0)
_METER = BASE + 2 + 2 + _COMMON_LENGTH  # where the meter's model begins


class SunSpecUnit:
    """SunSpec models with the values of `source`; `floats` chooses 21x instead of 20x."""

    def __init__(self, unit: int, source: Source, *, floats: bool) -> None:
        self.source = source
        self._floats = floats
        self._head = _head(unit, source)
        self._model = (210 if floats else 200) + _KIND[source.wiring]

    def read(self, block: Block, now: float, done: Callable[[Outcome], None]) -> None:
        """Answer with the words of `block`, or with an exception."""
        done(self._words(block, now))

    def _words(self, block: Block, now: float) -> Outcome:
        if block.address < BASE:
            return Code.ILLEGAL_ADDRESS
        values = _with_means(self.source.picture(now), self.source.wiring)
        body, old = _floats(values) if self._floats else _integers(values)
        words = [*self._head, self._model, len(body), *body, *_END]
        if block.end > BASE + len(words):
            return Code.ILLEGAL_ADDRESS
        first = _METER + 2
        if any(block.address - first < at + 2 and at < block.end - first for at in old):
            return Code.NO_ANSWER
        return words[block.address - BASE : block.end - BASE]


def _head(unit: int, source: Source) -> Sequence[int]:
    return (
        *_MARK,
        _COMMON,
        _COMMON_LENGTH,
        *_text("inepro-logger", 16),
        *_text(source.title, 16),
        *_text("", 8),
        *_text(__version__, 8),
        *_text(source.serial, 16),
        unit,
        0x8000,
    )


def _text(text: str, registers: int) -> tuple[int, ...]:
    return words_of(text.encode("ascii", "replace")[: 2 * registers].ljust(2 * registers, b"\0"))


def _with_means(
    picture: Mapping[Quantity, Value | None], wiring: Wiring
) -> Mapping[Quantity, Value | None]:
    """Return `picture` with the current of all phases and the means of voltages.

    Without voltages between two phases they follow from those to neutral, 120 degrees apart.
    """
    found = {
        quantity: value
        for quantity, value in picture.items()
        if not (quantity.field in ("voltage", "current") and quantity.phase == "total")
    }
    phases = NEUTRAL_PHASES[:1] if wiring == "1P2W" else NEUTRAL_PHASES
    if wiring == "3P3W":  # without a neutral these mean nothing
        for phase in NEUTRAL_PHASES:
            found.pop(Quantity("voltage", phase), None)
    elif wiring == "3P4W":
        for one, other in (("L1", "L2"), ("L2", "L3"), ("L1", "L3")):
            _put(found, Quantity("voltage", f"{one}-{other}"), _between, "voltage", (one, other))
    else:
        for quantity in [one for one in found if one.phase in ("L2", "L3")]:
            del found[quantity]
    _put(found, Quantity("current", "total"), _sum, "current", phases)
    _put(found, Quantity("voltage", "total"), _mean, "voltage", phases)
    lines = ("L1-L2", "L2-L3", "L1-L3")
    _put(found, Quantity("voltage_line", _LINE), _mean, "voltage", lines)
    return found


def _put(
    found: dict[Quantity, Value | None],
    quantity: Quantity,
    made: Callable[[Sequence[Decimal]], Decimal],
    field: str,
    phases: Sequence[str],
) -> None:
    parts = [Quantity(field, phase) for phase in phases]
    if quantity in found or not all(part in found for part in parts):
        return
    values = [found[part] for part in parts]
    known = [Decimal(value) for value in values if value is not None and not isinstance(value, str)]
    found[quantity] = made(known) if len(known) == len(parts) else None


def _sum(values: Sequence[Decimal]) -> Decimal:
    return sum(values, Decimal(0))


def _mean(values: Sequence[Decimal]) -> Decimal:
    return _sum(values) / len(values)


def _between(values: Sequence[Decimal]) -> Decimal:
    a, b = (float(value) for value in values)
    return Decimal(math.sqrt(a * a + b * b + a * b))


def _number(values: Mapping[Quantity, Value | None], point: Point) -> Decimal | None:
    value = values.get(point) if point is not None else None
    return None if value is None or isinstance(value, str) else Decimal(value)


def _floats(values: Mapping[Quantity, Value | None]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the words of model 21x; nothing in it is ever too old to be said so."""
    words: list[int] = []
    for group in _GROUPS:
        factor = group.factor if group.counter else Decimal(1)  # no percent here
        for point in group.points:
            value = _number(values, point)
            if value is None:
                words += _NO_FLOAT
            else:
                words += words_of(struct.pack(">f", float(value * factor) + 0.0))
    return [*words, *_EVENTS], ()


def _integers(values: Mapping[Quantity, Value | None]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the words of model 20x, and where counters stand that are too old."""
    words: list[int] = []
    old: list[int] = []
    for group in _GROUPS:
        numbers = [_number(values, point) for point in group.points]
        scaled = [None if one is None else one * group.factor for one in numbers]
        largest = _LARGEST_COUNTER if group.counter else _LARGEST
        scale = _scale([one for one in scaled if one is not None], group.finest, largest)
        for point, value in zip(group.points, scaled, strict=True):
            whole = None if value is None else _whole(value, scale)
            if not group.counter:
                words.append(_NO_INT if whole is None else whole & 0xFFFF)
                continue
            if whole is None and point is not None and values.get(point, 0) is None:
                old.append(len(words))
            words += ((whole or 0) >> 16, (whole or 0) & 0xFFFF)
        there = any(one is not None for one in scaled)
        words.append(scale & 0xFFFF if there else _NO_SCALE)
    return [*words, *_EVENTS], old


def _whole(value: Decimal, scale: int) -> int:
    return int(value.scaleb(-scale).to_integral_value(ROUND_HALF_EVEN))


def _scale(values: Sequence[Decimal], finest: int, largest: int) -> int:
    """Return the finest scale factor by which all of `values` fit."""
    scale = finest
    while any(abs(_whole(value, scale)) > largest for value in values):
        scale += 1
    return scale


def places_of_floats() -> Sequence[tuple[Quantity, int, Decimal]]:
    """Return quantity, address and factor of every value in a model with floats.

    The factor leads from the unit of the data model to the one sent (Wh).
    """
    found = []
    at = _METER + 2
    for group in _GROUPS:
        for point in group.points:
            if point is not None and point.field in FIELDS:
                found.append((point, at, group.factor if group.counter else Decimal(1)))
            at += 2
    return found
