"""Files of prices as sites give them: what is read, and what is refused with the reason."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.domain.errors import PriceError
from logger.prices.reading import How, taken
from tests.price_shell import QUARTER, VIENNESE, Shell
from tests.price_texts import (
    AWATTAR,
    CHARTS_CSV,
    DANISH,
    ELERING,
    ENERGINET,
    ENERGY_CHARTS,
    ENTSOE,
    ENTSOE_EXPORT,
    ENTSOE_OLD,
    FINNISH,
    FRAME,
    NORDIC,
    NORDPOOL,
    OCTOPUS,
    OCTOPUS_TODAY,
    PARTED,
    PLAIN,
    SERIES,
    SMARD,
    SPANISH,
    TIBBER,
    TIBBER_EDGES,
    TIBBER_NODES,
)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ENERGY_CHARTS, ()),
        (AWATTAR, ()),
        (ENTSOE_OLD, ()),
        (ENTSOE, ("--only", "AT", "--only", "Sequence 1")),
        (SMARD, (*VIENNESE, "--column", "Österreich [€/MWh] Originalauflösungen")),
        (TIBBER, ("--unit", "EUR/kWh", "--column", "energy")),
        (NORDPOOL, ("--unit", "EUR/MWh", "--only", "AT")),
        (NORDIC, ()),
        (ENERGINET, ("--only", "DE")),
        (ELERING, ("--unit", "EUR/MWh", "--only", "ee")),
        (PLAIN, (*VIENNESE, "--unit", "ct/kWh")),
        ("2026-01-01T00:00+01:00,85.12\n2026-01-01T01:00+01:00,-3.5\n", ("--unit", "EUR/MWh")),
        (PARTED, VIENNESE),
        (CHARTS_CSV, ()),
        (OCTOPUS, ("--unit", "ct/kWh", "--column", "value_inc_vat")),
        (OCTOPUS_TODAY, ("--unit", "ct/kWh", "--column", "value_inc_vat")),
        (TIBBER_EDGES, ("--unit", "EUR/kWh", "--column", "energy")),
        (TIBBER_NODES, ("--unit", "EUR/kWh", "--column", "energy")),
        (FINNISH, ("--unit", "ct/kWh")),
        (DANISH, ("--column", "value")),
        (SPANISH, ("--unit", "EUR/MWh")),
        (SERIES, ("--unit", "EUR/MWh")),
        (FRAME, ("--unit", "EUR/MWh")),
        (ENTSOE_EXPORT, ("--only", "AT")),
    ],
    ids=[
        "energy-charts", "awattar", "entsoe-old", "entsoe", "smard", "tibber", "nordpool",
        "nordic", "energinet", "elering", "plain", "no-head", "date-and-hour",
        "energy-charts-csv", "octopus", "octopus-open-end", "tibber-edges", "tibber-nodes",
        "porssisahko", "stromligning", "esios", "smard-series", "data-frame", "entsoe-export",
    ],
)  # fmt: skip
def test_files_as_sites_give_them(shell: Shell, text: str, words: Sequence[str]) -> None:
    found = shell.take(text, *words)
    assert (found["quarter_hours"], found["points"], found["bad"]) == (8, 8, [])
    assert shell.listed() == [
        ("2026-01-01T00:00+01:00", "2026-01-01T01:00+01:00", 0.08512),
        ("2026-01-01T01:00+01:00", "2026-01-01T02:00+01:00", -0.0035),
    ]


@pytest.mark.parametrize(
    ("text", "words", "reason"),
    [
        (SMARD, VIENNESE, "several columns may be the price: name one with --column: 'Deutsch"),
        (TIBBER, (), "several columns may be the price: name one with --column: 'total', 'energy'"),
        ("time;price\n2026-01-01 00:00;1\n2026-01-01 01:00;1\n", ("--unit", "ct/kWh"),
         "line 2: '2026-01-01 00:00' has no offset: name the time zone of the file, such as"),
        (ENTSOE_OLD, ("--zone", "Europe/Helsinki"), "says Europe/Brussels, --zone Europe/Helsinki"),
        ("hello world", (), "line 1: neither a head with a column of times, nor a time and"),
        ("{\n\"a\": 1,\n}", (), "line 3: not JSON"),
        ("[]", (), "no list of prices with their times"),
        ("", (), "no prices in it"),
        (ENTSOE, ("--only", "XX"), "no prices in it of XX"),
        ('a,time,price\n"x,2026-01-01T00:00Z,1\n', (), "not CSV"),
        ('time,price (EUR/MWh)\n2026-01-01T00:00Z,"1,234"\n2026-01-01T01:00Z,"2,345"\n', (),
         "is the comma decimal, or does it part thousands?"),
        (b"\x1f\x8b\x08\x00broken", (), "damaged gzip data"),
        (b"time;price\n\xff\xff", (), "not UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_the_reason(
    shell: Shell, text: str | bytes, words: Sequence[str], reason: str
) -> None:
    with pytest.raises(PriceError) as caught:
        shell.take(text, *words)
    assert reason in str(caught.value)
    assert not shell.kept.exists()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2026-03-29 02:00;5", "line 3: '2026-03-29 02:00' does not exist in Europe/Vienna"),
        ("2026-10-25 02:00;5", "line 3: '2026-10-25 02:00' comes twice in Europe/Vienna, and once"),
        ("yesterday;5", "line 3: 'yesterday' is no time: expected 2026-01-31T13:00"),
        ("31/31/2026 00:00;5", "line 3: '31/31/2026 00:00' is no time"),
        ("1026-01-01 01:00;5", "line 3: '1026-01-01 01:00' is not between 2000 and 2100"),
        ("2026-01-01 01:05;5", "line 3: '2026-01-01 01:05' does not begin a quarter hour"),
        ("2026-01-01 01:00;five", "line 3: 'five' is no number"),
        ("2026-01-01 01:00;inf", "line 3: 'inf' is no price"),
        ("2026-01-01 01:00;9e99", "line 3: '9e99' is no price"),
        ("2026-01-01 00:00;9", "line 3: '2026-01-01 00:00' has another price (9) than in 2 (1,5)"),
        ("2026-01-01 01:00;1.5", "line 3: '1.5': other numbers of the file have a decimal ','"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_and_nothing_is_taken(shell: Shell, line: str, reason: str) -> None:
    text = f"time;price (ct/kWh)\n2026-01-01 00:00;1,5\n{line}\n2026-01-01 03:00;1,5\n"
    words = (*VIENNESE, "--resolution", "1h")
    found = shell.take(text, *words, code=1)
    assert found["quarter_hours"] == 0
    assert any(one.startswith(reason) for one in found["bad"]), found["bad"]
    assert not shell.kept.exists()
    found = shell.take(text, *words, "--skip-bad", code=1)
    assert found["quarter_hours"] == 8
    assert len(shell.listed()) == 2


def test_a_bad_line_is_shown_as_it_is(shell: Shell) -> None:
    (shell.directory / "market.dat").write_text(
        "time;price (ct/kWh)\n2026-01-01T00:00Z;[b]5[/b]\n2026-01-01T01:00Z;-0.0\n", "utf-8"
    )
    words = ("prices", "import", str(shell.directory / "market.dat"))
    assert "line 2: '[b]5[/b]' is no number" in shell.run(*words).output
    assert ": 0.00 to 0.00 EUR a kWh" in shell.run(*words, "--skip-bad").output


def test_currency_and_unit_are_checked(shell: Shell, tmp_path: Path) -> None:
    dear = "time;price (CHF/MWh)\n2026-01-01 00:00;1\n2026-01-01 01:00;1\n"
    found = shell.take(dear, *VIENNESE, code=1)
    assert "the price is in CHF, prices.currency is EUR" in found["bad"][0]
    # A field of its own tells as well, whatever the unit that was named.
    for text, words in (
        (NORDPOOL.replace('"EUR"', '"SEK"'), ("--unit", "EUR/MWh", "--only", "AT")),
        (AWATTAR.replace('"object"', '"meta":{"currency":"SEK"},"object"'), ()),
        (ENTSOE_EXPORT.replace("EUR", "SEK"), ("--only", "AT")),
        (ENTSOE_OLD.replace('"EUR"', '"SEK"'), ()),
    ):
        found = shell.take(text, *words, code=1)
        assert "the price is in SEK, prices.currency is EUR" in found["bad"][0]
    # A sign of several currencies is one of none else.
    for sign in ("$", "kr", "øre"):
        text = dear.replace("CHF", sign)
        found = shell.take(text, *VIENNESE, code=1)
        assert "CAD" in found["bad"][0] or "DKK" in found["bad"][0]
    bare = "time;price\n2026-01-01 00:00;1\n2026-01-01 01:00;1\n"
    found = shell.take(bare, *VIENNESE, code=1)
    assert "in what unit is the price? Add --unit EUR/MWh" in found["bad"][0]
    file = tmp_path / "market.dat"
    for words, text in (
        (("--unit", "EUR"), "--unit: 'EUR' is no unit"),
        (("--zone", "Europe/Viena"), "did you mean Europe/Vienna?"),
        (("--kind", "buying"), "expected import or export"),
        (("--resolution", "10m"), "expected quarter hours"),
    ):
        done = shell.run("prices", "import", str(file), *words)
        assert done.exit_code == 2
        assert text in done.output


def local(hours: Sequence[str], prices: Sequence[object]) -> str:
    lines = [f"{hour};{price}" for hour, price in zip(hours, prices, strict=True)]
    return "time;price (EUR/MWh)\n" + "\n".join(lines) + "\n"


def test_the_hour_that_comes_twice_is_told_by_the_order(shell: Shell) -> None:
    hours = [f"2026-10-25 0{hour}:00" for hour in (1, 2, 2, 3)]
    truth = [
        ("2026-10-25T01:00+02:00", "2026-10-25T02:00+02:00", 0.001),
        ("2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", 0.002),
        ("2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00", 0.003),
        ("2026-10-25T03:00+01:00", "2026-10-25T04:00+01:00", 0.004),
    ]
    shell.take(local(hours, (1, 2, 3, 4)), *VIENNESE)
    assert shell.listed() == truth
    shell.take(local(hours[::-1], (4, 3, 2, 1)), *VIENNESE)
    assert shell.listed() == truth


def test_the_hour_that_is_left_out_needs_no_line(shell: Shell) -> None:
    shell.take(local(["2026-03-29 01:00", "2026-03-29 03:00"], (1, 2)), *VIENNESE)
    assert shell.listed() == [
        ("2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00", 0.001),
        ("2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00", 0.002),
    ]
    # A site may write the line all the same, without a price.
    text = local([f"2026-03-29 0{hour}:00" for hour in (1, 2, 3)], (5, "n/e", 6))
    assert shell.take(text, *VIENNESE)["without_price"] == 1


def test_times_bring_the_name_of_their_offset(shell: Shell) -> None:
    rows = [
        f'"25/10/2026 02:{minute}:00 ({name}) - 25/10/2026 02:{minute + 15}:00 ({name})","{price}"'
        for price, (name, minute) in enumerate(
            [(name, minute) for name in ("CET", "CEST") for minute in (15, 30)]
        )
    ]
    shell.take('"MTU (CET/CEST)","Day-ahead Price (EUR/MWh)"\n' + "\n".join(rows))
    assert shell.listed() == [
        ("2026-10-25T02:15+02:00", "2026-10-25T02:30+02:00", 0.002),
        ("2026-10-25T02:30+02:00", "2026-10-25T02:45+02:00", 0.003),
        ("2026-10-25T02:15+01:00", "2026-10-25T02:30+01:00", 0.0),
        ("2026-10-25T02:30+01:00", "2026-10-25T02:45+01:00", 0.001),
    ]


def test_a_price_holds_no_longer_than_its_neighbours(shell: Shell) -> None:
    quarters = ["00:00", "00:15", "00:45", "01:00", "01:15", "02:30", "02:45"]
    hours = ["2026-01-01 " + one for one in quarters]
    found = shell.take(local(hours, range(7)), *VIENNESE)
    assert found["quarter_hours"] == 7
    shown = json.loads(shell("prices", "show", "--json", code=1))["prices"][0]
    assert [(one["from"][11:16], one["to"][11:16]) for one in shown["gaps"]] == [
        ("00:30", "00:45"), ("01:30", "02:30"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "stamps"),
    [
        ("Asia/Kolkata", ("2026-01-01 00:00", "2026-01-01 01:00")),
        ("Asia/Kathmandu", ("2026-01-01 00:00", "2026-01-01 01:00")),
        ("UTC", ("2026-01-01T00:00+05:45", "2026-01-01T01:00+05:45")),
    ],
)
def test_an_hour_of_an_odd_offset_is_an_hour(
    shell: Shell, zone: str, stamps: tuple[str, str]
) -> None:
    text = f"time;price (EUR/MWh)\n{stamps[0]};5\n{stamps[1]};6\n"
    assert shell.take(text, "--zone", zone)["quarter_hours"] == 8


def test_hours_become_quarters_within_a_file(shell: Shell) -> None:
    hours = ["2025-09-30 22:00", "2025-09-30 23:00", "2025-10-01 00:00", "2025-10-01 00:15"]
    assert shell.take(local(hours, range(4)), *VIENNESE)["quarter_hours"] == 10


def test_bom_gzip_crlf_and_utf_16(shell: Shell) -> None:
    for content in (
        ("\ufeff" + ENTSOE_OLD.replace("\n", "\r\n")).encode(),
        gzip.compress(ENTSOE_OLD.encode()),
        ENTSOE_OLD.encode("utf-16"),
    ):
        assert shell.take(content)["quarter_hours"] == 8


# Properties of the reading.

ZONES = st.sampled_from(["Europe/Vienna", "Europe/London", "America/Sao_Paulo", "UTC",
                         "Australia/Lord_Howe", "America/New_York", "Asia/Kathmandu"])  # fmt: skip
STARTS = st.integers(978_307_200, 4_070_908_800).map(lambda at: at // 900 * 900)
AROUND = st.sampled_from([1_774_742_400, 1_792_886_400, 1_792_281_600, 1_775_397_600])
PRICES = st.lists(
    st.decimals(-500, 4000, places=2, allow_nan=False, allow_infinity=False),
    min_size=2,
    max_size=60,
)


@given(
    zone=ZONES,
    start=st.one_of(STARTS, AROUND),
    values=PRICES,
    comma=st.booleans(),
    back=st.booleans(),
)
def test_local_times_in_order_are_read_as_they_were(
    zone: str, start: int, values: list[Decimal], comma: bool, back: bool
) -> None:
    """Whole hours that come twice, so that the order tells; also from newest to oldest."""
    place = ZoneInfo(zone)
    at = {start + 900 * number: price for number, price in enumerate(values)}
    stamps = {one: dt.datetime.fromtimestamp(one, place).replace(tzinfo=None) for one in at}
    walls = list(stamps.values())
    for one, wall in stamps.items():
        first, second = (wall.replace(tzinfo=place, fold=fold).timestamp() for fold in (0, 1))
        if first != second and walls.count(wall) == 1:
            del at[one]  # of what comes twice the file has to tell both
    lines = [
        f"{stamps[one]:%Y-%m-%d %H:%M};{price}".replace(".", "," if comma else ".")
        for one, price in at.items()
    ]
    if not lines or (back and stamps[min(at)] >= stamps[max(at)]):
        return  # within an hour that comes twice the order of a few lines tells nothing
    if not back and stamps[min(at)] > stamps[max(at)]:
        return
    text = "time;price (EUR/MWh)\n" + "\n".join(reversed(lines) if back else lines) + "\n"
    found = taken(text, How(currency="EUR", zone=zone, length_ms=QUARTER))
    assert found.bad == []
    assert found.spot == {1000 * one: price / 1000 for one, price in at.items()}


@settings(max_examples=40)
@given(text=st.text(max_size=100))
def test_any_text_is_read_or_refused(text: str) -> None:
    for whole in (text, f"time;price\n{text}", f'[{{"start":"{text}","price":1}}]'):
        try:
            found = taken(whole, How(currency="EUR", zone="UTC", unit="EUR/MWh"))
        except ValueError:
            continue
        assert all(at % QUARTER == 0 for at in found.spot)
