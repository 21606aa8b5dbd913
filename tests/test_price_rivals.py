"""Two commands on prices at once: the later one has the last word on prices and on costs."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from logger.cli import pricecosts
from logger.domain.errors import PriceError
from logger.prices import kept
from logger.report.source import BufferSource
from logger.store.query import StoredLines
from tests.report_rig import write_buffer
from tests.running import COMMAND, ROOT
from tests.test_price_year import Shell, market, points, world

QUARTERS = world("2026-03-28", "2026-03-28")
DEARER = [replace(one, buy=Decimal(3)) for one in QUARTERS[40:44]]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    write_buffer(tmp_path / "buffer.sqlite", list(points(QUARTERS)))
    (tmp_path / "dearer.csv").write_text(market(DEARER), encoding="utf-8")
    return Shell(tmp_path)


def costs(shell: Shell) -> list[Decimal]:
    """Return what each quarter hour cost, as a database keeps it: the last point counts."""
    lines = StoredLines(shell.directory / "buffer.sqlite")
    found = BufferSource(lines).read("cost_15m", [(0, 2**53)], {}, ())
    last = {point.time_ms: Decimal(repr(point.fields["cost"])) for point in found}
    lines.close()
    return [last[one.at * 1000] for one in QUARTERS]


@pytest.mark.parametrize("words", [("import", "market.csv"), ("recompute",)])
def test_an_import_waits_until_the_costs_of_another_command_are_made(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    (shell.directory / "market.csv").write_text(market(QUARTERS), encoding="utf-8")
    market_csv = str(shell.directory / "market.csv")
    if words == ("recompute",):
        shell("prices", "import", market_csv)
    write, rivals = pricecosts.write, []

    def late(*values: Any, **more: Any) -> int:
        """Begin with the costs once the other import waits, or is over."""
        file = str(shell.directory / "dearer.csv")
        rival = subprocess.Popen(
            [*COMMAND, "prices", "import", file, "--config", str(shell.config)],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT,
        )  # fmt: skip
        rivals.append((rival, "" if rival.stderr is None else rival.stderr.readline()))
        return write(*values, **more)

    monkeypatch.setattr(pricecosts, "write", late)
    shell("prices", *(market_csv if word == "market.csv" else word for word in words))
    ((rival, told),) = rivals
    _, more = rival.communicate()
    assert (rival.returncode, more) == (0, "")
    assert "another command is changing the prices: waiting" in told
    spot = [Decimal(3) if one in QUARTERS[40:44] else one.buy for one in QUARTERS]
    assert costs(shell) == [
        (one.t1 + one.t2) * (price * Decimal("1.02") + Decimal("0.1283")) * Decimal("1.21")
        for one, price in zip(QUARTERS, spot, strict=True)
        if price is not None
    ]
    assert not (shell.directory / "prices.csv.owed").exists()


def test_a_command_that_hangs_is_not_waited_for_for_ever(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = shell.directory / "prices.csv"
    with kept.changing(place, lambda: None):
        monkeypatch.setattr(kept, "_PAUSE_S", 0.0)
        with pytest.raises(PriceError, match="another command has been changing the prices"):
            shell("prices", "import", str(shell.directory / "dearer.csv"))
    assert not place.exists()
