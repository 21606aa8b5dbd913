"""Prices of the market: files as sites give them, what is refused, and the commands on them."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from logger.cli import app, prices
from logger.domain.errors import BufferFileError, PriceError
from logger.domain.spot import Kind, gaps, runs
from logger.prices import kept
from logger.prices.reading import How, taken
from tests.configs import configuration

CONFIG = configuration(
    ("grid", "grid"), zone="Europe/Vienna", buffer={"path": "{path}/buffer.sqlite"}
)
QUARTER = 900_000
VIENNA = ZoneInfo("Europe/Vienna")


class Shell:
    def __init__(self, directory: Path, extra: str = "") -> None:
        self.directory = directory
        self.config = directory / "logger.toml"
        self.config.write_text(CONFIG.format(path=directory) + extra, encoding="utf-8")
        self.kept = directory / "prices.csv"

    def run(self, *words: str) -> Result:
        # A part of the commands is made in a fraction of the time.
        part, rest = (prices.app, words[1:]) if words[0] == "prices" else (app, words)
        return CliRunner().invoke(
            part, [*rest, "--config", str(self.config)], env={"COLUMNS": "200"}
        )

    def __call__(self, *words: str, code: int = 0) -> str:
        result = self.run(*words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    def take(self, text: str | bytes, *words: str, code: int = 0) -> Any:
        file = self.directory / "market.dat"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return json.loads(self("prices", "import", str(file), *words, "--json", code=code))

    def listed(self, *words: str) -> list[tuple[str, str, float]]:
        found = json.loads(self("prices", "list", "--from", "2020", *words, "--json"))
        return [(one["start"], one["end"], one["spot"]) for one in found["prices"]]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


ENERGY_CHARTS = """{"license_info":"CC BY 4.0","unix_seconds":[1767222000,1767225600],
"price":[85.12,-3.5],"unit":"EUR / MWh","deprecated":false}"""
AWATTAR = """{"object":"list","data":[
{"start_timestamp":1767222000000,"end_timestamp":1767225600000,"marketprice":85.12,"unit":"Eur/MWh"},
{"start_timestamp":1767225600000,"end_timestamp":1767229200000,"marketprice":-3.5,"unit":"Eur/MWh"}
],"url":"/at/v1/marketdata"}"""
ENTSOE_OLD = """"MTU (CET/CEST)","Day-ahead Price [EUR/MWh]","Currency","BZN|AT"
"01.01.2026 00:00 - 01.01.2026 01:00","85.12","EUR",""
"01.01.2026 01:00 - 01.01.2026 02:00","-3.50","EUR",""
"01.01.2026 02:00 - 01.01.2026 03:00","-","",""
"""
ENTSOE = """"MTU (CET/CEST)","Area","Sequence","Day-ahead Price (EUR/MWh)",\
"Intraday Period (CET/CEST)","Intraday Price (EUR/MWh)"
"01/01/2026 00:00:00 - 01/01/2026 01:00:00","BZN|AT","Sequence 1","85.12","",""
"01/01/2026 00:00:00 - 01/01/2026 01:00:00","BZN|AT","Sequence 2","80.00","",""
"01/01/2026 00:00:00 - 01/01/2026 01:00:00","BZN|FR","Sequence 1","11.00","",""
"01/01/2026 01:00:00 - 01/01/2026 02:00:00","BZN|AT","Sequence 1","-3.50","",""
"""
SMARD = """Datum von;Datum bis;Deutschland/Luxemburg [€/MWh] Originalauflösungen;\
Österreich [€/MWh] Originalauflösungen
01.01.2026 00:00;01.01.2026 01:00;1.085,12;85,12
01.01.2026 01:00;01.01.2026 02:00;1,00;-3,50
"""
TIBBER = """{"data":{"viewer":{"homes":[{"currentSubscription":{"priceInfo":{
"today":[{"total":0.2,"energy":0.08512,"startsAt":"2026-01-01T00:00:00.000+01:00"}],
"tomorrow":[{"total":0.1,"energy":-0.0035,"startsAt":"2026-01-01T01:00:00.000+01:00"}]}}}]}}}"""
NORDPOOL = """{"deliveryDateCET":"2026-01-01","market":"DayAhead","currency":"EUR",
"multiAreaEntries":[
{"deliveryStart":"2025-12-31T23:00:00Z","deliveryEnd":"2026-01-01T00:00:00Z",
 "entryPerArea":{"AT":85.12,"FR":11.0}},
{"deliveryStart":"2026-01-01T00:00:00Z","deliveryEnd":"2026-01-01T01:00:00Z",
 "entryPerArea":{"AT":-3.5,"FR":11.5}}]}"""
NORDIC = """[{"SEK_per_kWh":0.9,"EUR_per_kWh":0.08512,"EXR":10.8,
"time_start":"2026-01-01T00:00:00+01:00","time_end":"2026-01-01T01:00:00+01:00"},
{"SEK_per_kWh":-0.1,"EUR_per_kWh":-0.0035,"EXR":10.8,
"time_start":"2026-01-01T01:00:00+01:00","time_end":"2026-01-01T02:00:00+01:00"}]"""
ENERGINET = """{"total":3,"dataset":"DayAheadPrices","records":[
{"TimeUTC":"2025-12-31T23:00:00","TimeDK":"2026-01-01T00:00:00","PriceArea":"DE",
 "DayAheadPriceEUR":85.12,"DayAheadPriceDKK":635.1},
{"TimeUTC":"2025-12-31T23:00:00","TimeDK":"2026-01-01T00:00:00","PriceArea":"DK1",
 "DayAheadPriceEUR":5.0,"DayAheadPriceDKK":37.1},
{"TimeUTC":"2026-01-01T00:00:00","TimeDK":"2026-01-01T01:00:00","PriceArea":"DE",
 "DayAheadPriceEUR":-3.5,"DayAheadPriceDKK":-26.1}]}"""
ELERING = """{"success":true,"data":{
"ee":[{"timestamp":1767222000,"price":85.12},{"timestamp":1767225600,"price":-3.5}],
"fi":[{"timestamp":1767222000,"price":1.0},{"timestamp":1767225600,"price":2.0}]}}"""
PLAIN = "time;price\n2026-01-01 00:00;8,512\n2026-01-01 01:00;-0,35\n"
PARTED = """sep=;
Datum;Anfang;Preis (EUR/MWh)
01.01.2026;00:00;85,12
01.01.2026;01:00;-3,5
"""
CHARTS_CSV = """Datum (MEZ),Day Ahead Auktion (AT)
,"Preis (EUR/MWh, EUR/tCO2)"
2026-01-01T00:00+01:00,85.12
2026-01-01T01:00+01:00,-3.50
"""
OCTOPUS = """{"count":2,"results":[
{"value_exc_vat":-0.3333,"value_inc_vat":-0.35,"valid_from":"2026-01-01T00:00:00Z",
 "valid_to":"2026-01-01T01:00:00Z","payment_method":null},
{"value_exc_vat":8.1067,"value_inc_vat":8.512,"valid_from":"2025-12-31T23:00:00Z",
 "valid_to":"2026-01-01T00:00:00Z","payment_method":null}]}"""
VIENNESE = ("--zone", "Europe/Vienna")


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
    ],
    ids=[
        "energy-charts", "awattar", "entsoe-old", "entsoe", "smard", "tibber", "nordpool",
        "nordic", "energinet", "elering", "plain", "no-head", "date-and-hour",
        "energy-charts-csv", "octopus",
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


def test_currency_and_unit_are_checked(shell: Shell, tmp_path: Path) -> None:
    dear = "time;price (CHF/MWh)\n2026-01-01 00:00;1\n2026-01-01 01:00;1\n"
    found = shell.take(dear, *VIENNESE, code=1)
    assert "the price is in CHF, prices.currency is EUR" in found["bad"][0]
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
        kept.save(shell.kept, {Kind.IMPORT: {0: Decimal(1)}}, "EUR")
    assert shell.kept.read_text(encoding="utf-8") == whole
    assert not list(shell.directory.glob(".prices*"))


def test_kept_prices_belong_to_their_currency(shell: Shell) -> None:
    shell.take(AWATTAR)
    text = shell.config.read_text(encoding="utf-8")
    shell.config.write_text(text + '[prices]\ncurrency = "SEK"\n', encoding="utf-8")
    with pytest.raises(PriceError, match=r"prices\.currency is 'SEK'"):
        shell("prices", "show")


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
    kept.save(path, {Kind.EXPORT: spot}, "EUR")
    assert kept.load(path, "EUR") == {Kind.EXPORT: spot}
    assert sum(end - begin for (begin, end), _ in runs(spot)) == QUARTER * len(spot)
    held = (max(spot) - min(spot)) // QUARTER + 1
    assert sum(end - begin for begin, end in gaps(spot)) == QUARTER * (held - len(spot))
