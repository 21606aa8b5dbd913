"""What reports read many at a time is what the points say one by one, whatever was stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations_with_replacement
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from logger.domain.datamodel import MEASUREMENTS, Lane
from logger.domain.field import FieldType
from logger.domain.timespan import TimeSpan
from logger.points.line import FieldValue, Point
from logger.report import source as reading
from logger.report.once import SharedSource
from logger.report.source import BufferSource, Table
from logger.store.database import Database
from logger.store.query import StoredLines
from logger.store.rows import append, new_rows
from logger.store.schema import load_ledger, migrate, save_ledger

T0, MINUTE = 1_793_577_600_000, 60_000
NAMES = ("energy_15m", "energy", "quality_frequency_15m", "quality_voltage", "event", "site")
# Each example is a file: to make a failing one smaller would take minutes.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
METERS: Sequence[str] = ("house", "roof", "Roof [west], é=1", "Kel\\ler", "a\u2028b", 'say "no"')
# One way to look at a point: its tags, its time, and fields with their types.
_Seen = tuple[tuple[tuple[str, str], ...], int, dict[str, tuple[type, FieldValue]]]
_Values = Mapping[FieldType, st.SearchStrategy[FieldValue]]

values: _Values = {
    FieldType.FLOAT: st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, -0.0, 1e-07, 5e-324, 1e22, 230.1, -0.02]),
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 90),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.TEXT: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))
    | st.sampled_from(["end", "", "a site,site=s demand=1 5", "x=1,y=2 3", "\\", '"']),
}
# What meters measure, and names without an escape: what is read in the quick way.
usual: _Values = {
    **values,
    FieldType.FLOAT: st.integers(-(10**6), 10**9).map(lambda number: number / 1000)
    | st.sampled_from([1e-07, 1e22]),
    FieldType.INTEGER: st.integers(-2, 90),
}
_USUAL_NAMES = [name for name in NAMES if name != "event"]
_USUAL_METERS: Sequence[str] = ("house", "roof")
times = st.integers(0, 40).map(lambda at: T0 + at * MINUTE) | st.integers(T0, T0 + 40 * MINUTE)


@st.composite
def points(draw: st.DrawFn, plain: bool) -> Point:
    """Some fields of a measurement, in any order; the tags that it has, or not all of them."""
    measurement = draw(st.sampled_from(_USUAL_NAMES if plain else NAMES))
    meters = _USUAL_METERS if plain else METERS
    known = MEASUREMENTS[measurement]
    tags = {"site": draw(st.sampled_from(["s", "s", "s", "t"]))}
    for name, own in (("meter", meters), ("role", ("grid", "pv")), ("phase", ("L1", "total"))):
        if name in known.tags and draw(st.integers(0, 9)):
            tags[name] = draw(st.sampled_from(own))
    every = list(known.fields)
    chosen = every
    if draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    kinds = usual if plain else values
    fields = {name: draw(kinds[known.fields[name].kind]) for name in chosen}
    return Point(measurement, tags, fields, draw(times))


@st.composite
def alike(draw: st.DrawFn, plain: bool) -> list[Point]:
    """Many points of one series: with the same fields, as a logger stores them, or some with
    a part of these, be it the first or one in the middle."""
    first = draw(points(plain))
    kinds = usual if plain else values
    known = MEASUREMENTS[first.measurement].fields
    differing = draw(st.booleans())
    made = []
    for number in range(draw(st.integers(2, 7))):
        names = list(first.fields)
        if differing and draw(st.booleans()):
            names = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        fields = {name: draw(kinds[known[name].kind]) for name in names}
        made.append(Point(first.measurement, first.tags, fields, first.time_ms + number * MINUTE))
    return made


def batches(plain: bool) -> st.SearchStrategy[list[list[Point]]]:
    some = st.lists(points(plain), min_size=1, max_size=6)
    return st.lists(some | alike(plain) | alike(plain), min_size=1, max_size=5)


def ranges(edges: Sequence[int]) -> st.SearchStrategy[list[TimeSpan]]:
    """All that there is, or some ranges; they often begin or end on one of `edges`."""
    border = st.sampled_from(edges) | times
    some = st.tuples(border, border).map(lambda both: (min(both), max(both)))
    return st.just([(T0 - MINUTE, T0 + 60 * MINUTE)]) | st.lists(some, min_size=1, max_size=4)


def as_others_write(line: str) -> str:
    """Return a line as programs of Windows end it: it is read, but not in the quick way."""
    return f"{line}\r"


def store(
    directory: pytest.TempPathFactory,
    rows: Iterable[list[Point]],
    packed_from: int,
    foreign: int,
) -> Path:
    """Write a buffer file with a row, or more, for each list; return its path.

    Of each list the lines from the place `foreign` on are as others write them.
    """
    path = directory.mktemp("tables") / "buffer.sqlite"
    database = Database.open(path)
    migrate(database)
    with database.transaction():
        ledger = load_ledger(database)
        for own in rows:
            lines = [point.line() for point in own]
            lines[foreign:] = map(as_others_write, lines[foreign:])
            new = new_rows(Lane.MAIN, lines, [point.time_ms for point in own])
            append(database, ledger, new, 0, packed_from=packed_from)
        save_ledger(database, ledger)
    database.close()
    return path


def seen(tags: Mapping[str, str], at_ms: int, fields: Mapping[str, FieldValue | None]) -> _Seen:
    own = {name: (type(value), value) for name, value in fields.items() if value is not None}
    return tuple(sorted(tags.items())), at_ms, own


def of_points(found: Iterable[Point], wanted: Sequence[str]) -> Iterator[_Seen]:
    for one in found:
        own = {name: one.fields[name] for name in one.fields if not wanted or name in wanted}
        yield seen(one.tags, one.time_ms, own)


def of_tables(found: Iterable[Table], wanted: Sequence[str]) -> Iterator[_Seen]:
    for one in found:
        names = [name for name in one.columns if not wanted or name in wanted]
        assert all(len(one.columns[name]) == len(one.times) for name in names)
        for place, at_ms in enumerate(one.times):
            yield seen(one.tags, at_ms, {name: one.columns[name][place] for name in names})


def by_series(found: Iterable[_Seen]) -> dict[object, list[object]]:
    """Return what was seen by series, in its order: of a time that comes twice the last counts."""
    ordered: dict[object, list[object]] = {}
    for tags, at_ms, fields in found:
        ordered.setdefault(tags, []).append((at_ms, repr(sorted(fields.items()))))
    return ordered


def inside(at_ms: int, spans: Iterable[TimeSpan]) -> bool:
    return any(begin <= at_ms < end for begin, end in spans)


# Only points as meters make them, with the lines of others or without; and all kinds of points.
@pytest.mark.parametrize(("plain", "foreign"), [(True, [100]), (True, [1, 2, 3]), (False, [100])])
@settings(deadline=None, max_examples=100, phases=_PHASES)
@given(
    wanted=st.data(),
    packed_from=st.sampled_from([1, 10**9]),
    chunk=st.sampled_from([1, 400, 256 * 1024]),
)
def test_tables_say_what_the_points_say(
    tmp_path_factory: pytest.TempPathFactory,
    plain: bool,
    foreign: list[int],
    wanted: st.DataObject,
    packed_from: int,
    chunk: int,
) -> None:
    stored = wanted.draw(batches(plain))
    every = [point for own in stored for point in own]
    whens = [[point.time_ms for point in own] for own in stored]
    spans = wanted.draw(ranges([edge(own) for own in whens for edge in (min, max)]))
    # Of what is there, and now and then one that is not.
    names = sorted({point.measurement for point in every})
    measurement = wanted.draw(st.sampled_from(names * 3 + ["site"]))
    known = list(MEASUREMENTS[measurement].fields)
    fields = tuple(wanted.draw(st.lists(st.sampled_from(known), unique=True)))
    tags: dict[str, Sequence[str]] = {}
    if wanted.draw(st.booleans()):
        some = st.lists(st.sampled_from(METERS), min_size=1, unique=True)
        tags["meter"] = wanted.draw(st.just(["house"]) | some)
    if "role" in MEASUREMENTS[measurement].tags and wanted.draw(st.booleans()):
        tags["role"] = ["grid"]
    expected = by_series(
        of_points(
            (
                point
                for point in every
                if point.measurement == measurement
                and point.tags["site"] == "s"
                and all(point.tags.get(name) in own for name, own in tags.items())
                and inside(point.time_ms, spans)
            ),
            fields,
        )
    )
    path = store(tmp_path_factory, stored, packed_from, wanted.draw(st.sampled_from(foreign)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK", chunk)
        lines = StoredLines(path)
        try:
            source = BufferSource(lines, "s")
            shared = SharedSource(source, METERS)
            # What it keeps of other questions is no answer to this one.
            for others in ({**tags, "role": ["pv"]}, {"meter": tags.get("meter", METERS)}):
                list(shared.tables(measurement, spans, others, fields))
            list(shared.tables(measurement, spans, tags, known[-1:]))
            for one in (source, shared, shared):
                asked = (measurement, spans, tags, fields)
                assert by_series(of_tables(one.tables(*asked), fields)) == expected
                assert by_series(of_points(one.read(*asked), fields)) == expected
        finally:
            lines.close()


@pytest.mark.parametrize("packed_from", [1, 10**9])
@pytest.mark.parametrize("foreign", [0, 100])
# Found by an index and never packed; by one and packed; not by an index.
@pytest.mark.parametrize(
    ("measurement", "field"),
    [("quality_voltage", "mean"), ("energy", "active_import"), ("quality_frequency", "mean")],
)
def test_a_range_has_its_first_moment_and_not_its_last(
    tmp_path_factory: pytest.TempPathFactory,
    packed_from: int,
    foreign: int,
    measurement: str,
    field: str,
) -> None:
    tags = {"site": "s", "meter": "house", "role": "grid"}
    at = [T0, T0 + MINUTE, T0 + 2 * MINUTE]
    row = [Point(measurement, tags, {field: 50.25}, time_ms) for time_ms in at]
    lines = StoredLines(store(tmp_path_factory, [row], packed_from, foreign))
    source = BufferSource(lines, "s")
    borders = [time_ms + step for time_ms in at for step in (-1, 0, 1)]
    spans = list(combinations_with_replacement(borders, 2))
    try:
        # Alone, and beside one in which nothing lies: another way leads to the rows then.
        for asked in [*([span] for span in spans), *([(T0 - 9, T0 - 8), span] for span in spans)]:
            found = source.tables(measurement, asked, {}, (field,))
            assert [time_ms for table in found for time_ms in table.times] == [
                time_ms for time_ms in at if inside(time_ms, asked)
            ]
    finally:
        lines.close()
