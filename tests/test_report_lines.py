"""Lines of this logger are taken apart as `decode` does, only faster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger.lineparse import decode
from logger.lineprotocol import FieldValue, Point, encode
from logger.report.source import point_of

names = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_characters="\x7f"), min_size=1
).filter(lambda text: not text.endswith("\\"))
values: st.SearchStrategy[FieldValue] = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@given(
    measurement=names,
    tags=st.dictionaries(names, names, max_size=3),
    fields=st.dictionaries(names, values, min_size=1, max_size=4),
    stamp=st.integers(0, 2**53),
)
def test_a_line_gives_back_its_point(
    measurement: str, tags: dict[str, str], fields: dict[str, FieldValue], stamp: int
) -> None:
    point = Point(measurement, tags, fields, stamp)
    found = point_of(encode(point))
    assert found == point == decode(encode(point))
    assert [type(value) for value in found.fields.values()] == [type(v) for v in fields.values()]


def test_a_measurement_has_no_escape_for_an_equals_sign() -> None:
    point = Point("a\\=b", {"t": "x"}, {"f": 1.0}, 5)
    assert encode(point) == "a\\=b,t=x f=1.0 5"
    assert decode(encode(point)) == point


@pytest.mark.parametrize(
    "line",
    [
        "",
        "power",
        "power v=1",
        "power v= 1",
        "power,meter v=1 5",
        'power v="a 5',
        "power v=x 5",
        "power v=nan 5",
    ],
)
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        point_of(line)
