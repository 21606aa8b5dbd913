"""What reports read many at a time is what the points say one by one, whatever was stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
METERS = ("house", "roof", "Roof [west], é=1", "Kel\\ler", "a\u2028b", 'say "no"')
# Nearly all names and texts are plain ones, so that whole texts of lines are, too.
_METERS = [*["house"] * 20, "roof", *METERS]
# One way to look at a point: its tags, its time, and fields with their types.
_Seen = tuple[tuple[tuple[str, str], ...], int, dict[str, tuple[type, FieldValue]]]

values: Mapping[FieldType, st.SearchStrategy[FieldValue]] = {
    FieldType.FLOAT: st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, -0.0, 1e-07, 5e-324, 1e22, 230.1, -0.02]),
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 90),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.TEXT: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))
    | st.sampled_from(["end", "", "a site,site=s demand=1 5", "x=1,y=2 3", "\\", '"']),
}
times = st.integers(0, 40).map(lambda at: T0 + at * MINUTE) | st.integers(T0, T0 + 40 * MINUTE)


@st.composite
def points(draw: st.DrawFn) -> Point:
    """Some fields of a measurement, in any order; the tags that it has, or not all of them."""
    measurement = draw(st.sampled_from(NAMES))
    known = MEASUREMENTS[measurement]
    tags = {"site": draw(st.sampled_from(["s", "s", "s", "t"]))}
    for name, own in (("meter", _METERS), ("role", ("grid", "pv")), ("phase", ("L1", "total"))):
        if name in known.tags and draw(st.integers(0, 9)):
            tags[name] = draw(st.sampled_from(own))
    every = list(known.fields)
    chosen = every
    if draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    fields = {name: draw(values[known.fields[name].kind]) for name in chosen}
    return Point(measurement, tags, fields, draw(times))


@st.composite
def alike(draw: st.DrawFn) -> list[Point]:
    """Many points of one series: with the same fields, as a logger stores them, or some with
    a part of these, be it the first or one in the middle."""
    first = draw(points())
    known = MEASUREMENTS[first.measurement].fields
    differing = draw(st.booleans())
    made = []
    for number in range(draw(st.integers(2, 7))):
        names = list(first.fields)
        if differing and draw(st.booleans()):
            names = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        fields = {name: draw(values[known[name].kind]) for name in names}
        made.append(Point(first.measurement, first.tags, fields, first.time_ms + number * MINUTE))
    return made


batches = st.lists(
    st.lists(points(), min_size=1, max_size=6) | alike() | alike(), min_size=1, max_size=5
)
_ALL = (T0 - MINUTE, T0 + 60 * MINUTE)
ranges = st.just([_ALL]) | st.lists(
    st.tuples(times, st.integers(0, 30 * MINUTE)).map(lambda one: (one[0], one[0] + one[1])),
    min_size=1, max_size=4,
)  # fmt: skip


def as_others_write(line: str) -> str:
    """Return a line as programs of Windows end it: it is read, but not in the quick way."""
    return f"{line}\r"


def store(
    directory: pytest.TempPathFactory,
    rows: Iterable[list[Point]],
    packed_from: int,
    others: int,
) -> Path:
    """Write a buffer file with a row, or more, for each list; return its path.

    Of each list the lines from the place `others` on are as others write them.
    """
    path = directory.mktemp("tables") / "buffer.sqlite"
    database = Database.open(path)
    migrate(database)
    with database.transaction():
        ledger = load_ledger(database)
        for own in rows:
            lines = [point.line() for point in own]
            lines[others:] = map(as_others_write, lines[others:])
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


@settings(deadline=None, max_examples=150, phases=_PHASES)
@given(
    stored=batches,
    measurement=st.sampled_from(NAMES),
    spans=ranges,
    wanted=st.data(),
    packed_from=st.sampled_from([1, 10**9]),
    others=st.sampled_from([0, 1, 2, 3, *[100] * 8]),
    chunk=st.sampled_from([1, 400, 256 * 1024]),
)
def test_tables_say_what_the_points_say(
    tmp_path_factory: pytest.TempPathFactory,
    stored: list[list[Point]],
    measurement: str,
    spans: list[TimeSpan],
    wanted: st.DataObject,
    packed_from: int,
    others: int,
    chunk: int,
) -> None:
    every = [point for own in stored for point in own]
    # As a rule of what is there, and one that is not.
    measurement = wanted.draw(st.sampled_from([measurement, *{p.measurement for p in every}]))
    known = list(MEASUREMENTS[measurement].fields)
    fields = tuple(wanted.draw(st.lists(st.sampled_from(known), unique=True)))
    tags: dict[str, Sequence[str]] = {}
    if wanted.draw(st.booleans()):
        tags["meter"] = wanted.draw(st.lists(st.sampled_from(METERS), min_size=1, unique=True))
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
    path = store(tmp_path_factory, stored, packed_from, others)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK", chunk)
        lines = StoredLines(path)
        try:
            source = BufferSource(lines, "s")
            shared = SharedSource(source, METERS)
            for one in (source, shared, shared):
                asked = (measurement, spans, tags, fields)
                assert by_series(of_tables(one.tables(*asked), fields)) == expected
                assert by_series(of_points(one.read(*asked), fields)) == expected
        finally:
            lines.close()
