"""The clock: slews, steps, a clock that is not set yet, sleep, and stamps kept apart."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger.bus.elapsed import elapsed
from logger.derive.built import BUILT_MS
from logger.derive.clock import Clock, Machine, Stamps, Step

NOON = BUILT_MS / 1000 + 40 * 86400 + 12 * 3600  # a true time well after the build
NOON_MS = int(NOON * 1000)
YEAR_S = 365 * 86400


@dataclass
class Hardware:
    """A machine whose true time, wall clock error and uptime the test moves by hand."""

    true_s: float = NOON
    error_s: float = 0.0
    uptime_s: float = 17.0
    kept: bool = False

    def clock(self, stamped_ms: int | None = None, since: float | None = None) -> Clock:
        machine = Machine(
            lambda: self.true_s + self.error_s, lambda: self.uptime_s, lambda: self.kept
        )
        return Clock(machine, stamped_ms=stamped_ms, since=since)

    def pass_s(self, seconds: float) -> None:
        self.true_s += seconds
        self.uptime_s += seconds

    def watch(self, clock: Clock, seconds: float) -> list[Step]:
        """Let time pass with a check each second; return the steps."""
        steps = []
        for _ in range(int(seconds)):
            self.pass_s(1)
            if step := clock.check():
                steps.append(step)
        return steps


def test_a_good_clock_is_followed_without_a_step() -> None:
    machine = Hardware()
    clock = machine.clock(stamped_ms=NOON_MS - 5000)
    assert clock.trusted
    assert machine.watch(clock, 100) == []
    assert clock.now_ms() == pytest.approx(NOON_MS + 100_000, abs=1)


@pytest.mark.parametrize("error_s", [0.4, -0.4])
def test_a_small_difference_is_made_up_without_going_back(error_s: float) -> None:
    machine = Hardware()
    clock = machine.clock()
    machine.error_s = error_s
    last = clock.now_ms()
    for _ in range(4000):
        machine.pass_s(0.1)
        assert clock.check() is None
        assert last < clock.now_ms() < last + 110
        last = clock.now_ms()
    assert clock.now_ms() == pytest.approx((machine.true_s + error_s) * 1000, abs=20)


@pytest.mark.parametrize("error_s", [3600.0, -3600.0, 0.6, -YEAR_S])
def test_a_step_that_stays_is_taken_over_and_reported_once(error_s: float) -> None:
    machine = Hardware()
    clock = machine.clock()
    machine.watch(clock, 10)
    machine.error_s = error_s
    (step,) = machine.watch(clock, 20)
    assert step.size_ms == pytest.approx(error_s * 1000, abs=2)
    assert not step.first
    assert clock.now_ms() == pytest.approx((machine.true_s + error_s) * 1000, abs=2)


def test_a_jump_there_and_back_is_no_step() -> None:
    machine = Hardware()
    clock = machine.clock()
    machine.error_s = 10 * YEAR_S
    machine.pass_s(1)
    assert clock.check() is None
    machine.error_s = 0
    assert machine.watch(clock, 10) == []
    assert clock.now_ms() == pytest.approx(machine.true_s * 1000, abs=2)


def test_clocks_read_too_far_apart_say_nothing() -> None:
    machine = Hardware()

    stopped_s = 0.0

    def wall() -> float:
        shown = machine.true_s
        machine.pass_s(stopped_s)  # the process was stopped between the two clocks
        return shown

    clock = Clock(Machine(wall, lambda: machine.uptime_s, lambda: True))
    stopped_s = 0.7
    for _ in range(5):
        machine.pass_s(1)
        assert clock.check() is None
    assert clock.now_ms() == pytest.approx(machine.true_s * 1000, abs=2)


def test_sleep_is_time_that_passed() -> None:
    machine = Hardware()
    clock = machine.clock()
    machine.pass_s(7 * 3600)  # uptime counts the time asleep (CLOCK_BOOTTIME)
    assert clock.check() is None
    assert clock.now_ms() == pytest.approx(NOON_MS + 7 * 3_600_000, abs=2)


@pytest.mark.parametrize(
    "shown_s",
    [0.0, NOON - 86400],
    ids=["1970", "yesterday"],
)
def test_boot_with_a_wrong_clock_corrected_after_90_s(shown_s: float) -> None:
    machine = Hardware(error_s=shown_s - NOON)
    stamped_ms = NOON_MS - 60_000
    clock = machine.clock(stamped_ms)
    moments, true_ms = [], []
    for _ in range(90):
        machine.pass_s(1)
        assert clock.check() is None
        assert not clock.trusted
        moments.append(clock.moment_ms(clock.now_ms()))
        true_ms.append(int(machine.true_s * 1000))
    machine.error_s = 0
    (step,) = machine.watch(clock, 5)
    assert step.first
    assert clock.trusted
    stamps = [clock.stamp_ms(moment) for moment in moments]
    assert stamps == pytest.approx(true_ms, abs=2)
    assert min(stamps) > stamped_ms


def test_a_clock_that_ran_past_the_newest_point_is_not_right_for_that() -> None:
    machine = Hardware(error_s=-300)
    clock = machine.clock(stamped_ms=NOON_MS)
    machine.watch(clock, 600)
    assert not clock.trusted


def test_a_kept_clock_is_believed_although_newer_points_exist() -> None:
    machine = Hardware(kept=True)
    assert machine.clock(stamped_ms=NOON_MS + YEAR_S * 1000).trusted
    assert not Hardware(error_s=-NOON, kept=True).clock().trusted


@pytest.mark.parametrize("error_s", [-300.0, -NOON], ids=["300 s late", "1970"])
def test_nobody_sets_the_clock_so_time_goes_on_after_the_newest_point(error_s: float) -> None:
    machine = Hardware(error_s=error_s)
    stamped_ms = NOON_MS - 40_000
    clock = machine.clock(stamped_ms)
    first_moment_ms = clock.moment_ms(clock.now_ms())
    (step,) = machine.watch(clock, 1000)
    assert step.first
    assert clock.trusted
    assert clock.stamp_ms(first_moment_ms) == pytest.approx(stamped_ms + 1000, abs=2)
    machine.error_s = 0  # the network is back at last
    (step,) = machine.watch(clock, 5)
    assert step.size_ms == pytest.approx(40_000 - 1000, abs=3)


def test_a_point_from_the_far_future_does_not_stop_the_clock_for_ever() -> None:
    machine = Hardware()
    clock = machine.clock(stamped_ms=NOON_MS + 10 * YEAR_S * 1000)
    assert not clock.trusted
    assert machine.watch(clock, 1000) == []
    assert clock.trusted
    assert clock.now_ms() == pytest.approx(machine.true_s * 1000, abs=2)


def test_what_a_run_before_left_without_a_time_counts_as_begun_then() -> None:
    machine = Hardware(error_s=-300, uptime_s=2000)
    stamped_ms = NOON_MS - 3_600_000
    clock = machine.clock(stamped_ms, since=100.0)  # half an hour ago
    assert clock.trusted
    machine.error_s = -1800
    clock = machine.clock(stamped_ms, since=100.0)
    assert not clock.trusted
    (step,) = machine.watch(clock, 2)  # nobody set it for 15 minutes, most of them before
    assert step.first
    assert clock.stamp_ms(100_000) == pytest.approx(stamped_ms + 1000, abs=2)


@given(
    steps=st.lists(st.integers(-5000, 5000), max_size=6),
    pace=st.integers(1, 400),
)
def test_no_stamp_is_given_twice_to_one_series(steps: list[int], pace: int) -> None:
    stamps = Stamps()
    now, given_out = 1_000_000, []
    for step in [0, *steps]:
        stamps.stepped(Step(now, now + step))
        now += step
        for _ in range(30):
            now += pace
            given_out.append(stamps.take("series", now // 100 * 100))
    assert len(set(given_out)) == len(given_out)


def test_series_do_not_disturb_each_other_and_forward_stamps_stay() -> None:
    stamps = Stamps(memory_ms=1000)
    assert [stamps.take("a", ms) for ms in range(0, 100_000, 100)] == list(range(0, 100_000, 100))
    assert stamps.take("b", 0) == 0
    assert stamps.take("b", 0) == 1


def test_windows_relived_beyond_the_memory_stay_apart() -> None:
    stamps = Stamps(memory_ms=1000)
    first = [stamps.take("window", ms) for ms in range(0, 600_000, 1000)]
    stamps.stepped(Step(600_000, 60_000))
    second = [stamps.take("window", ms) for ms in range(60_000, 600_000, 1000)]
    assert not set(first) & set(second)


def test_the_real_clocks_of_this_machine() -> None:
    since_boot = time.monotonic()  # without the time asleep
    assert elapsed() >= since_boot
    clock = Clock(Machine(kept=lambda: True))
    before_ms = time.time() * 1000
    now_ms = clock.now_ms()
    assert before_ms - 1 <= now_ms <= time.time() * 1000 + 1
