"""The meters of a configuration as a table: its columns, and what its cells mean. Pure.

A row is a meter. Its columns are named as the keys of `[[bus.meter]]`; `bus` is the name of its
line, and the other keys of `[[bus]]` are columns, too (`bus_timeout` is the line's). `serial` is
no key: a scan knows a meter by it.
"""

from __future__ import annotations

import csv
import io
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from logger.config.buses import Bus, Meter
from logger.config.clashes import sections
from logger.config.sheet import Mistake, Row, Sheet
from logger.texts.spreadsheet import cell

Value = str | int | bool
Place = int | str | None
SERIAL = "serial"
# Keys of the line by the column that has them.
OF_BUS: Mapping[str, str] = {
    "bus" if key == "name" else f"bus_{key}" if key in Meter.model_fields else key: key
    for key in Bus.model_fields
    if key != "meter"
}
OF_METER = tuple(Meter.model_fields)
COLUMNS = (*OF_BUS, *OF_METER, SERIAL)
_ALWAYS = ("bus", "port", "name", "model", "address", "role", "cost_centre")
# As spreadsheets write a truth value, in the languages of those who use these meters.
_TRUTH: Mapping[str, bool] = {
    **dict.fromkeys(("true", "yes", "1", "wahr", "ja", "waar", "vrai", "oui"), True),
    **dict.fromkeys(("false", "no", "0", "falsch", "nein", "onwaar", "nee", "faux", "non"), False),
}
_WHOLE = re.compile(r"(-?[0-9]{1,9})(?:[.,]0+)?")
_DECIMAL_COMMA = re.compile(r"(?<=[0-9]),(?=[0-9])")
# A number for a device, as a spreadsheet writes it that took it for an amount.
_DIGITS = re.compile(r"([0-9]{1,3}(?:[.,' ][0-9]{3})+|[0-9]+)(?:[.,]0{1,2})?")
_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]+", re.IGNORECASE)
_FAILED = re.compile(r"#(?:[^\W\d_]+(?:/0)?[!?]|N/A|N/B|NV)|Err:[0-9]{3}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A row: what it says of a meter and of its line, by their keys. `blank` are the keys of
    the meter that have a column and an empty cell, `bus_blank` those of its line."""

    line: int
    meter: Mapping[str, Value]
    bus: Mapping[str, Value]
    blank: frozenset[str] = frozenset()
    serial: str = ""
    bus_blank: frozenset[str] = frozenset()

    @property
    def name(self) -> str | None:
        """The name of the meter."""
        found = self.meter.get("name")
        return found if isinstance(found, str) else None

    @property
    def place(self) -> Place:
        """What the meter is asked by on its line: its address, or the digits of its number."""
        return place_of(self.meter)


def place_of(meter: Mapping[str, Any]) -> Place:
    """Return what a meter is asked by on its line, None for what is neither."""
    found = meter.get("secondary") or meter.get("address")
    return found if isinstance(found, int | str) else None


def entries(sheet: Sheet) -> list[Entry]:
    """Return the rows of `sheet` as values of the configuration; cells that cannot be are
    added to its mistakes."""
    found: list[Entry] = []
    serials: dict[str, int] = {}
    for row in sheet.rows:
        values = dict(_values(row, sheet.mistakes))
        serial = _number(row.cells.get(SERIAL, ""))
        if serial and serials.setdefault(serial, row.line) != row.line:
            text = f"{serial!r} is that of line {serials[serial]}, too"
            sheet.mistakes.append(Mistake(row.line, SERIAL, text, "each meter has its own"))
        if _ROUNDED.fullmatch(serial):
            sheet.mistakes.append(Mistake(row.line, SERIAL, *_rounded(serial)))
        found.append(
            Entry(
                row.line,
                {key: values[key] for key in OF_METER if key in values},
                {key: values[name] for name, key in OF_BUS.items() if name in values},
                frozenset(key for key in OF_METER if row.cells.get(key) == ""),
                serial,
                frozenset(key for name, key in OF_BUS.items() if row.cells.get(name) == ""),
            )
        )
    return found


def _values(row: Row, mistakes: list[Mistake]) -> Iterator[tuple[str, Value]]:
    for column, text in row.cells.items():
        if _FAILED.fullmatch(text):
            hint = "it is what a formula gives that went wrong"
            mistakes.append(Mistake(row.line, column, f"{text!r} is no value", hint))
        elif column == "secondary" and _ROUNDED.fullmatch(text):
            mistakes.append(Mistake(row.line, column, *_rounded(text)))
        elif text and column != SERIAL:
            try:
                yield column, _value(column, text)
            except ValueError as err:
                hint = "such as 1" if "whole" in str(err) else ""
                mistakes.append(Mistake(row.line, column, str(err), hint))


def _value(column: str, text: str) -> Value:
    """Return what a cell means. Raises ValueError."""
    key = OF_BUS.get(column)
    about = Bus.model_fields[key] if key is not None else Meter.model_fields[column]
    kinds, allowed = _kinds(about)
    if bool in kinds and text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    for one in allowed:
        if text.lower() == one.lower():
            return one
    if bool in kinds and str not in kinds:
        raise ValueError(f"should be true or false, not {text!r}")
    if int in kinds:
        whole = _WHOLE.fullmatch(text)
        if whole is None:
            raise ValueError(f"should be a whole number, not {text!r}")
        return int(whole[1])
    if float in kinds:  # a duration
        return _DECIMAL_COMMA.sub(".", text)
    if column == "secondary":
        digits = _number(text)  # a spreadsheet takes zeros off that stand in front
        return digits.zfill(8) if digits.isdecimal() else text
    return text.lower() if column == "model" else text


def _number(text: str) -> str:
    """Return a number for a device without what a spreadsheet adds to an amount."""
    found = _DIGITS.fullmatch(text)
    return re.sub("[^0-9]", "", found[1]) if found else text


def _rounded(text: str) -> tuple[str, str]:
    hint = "give its column the format text, and write the number again"
    return f"{text!r} was rounded by the spreadsheet", hint


def _kinds(about: FieldInfo) -> tuple[set[type], list[str]]:
    """Return of what types a key can be, and the texts that it can be if they are few."""
    kinds: set[type] = set()
    allowed: list[str] = []

    def look(annotation: Any) -> None:
        if typing.get_origin(annotation) is typing.Literal:
            for one in typing.get_args(annotation):
                kinds.add(type(one))
                allowed.extend([one] if isinstance(one, str) else [])
        elif typing.get_origin(annotation) is typing.Annotated:
            look(typing.get_args(annotation)[0])
        elif inner := typing.get_args(annotation):
            for one in inner:
                look(one)
        else:
            kinds.add(annotation)

    look(about.annotation)
    return kinds, allowed


def csv_text(data: Mapping[str, Any], delimiter: str) -> str:
    """Return the meters of a configuration, read as TOML, as such a table."""
    rows: list[dict[str, Value]] = []
    for _, bus in sections(data, "bus"):
        line = {column: bus[key] for column, key in OF_BUS.items() if key in bus}
        rows += [{**line, **meter} for _, meter in sections(bus, "meter")]
    given = {name for row in rows for name in row}
    columns = [one for one in COLUMNS if one in _ALWAYS or one in given]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column, "")) for column in columns] for row in rows)
    return out.getvalue()


def _cell(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return cell(value) if isinstance(value, str) else str(value)
