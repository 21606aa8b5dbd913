"""Prices in ENTSO-E's own XML: documents of day-ahead prices, and answers without any."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.domain.errors import PriceError
from logger.prices.reading import How, taken
from tests.price_shell import QUARTER, Shell

_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) - dt.timedelta(hours=1)  # midnight in Vienna
_START_MS = round(_START.timestamp() * 1000)
Points = Sequence[tuple[int, str]]


def _document(*series: str, kind: str = "A44") -> str:
    return f"""<?xml version="1.0" encoding="utf-8"?>
<Publication_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3">
  <mRID>a</mRID><revisionNumber>1</revisionNumber><type>{kind}</type>
  <period.timeInterval><start>2025-12-31T23:00Z</start><end>2026-01-01T23:00Z</end>
  </period.timeInterval>
  {"".join(series)}
</Publication_MarketDocument>"""


def _series(
    points: Points, resolution: str = "PT60M", curve: str = "A03", count: int | None = None,
    *, sequence: str = "", contract: str = "A01", currency: str = "EUR", hours: int = 0,
) -> str:  # fmt: skip
    minutes = 15 if resolution == "PT15M" else 60
    start = _START + dt.timedelta(hours=hours)
    end = start + dt.timedelta(minutes=minutes * (len(points) if count is None else count))
    position = "classificationSequence_AttributeInstanceComponent.position"
    return f"""<TimeSeries><mRID>1</mRID><auction.type>A01</auction.type>
  <businessType>A62</businessType>
  <in_Domain.mRID codingScheme="A01">10YAT-APG------L</in_Domain.mRID>
  <out_Domain.mRID codingScheme="A01">10YAT-APG------L</out_Domain.mRID>
  <contract_MarketAgreement.type>{contract}</contract_MarketAgreement.type>
  <currency_Unit.name>{currency}</currency_Unit.name>
  <price_Measure_Unit.name>MWH</price_Measure_Unit.name>
  {f"<{position}>{sequence}</{position}>" if sequence else ""}
  {f"<curveType>{curve}</curveType>" if curve else ""}
  <Period><timeInterval><start>{start:%Y-%m-%dT%H:%MZ}</start><end>{end:%Y-%m-%dT%H:%MZ}</end>
  </timeInterval><resolution>{resolution}</resolution>
  {
        "".join(
            f"<Point><position>{at}</position><price.amount>{price}</price.amount></Point>"
            for at, price in points
        )
    }
  </Period></TimeSeries>"""


def _refused(text: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><Acknowledgement_MarketDocument '
        'xmlns="urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0"><mRID>b</mRID>'
        f"<Reason><code>999</code><text>{text}</text></Reason></Acknowledgement_MarketDocument>"
    )


TWO = [(1, "85.12"), (2, "-3.50")]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_document(_series(TWO)), ()),
        (_document(_series(TWO, curve="A01")), ()),
        (_document(_series(TWO, curve="")), ()),
        (_document(_series([(5, "-3.5"), (1, "85.12")], "PT15M", count=8)), ()),
        (_document(_series([(1, "85.12")]), _series([(1, "-3.5")], hours=1)), ()),
        (_document(_series([(1, "9")], contract="A07"), _series(TWO)), ()),
        (
            _document(_series([(1, "9"), (3, "8")], "PT15M", count=8, sequence="2"),
                      _series(TWO, sequence="1")),
            ("--only", "Sequence 1", "--only", "10YAT-APG------L"),
        ),
        (_document(_series(TWO, sequence="1", contract="A07")), ("--only", "a07")),
        ("\ufeff" + _document(_series(TWO)), ()),
    ],
    ids=["A03", "A01", "plain", "quarters", "series", "intraday", "sequence", "asked", "bom"],
)  # fmt: skip
def test_documents_of_day_ahead_prices(shell: Shell, text: str, words: Sequence[str]) -> None:
    took = shell.take(text, *words)
    assert (took["quarter_hours"], took["unit"], took["bad"]) == (8, "EUR/MWh", [])
    assert shell.listed() == [
        ("2026-01-01T00:00+01:00", "2026-01-01T01:00+01:00", 0.08512),
        ("2026-01-01T01:00+01:00", "2026-01-01T02:00+01:00", -0.0035),
    ]


def test_what_a01_leaves_out_is_missing_and_a03_holds_to_the_end(shell: Shell) -> None:
    shell.take(_document(_series([(1, "10"), (4, "40")], curve="A01", count=5)))
    found = [(start[11:16], price) for start, _, price in shell.listed()]
    assert found == [("00:00", 0.01), ("03:00", 0.04)]
    assert "missing: 2026-01-01 01:00" in shell("prices", "show", code=1)
    shell("prices", "remove", "--all")
    # Nothing is known of what is before the first point.
    shell.take(_document(_series([(2, "10"), (4, "40")], count=5)))
    found = [(start[11:16], price) for start, _, price in shell.listed()]
    assert found == [("01:00", 0.01), ("02:00", 0.01), ("03:00", 0.04), ("04:00", 0.04)]


_BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<Publication_MarketDocument>&b;</Publication_MarketDocument>"""
_OUTSIDE = """<!DOCTYPE d [<!ENTITY f SYSTEM "file:///etc/hostname">]>
<Publication_MarketDocument><type>&f;</type></Publication_MarketDocument>"""


@pytest.mark.parametrize(
    ("text", "words", "reason"),
    [
        (_refused("No matching data found for Data item ..."), (), "no data: ENTSO-E has no"),
        (_refused("Unauthorized. Missing or invalid token"), (), "999 Unauthorized"),
        (_refused(""), (), "an acknowledgement of ENTSO-E: 999"),
        (_document(_series(TWO), kind="A65"), (), "type A65: expected A44"),
        ("<html><body>503</body></html>", (), "XML with 'html'"),
        ("<html><br></html>", (), "not XML: mismatched tag"),
        (_document(_series(TWO))[:-40], (), "is it whole"),
        (_BOMB, (), "definitions of its own"),
        (_OUTSIDE, (), "definitions of its own"),
        (_document(), (), "no prices in it"),
        (_document(_series(TWO)), ("--only", "FR"), "there is contract A01 10YAT-APG------L"),
        (_document(_series(TWO)), ("--column", "price"), "one price at each time"),
        (_document(_series(TWO, contract="A07")), (), "--only A07 takes them"),
        (_document(_series(TWO, sequence="1"), _series(TWO, sequence="2")), (), '"Sequence 1"'),
        (_document(_series(TWO, curve="A05")), (), "curve type A05"),
        (_document(_series([(3, "1")], count=2)), (), "position '3': expected 1 to 2"),
        (_document(_series([(0, "1")], count=2)), (), "position '0': expected 1 to 2"),
        (_document(_series([(1, "1"), (1, "2")])), (), "two prices at position 1"),
        (_document(_series(TWO, "P1D")), (), "resolution 'P1D'"),
        (_document(_series(TWO)).replace("T01:00Z", "T00:30Z"), (), "not of whole PT60M"),
        (_document(_series(TWO)).replace("T01:00Z", "T01:00"), (), "expected times of UTC"),
        (_document(_series(TWO)).replace("2026-01-01T01", "9"), (), "is no time"),
        (_document(_series(TWO)).replace("timeInterval", "other"), (), "without its timeInterval"),
    ],
)
def test_what_is_no_document_of_prices_is_refused_with_the_reason(
    shell: Shell, text: str, words: Sequence[str], reason: str
) -> None:
    file = shell.directory / "market.xml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PriceError) as refused:
        shell("prices", "import", str(file), *words)
    assert reason in str(refused.value)
    assert not shell.kept.exists()


def test_prices_of_another_currency_are_refused(shell: Shell) -> None:
    took = shell.take(_document(_series(TWO, currency="PLN")), code=1)
    assert all("the price is in PLN, prices.currency is EUR" in bad for bad in took["bad"])
    assert took["quarter_hours"] == 0


_VALUES = st.lists(st.sampled_from(["1", "1.0", "-2.5", "0", "73.24"]), min_size=1, max_size=100)


@settings(max_examples=60, deadline=None)
@given(_VALUES, st.booleans(), st.randoms(use_true_random=False))
def test_what_a03_leaves_out_is_what_a01_repeats(
    values: list[str], hourly: bool, order: Random
) -> None:
    """The same prices, with each repetition told and with none; points in any order."""
    resolution, step = ("PT60M", 4 * QUARTER) if hourly else ("PT15M", QUARTER)
    every = list(enumerate(values, start=1))
    changes = [next(own) for _, own in groupby(every, key=lambda one: one[1])]
    order.shuffle(changes)
    how = How(currency="EUR")
    full = taken(_document(_series(every, resolution, "A01")), how)
    short = taken(_document(_series(changes, resolution, "A03", len(values))), how)
    expected = {
        _START_MS + place * step + quarter * QUARTER: Decimal(value) / 1000
        for place, value in enumerate(values)
        for quarter in range(step // QUARTER)
    }
    assert short.spot == full.spot == expected
    assert not short.bad
    assert not full.bad
