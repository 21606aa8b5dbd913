"""Tables on narrow terminals and in pipes: nothing is cut off."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from logger.cli.console import columns_that_fit, console, fitting


def test_a_pipe_is_as_wide_as_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width >= 160
    monkeypatch.setenv("COLUMNS", "80")
    assert console().width == 80


def test_nothing_is_cut_off() -> None:
    table = Table("day", "import", "what")
    table.add_row("2026-10-24", "1234.56", "something long that goes on in the next line")
    out = io.StringIO()
    Console(file=out, width=34).print(fitting(table))
    assert "2026-10-24" in out.getvalue()
    assert "1234.56" in out.getvalue()
    assert "…" not in out.getvalue()


@pytest.mark.parametrize(("width", "ruled"), [(60, True), (44, True), (34, False), (26, False)])
def test_no_word_is_divided(width: int, ruled: bool) -> None:
    """Rules go first; then each row is a list."""
    table = Table("address", "sold as", "serial number", "line", title="found")
    table.add_row("1", "Ambition 2PU CT MID", "22091039", "9600 8E1")
    table.add_row("2", "PRO380-Mod", "", "9600 8E1")
    out = io.StringIO()
    Console(file=out, width=width).print(fitting(table))
    shown = out.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    assert ("┃" in shown) == ruled
    words = set(shown.replace("│", " ").replace("┃", " ").split())
    assert {"found", "address", "serial", "number", "Ambition", "PRO380-Mod", "22091039"} <= words


def test_spare_columns_go_first_while_it_does_not_fit() -> None:
    heads, rows = ["day", "import", "load", "T1"], [["2026-10-24", "1234.56", "99.5", "1.25"]]
    assert columns_that_fit(heads, rows, 80, ["load", "T1"]) == [0, 1, 2, 3]
    assert columns_that_fit(heads, rows, 33, ["load", "T1"]) == [0, 1, 3]
    assert columns_that_fit(heads, rows, 20, ["load", "T1", "cost"]) == [0, 1]
