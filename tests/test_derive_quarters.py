"""Quarter hours of frequency windows: their sums, and when they are whole."""

from __future__ import annotations

import pytest

from logger.derive.clock import Step
from logger.derive.pipeline import Derive
from logger.domain.limits import FREQUENCY_BANDS
from logger.points.line import Point
from tests.derive_rig import T0, fast, info, of

QUARTER = 900_000


def feed(derive: Derive, start: int, end: int, hertz: float = 50.01) -> list[Point]:
    """Feed a sample every ten seconds, the planned number, from `start` to `end` after T0."""
    return [
        point
        for offset in range(start, end, 10_000)
        for point in derive.feed(fast(T0 + offset, hertz=hertz))
    ]


def fresh(role: str = "grid") -> Derive:
    return Derive([info(role=role, fast_ms=10_000)], "s")


def shown(points: list[Point]) -> list[tuple[int, object, object]]:
    """Return second, windows and wholeness of each; one that is not whole counts none."""
    return [
        ((p.time_ms - T0) // 1000, p.fields.get("windows", 0), p.fields["whole"])
        for p in of(points, "quality_frequency_15m")
    ]


def test_a_quarter_adds_its_windows_up() -> None:
    derive = Derive([info(fast_ms=5000)], "s")  # two samples a window
    points = []
    values = {0: 46.9, 1: 47.0, 2: 49.4, 3: 49.5, 4: 50.5, 5: 50.6, 6: 52.0, 7: 52.1}
    for window in range(-90, 92):
        for part in (0, 5000):
            if window == 9 and part:
                continue  # one of two samples: not valid
            at = T0 + window * 10_000 + part
            points += derive.feed(fast(at, hertz=53.5 if window == 9 else values.get(window, 50.0)))
    second = of(points, "quality_frequency_15m")[1]
    assert second.time_ms == T0
    assert second.tags == {"site": "s", "meter": "house", "role": "grid"}
    assert second.fields == {
        "windows": 90, "valid": 89, "normal": 83, "wide": 87, "min": 46.9, "max": 53.5,
        "whole": True,
    }  # fmt: skip
    assert FREQUENCY_BANDS == ((49.5, 50.5), (47.0, 52.0))


def test_a_quarter_is_whole_once_it_was_seen_from_its_beginning() -> None:
    derive = fresh()
    points = feed(derive, 100_000, 2 * QUARTER + 100_000)
    assert shown(points) == [(0, 0, False), (900, 90, True)]
    end = T0 + 3 * QUARTER
    assert shown(derive.tick(end + 59_999)) == []
    assert shown(derive.tick(end + 60_000)) == [(1800, 10, True)]
    assert shown(derive.tick(end + 120_000)) == []


def test_a_gap_makes_a_quarter_smaller_but_not_less_true() -> None:
    derive = fresh()
    points = feed(derive, 0, QUARTER + 300_000) + derive.tick(T0 + QUARTER + 700_000)
    points += feed(derive, QUARTER + 800_000, 4 * QUARTER) + derive.tick(T0 + 5 * QUARTER)
    assert shown(points) == [(0, 0, False), (900, 40, True), (1800, 90, True), (2700, 90, True)]


def test_a_window_that_comes_after_all_spoils_its_quarter() -> None:
    derive = fresh()
    feed(derive, 0, QUARTER + 300_000)
    points = derive.tick(T0 + 2 * QUARTER + 60_000)  # the clock ran ahead of the readings
    points += feed(derive, QUARTER + 300_000, 3 * QUARTER + 10_000)
    assert [whole for at, _, whole in shown(points) if at == 900] == [True, False]
    stamps = [p.time_ms for p in of(points, "quality_frequency_15m")]
    assert len(stamps) == len(set(stamps)), "two points, so a reader knows"


@pytest.mark.parametrize(
    ("size_s", "expected"),
    [
        (1200, {1800: [False], 2700: [True]}),
        (-1200, {0: [False], 900: [False], 1800: [True], 2700: [True]}),
    ],
)
def test_no_quarter_that_a_step_of_the_clock_touches_is_whole(
    size_s: int, expected: dict[int, list[bool]]
) -> None:
    derive = fresh()
    before = feed(derive, 0, QUARTER + 300_000)
    assert shown(before) == [(0, 0, False)]
    now = T0 + QUARTER + 300_000
    points = derive.clock_step(Step(now, now + 1000 * size_s))
    points += feed(derive, QUARTER + 300_000 + 1000 * size_s, 4 * QUARTER)
    points += derive.tick(T0 + 6 * QUARTER)
    found: dict[int, list[object]] = {}
    for at, _, whole in shown(points):
        found.setdefault(at, []).append(whole)
    assert found == expected


def test_a_restart_goes_on_with_the_quarter_when_the_state_was_kept() -> None:
    derive = fresh()
    feed(derive, 0, QUARTER + 300_000)
    again = fresh()
    assert again.restore(derive.state(stopping=True))
    points = feed(again, QUARTER + 300_000, 2 * QUARTER) + again.tick(T0 + 3 * QUARTER)
    assert shown(points) == [(900, 90, True)]


@pytest.mark.parametrize("loss", ["killed", "an older state", "another role", "a meter is gone"])
def test_a_restart_that_lost_windows_tells_no_quarter_of_them(loss: str) -> None:
    derive, again = fresh(), fresh("load" if loss == "another role" else "grid")
    if loss == "a meter is gone":
        derive = Derive([info(fast_ms=10_000), info("roof", "pv", 10_000)], "s")
        derive.feed(fast(T0 + QUARTER, meter="roof", role="pv"))
        derive.feed(fast(T0 + QUARTER + 10_000, meter="roof", role="pv"))
    feed(derive, 0, QUARTER + 300_000)
    state = derive.state(stopping=loss != "killed")
    if loss == "an older state":
        del state["quarters"]
    assert again.restore(state)
    points = feed(again, QUARTER + 300_000, 3 * QUARTER) + again.tick(T0 + 4 * QUARTER)
    reported = [(at, whole) for at, _, whole in shown(points)]
    assert reported == [(900, False)] * (loss != "a meter is gone") + [(1800, True)]


def test_what_was_told_before_a_step_back_is_not_believed_after_a_kill() -> None:
    """The quarter is lived through again, by a process that cannot know its windows."""
    derive = fresh()
    points = feed(derive, 0, 3 * QUARTER)
    assert shown(points) == [(0, 0, False), (900, 90, True)]
    now = T0 + 3 * QUARTER
    derive.clock_step(Step(now, now - 3 * QUARTER))
    again = fresh()
    assert again.restore(derive.state())
    points = feed(again, 0, 4 * QUARTER) + again.tick(T0 + 5 * QUARTER)
    assert shown(points) == [(0, 0, False), (900, 0, False), (1800, 0, False), (2700, 90, True)]


def test_a_state_that_makes_no_sense_is_refused() -> None:
    derive = fresh()
    feed(derive, 0, 300_000)
    for place, wrong in ((1, "x"), (2, 7), (3, 1.5), (8, "high")):
        state = derive.state(stopping=True)
        state["quarters"]["open"]["house"][place] = wrong
        assert not fresh().restore(state)
