"""Where commands print: nothing is cut off, neither on a narrow terminal nor in a pipe."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

# Where there is no terminal, a table may be as wide as it likes.
_PIPE_WIDTH = 200


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
