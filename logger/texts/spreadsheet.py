"""Texts in the cells of CSV: a spreadsheet takes what begins like a formula for one. Pure."""

from __future__ import annotations

_FORMULA = frozenset("=+-@\t\r")


def cell(text: str) -> str:
    """Return `text` with a `'` before it where a spreadsheet would take it for a formula, and
    where it begins as if it had got one."""
    return f"'{text}" if text[:1] in _FORMULA or _marked(text) else text


def text_of(cell: str) -> str:
    """Return the text that `cell` was made of."""
    return cell[1:] if _marked(cell) else cell


def _marked(text: str) -> bool:
    second = text[1:2]
    return text.startswith("'") and (second in _FORMULA or second == "'")
