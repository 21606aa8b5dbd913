"""Every kind of event: it begins and ends once, with the right duration and extreme."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from logger import models
from logger.config.derive import Events
from logger.derive.clock import Step
from logger.derive.events import EventKind
from logger.derive.pipeline import Derive
from logger.meter.reading import Reading
from logger.models import Job
from logger.points.line import Point
from logger.report.events import Event
from tests.derive_rig import T0, events, fast, identity, info, of, reading, slow

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
FINE = (230.1, 230.2, 230.3)


def volts(derive: Derive, levels: Iterable[tuple[int, float]], phase: int = 1) -> list[Point]:
    """Feed a second of samples for each of (seconds, V on one phase), one after the other."""
    points: list[Point] = []
    at = T0
    for seconds, value in levels:
        for _ in range(seconds):
            level = list(FINE)
            level[phase - 1] = value
            points += derive.feed(fast(at, (level[0], level[1], level[2])))
            at += SECOND
    return points + derive.tick(at + 15 * SECOND)


def only(points: list[Point]) -> Event:
    (found,) = events(points)
    return found


def test_every_kind_has_a_meaning() -> None:
    table = (Path(__file__).parent.parent / "docs" / "events.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows[1:]))) == sorted(EventKind)


@pytest.mark.parametrize(
    ("level", "kind", "extreme"), [(255.5, "voltage_high", 255.5), (203.5, "voltage_low", 203.5)]
)
def test_ten_minute_mean_beyond_its_limit(level: float, kind: str, extreme: float) -> None:
    found = only(volts(Derive([info()], "s"), [(600, 230), (1200, level), (1200, 230)], phase=2))
    assert (found.kind, found.meter, found.phase) == (kind, "house", "L2")
    assert found.start_ms == T0 + 600 * SECOND
    assert found.duration_s == 1200
    assert found.extreme == pytest.approx(extreme)
    assert "house, L2" in found.text
    assert f"{extreme} V" in found.text


def test_a_mean_within_the_hysteresis_does_not_end_an_event() -> None:
    levels = [(600, 254.0), (600, 252.5), (600, 253.5), (600, 251.9)]
    found = only(volts(Derive([info()], "s"), levels))
    assert found.duration_s == 1800
    assert found.extreme == pytest.approx(254.0)


@pytest.mark.parametrize(
    ("level", "kind"), [(261.5, "voltage_high_sample"), (190.5, "voltage_low_sample")]
)
@pytest.mark.parametrize(("seconds", "seen"), [(2, False), (3, True), (40, True)])
def test_several_samples_in_a_row(level: float, kind: str, seconds: int, seen: bool) -> None:
    points = volts(Derive([info()], "s"), [(60, 230), (seconds, level), (60, 230)])
    if not seen:
        assert events(points) == []
        return
    found = only(points)
    assert (found.kind, found.phase, found.duration_s) == (kind, "L1", seconds)
    assert found.start_ms == T0 + 60 * SECOND + 300
    assert found.extreme == level


def test_flutter_around_a_limit_is_one_event() -> None:
    levels = [(10, 230), *[(1, 261.0), (1, 259.5)] * 20, (3, 261.5), *[(1, 261.0), (1, 259.5)] * 9]
    found = only(volts(Derive([info()], "s"), [*levels, (20, 230)]))
    assert (found.kind, found.extreme) == ("voltage_high_sample", 261.5)


def test_a_minimum_duration_is_kept() -> None:
    config = Events(min_duration=30.0)
    short = volts(Derive([info()], "s", config), [(60, 230), (29, 265.0), (60, 230)])
    assert events(short) == []
    found = only(volts(Derive([info()], "s", config), [(60, 230), (45, 265.0), (60, 230)]))
    assert found.duration_s == 45


def test_samples_before_a_gap_do_not_count() -> None:
    derive = Derive([info()], "s")
    points = volts(derive, [(10, 230), (2, 265.0)])
    at = T0 + 40 * SECOND
    points += [p for n in range(2) for p in derive.feed(fast(at + n * SECOND, (265.0, 230, 230)))]
    assert events(points) == []


def test_a_lost_phase_is_that_alone() -> None:
    found = only(volts(Derive([info()], "s"), [(700, 230), (300, 0.0), (900, 230)], phase=3))
    assert (found.kind, found.phase, found.duration_s) == ("phase_lost", "L3", 300)


@pytest.mark.parametrize(("level", "kind"), [(50.71, "frequency_high"), (49.31, "frequency_low")])
def test_frequency(level: float, kind: str) -> None:
    derive = Derive([info("roof", "pv"), info("house", "grid")], "s")
    points: list[Point] = []
    for second in range(120):
        hertz = level if 30 <= second < 70 else 50.02
        for name, role in (("roof", "pv"), ("house", "grid")):
            points += derive.feed(fast(T0 + second * SECOND, FINE, hertz, 1.0, name, role))
    found = only(points)
    assert (found.kind, found.meter, found.phase, found.duration_s) == (kind, "house", "", 40)
    assert found.extreme == pytest.approx(level)


def test_three_wires_are_judged_between_the_phases() -> None:
    """To neutral they mean nothing; between two phases limits are 1.732 times as high."""
    ambition = models.load("ambition-2pu-ct")
    derive = Derive([replace(info(wiring="3P3W"), model=ambition)], "s")
    points: list[Point] = []
    for second in range(30):
        values = {"voltage/L1": 0.0, "voltage/L2": 11.0, "voltage/L3": 270.0}
        values |= {"voltage/L1-L2": 400.0, "voltage/L1-L3": 401.0, "voltage/L2-L3": 399.0}
        if 10 <= second < 20:
            values["voltage/L1-L3"] = 455.0  # 260 V x 1.732 = 450.3 V
        points += derive.feed(reading(values, T0 + second * SECOND))
    found = only(points)
    assert (found.kind, found.phase, found.duration_s) == ("voltage_high_sample", "L1-L3", 10)


def record(
    derive: Derive, readings: Iterable[Reading], until_ms: int, from_ms: int = T0
) -> list[Point]:
    """Feed readings at their time, with a tick each second."""
    waiting = sorted(readings, key=lambda one: one.taken_ms)
    points: list[Point] = []
    for now in range(from_ms, until_ms, SECOND):
        while waiting and waiting[0].taken_ms <= now:
            points += derive.feed(waiting.pop(0))
        points += derive.tick(now)
    return points


def test_a_silent_meter_is_told_while_it_lasts_and_when_it_is_back() -> None:
    derive = Derive([info(), info("roof", "pv")], "s")
    other = [fast(T0 + n * SECOND, meter="roof", role="pv") for n in range(300)]
    heard = [fast(T0 + n * SECOND) for n in (*range(20), *range(200, 300))]
    before = record(derive, [*other, *heard], T0 + 150 * SECOND)
    (begin,) = of(before, "event")
    assert begin.fields["state"] == "begin"
    assert begin.time_ms == T0 + 19 * SECOND + 300
    rest = [one for one in [*other, *heard] if one.taken_ms >= T0 + 150 * SECOND]
    after = record(derive, rest, T0 + 300 * SECOND, T0 + 150 * SECOND)
    found = only(before + after)
    assert (found.kind, found.meter, found.duration_s) == ("meter_silent", "house", 181)
    assert derive.wanted() == {"house"}


def test_a_meter_that_never_answers_is_silent_from_the_start() -> None:
    derive = Derive([info()], "s")
    (event,) = of(record(derive, [], T0 + 100 * SECOND), "event")
    assert (event.fields["state"], event.time_ms) == ("begin", T0)


@pytest.mark.parametrize(("downs", "mains"), [(7, False), (8, True)])
def test_after_a_gap_the_power_down_counter_tells(downs: int, mains: bool) -> None:
    derive = Derive([info()], "s")
    readings = [identity(T0, downs=7), slow(T0 + SECOND, 100.0, 50.0)]
    readings += [fast(T0 + n * SECOND) for n in range(2, 20)]
    readings += [fast(T0 + n * SECOND) for n in range(600, 700)]
    readings += [identity(T0 + 610 * SECOND, downs=downs)]
    readings += [identity(T0 + 611 * SECOND, downs=downs), slow(T0 + 612 * SECOND, 101.5, 50.25)]
    found = events(record(derive, readings, T0 + 700 * SECOND))
    kinds = {one.kind: one for one in found}
    assert set(kinds) == ({"meter_silent", "mains_outage"} if mains else {"meter_silent"})
    assert len(found) == len(kinds)
    if mains:
        outage = kinds["mains_outage"]
        assert outage.duration_s == 581
        assert outage.extreme == pytest.approx(1.5)
        assert "1.50 kWh drawn, 0.25 kWh fed back" in outage.text


@pytest.mark.parametrize(("downs", "kind"), [(7, "logger_outage"), (9, "mains_outage")])
def test_after_a_restart_it_tells_whether_the_mains_or_the_logger_was_off(
    downs: int, kind: str
) -> None:
    meters = [info(), info("roof", "pv")]
    first, second = Derive(meters, "s"), Derive(meters, "s")
    readings = []
    for start, count, energy in ((T0, 7, 0.0), (T0 + HOUR, downs, 0.75)):
        for name, role in (("house", "grid"), ("roof", "pv")):
            readings += [
                identity(start, downs=count, meter=name, role=role),
                slow(start + SECOND, 100.0 + energy, 40.5 + energy, name, role),
            ]
            readings += [fast(start + n * SECOND, meter=name, role=role) for n in range(2, 30)]
    points = record(first, [one for one in readings if one.taken_ms < T0 + HOUR], T0 + 30 * SECOND)
    assert second.restore(json.loads(json.dumps(first.state())))
    points += record(
        second, [one for one in readings if one.taken_ms > T0 + HOUR], T0 + HOUR + 30 * SECOND,
        T0 + HOUR,
    )  # fmt: skip
    found = events(points)
    assert {one.kind for one in found} == {kind}
    assert [one.meter for one in found] == ([""] if kind == "logger_outage" else ["house", "roof"])
    assert all(one.duration_s == pytest.approx(HOUR / SECOND - 29, abs=2) for one in found)
    if kind == "logger_outage":
        assert found[0].extreme == pytest.approx(1.5)  # 0.75 kWh at each of the two meters


def test_a_meter_without_a_power_down_counter_is_asked_once() -> None:
    derive = Derive([info()], "s")
    record(derive, [fast(T0), fast(T0 + 200 * SECOND)], T0 + 202 * SECOND)
    assert derive.wanted() == {"house"}
    derive.feed(reading({"serial": "22091039"}, T0 + 203 * SECOND, Job.IDENTITY))
    assert derive.wanted() == set()
    derive.feed(slow(T0 + 204 * SECOND, 5.5, 1.5))
    assert events(derive.tick(T0 + 205 * SECOND)) == []


@pytest.mark.parametrize(("downs", "kind"), [(7, "logger_outage"), (8, "mains_outage")])
def test_a_stop_that_cost_readings_is_told_once_however_short(downs: int, kind: str) -> None:
    """The meter that is read seldom has missed nothing, and yet tells what it was."""
    meters = [info(), info("roof", "pv", fast_ms=60_000)]
    first, second, third = (Derive(meters, "s") for _ in range(3))

    def all_of(at: int, count: int, drawn: float) -> list[Reading]:
        return [
            one
            for name, role in (("house", "grid"), ("roof", "pv"))
            for one in (
                identity(at, downs=count, meter=name, role=role),
                slow(at + SECOND, drawn, 40.5, name, role),
                fast(at + 2 * SECOND, meter=name, role=role),
            )
        ]

    record(first, all_of(T0, 7, 100.0), T0 + 4 * SECOND)
    assert second.restore(json.loads(json.dumps(first.state())))
    # A quick start of three fast jobs, then one of four.
    at = T0 + 5 * SECOND
    points = record(second, all_of(at, 7, 100.0), at + 4 * SECOND, at)
    assert events(points) == []
    assert third.restore(json.loads(json.dumps(second.state())))
    at += 6 * SECOND
    found = events(record(third, all_of(at, downs, 100.01), at + 4 * SECOND, at))
    assert [(one.kind, one.meter) for one in found] == (
        [(kind, "")] if kind == "logger_outage" else [(kind, "house"), (kind, "roof")]
    )
    assert {one.start_ms for one in found} == {at - 4 * SECOND + 300}
    assert {one.kind for one in events(third.tick(at + HOUR // 3))} == {"meter_silent"}


def test_a_gap_that_was_not_explained_before_a_restart_says_nothing_of_it() -> None:
    first, second = Derive([info()], "s"), Derive([info()], "s")
    record(first, [identity(T0), slow(T0, 100.0, 40.5), fast(T0 + SECOND)], T0 + 3 * SECOND)
    record(first, [fast(T0 + 200 * SECOND)], T0 + 202 * SECOND, T0 + 200 * SECOND)
    assert second.restore(json.loads(json.dumps(first.state())))
    at = T0 + 230 * SECOND
    readings = [fast(at), identity(at + SECOND), slow(at + 2 * SECOND, 100.75, 40.5)]
    found = only(record(second, readings, at + 4 * SECOND, at))
    assert (found.kind, found.start_ms) == ("logger_outage", T0 + 200 * SECOND + 300)
    assert found.duration_s == pytest.approx(30, abs=0.5)
    assert found.extreme == pytest.approx(0.75)


def test_a_blink_of_the_mains_between_two_readings_is_told_by_the_counter() -> None:
    derive = Derive([info()], "s")
    points = derive.feed(identity(T0, downs=7)) + derive.feed(identity(T0 + SECOND, downs=8))
    found = only(points)
    assert (found.kind, found.duration_s) == ("mains_outage", 0)


def test_swap_and_reset_are_told_with_their_numbers() -> None:
    derive = Derive([info()], "s")
    derive.feed(identity(T0))
    points: list[Point] = []
    for number in range(4):
        points += derive.feed(slow(T0 + number * MINUTE, 5000.5, 70.5))
    for number in range(4, 8):
        points += derive.feed(slow(T0 + number * MINUTE, number / 8, 0.0))
    reset = only(points)
    assert (reset.kind, reset.extreme) == ("counter_reset", 5000.5)
    assert "active_import/total/total: 5000.5 to 0.5" in reset.text
    points = derive.feed(identity(T0 + 8 * MINUTE, serial="30001122"))
    points += derive.feed(slow(T0 + 9 * MINUTE, 12.5, 3.25))
    points += derive.feed(slow(T0 + 10 * MINUTE, 12.5, 3.25))
    swap = only(points)
    assert swap.kind == "meter_swapped"
    assert "22091039 was replaced by 30001122" in swap.text
    assert swap.start_ms == of(points, "energy")[0].time_ms == T0 + 9 * MINUTE + 300


@pytest.mark.parametrize(
    ("field", "before", "after", "kind"),
    [
        ("tariff", 1, 2, "tariff_switched"),
        ("combination_code", 1, 10, "combination_code_changed"),
        ("ct_ratio", "0005", "0250", "ct_ratio_changed"),
    ],
)
def test_changed_settings(field: str, before: int | str, after: int | str, kind: str) -> None:
    derive = Derive([info()], "s")
    points: list[Point] = []
    for number, value in enumerate([before, before, after, after]):
        points += derive.feed(identity(T0 + number * HOUR, more={field: value}))
    found = only(points)
    assert (found.kind, found.start_ms, found.duration_s) == (kind, T0 + 2 * HOUR + 300, 0)
    assert f"from {before} to {after}" in found.text


def test_a_clock_step_is_told_and_does_not_lengthen_what_lasts() -> None:
    derive = Derive([info()], "s")
    points = volts(derive, [(60, 230), (30, 265.0)])
    now = T0 + 90 * SECOND
    points += derive.clock_step(Step(now, now + HOUR))
    for second in range(30):
        level = 265.0 if second < 10 else 230.0
        points += derive.feed(fast(now + HOUR + second * SECOND, (level, 230.2, 230.3)))
    peak, step = sorted(events(points), key=lambda one: one.kind, reverse=True)
    assert (peak.kind, peak.duration_s) == ("voltage_high_sample", 40)
    assert (step.kind, step.extreme, step.start_ms) == ("clock_step", 3600, now + HOUR)
    assert events(derive.tick(now + HOUR + 31 * SECOND)) == []


def test_the_buffer_near_its_limit() -> None:
    derive = Derive([info()], "s")
    points: list[Point] = []
    for number, share in enumerate([0.5, 0.79, 0.81, 0.97, 0.78, 0.74, 0.5]):
        points += derive.buffer(share, T0 + number * MINUTE)
    found = only(points)
    assert (found.kind, found.start_ms, found.duration_s) == (
        "buffer_near_limit", T0 + 2 * MINUTE, 180,
    )  # fmt: skip
    assert found.extreme == pytest.approx(97)


def test_begin_and_end_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="logger.events"):
        volts(Derive([info()], "s"), [(60, 230), (30, 265.0), (30, 230)])
    assert [(r.levelname, "house, L1: voltage" in r.message) for r in caplog.records] == [
        ("WARNING", True),
        ("INFO", True),
    ]


def test_an_event_goes_on_over_a_restart() -> None:
    first, second = Derive([info()], "s"), Derive([info()], "s")
    points = volts(first, [(60, 230), (30, 265.0)])
    assert first.dirty
    state = json.loads(json.dumps(first.state()))
    assert not first.dirty
    assert second.restore(state)
    for n in range(90, 120):
        level = 265.0 if n < 100 else 230.0
        points += second.feed(fast(T0 + n * SECOND, (level, 230.2, 230.3)))
    found = only(points)
    assert (found.kind, found.duration_s) == ("voltage_high_sample", 40)


@pytest.mark.parametrize("lost", [None, 0, 7])
def test_damage_whose_loss_nobody_can_count_tells_no_number(lost: int | None) -> None:
    found = only(Derive([info()], "s").damaged("its journal is gone", lost, T0))
    assert found.kind == "buffer_damaged"
    assert found.extreme == lost
