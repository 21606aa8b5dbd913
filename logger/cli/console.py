"""Where commands print: nothing is cut off, neither on a narrow terminal nor in a pipe."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Column, Table

# Where there is no terminal, a table may be as wide as it likes.
_PIPE_WIDTH = 200


# What has no decomposition into letters that every terminal knows.
_PLAIN = str.maketrans({"–": "-", "—": "-", "→": "->", "·": ".", "°": "deg ", "Ω": "Ohm", "×": "x"})


def any_terminal() -> None:
    """Let standard output and error take every text: what a terminal's character set lacks
    is written with the letters that it has. A pipe gets UTF-8 where ASCII is all there is."""
    codecs.register_error("with-plain-letters", _plain_letters)
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper) or _takes_all(stream.encoding):
            continue
        if stream.isatty():
            stream.reconfigure(errors="with-plain-letters")
        elif codecs.lookup(stream.encoding).name == "ascii":
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        else:
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper) and not _takes_all(sys.stdin.encoding):
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")


def _takes_all(encoding: str) -> bool:
    return codecs.lookup(encoding).name.startswith("utf-")


def _plain_letters(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAIN)
    known = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return known or "?", error.end


def console() -> Console:
    """Return a console on standard output."""
    from rich.console import Console

    free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, width=_PIPE_WIDTH if free else None)


def plain(text: object) -> str:
    """Return a text that is not our own, fit to be printed: nothing in it is markup."""
    from rich.markup import escape

    from logger.texts import printable

    return escape(printable(str(text)))


def fitting(table: Table) -> Fitting:
    """Return `table` so that what does not fit goes on in the next line instead of being
    cut off; its first column, which tells the rows apart, stays whole."""
    return Fitting(table)


class Fitting:
    """A table that is laid out when it is known how wide the terminal is: lines end between
    words, and where not even the longest words have room side by side, each row is a list."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        table, width = self._table, options.max_width
        table.columns[0].no_wrap = True
        needs = [_needs(column) for column in table.columns]
        for column in table.columns:
            column.overflow = "fold"
        ruled = table.box is not None
        room = width - (3 * len(needs) + 1 if ruled else len(needs) - 1)
        if sum(most for _, most in needs) > room:
            if ruled and sum(least for least, _ in needs) > room:
                table.box, table.pad_edge, table.padding = None, False, (0, 1, 0, 0)
                room = width - (len(needs) - 1)
            if sum(least for least, _ in needs) > room:
                yield from _listed(table)
                return
            for column, given in zip(table.columns, _shared(needs, room), strict=True):
                column.width = given
        yield table


def _needs(column: Column) -> tuple[int, int]:
    """Return how wide the longest part that stays whole and the longest line of a column are."""
    from rich.cells import cell_len

    texts = [str(cell) for cell in (column.header, *column.cells)]
    words = max((cell_len(word) for text in texts for word in text.split()), default=0)
    most = max((cell_len(line) for text in texts for line in text.splitlines()), default=0)
    return most if column.no_wrap else words, most


def _shared(needs: Sequence[tuple[int, int]], room: int) -> list[int]:
    """Return how wide each column is made: the longest word of each, and what is left of
    `room` to those that want more."""
    given = [least for least, _ in needs]
    left = room - sum(given)
    while left and any(have < most for have, (_, most) in zip(given, needs, strict=True)):
        for place, (_, most) in enumerate(needs):
            if left and given[place] < most:
                given[place] += 1
                left -= 1
    return given


def _listed(table: Table) -> Iterator[RenderableType]:
    """Yield the rows of `table`, a line for each column that says something."""
    from rich.table import Table

    if table.title:
        yield table.title
    for row in zip(*(column.cells for column in table.columns), strict=True):
        lines = Table.grid(padding=(0, 2, 0, 0))
        lines.add_column(no_wrap=True)
        lines.add_column(overflow="fold")
        for column, cell in zip(table.columns, row, strict=True):
            if str(cell):
                lines.add_row(column.header, cell)
        yield lines
        yield ""


def columns_that_fit(
    heads: Sequence[str], rows: Sequence[Sequence[str]], width: int, spare: Sequence[str]
) -> list[int]:
    """Return the places of the columns that fit into `width` characters: those named in
    `spare` go first, in that order, while the longest words of all do not fit."""
    kept = list(range(len(heads)))

    def needed(place: int) -> int:
        texts = (heads[place], *(row[place] for row in rows))
        return 3 + max((len(word) for text in texts for word in text.split()), default=0)

    for head in spare:
        if 1 + sum(map(needed, kept)) <= width:
            break
        if head in heads:
            kept.remove(heads.index(head))
    return kept


def in_parts(
    heads: Sequence[str], rows: Sequence[Sequence[str]], width: int, spare: Sequence[str]
) -> list[list[int]]:
    """Return the places of the columns of one table or, where they do not fit into `width`
    characters, of several with the first column in each: those named in `spare` go first, in
    that order, into the further ones."""
    parts = [columns_that_fit(heads, rows, width, spare)]
    left = [place for place in range(len(heads)) if place not in parts[0]]
    while left:
        places = [0, *left]
        own = [heads[place] for place in places]
        cells = [[row[place] for place in places] for row in rows]
        fit = columns_that_fit(own, cells, width, own[:1:-1])
        parts.append([places[place] for place in fit])
        left = [place for place in left if place not in parts[-1]]
    return parts
