"""Prices of the market: the commands on them, their points, and the file that keeps them."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.domain.errors import BufferFileError, PriceError
from logger.domain.spot import PriceKind, gaps, runs
from logger.prices import kept
from tests.price_shell import QUARTER, VIENNESE, Shell
from tests.price_texts import AWATTAR, ENERGY_CHARTS


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_prices_without_a_formula_count_for_nothing_and_it_is_told(shell: Shell) -> None:
    file = shell.directory / "market.csv"
    file.write_text(
        "time;price (EUR/MWh)\n2026-01-01 00:00;85.12\n2026-01-01 01:00;-3.50\n", encoding="utf-8"
    )
    told = "nothing counts with these prices yet"
    assert told in shell.run("prices", "import", str(file), *VIENNESE).output
    with shell.config.open("a", encoding="utf-8") as config:
        config.write("[[prices.valid]]\nsince = 2026-01-01\nbuy_formula = { factor = 1.0 }\n")
    assert told not in shell.run("prices", "import", str(file), *VIENNESE).output


def test_a_later_import_replaces_and_says_so(shell: Shell) -> None:
    shell.take(ENERGY_CHARTS)
    again = shell.take(ENERGY_CHARTS)
    assert (again["replaced"], again["repeated"]) == (0, 0)
    assert shell.take(ENERGY_CHARTS.replace("85.12", "90"))["replaced"] == 4
    quarter = "time;price (EUR/MWh)\n2026-01-01T00:15+01:00;7\n"
    shell.take(quarter, "--resolution", "15m")
    assert shell.listed() == [
        ("2026-01-01T00:00+01:00", "2026-01-01T00:15+01:00", 0.09),
        ("2026-01-01T00:15+01:00", "2026-01-01T00:30+01:00", 0.007),
        ("2026-01-01T00:30+01:00", "2026-01-01T01:00+01:00", 0.09),
        ("2026-01-01T01:00+01:00", "2026-01-01T02:00+01:00", -0.0035),
    ]
    assert shell.take(ENERGY_CHARTS, "--kind", "export")["replaced"] == 0
    assert len(shell.listed("--kind", "import")) == 4


def test_rows_that_only_repeat_others_are_counted(shell: Shell) -> None:
    """Not a row of an hour of which a quarter stood there before."""
    rows = "2026-01-01T00:00+01:00;5\n2026-01-01T01:00+01:00;6\n2026-01-01T02:00+01:00;7\n"
    found = shell.take(f"time;price (EUR/MWh)\n{rows}{rows}")
    assert (found["quarter_hours"], found["rows"], found["repeated"]) == (12, 6, 3)


def test_a_file_without_a_head_may_tell_when_each_price_ends(shell: Shell) -> None:
    spans = [("00:00", "00:15"), ("01:00", "02:00"), ("02:00", "02:30")]
    lines = [f"2026-01-01T{a}+01:00;2026-01-01T{b}+01:00;{n}.5" for n, (a, b) in enumerate(spans)]
    shell.take("\n".join(lines) + "\n", "--unit", "EUR/MWh")
    assert [(one[11:16], until[11:16], price) for one, until, price in shell.listed()] == [
        ("00:00", "00:15", 0.0005), ("01:00", "02:00", 0.0015), ("02:00", "02:30", 0.0025),
    ]  # fmt: skip


FORMULA = """
[prices]
[[prices.valid]]
since = 2026-01-01
buy_formula = { factor = 1.05, markup = 0.02, levies = 0.11, vat = 0.2 }
sell = 0.05
"""


def test_prices_are_points_with_what_a_kwh_costs(tmp_path: Path) -> None:
    shell = Shell(tmp_path, FORMULA)
    shell.take(AWATTAR)
    found = json.loads(shell("prices", "list", "--from", "2026-01-01", "--json"))["prices"]
    assert found[0]["price"] == float(
        (Decimal("0.08512") * Decimal("1.05") + Decimal("0.13")) * Decimal("1.2")
    )
    lines = shell("buffer", "export", "--out", "-", "--format", "lp").splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("price,kind=buy,site=home spot=0.08512,price=0.263")
    assert lines[0].endswith(" 1767222000000")


def test_without_room_for_the_points_nothing_is_kept(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    text = shell.config.read_text(encoding="utf-8")
    small = text.replace("[buffer]", '[buffer]\nmax_size = "4MiB"')
    shell.config.write_text(small, encoding="utf-8")
    lines = [f"{1_767_222_000 + 3600 * number};{number % 100}" for number in range(15_000)]
    with pytest.raises(BufferFileError, match="no room for 60000 points"):
        shell.take("\n".join(lines), "--unit", "EUR/MWh")
    assert not shell.kept.exists()


def test_show_list_and_remove(tmp_path: Path) -> None:
    shell = Shell(tmp_path, FORMULA)
    assert "no prices yet" in shell("prices", "show", code=1)
    assert shell("prices", "list") == ""
    shell.take(AWATTAR)
    shown = shell("prices", "show")
    assert "import: 8 quarter hours, 2026-01-01 00:00+01:00 to 2026-01-01 02:00+01:00" in shown
    assert "-0.00350 to 0.08512" in shown or "-0.0035 to 0.08512" in shown
    table = shell("prices", "list", "--from", "2026-01-01", "--to", "2026-01-01")
    assert "by formula" in table
    assert "0.26325" in table
    assert (
        shell("prices", "list", "--from", "2026", "--csv").splitlines()[0]
        == "kind,start,end,spot,price"
    )
    assert shell.run("prices", "remove").exit_code == 2
    hour = ("--from", "2026-01-01T00:00", "--to", "2026-01-01T01:00")
    assert json.loads(shell("prices", "remove", *hour, "--json")) == {"quarter_hours": 4}
    assert len(shell.listed()) == 1
    assert "0 quarter hours" in shell("prices", "remove", "--all", "--kind", "export")
    assert "4 quarter hours" in shell("prices", "remove", "--all")


def test_the_kept_file_is_checked_and_never_half(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.take(AWATTAR)
    whole = shell.kept.read_text(encoding="utf-8")
    for broken in (
        whole.replace("0.08512", "0.08513"), whole[:-20], whole.split("\n", 1)[1], "",
        whole.replace("import", "imprt"),
    ):  # fmt: skip
        shell.kept.write_text(broken, encoding="utf-8")
        with pytest.raises(PriceError, match=r"prices.csv: damaged: "):
            shell("prices", "show")
        with pytest.raises(PriceError, match=r"prices.csv: damaged: "):
            shell.take(AWATTAR)
        assert shell.kept.read_text(encoding="utf-8") == broken
    shell.kept.write_text(whole, encoding="utf-8")

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PriceError, match="No space left on device; the prices are as they were"):
        kept.save(shell.kept, {PriceKind.IMPORT: {0: Decimal(1)}}, "EUR")
    assert shell.kept.read_text(encoding="utf-8") == whole
    assert not list(shell.directory.glob(".prices*"))


def test_kept_prices_belong_to_their_currency(shell: Shell) -> None:
    shell.take(AWATTAR)
    text = shell.config.read_text(encoding="utf-8")
    shell.config.write_text(text + '[prices]\ncurrency = "SEK"\n', encoding="utf-8")
    with pytest.raises(PriceError, match=r"prices\.currency is 'SEK'"):
        shell("prices", "show")


PRICES = st.lists(
    st.decimals(-500, 4000, places=2, allow_nan=False, allow_infinity=False),
    min_size=2,
    max_size=60,
)


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.integers(0, 200).map(lambda n: n * QUARTER), PRICES.map(lambda p: p[0]), min_size=1
    )
)
def test_what_is_kept_reads_back(
    tmp_path_factory: pytest.TempPathFactory, spot: dict[int, Decimal]
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.csv"
    kept.save(path, {PriceKind.EXPORT: spot}, "EUR")
    assert kept.load(path, "EUR") == {PriceKind.EXPORT: spot}
    assert sum(end - begin for (begin, end), _ in runs(spot)) == QUARTER * len(spot)
    held = (max(spot) - min(spot)) // QUARTER + 1
    assert sum(end - begin for begin, end in gaps(spot)) == QUARTER * (held - len(spot))
