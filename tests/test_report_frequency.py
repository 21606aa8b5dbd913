"""Quarter hours stand for their frequency windows: both ways of counting give the same."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.derive.clock import Step
from logger.derive.info import MeterInfo, SavedState
from logger.derive.pipeline import Derive
from logger.domain.limits import FREQUENCY_BANDS
from logger.domain.timespan import TimeSpan
from logger.points.line import Point
from logger.report.frequency import tallies
from logger.report.influx import InfluxSource
from logger.report.source import Bands, BufferSource, Source, Table, Tags, Tally
from logger.store.database import Database
from logger.store.query import StoredLines
from tests.conftest import Target
from tests.derive_rig import T0, fast, info
from tests.old_buffer import make_version_two
from tests.report_rig import in_buffer, in_memory, write_influx

WINDOWS, QUARTERS = "quality_frequency", "quality_frequency_15m"
QUARTER, HOUR = 900_000, 3_600_000
SITE = "s"
ALL: Bands = {("",): FREQUENCY_BANDS}
# Borders of the bands and both sides of them, lower and higher ones.
HERTZ = (46.99, 47.0, 49.49, 49.5, 49.99, 50.02, 50.5, 50.51, 52.0, 52.01)


def life(dice: random.Random, hours: float) -> Iterator[Point]:
    """Yield the frequency points of two meters, one sample a window, with every trouble:
    gaps, missing windows, kills, restarts in order, changed roles, steps of the clock."""
    roles = {"house": "grid", "roof": "pv"}

    def meters() -> list[MeterInfo]:
        return [info(name, role, fast_ms=10_000) for name, role in roles.items()]

    def restarted(state: SavedState) -> Derive:
        fresh = Derive(meters(), SITE)
        assert fresh.restore(state)
        return fresh

    derive, now = Derive(meters(), SITE), T0 + dice.randrange(90) * 10_000
    saved = derive.state()
    for _ in range(int(hours * 360)):
        now += 10_000
        match dice.randrange(1200):
            case 0 | 1:
                now += dice.randrange(1, 300) * 10_000  # nothing is read for a while
            case 2 | 3:
                derive = restarted(saved)  # killed
            case 4 | 5:
                derive = restarted(derive.state(stopping=True))
                now += dice.randrange(200) * 10_000
            case 6:
                roles["roof"] = dice.choice(["pv", "battery"])
                derive = restarted(derive.state(stopping=True))
            case 7 | 8:
                size = dice.choice([-1, 1]) * dice.randrange(7, 400) * 10_000
                yield from derive.clock_step(Step(now, now + size))
                now += size
            case 9:
                yield from derive.tick(now)
        for name, role in roles.items():
            if dice.random() > 0.01:
                hertz = dice.choice(HERTZ) if dice.random() < 0.1 else dice.gauss(50, 0.02)
                yield from derive.feed(fast(now, hertz=round(hertz, 3), meter=name, role=role))
        if dice.random() < 0.1:
            yield from derive.tick(now + 1000)
        if derive.dirty or dice.random() < 0.01:
            saved = derive.state()
    if dice.random() < 0.5:
        yield from derive.tick(now + HOUR)


def lived(seed: int, hours: float = 8) -> list[Point]:
    found = life(random.Random(seed), hours)
    return [point for point in found if point.measurement in {WINDOWS, QUARTERS}]


def spans_of(points: Sequence[Point], dice: random.Random) -> list[TimeSpan]:
    """Return stretches one after the other, some with gaps, some on quarters."""
    first = min(point.time_ms for point in points) // QUARTER * QUARTER
    last = max(point.time_ms for point in points)
    at, found = first - dice.randrange(2) * 5000, []
    while at < last:
        end = at + dice.choice([QUARTER, 4 * QUARTER, HOUR + 10_000, 1_234_567])
        found.append((at, end))
        at = end + dice.choice([0, 0, 0, 70_000])
    return found


def plain(found: Sequence[Tally]) -> list[tuple[object, ...]]:
    return sorted(
        (one.span, one.tags["meter"], one.tags["role"], one.windows, one.valid, one.within,
         one.low, one.high)
        for one in found
    )  # fmt: skip


def check(source: Source, spans: Sequence[TimeSpan]) -> None:
    counted = plain(source.tally(WINDOWS, spans, {}, ALL))
    assert counted
    assert plain(tallies(source, spans, {})) == counted
    own: Tags = {"meter": ("roof",)}
    assert plain(tallies(source, spans, own)) == plain(source.tally(WINDOWS, spans, own, ALL))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1 << 32))
def test_both_ways_are_the_same_whatever_happened(seed: int) -> None:
    points = lived(seed)
    check(in_memory(points), spans_of(points, random.Random(seed)))


@pytest.mark.parametrize("seed", [3, 4])
def test_both_ways_are_the_same_from_a_buffer_file(tmp_path: Path, seed: int) -> None:
    points = lived(seed)
    source = in_buffer(tmp_path / "buffer.sqlite", points)
    check(source, spans_of(points, random.Random(seed)))
    once = (min(point.time_ms for point in points), max(point.time_ms for point in points))
    check(source, [once])


def test_a_buffer_file_of_an_older_version_is_read_without_changing_it(tmp_path: Path) -> None:
    path, points = tmp_path / "buffer.sqlite", lived(8)
    spans = spans_of(points, random.Random(8))
    found = plain(tallies(in_buffer(path, points), spans, {}))
    database = Database.open(path)
    make_version_two(database)
    database.close()
    assert plain(tallies(BufferSource(StoredLines(path)), spans, {})) == found
    assert len(list(BufferSource(StoredLines(path)).read(QUARTERS, spans[:1], {}, ()))) > 0
    database = Database.open_readonly(path)
    assert database.value("PRAGMA user_version") == 2
    database.close()


@pytest.mark.engine
@pytest.mark.parametrize("seed", [5, 6])
def test_both_ways_are_the_same_from_influxdb(target: Target, seed: int) -> None:
    points = lived(seed)
    write_influx(target.engine.url, target.bucket, points)
    source = InfluxSource(target.engine.url, target.bucket, "", SITE)
    spans = spans_of(points, random.Random(seed))
    check(source, spans)
    # Windows of the same time and series, made before and after a kill, overwrite each other.
    last = {(p.time_ms, *p.tags.values()): p for p in points if p.measurement == WINDOWS}
    assert plain(tallies(source, spans, {})) == plain(
        in_memory(list(last.values())).tally(WINDOWS, spans, {}, ALL)
    )


@pytest.mark.engine
def test_a_second_logger_without_quarters_is_counted_too(target: Target) -> None:
    """Its meters have windows only, at times for which the first one's quarters are known."""
    points = lived(7) + [
        Point(
            WINDOWS, {"site": SITE, "meter": "barn's", "role": "load"},
            {"mean": 49.0 + number / 1000, "samples": 10, "valid": True}, T0 + number * 10_000,
        )
        for number in range(720)
    ]  # fmt: skip
    write_influx(target.engine.url, target.bucket, points)
    source = InfluxSource(target.engine.url, target.bucket, "", SITE)
    spans = spans_of(points, random.Random(7))
    check(source, spans)
    barn = [one for one in tallies(source, spans, {}) if one.tags["meter"] == "barn's"]
    assert sum(one.windows for one in barn) > 600


class Watched:
    """A source that notes for which stretches the windows themselves were asked."""

    shared = False

    def __init__(self, source: Source) -> None:
        self._source, self.asked = source, list[tuple[Tags, TimeSpan]]()

    def read(
        self, measurement: str, spans: Sequence[TimeSpan], tags: Tags, fields: Sequence[str]
    ) -> Iterator[Point]:
        return self._source.read(measurement, spans, tags, fields)

    def tables(
        self, measurement: str, spans: Sequence[TimeSpan], tags: Tags, fields: Sequence[str]
    ) -> Iterator[Table]:
        return self._source.tables(measurement, spans, tags, fields)

    def tally(
        self,
        measurement: str,
        spans: Sequence[TimeSpan],
        tags: Tags,
        bands: Bands,
        without: Sequence[str] = (),
    ) -> list[Tally]:
        self.asked += [(tags, span) for span in spans]
        return self._source.tally(measurement, spans, tags, bands, without)


def test_only_what_no_whole_quarter_covers_is_counted_by_windows() -> None:
    derive, points = Derive([info(fast_ms=10_000), info("roof", "pv", 10_000)], SITE), []
    for offset in range(5000, 3 * HOUR, 10_000):
        points += derive.feed(fast(T0 + offset))
        if offset < HOUR or offset > 2 * HOUR:
            points += derive.feed(fast(T0 + offset, meter="roof", role="pv"))
        if HOUR < offset < HOUR + 10_000:  # every quarter but the last of the hour
            points += derive.tick(T0 + offset)
    source = Watched(in_memory(points))
    assert plain(tallies(source, [(T0, T0 + 3 * HOUR)], {})) == plain(
        in_memory(points).tally(WINDOWS, [(T0, T0 + 3 * HOUR)], {}, ALL)
    )
    assert source.asked == [
        ({}, (T0, T0 + QUARTER)),  # the first after the start
        ({}, (T0 + 3 * HOUR - QUARTER, T0 + 3 * HOUR)),  # not over yet
        ({"meter": ("roof",), "role": ("pv",)}, (T0 + HOUR, T0 + 2 * HOUR)),
    ]
