"""Files of prices as rows of text: CSV in its dialects, and JSON of several shapes. Pure.

JSON: a list of objects, wherever it stands; or lists of the same length side by side, as
energy-charts.info gives them. CSV: with a head, or just time and price.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from logger.prices.columns import Layout, chosen, is_start, last, layout
from logger.prices.stamps import parsed, parts
from logger.prices.units import unit_in

_HEAD_LINES = 10  # a head may follow a title
_DELIMITERS = ";\t,"
_CURRENCY = frozenset({"currency", "waehrung", "währung", "valuta", "devise"})
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cells:
    """A price as written: where (a line, or the number of the object), times, value, unit; the
    currency if a field of its own names it."""

    number: int
    start: str
    end: str | None
    price: str | None
    unit: str | None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """What a file holds; `delimiter` is that of CSV, `what` says what its rows are called.

    `unit` is the unit that the head or a field beside the rows tells, in its words.
    """

    cells: Sequence[Cells]
    layout: Layout
    delimiter: str
    unit: str | None
    what: str


def table(text: str, column: str | None, only: Sequence[str], currency: str) -> Table:
    """Return the rows of a file. Raises ValueError with what was expected, and where."""
    if text.lstrip()[:1] in {"[", "{"}:
        return _json(text, column, only, currency)
    return _csv(text, column, only, currency)


def _csv(text: str, column: str | None, only: Sequence[str], currency: str) -> Table:
    lines = text.splitlines()
    first = next((line for line in lines if line.strip() and line[0] != "#"), "")
    if first.lower().startswith("sep=") and len(first) == 5:
        delimiter = first[4]
    else:
        delimiter = max(_DELIMITERS, key=lambda one: sum(line.count(one) for line in lines[:20]))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            if row and any(cell.strip() for cell in row) and not row[0].startswith("#"):
                rows.append((reader.line_num, [cell.strip() for cell in row]))
    except csv.Error as err:
        raise ValueError(f"line {reader.line_num}: not CSV: {err}") from None
    if len(rows) > 1 and rows[0][1][0] == "" and _is_time(rows[1][1][0]):
        rows[0][1][0] = "time"  # an index without a name, as data frames are written
    for place, (_, names) in enumerate(rows[:_HEAD_LINES]):
        if any(is_start(name) for name in names) and len(names) > 1:
            return _with_head(names, rows[place + 1 :], delimiter, column, only, currency)
    return _headless(rows, delimiter, column)


def _with_head(
    names: list[str], rows: Sequence[tuple[int, list[str]]], delimiter: str,
    column: str | None, only: Sequence[str], currency: str,
) -> Table:  # fmt: skip
    found = layout(names, column, currency)
    cells: list[Cells] = []
    unit = found.unit.text if found.unit else None
    for line, row in rows:
        own = dict(zip(names, row, strict=False))
        if not cells and unit is None and (told := unit_in(own.get(found.price, ""))):
            unit = told.text  # a line of units below the head
            continue
        if chosen(own, only):
            cells.append(_cells(line, own, found))
    if not cells:
        raise ValueError(_none_of(only))
    return Table(cells, found, delimiter, unit, "line")


def _headless(rows: Sequence[tuple[int, list[str]]], delimiter: str, column: str | None) -> Table:
    if not rows:
        raise ValueError("no prices in it")
    line, row = rows[0]
    if not _is_time(row[0]):
        raise ValueError(
            f"line {line}: neither a head with a column of times, nor a time and a price: "
            f"{delimiter.join(row)[:80]!r}"
        )
    if column is not None or len(row) not in (2, 3):
        raise ValueError(f"line {line}: a file without a head has lines of time{delimiter}price")
    names = ["start", "end", "price"] if len(row) == 3 else ["start", "price"]
    found = Layout("start", "end" if len(row) == 3 else None, "price", None, None, None)
    cells = [_cells(line, dict(zip(names, row, strict=False)), found) for line, row in rows]
    return Table(cells, found, delimiter, None, "line")


def _is_time(text: str) -> bool:
    try:
        parsed(parts(text)[0])
    except ValueError:
        return False
    return True


def _cells(number: int, row: Mapping[str, str], found: Layout) -> Cells:
    start, end = parts(row.get(found.start, ""))
    if found.date is not None:
        start = f"{row.get(found.date, '')} {start}"
    if found.end is not None:
        end = row.get(found.end) or None
    unit = next((v for k, v in row.items() if last(k).lower() == "unit" and unit_in(v)), None)
    return Cells(number, start, end, row.get(found.price), unit, _currency(row))


def _currency_around(data: Any) -> str:
    """Return the currency that an object around the prices, or beside them, names."""
    if not isinstance(data, dict):
        return ""
    return _currency(data) or next(filter(None, map(_currency_around, data.values())), "")


def _currency(row: Mapping[str, object]) -> str:
    """Return what a field called so names; empty if there is none."""
    named = next((v for k, v in row.items() if last(k).lower() in _CURRENCY), None)
    word = named.strip().upper() if isinstance(named, str) else ""
    return word if len(word) == 3 and word.isalpha() else ""


def _json(text: str, column: str | None, only: Sequence[str], currency: str) -> Table:
    try:
        data = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except json.JSONDecodeError as err:
        raise ValueError(f"line {err.lineno}: not JSON: {err.msg}") from None
    except RecursionError:
        raise ValueError("not JSON of prices: too deep") from None
    lists = [one for one in _lists(data, ()) if one[1]]
    rest: list[str] = []
    for one in only:
        named = [own for own in lists if one.lower() in own[0]]
        lists = named or lists
        price = next(
            (name for _, own in lists for name in own[0] if _nested(name) == one.lower()), None
        )
        if price is not None:
            column = column or price
        elif not named:
            rest.append(one)
    rows = [row for _, own in lists for row in own]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise ValueError("no list of prices with their times in it")
    found = layout(names, column, currency)
    unit = found.unit.text if found.unit else _beside(data)
    common = _currency_around(data)
    cells = [
        _cells(number, row if not common else {"currency": common, **row}, found)
        for number, row in enumerate(rows, start=1)
        if found.start in row and chosen(row, rest)
    ]
    if not cells:
        raise ValueError(_none_of(only))
    return Table(cells, found, "", unit, "entry")


def _none_of(only: Sequence[str]) -> str:
    return "no prices in it" + (f" of {' and '.join(only)}" if only else "")


def _nested(name: str) -> str:
    """Return the area of a price in a column of areas, as Nord Pool has them."""
    outer, _, inner = name.lower().rpartition(".")
    return inner if outer.endswith("perarea") else ""


def _lists(data: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
    """Yield every list of prices, with the keys (small letters) that lead to it."""
    if isinstance(data, list):
        objects: list[Row] = [_flat(one) for one in data if isinstance(one, dict)]
        if objects and any(is_start(name) for name in objects[0]):
            # What has lists of prices in it is no price, though it may tell the one of now.
            plain = any(is_start(name) for name in objects[0] if "." not in name)
            inside = [] if plain else [own for one in data for own in _lists(one, keys) if own[1]]
            yield from inside or [(keys, objects)]
            return
        if data and all(_is_pair(one) for one in data):
            yield keys, [{"time": one[0], "price": _text(one[1]) or ""} for one in data]
            return
        for one in data:
            yield from _lists(one, keys)
    elif isinstance(data, dict):
        columns = {name: own for name, own in data.items() if _column(own)}
        starts = [name for name in columns if is_start(name)]
        if starts:
            length = len(columns[starts[0]])
            same = {name: own for name, own in columns.items() if len(own) == length}
            if len(same) < 2:
                raise ValueError(f"{starts[0]!r} has {length} values, and no other list as many")
            made: list[Row] = [
                {name: text for name, own in same.items() if (text := _text(own[at])) is not None}
                for at in range(length)
            ]
            yield keys, made
            return
        for name, own in data.items():
            yield from _lists(own, (*keys, str(name).lower()))


def _is_pair(value: object) -> bool:
    """Whether it is a time in seconds or milliseconds since 1970, and a price or none."""
    if not isinstance(value, list) or len(value) != 2 or isinstance(value[1], dict | list):
        return False
    return isinstance(value[0], str) and value[0].isdigit() and _is_time(value[0])


def _column(value: object) -> bool:
    return isinstance(value, list) and bool(value) and not isinstance(value[0], dict | list)


def _flat(row: Mapping[str, Any], above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{above}{name}.")
        elif (text := _text(value)) is not None:
            found[f"{above}{name}"] = text
    return found


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _beside(data: Any) -> str | None:
    """Return the unit that a field of the outermost object tells."""
    if not isinstance(data, dict):
        return None
    for name, value in data.items():
        if "unit" in str(name).lower() and isinstance(value, str) and unit_in(value):
            return value
    return None
