"""Tables on a terminal whose cells are text, whatever they hold: no markup, no escapes."""

from __future__ import annotations

from typing import Any

from rich import table
from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from logger.texts import printable


class Table(table.Table):
    """A table of rich that takes names of meters and words of servers as they are."""

    def __init__(self, *headers: str, title: str | None = None, **options: Any) -> None:
        title = escape(printable(title)) if title is not None else None
        super().__init__(*headers, title=title, **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row; see rich."""
        made = (Text(printable(cell)) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*made, **options)
