"""Lines of this logger are taken apart as `decode` does, only faster."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.domain.datamodel import Lane
from logger.points.line import FieldValue, Point, encode
from logger.points.parse import decode
from logger.points.split import point_of
from logger.store.database import Database
from logger.store.query import StoredLines
from logger.store.rows import NewRow, append
from logger.store.schema import load_ledger, migrate, save_ledger

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


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(st.integers(0, 400), st.sampled_from([0, 0, 1, 20, 90])), min_size=1),
    cuts=st.lists(st.integers(-20, 450), min_size=2, max_size=12, unique=True),
    minutes=st.sampled_from([1, 7, 600]),
)
def test_every_row_that_touches_a_stretch_is_found(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, int]],
    cuts: list[int],
    minutes: int,
) -> None:
    """Rows begin at a time and have some length; stretches are of any length too."""
    path = tmp_path_factory.mktemp("found") / "buffer.sqlite"
    unit, begin = 60_000 * minutes, 1_793_577_600_000
    database = Database.open(path)
    migrate(database)
    for measurement in ("quality_frequency", "quality_voltage"):
        new = [
            NewRow(
                Lane.MAIN, 1, begin + at * unit, begin + (at + long) * unit, False,
                f"{measurement},n={number} v=1 5",
            )
            for number, (at, long) in enumerate(rows)
        ]  # fmt: skip
        with database.transaction():
            ledger = load_ledger(database)
            append(database, ledger, new, 0)
            save_ledger(database, ledger)
    database.close()
    edges = [begin + cut * unit + 1 for cut in sorted(cuts)]
    spans = list(zip(edges[::2], edges[1::2], strict=False))
    stored = StoredLines(path)
    for measurement in ("quality_frequency", "quality_voltage"):
        texts = "\n".join(stored(measurement, spans)).split("\n")
        found = [line for line in texts if line.startswith(measurement)]
        touching = {
            f"{measurement},n={number} v=1 5"
            for number, (at, long) in enumerate(rows)
            if any(
                begin + at * unit < end and start <= begin + (at + long) * unit
                for start, end in spans
            )
        }
        assert touching <= set(found)
        assert len(found) == len(set(found))
        near = {
            f"{measurement},n={number} v=1 5"
            for number, (at, long) in enumerate(rows)
            if long
            or any(start - 1_800_000 <= begin + at * unit < end + 900_000 for start, end in spans)
        }
        assert set(found) <= near | touching
    stored.close()
