"""Rows of a table that somebody keeps in a spreadsheet: CSV in its dialects.

Only `read` opens a file. What is wrong with a table is collected, to be told all at once.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logger.domain.errors import ConfigError, suggestion
from logger.texts.spreadsheet import text_of

_MOST_BYTES = 4 * 1024**2
_LONGEST_HEAD = 10_000
_DELIMITERS = ";,\t"
# How files of Excel and LibreOffice begin: a ZIP archive, and what was before.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
# The first line by which Excel is told the separator, as other spreadsheets save it.
_SEP = re.compile(r'"?sep=([;,\t|])"?[;,\t| ]*(?:[\r\n]|$)', re.IGNORECASE)
_SPACES = dict.fromkeys((0xA0, 0x2007, 0x202F), " ")
_UNSEEN = dict.fromkeys((0x200B, 0x2060, 0xFEFF))
_REMARK = "#"  # the name of a column that is for people begins so


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in a line (from 1) of a table, in a column if its name is given."""

    line: int
    column: str
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a line by column; an empty cell is an empty text."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: its known columns in their order, and its rows."""

    columns: Sequence[str]
    rows: Sequence[Row]
    mistakes: list[Mistake] = field(default_factory=list)


def read(file: Path) -> str:
    """Return the text of a table: UTF-8 with or without its mark, UTF-16 with it, else
    Windows-1252, as spreadsheets save it. Raises ConfigError."""
    try:
        with file.open("rb") as raw:
            content = raw.read(_MOST_BYTES + 1)
    except OSError as err:
        raise ConfigError(f"{file}: {err.strerror}", "check the name and permissions") from err
    if content.startswith(_WORKBOOKS):
        raise ConfigError(f"{file}: a workbook, not CSV", "in the spreadsheet save a copy as CSV")
    if len(content) > _MOST_BYTES:
        raise ConfigError(f"{file}: more than {_MOST_BYTES >> 20} MiB", "is it a table of meters?")
    try:
        text = _decoded(content)
    except UnicodeDecodeError as err:
        raise ConfigError(f"{file}: no text: {err}", "save it as CSV in UTF-8") from err
    if "\0" in text:
        raise ConfigError(f"{file}: no text: it has zero bytes", "save it as CSV in UTF-8")
    return text


def _decoded(content: bytes) -> str:
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def plain(text: Any) -> Any:
    """Return a text as it looks: composed accents, one kind of space, nothing unseen."""
    if not isinstance(text, str):
        return text
    return unicodedata.normalize("NFC", text.translate({**_SPACES, **_UNSEEN})).strip()


def sheet(text: str, known: Sequence[str]) -> Sheet:
    """Return the rows of `text`, whose first line that is not empty names the columns.

    `known` are the columns that there may be; one whose name begins with # is passed over.
    """
    lines, mistakes = _rows(text, known)
    if not lines:
        return Sheet((), (), mistakes or [Mistake(1, "", "an empty table", _head_hint(known))])
    (first, heads), *rest = lines
    columns = [_column(head) for head in heads]
    if not set(known) & set(columns):
        text = "the first line should name the columns"
        return Sheet((), (), [Mistake(first, "", text, _head_hint(known))])
    used = {at for _, cells in rest for at, one in enumerate(cells) if one}
    for at, (head, column) in enumerate(zip(heads, columns, strict=True)):
        if column in known:
            if column in columns[:at]:
                mistakes.append(Mistake(first, column, "two columns are called so"))
        elif column and not column.startswith(_REMARK):
            hint = suggestion(column, known, "columns: ")
            hint += f"; one for people only has a {_REMARK} before its name"
            mistakes.append(Mistake(first, head, "unknown column", hint))
        elif not column and at in used:
            hint = "name it, or delete it"
            mistakes.append(Mistake(first, "", f"column {at + 1} has no name", hint))
    rows = []
    for line, cells in rest:
        if any(cells[len(columns) :]):
            hint = 'a cell with the separator in it stands in quotes: "Flat 1, left"'
            text = f"{len(cells)} cells where there are {len(columns)} columns"
            mistakes.append(Mistake(line, "", text, hint))
        padded = [*cells, *[""] * (len(columns) - len(cells))]
        named = zip(columns, padded, strict=False)
        rows.append(Row(line, {column: cell for column, cell in named if column in known}))
    if not rows:
        mistakes.append(Mistake(first, "", "no meter below the names of the columns"))
    return Sheet([one for one in columns if one in known], rows, mistakes)


def _rows(text: str, known: Sequence[str]) -> tuple[list[tuple[int, list[str]]], list[Mistake]]:
    """Return the lines that are not empty, each with its number, and what is no CSV."""
    told = _SEP.match(text)
    delimiter = told[1] if told else _delimiter(text, known)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found: list[tuple[int, list[str]]] = []
    last = 0
    try:
        for number, row in enumerate(reader):
            cells = [text_of(plain(cell)) for cell in row]
            if any(cells) and not (told and number == 0):
                found.append((last + 1, cells))
            last = reader.line_num
    except csv.Error as err:
        hint = 'a cell with " in it stands in quotes, and has each of them twice'
        return found, [Mistake(last + 1, "", f"not CSV: {err}", hint)]
    return found, []


def _delimiter(text: str, known: Sequence[str]) -> str:
    """Return what parts the cells of the first line: that by which most names are known."""
    head = next((line for line in text.splitlines() if re.search(r"\w", line)), "")
    head = head[:_LONGEST_HEAD]

    def names(delimiter: str) -> tuple[int, int]:
        cells = next(csv.reader([head], delimiter=delimiter))
        return sum(_column(cell) in known for cell in cells), head.count(delimiter)

    return max(_DELIMITERS, key=names)


def _column(head: str) -> str:
    return re.sub(r"[\s-]+", "_", head.strip().lower())


def _head_hint(known: Sequence[str]) -> str:
    return f"such as name, model, address, role; there may be {', '.join(known)}"
