"""Minutes and quality windows against numpy on the raw samples; validity at the edges."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.derive.clock import Step
from logger.derive.pipeline import Derive
from logger.points.line import Point
from tests.derive_rig import T0, fast, info, of

MINUTE, TEN_MINUTES, TEN_SECONDS = 60_000, 600_000, 10_000


def run(derive: Derive, samples: list[tuple[int, float, float, float]], end_ms: int) -> list[Point]:
    """Feed (offset ms, V, Hz, kW) after T0 and close everything; return the points."""
    points: list[Point] = []
    for offset, volts, hertz, kilowatts in samples:
        points += derive.feed(fast(T0 + offset, (volts, volts - 1, volts + 2), hertz, kilowatts))
    return points + derive.tick(T0 + end_ms)


_SAMPLE = st.tuples(
    st.integers(0, 1_799),
    st.floats(200, 260).map(lambda v: round(v, 2)),
    st.floats(49, 51).map(lambda v: round(v, 3)),
    st.floats(-20, 20).map(lambda v: round(v, 4)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_SAMPLE, min_size=1, max_size=200, unique_by=lambda sample: sample[0]))
def test_windows_equal_numpy_on_the_raw_samples(raw: list[tuple[int, float, float, float]]) -> None:
    samples = [(1000 * second, v, hz, kw) for second, v, hz, kw in sorted(raw)]
    points = run(Derive([info()], "s"), samples, 3_600_000)
    taken = np.array([offset + 300 for offset, *_ in samples])
    volts, hertz = (np.array([s[i] for s in samples]) for i in (1, 2))
    watts = np.array([float(Decimal(repr(s[3])) * 1000) for s in samples])

    def chosen(point: Point, length: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        start = point.time_ms - T0
        assert start % length == 0
        return (taken >= start) & (taken < start + length)

    minutes = [p for p in of(points, "power_1m") if p.tags["phase"] == "total"]
    assert len(minutes) == len(set(taken // MINUTE))
    for point in minutes:
        own = watts[chosen(point, MINUTE)]
        assert point.fields["samples"] == len(own)
        assert point.fields["active_power"] == pytest.approx(np.mean(own), rel=1e-12, abs=1e-9)
        assert point.fields["active_power_min"] == np.min(own)
        assert point.fields["active_power_max"] == np.max(own)
    windows = [p for p in of(points, "quality_voltage") if p.tags["phase"] == "L1"]
    assert len(windows) == len(set(taken // TEN_MINUTES))
    for point in windows:
        own = volts[chosen(point, TEN_MINUTES)]
        assert point.fields["mean"] == pytest.approx(np.sqrt(np.mean(own**2)), rel=1e-12)
        assert (point.fields["min"], point.fields["max"]) == (np.min(own), np.max(own))
        assert point.fields["samples"] == len(own)
        assert point.fields["valid"] == (len(own) >= 480)
    tens = of(points, "quality_frequency")
    assert len(tens) == len(set(taken // TEN_SECONDS))
    for point in tens:
        own = hertz[chosen(point, TEN_SECONDS)]
        assert point.fields["mean"] == pytest.approx(np.mean(own), rel=1e-12)
        assert point.fields["valid"] == (len(own) >= 8)


@pytest.mark.parametrize(
    ("samples", "valid"), [(474, False), (479, False), (480, True), (600, True)]
)
def test_a_window_needs_80_percent_of_the_planned_samples(samples: int, valid: bool) -> None:
    raw = [(1000 * second, 230.0, 50.0, 1.0) for second in range(samples)]
    (window,) = [
        p
        for p in of(run(Derive([info()], "s"), raw, 700_000), "quality_voltage")
        if p.tags["phase"] == "L2"
    ]
    assert window.fields["valid"] is valid
    assert window.fields["mean"] == pytest.approx(229.0)


@pytest.mark.parametrize("size_ms", [90_000, -90_000])
def test_no_window_with_a_clock_step_inside_is_valid(size_ms: int) -> None:
    derive = Derive([info()], "s")
    points: list[Point] = []
    now = T0
    for second in range(2400):
        if second == 300:
            points += derive.clock_step(Step(now, now + size_ms))
            now += size_ms
        points += derive.feed(fast(now))
        now += 1000
    points += derive.tick(now + 3_600_000)
    valid = {
        (point.time_ms - T0) // TEN_MINUTES: point.fields["valid"]
        for point in of(points, "quality_voltage")
        if point.tags["phase"] == "L1"
    }
    assert valid == {0: False, 1: True, 2: True, 3: True} | ({4: False} if size_ms > 0 else {})
    stamps = [(p.measurement, *sorted(p.tags.items()), p.time_ms) for p in points]
    assert len(stamps) == len(set(stamps))


def test_slow_polling_plans_fewer_samples() -> None:
    derive = Derive([info(fast_ms=30_000)], "s")
    points = [p for offset in range(0, 1_200_000, 30_000) for p in derive.feed(fast(T0 + offset))]
    points += derive.tick(T0 + 3_600_000)
    assert all(p.fields["valid"] for p in of(points, "quality_frequency"))
    assert [p.fields["samples"] for p in of(points, "quality_frequency")] == [1] * 40
    assert all(p.fields["valid"] for p in of(points, "quality_voltage"))


def test_a_minute_says_how_many_samples_it_had_and_an_empty_one_says_nothing() -> None:
    raw = [(1000 * second, 230.0, 50.0, 1.0) for second in [*range(0, 60, 2), *range(120, 180)]]
    points = run(Derive([info()], "s"), raw, 400_000)
    minutes = [p for p in of(points, "power_1m") if p.tags["phase"] == "L3"]
    assert [(p.time_ms - T0, p.fields["samples"]) for p in minutes] == [(0, 30), (120_000, 60)]


def test_a_restart_loses_no_sample_when_the_state_was_kept_at_the_stop() -> None:
    raw = [(1000 * second, 230.0 + second / 100, 50.0, 1.0) for second in range(60)]
    whole = run(Derive([info()], "s"), raw, 700_000)
    first, second = Derive([info()], "s"), Derive([info()], "s")
    points = run(first, raw[:31], 0)
    assert second.restore(first.state(stopping=True))
    points += run(second, raw[31:], 700_000)
    for measurement in ("power_1m", "quality_voltage", "quality_frequency"):
        assert of(points, measurement) == of(whole, measurement)
    assert [p.fields["samples"] for p in of(points, "power_1m")] == [60] * 4


def test_an_old_state_never_brings_a_window_out_again() -> None:
    derive, restarted = Derive([info()], "s"), Derive([info()], "s")
    for second in range(30):
        derive.feed(fast(T0 + 1000 * second))
    assert restarted.restore(derive.state())
    assert of(restarted.tick(T0 + 3_600_000), "power_1m") == []
    assert of(restarted.tick(T0 + 3_600_000), "quality_voltage") == []


def test_phases_that_mean_nothing_are_not_judged() -> None:
    derive = Derive([info(wiring="1P2W")], "s")
    points = [
        p for second in range(700) for p in derive.feed(fast(T0 + 1000 * second, (231.0, 0.0, 0.0)))
    ]
    assert {p.tags["phase"] for p in of(points, "quality_voltage")} == {"L1"}
    assert of(points, "event") == []
