"""The quality report and the sources: every source tells the same about the same points."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from logger.config.derive import Prices
from logger.domain.errors import ReportError
from logger.domain.times import midnight_ms
from logger.points.line import Point
from logger.report.calendar import By, periods
from logger.report.countervalues import counter_values
from logger.report.energy import cuts, report
from logger.report.events import joined
from logger.report.influx import InfluxSource
from logger.report.page import page, percent
from logger.report.quality import REASONS, TITLE, histogram, quality
from logger.report.source import Source
from tests.conftest import Target
from tests.engines import InfluxServer
from tests.report_rig import in_buffer, in_memory, write_influx

ZONE = ZoneInfo("Europe/Amsterdam")
MONDAY = dt.date(2026, 10, 19)
START = midnight_ms(MONDAY, ZONE)
TEN_MINUTES, WEEK = 600_000, 169 * 3_600_000  # the week in which the clocks go back
SITE = 'Müller\'s "house", west'


def window(
    at: int, mean: float, phase: str = "L1", valid: bool = True, spread: float = 1.5
) -> Point:
    tags = {"site": SITE, "meter": "house", "role": "grid", "phase": phase}
    fields = {
        "mean": mean, "min": mean - spread, "max": mean + spread, "samples": 600, "valid": valid,
    }  # fmt: skip
    return Point("quality_voltage", tags, fields, at)


def hertz(at: int, mean: float, valid: bool = True) -> Point:
    tags = {"site": SITE, "meter": "house", "role": "grid"}
    return Point("quality_frequency", tags, {"mean": mean, "samples": 10, "valid": valid}, at)


def fortnight() -> list[Point]:
    """Two weeks of voltages by chance, an hour of frequencies, some counters and events."""
    dice = random.Random(5)
    points = []
    for number in range(2 * 1008):
        at = START + number * TEN_MINUTES
        for phase, level in (("L1", 230.0), ("L2", 246.0), ("L1-L2", 400.0)):
            mean = round(dice.gauss(level, 4.0), 2)
            points.append(window(at, mean, phase, valid=dice.random() > 0.02))
    points += [
        hertz(START + number * 10_000, round(dice.gauss(50, 0.06), 3), dice.random() > 0.05)
        for number in range(360)
    ]
    for number in range(14 * 288 + 12 + 1):
        at = START + number * 300_000 + 400
        for meter, role, drawn, fed in (("house", "grid", 2, 1), ("roof", "pv", 0, 3)):
            tags = {"site": SITE, "meter": meter, "role": role, "phase": "total"}
            fields = {"active_import": 10 + drawn * number / 8, "active_export": fed * number / 4}
            points.append(Point("energy", {**tags, "tariff": "total"}, fields, at))
    other = {"site": "another", "meter": "house", "role": "grid", "phase": "total"}
    points.append(
        Point("energy", {**other, "tariff": "total"}, {"active_import": 9e5}, START + 450)
    )
    tags = {"site": SITE, "meter": "house", "role": "grid", "kind": "phase_lost", "phase": "L2"}
    text = 'house, L2: "lost", a \\ and more'
    points.append(
        Point("event", tags, {"state": "begin", "text": text, "extreme": 0.0}, START + 10_000)
    )
    points.append(
        Point(
            "event", tags,
            {"state": "end", "text": text, "extreme": 0.0, "duration_s": 50.0}, START + 60_000,
        )
    )  # fmt: skip
    return points


Maker = Callable[[Sequence[Point]], Source]


@pytest.fixture(params=["memory", "buffer", pytest.param("influx", marks=pytest.mark.engine)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Maker:
    def memory(points: Sequence[Point]) -> Source:
        return in_memory([point for point in points if point.tags["site"] == SITE])

    def buffer(points: Sequence[Point]) -> Source:
        return in_buffer(
            tmp_path / "buffer.sqlite", [point for point in points if point.tags["site"] == SITE]
        )

    def influx(points: Sequence[Point]) -> Source:
        target: Target = request.getfixturevalue("target")
        write_influx(target.engine.url, target.bucket, points)
        return InfluxSource(target.engine.url, target.bucket, "", SITE)

    makers: dict[str, Maker] = {"memory": memory, "buffer": buffer, "influx": influx}
    return makers[request.param]


def test_shares_equal_numpy_on_every_source(make: Maker) -> None:
    points = fortnight()
    lines = quality(
        make(points), periods(MONDAY, MONDAY + dt.timedelta(days=13), By.WEEK, ZONE), {}
    )
    assert [(one.period, one.quantity, one.phase) for one in lines] == [
        ("2026-W43", "voltage", "L1"),
        ("2026-W43", "voltage", "L1-L2"),
        ("2026-W43", "voltage", "L2"),
        ("2026-W43", "frequency", ""),
        ("2026-W44", "voltage", "L1"),
        ("2026-W44", "voltage", "L1-L2"),
        ("2026-W44", "voltage", "L2"),
    ]
    for place, (low, high) in enumerate([(START, START + WEEK), (START + WEEK, START + 2 * WEEK)]):
        for phase, nominal in (("L1", 230.0), ("L2", 230.0), ("L1-L2", 230.0 * 3**0.5)):
            own = [
                p for p in points
                if p.measurement == "quality_voltage" and p.tags["phase"] == phase
                and low <= p.time_ms < high
            ]  # fmt: skip
            means = np.array([p.fields["mean"] for p in own if p.fields["valid"]])
            line = next(
                one for one in lines
                if one.phase == phase and one.period == f"2026-W{43 + place}"
            )  # fmt: skip
            assert (line.windows, line.valid) == (len(own), len(means))
            inside = (means >= 0.9 * nominal) & (means <= 1.1 * nominal)
            assert line.narrow == pytest.approx(float(np.mean(inside)))
            inside = (means >= 0.85 * nominal) & (means <= 1.1 * nominal)
            assert line.wide == pytest.approx(float(np.mean(inside)))
            assert line.low == min(float(p.fields["min"]) for p in own)
            assert line.high == max(float(p.fields["max"]) for p in own)
    frequency = lines[3]
    means = np.array(
        [p.fields["mean"] for p in points if p.measurement == "quality_frequency"
         and p.fields["valid"]]
    )  # fmt: skip
    assert frequency.valid == len(means)
    assert frequency.narrow == pytest.approx(float(np.mean((means >= 49.5) & (means <= 50.5))))
    assert frequency.verdict == "not enough data"


def lacking(at: int, *names: str, phase: str = "L1", mean: float = 230.0) -> Point:
    whole = window(at, mean, phase)
    fields = {name: value for name, value in whole.fields.items() if name not in names}
    return Point(whole.measurement, whole.tags, fields, at)


# Windows of an hour after 20 usual ones of 230 V, and the number of windows, the share within
# 10 % and the extremes then.
@pytest.mark.parametrize(
    ("own", "windows", "share", "low", "high"),
    [
        # Without a mean there is no window, but what was lowest and highest is known.
        ([lacking(START + TEN_MINUTES * 20, "mean", mean=190.0)], 20, 1.0, 188.5, 231.5),
        ([lacking(START + TEN_MINUTES * 20, "mean", mean=260.0)], 20, 1.0, 228.5, 261.5),
        # A mean stands for extremes that were not stored, in the share as well.
        ([lacking(START + TEN_MINUTES * 20, "min", "max", mean=190.0)], 21, 20 / 21, 190.0, 231.5),
        ([lacking(START + TEN_MINUTES * 20, "min", "max", mean=260.0)], 21, 20 / 21, 228.5, 260.0),
        ([lacking(START + TEN_MINUTES * 20, "min", "max")], 21, 1.0, 228.5, 231.5),
        # Of a window that comes again each field counts as it came last.
        ([lacking(START, "mean", mean=190.0)], 20, 1.0, 188.5, 231.5),
        ([lacking(START, "min", "max", mean=190.0)], 20, 19 / 20, 190.0, 231.5),
    ],
)
def test_windows_with_missing_fields_tell_the_same_on_every_source(
    make: Maker, own: list[Point], windows: int, share: float, low: float, high: float
) -> None:
    usual = [window(START + TEN_MINUTES * number, 230.0) for number in range(20)]
    bare = [lacking(START + TEN_MINUTES * n, "min", "max", phase="L2") for n in range(3)]
    none = [lacking(START + TEN_MINUTES * n, "mean", phase="L3") for n in range(3)]
    lines = quality(make([*usual, *own, *bare, *none]), periods(MONDAY, MONDAY, By.WEEK, ZONE), {})
    assert [
        (one.phase, one.windows, one.valid, one.narrow, one.low, one.high) for one in lines
    ] == [
        ("L1", windows, windows, pytest.approx(share), low, high),
        ("L2", 3, 3, 1.0, 230.0, 230.0),
    ]


def test_the_histogram_counts_every_valid_window_once(make: Maker) -> None:
    points = fortnight()
    counts = histogram(make(points), (START, START + WEEK), "house")
    means = [
        float(p.fields["mean"])
        for p in points
        if p.measurement == "quality_frequency" and p.fields["valid"]
    ]
    edges = [0, *(49.82 + 0.02 * step for step in range(19)), 100]
    assert sum(counts) == len(means)
    assert counts == np.histogram(np.array(means) + 1e-9, edges)[0].tolist()


def test_energy_and_events_are_the_same_on_every_source(make: Maker) -> None:
    source = make(fortnight())
    shown = periods(MONDAY, MONDAY + dt.timedelta(days=13), By.DAY, ZONE)
    rows, total = report(
        counter_values(source, cuts(shown, Prices(), ZONE), {}), shown, Prices(), ZONE
    )
    assert [float(row.grid_import or 0) for row in rows] == [
        25 / 24 * 72 if row.label == "2026-10-25" else 72.0 for row in rows
    ]
    assert float(total.pv or 0) == 3 * (14 * 288 + 12) / 4
    assert float(total.self_consumption or 0) == pytest.approx(2 / 3)
    (event,) = joined(source.read("event", [(START, START + WEEK)], {}, ()))
    assert (event.kind, event.phase, event.duration_s, event.extreme) == (
        "phase_lost", "L2", 50, 0,
    )  # fmt: skip
    assert event.text == 'house, L2: "lost", a \\ and more'
    assert list(source.read("event", [(START, START + WEEK)], {"kind": ("clock_step",)}, ())) == []


@pytest.mark.parametrize(
    ("means", "valid", "verdict"),
    [
        ([230.0] * 1008, 1008, "within"),
        ([230.0] * 958 + [206.0] * 50, 1008, "within"),  # 95.04 % within +/-10 %
        ([230.0] * 957 + [206.0] * 51, 1008, "outside"),
        ([230.0] * 1007 + [195.0], 1008, "outside"),  # below -15 %
        ([230.0] * 1007 + [253.5], 1008, "outside"),  # above +10 %
        ([230.0] * 503, 503, "not enough data"),
    ],
)
def test_the_verdict_of_a_week(means: list[float], valid: int, verdict: str) -> None:
    start = midnight_ms(dt.date(2026, 11, 2), ZONE)
    points = [window(start + n * TEN_MINUTES, mean) for n, mean in enumerate(means)]
    (line,) = quality(
        in_memory(points), periods(dt.date(2026, 11, 2), dt.date(2026, 11, 8), By.WEEK, ZONE), {}
    )
    assert (line.valid, line.verdict) == (valid, verdict)


def test_windows_that_are_not_valid_have_no_share() -> None:
    points = [window(START, 300.0, valid=False)]
    (line,) = quality(in_memory(points), periods(MONDAY, MONDAY, By.WEEK, ZONE), {})
    assert (line.windows, line.valid, line.narrow, line.wide) == (1, 0, None, None)
    assert line.high == 301.5


def test_the_page_stands_alone_and_names_itself_an_indication() -> None:
    points = [point for point in fortnight() if point.tags["site"] == SITE]
    source = in_memory(points)
    span = (START, START + 2 * WEEK)
    lines = quality(source, periods(MONDAY, MONDAY + dt.timedelta(days=13), By.WEEK, ZONE), {})
    windows = [point for point in points if point.measurement == "quality_voltage"]
    text = page(SITE, ZONE, span, lines, windows, {"house": histogram(source, span, "house")})
    assert TITLE in text
    assert "Müller&#x27;s &quot;house&quot;, west" in text
    assert all(reason.replace("'", "&#x27;") in text for reason in REASONS)
    for outside in ("<script", "http://", "https://", "url(", "@import", "<link", "<img"):
        assert outside not in text.replace("http://www.w3.org/2000/svg", "")
    assert text.count("<svg") == 2
    assert "nan" not in text.lower().replace("fenan", "")


def test_a_hole_in_the_windows_is_not_drawn_over() -> None:
    near = [window(START + n * TEN_MINUTES, 231.0 + n) for n in range(3)]
    far = [window(START + (n + 20) * TEN_MINUTES, 235.0 + n) for n in range(3)]
    text = page(SITE, ZONE, (START, START + WEEK), [], near + far, {})
    (path,) = [part for part in text.split("<path d=") if part.startswith('"M')]
    assert path.split('"')[1].count("M") == 2


def test_percent_never_rounds_up_to_all() -> None:
    assert percent(1.0) == "100 %"
    assert percent(0.99996) == "99.99 %"
    assert percent(None) == ""


@pytest.mark.engine
def test_what_influxdb_says_against_a_request_reaches_the_user(target: Target) -> None:
    source = InfluxSource(target.engine.url, "no such database", "", SITE)
    with pytest.raises(ReportError, match="no such database"):
        list(source.read("event", [(START, START + WEEK)], {}, ()))


@pytest.mark.engine
def test_a_stopped_influxdb_is_named(own_influx: InfluxServer) -> None:
    url = own_influx.url
    own_influx.kill()
    source = InfluxSource(url, "energy", "", SITE)
    with pytest.raises(ReportError, match="cannot be reached") as caught:
        list(source.read("event", [(START, START + WEEK)], {}, ()))
    assert "--from-buffer" in caught.value.hint


def test_every_line_can_be_shown_plainly() -> None:
    from logger.report import shape

    (line,) = quality(in_memory([window(START, 231.0)]), periods(MONDAY, MONDAY, By.WEEK, ZONE), {})
    plain = shape.quality(line)
    assert plain["share_plus_minus_10_percent"] == 1.0
    assert len(plain) == len(astuple(line))
