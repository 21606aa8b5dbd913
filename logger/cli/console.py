"""Where commands print: nothing is cut off, neither on a narrow terminal nor in a pipe."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

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


def fitting(table: Table) -> Table:
    """Return `table` so that what does not fit goes on in the next line instead of being
    cut off; its first column, which tells the rows apart, stays whole."""
    for column in table.columns:
        column.overflow = "fold"
    table.columns[0].no_wrap = True
    return table


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
