"""Packed rows give back the very same text, whatever it is; and are small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger.store.pack import COLUMNS, TEXT, pack, unpack
from tests import journal_reader
from tests.benchmark.storing import samples

NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9).map(
        lambda number: format(number, "f")
    ),
    st.integers(-(10**18), 10**18).map(str),
    st.sampled_from(
        ["-0", "-0.0", "007", "1e-05", "5i", "12.", "9" * 30, "t", '"a 1,b=2.5"', "%s"]
    ),
)
LINES = st.builds(
    lambda tag, values, stamp: f"m,n={tag} {','.join(f'v={value}' for value in values)} {stamp}",
    st.sampled_from(["a", "b=1", "c 2", "é\x02%"]),
    st.lists(NUMBERS, min_size=1, max_size=3),
    st.integers(0, 2 * 10**12),
)


@given(st.one_of(st.lists(LINES, max_size=30).map("\n".join), st.text(max_size=50)))
def test_every_text_comes_back(text: str) -> None:
    for columns in (False, True):
        assert unpack(pack(text, columns=columns)) == text


@given(st.lists(LINES, min_size=1, max_size=30).map("\n".join))
def test_a_strangers_reader_says_the_same(text: str) -> None:
    for columns in (False, True):
        assert journal_reader.unpack(pack(text, columns=columns)) == text


@given(st.binary(max_size=80))
def test_what_is_not_packed_is_refused(data: bytes) -> None:
    for begin in (b"", bytes((TEXT,)), bytes((COLUMNS,)), b"\x07"):
        with pytest.raises(ValueError):
            unpack(begin + data)


def test_readings_of_a_meter_take_an_eleventh_in_columns() -> None:
    text = "\n".join(p.line() for points in samples(count=340, step_s=5.0) for p in points)
    packed = pack(text, columns=True)
    assert packed[0] == COLUMNS
    assert len(text) > 10.5 * len(packed)
    assert len(text) > 5 * len(pack(text))
    assert journal_reader.unpack(packed) == text
